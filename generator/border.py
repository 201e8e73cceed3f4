"""How far an edit reaches: the rings around a face drawn close about the head, so that what lies beyond stays the
footage's own.

A reenactment moves hair, neck and collar with the head and lets them give way to the still picture slowly. An edit
stands on one given frame: what it moves must come to rest within a narrow border, the wider the more it moves.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.actor import Actor
from facewitness.generator.performance import Identity, Performance
from facewitness.generator.shapes import STILL, Shapes, shapes_of
from facewitness.generator.synthesis import Synthesiser
from facewitness.generator.warp import RINGS, Surround, lowness, shells, surround_of

NEAR = ((1.28, 1.6, 1.9), (1.12, 1.28, 1.48))
"""Reaches of the rings while little moves, above the face's middle and below the chin; see ``warp.RINGS``."""
HOLD = ((1.0, 1.0, 0.0), (1.0, 0.6, 0.0))
"""How much of a ring's movement is left to it, likewise."""
ROOM = 1.3
"""The border is at least this many times as wide as what it has to take up, so that nothing folds."""
SHAPE_FOLLOWS = (1.0, 0.7, 0.0)
"""How far the rings go along when the outline of the face's own shape is edited."""


def bordered(maker: Synthesiser, actor: Actor, own: Performance, changed: Performance) -> Synthesiser:
    """The same synthesiser, for ``changed`` standing on the frames of ``own`` (both T frames): nothing outside the head
    and a border as narrow as the change allows is touched."""
    before, after = (actor.square.shapes(shapes_of(p)) for p in (own, changed))
    plain = surround_of(actor.shapes, actor.follow)
    edited = reshaped_surround(plain, own.identity, changed.identity)
    close = near(plain, movement_px(before, after, plain, edited))
    return maker.within(close, reshaped_surround(close, own.identity, changed.identity))


def near(surround: Surround, moved_px: NDArray[np.float32]) -> Surround:
    """The same surroundings with rings drawn close, that take up ``moved_px`` (n,) of movement at each point of the
    outline without folding.

    Drawn out to where they were, at most, for movement too great for the border.
    """
    count, low = len(lm.FACE_OVAL), lowness()
    oval = np.concatenate([lm.canonical_xyz()[list(lm.FACE_OVAL)], np.ones((count, 1))], 1).astype(np.float32)
    edge = np.zeros((count, 2, 8), np.float32)
    edge[:, 0, :4] = edge[:, 1, 4:] = oval  # the outline itself is fixed to the head
    rests = np.concatenate([edge @ surround.head, surround.rest]).reshape(-1, count, 2)
    follows = np.concatenate([edge, surround.follow]).reshape(-1, count, 2, 8)
    radii = np.array([1.0, *(reach for reach, _, _ in RINGS)])
    size = np.linalg.norm(rests[-1] - rests[0], axis=-1) / (radii[-1] - radii[0])
    wide = ROOM * moved_px / np.maximum(size, 1e-6)
    at, hold = (np.stack([a + (b - a) * low for a, b in zip(*pair, strict=True)]) for pair in (NEAR, HOLD))
    at[2] = np.clip(at[1] + hold[1] * wide, at[2], radii[-1])
    out_rest, out_follow = [], []
    for reach, kept in zip(at, hold, strict=True):
        k = np.clip(np.searchsorted(radii, reach, side="right"), 1, len(radii) - 1)
        share = ((reach - radii[k - 1]) / (radii[k] - radii[k - 1]))[:, None]
        column = np.arange(count)
        out_rest.append(rests[k - 1, column] + share * (rests[k, column] - rests[k - 1, column]))
        f = follows[k - 1, column] + share[..., None] * (follows[k, column] - follows[k - 1, column])
        out_follow.append(f * kept[:, None, None])
    return replace(
        surround, rest=np.concatenate(out_rest).astype(np.float32),
        follow=np.concatenate(out_follow).astype(np.float32),
    )  # fmt: skip


def reshaped_surround(surround: Surround, own: Identity, edited: Identity) -> Surround:
    """The surroundings of a face whose shape was edited: they keep their own shape, and only go along with its outline.

    ``Shapes.head`` is fitted to the mesh and takes an edited shape for a movement; that is undone here.
    """
    if np.array_equal(own.neutral, edited.neutral):
        return surround
    maps = [_canonical_to(identity) for identity in (own, edited)]
    back = np.linalg.inv(maps[1]) @ maps[0]  # head of the unedited face = head of the edited one @ back
    blocks = surround.follow.reshape(-1, 2, 2, 4).astype(np.float64)
    head = surround.head.reshape(2, 4).astype(np.float64)
    outline = list(lm.FACE_OVAL)
    grown = (edited.neutral - own.neutral)[outline].astype(np.float64) @ np.linalg.inv(maps[0][:3, :3]).T
    along = np.concatenate([share * grown for share in SHAPE_FOLLOWS])
    rest = surround.rest + along @ head[:, :3].T
    for axis in (0, 1):
        blocks[:, axis, axis, :3] += along
    return Surround(
        rest=rest.astype(np.float32), head=(head @ np.linalg.inv(back)).reshape(8).astype(np.float32),
        follow=(blocks @ back.T).reshape(-1, 2, 8).astype(np.float32),
    )  # fmt: skip


def _canonical_to(identity: Identity) -> NDArray[np.float64]:
    """(4, 4) affine map from the canonical face to a person's neutral one, as ``Shapes.head`` fits it."""
    known = np.concatenate([lm.canonical_xyz()[STILL], np.ones((len(STILL), 1))], axis=1)
    fitted = np.linalg.pinv(known) @ identity.neutral[STILL].astype(np.float64)
    return np.vstack([fitted.T, [0, 0, 0, 1]])


def movement_px(own: Shapes, wanted: Shapes, surround: Surround, edited: Surround) -> NDArray[np.float32]:
    """(n,) how far an edit moves what lies around each point of the outline, at most, in pixels of ``own``."""
    count = len(lm.FACE_OVAL)
    inner = slice(lm.POINTS, lm.POINTS + 2 * count)
    a, b = (shells(s, around)[:, inner, :2] for s, around in ((own, surround), (wanted, edited)))
    moved = np.linalg.norm(a - b, axis=-1).max(0, initial=0.0).reshape(2, count).max(0)
    return np.asarray(np.max([np.roll(moved, k) for k in (-2, -1, 0, 1, 2)], axis=0), np.float32)
