"""A convolutional code of rate 1/3 with soft decoding (Viterbi): what lets a watermark lose half its bits and still
be read.

Constraint length 9, generators 557, 663, 711 (octal), free distance 18: the best code of this length
(J. Proakis, Digital Communications, table 8.2-2). The encoder starts and ends in state zero.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

CONSTRAINT = 9
GENERATORS = (0o557, 0o663, 0o711)
RATE = len(GENERATORS)
TAIL = CONSTRAINT - 1


def coded_length(bits: int) -> int:
    """Number of coded bits that ``bits`` information bits become."""
    return (bits + TAIL) * RATE


def encode(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Encode (n,) bits 0/1 into ((n + 8) * 3,) bits 0/1."""
    register, out = 0, []
    for bit in [*bits.tolist(), *[0] * TAIL]:
        register = (register >> 1) | (int(bit) << TAIL)
        out += [(register & g).bit_count() & 1 for g in GENERATORS]
    return np.array(out, np.uint8)


@cache
def _trellis() -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each state: its two predecessors (256, 2), and the signs +1/-1 the step into it sends (256, 2, 3)."""
    states = 1 << TAIL
    before = np.empty((states, 2), np.intp)
    signs = np.empty((states, 2, RATE))
    for state in range(states):
        for low in (0, 1):
            register = (state << 1) | low
            before[state, low] = register & (states - 1)
            signs[state, low] = [1.0 - 2.0 * ((register & g).bit_count() & 1) for g in GENERATORS]
    return before, signs


def decode(soft: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Most likely (n,) bits for ((n + 8) * 3,) soft values, positive where a coded 0 is likelier than a 1.

    Raises ValueError where the length is no multiple of 3 or holds no information bit.
    """
    steps, rest = divmod(len(soft), RATE)
    if rest or steps <= TAIL:
        raise ValueError(f"{len(soft)} soft values are no code word of rate 1/{RATE} with a tail of {TAIL}")
    before, signs = _trellis()
    states = len(before)
    gains = np.asarray(soft, np.float64).reshape(steps, RATE) @ signs.reshape(-1, RATE).T
    metric = np.full(states, -np.inf)
    metric[0] = 0.0
    choice = np.empty((steps, states), np.uint8)
    for step in range(steps):
        paths = metric[before] + gains[step].reshape(states, 2)
        choice[step] = paths[:, 1] > paths[:, 0]
        metric = paths.max(axis=1)
    bits, state = np.empty(steps, np.uint8), 0
    for step in range(steps - 1, -1, -1):
        bits[step] = state >> (TAIL - 1)
        state = before[state, choice[step, state]]
    return bits[: steps - TAIL]
