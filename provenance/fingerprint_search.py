"""Finding a video, or a part of one, among millions of stored fingerprint rows: probe an index, vote for an offset,
compare in full."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.provenance import fingerprint as fp

LEAST_SCORES = {2: 0.9, 3: 0.83, 4: 0.8, 5: 0.8, 6: 0.7}
"""Least score of a match by the rows (seconds) it rests on, the last for all longer ones. The score is the smaller of
two similarities: of the whole rows, and of their changes alone, which tell two takes in one room apart. Among 125,000
wrong alignments of a hundred real clips the highest scores were 0.85, 0.76, 0.73 and 0.53 for 2, 3, 4 to 5 and 6 or
more rows."""
STILL = 0.15
"""Below this share of change in its rows a video is still, and its changes are noise."""
LEAST_STILL_SCORE = 0.97
"""A still video is matched by its picture alone, which must then be nearly the same."""
PROBES = 12
"""Query windows sent to the index for each guess of what was done to the picture."""
CROP_PROBES = 3
"""The same for each guess of a crop: there are many."""
NEIGHBOURS = 10
CANDIDATES = 12
"""Alignments with the most votes that are compared in full."""
VOTE_FLOOR = 0.35
"""A neighbour less similar than this has no vote."""
CROPS = tuple((kept, x, y) for kept in (0.94, 0.88, 0.81) for y in (0.0, 0.5, 1.0) for x in (0.0, 0.5, 1.0))
"""Guesses of a crop: share of the side that was kept, and where it lay (0 left or top, 1 right or bottom)."""
FLAT_ROWS = 30_000
"""Up to so many rows every one is looked at; beyond, an inverted file looks at a few per cent."""
LISTS_PER_ROOT = 4
LISTS_VISITED = 8


@dataclass(frozen=True, kw_only=True, order=True)
class FingerprintMatch:
    """A stored video that the query is a part of, or overlaps; the smallest distance is the best match."""

    distance: float
    """1 - score, 0..1."""
    seq: int
    """Number of the ledger entry."""
    offset_s: float
    """Where in the stored video the query begins, seconds (negative: before it)."""
    rows: int
    """Seconds of overlap that were compared."""
    mirrored: bool = False
    crop: tuple[float, float, float] | None = None
    """The guess of a crop that fitted: kept share, x, y."""


@dataclass(frozen=True)
class _Guess:
    """What may have been done to the picture, and the query's windows (W, 128) under that guess."""

    vectors: NDArray[np.float32]
    mirrored: bool
    crop: tuple[float, float, float] | None
    probes: int


class FingerprintIndex:
    """Fingerprint rows in memory, searchable: 128 bytes a row, and as much again for the index beyond 30,000 rows."""

    def __init__(self) -> None:
        self._vectors: NDArray[np.int8] = np.zeros((0, fp.DIMENSIONS), np.int8)
        self._seqs: NDArray[np.int64] = np.zeros(0, np.int64)
        self._starts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._pending: list[tuple[int, NDArray[np.int64], NDArray[np.int8]]] = []
        self._index: Any = None
        self._trained_for = 0
        self._span: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._vectors) + sum(len(v) for _, _, v in self._pending)

    @property
    def last(self) -> int:
        """The highest entry number that was added; 0 where there is none."""
        return max(max(self._span, default=0), max((seq for seq, _, _ in self._pending), default=0))

    def add(self, seq: int, starts_ms: NDArray[np.integer], vectors: NDArray[np.int8]) -> None:
        """Add the rows of ledger entry ``seq``, in order of their start; they are searched from the next query on."""
        if len(vectors):
            self._pending.append((seq, np.asarray(starts_ms, np.int64), np.asarray(vectors, np.int8)))

    def find(self, query: fp.Sketch | fp.Fingerprint, *, limit: int = 5) -> list[FingerprintMatch]:
        """The stored videos that ``query`` matches, best first; empty where there is none.

        A sketch is also searched mirrored and cropped; a bare fingerprint mirrored only, at whole seconds.
        """
        self._settle()
        if not len(self._vectors):
            return []
        plain, step = _windows(query)
        if not len(plain):
            return []
        sides = [_Guess(plain, False, None, PROBES), _Guess(fp.mirrored(plain), True, None, PROBES)]
        found = self._search(sides, step)
        if not found and isinstance(query, fp.Sketch):
            found = self._search(_cropped(query), step)
        return sorted(found)[:limit]

    def _search(self, guesses: list[_Guess], step: int) -> list[FingerprintMatch]:
        """Probe with all guesses at once, vote, and compare the best alignments in full."""
        picks = [_probe_windows(len(g.vectors), g.probes) for g in guesses]
        probes = np.concatenate([g.vectors[p] for g, p in zip(guesses, picks, strict=True)])
        similarity, rows = self._index.search(np.ascontiguousarray(probes, np.float32), NEIGHBOURS)
        owner = np.repeat(np.arange(len(guesses)), [len(p) for p in picks])
        window = np.concatenate(picks)
        votes: dict[tuple[int, int, int], float] = defaultdict(float)
        good = (rows >= 0) & (similarity > VOTE_FLOOR)
        for i, j in zip(*np.nonzero(good), strict=True):
            row = rows[i, j]
            offset = self._starts[row] * fp.SAMPLES_PER_S / 1000 - window[i] * step
            votes[int(owner[i]), int(self._seqs[row]), round(offset)] += float(similarity[i, j])
        best: dict[int, FingerprintMatch] = {}
        for g, seq, offset in sorted(votes, key=votes.__getitem__, reverse=True)[:CANDIDATES]:
            match = self._compare(guesses[g], seq, offset, step)
            if match and (seq not in best or match < best[seq]):
                best[seq] = match
        return list(best.values())

    def _compare(self, guess: _Guess, seq: int, offset: int, step: int) -> FingerprintMatch | None:
        """The best alignment within half a second of ``offset`` (samples) over all rows that overlap, where it is a
        match."""
        first, last = self._span[seq]
        starts = np.rint(self._starts[first:last] * fp.SAMPLES_PER_S / 1000).astype(int)
        stored = fp.unit(self._vectors[first:last])
        best = None
        for shift in sorted(range(offset - 2, offset + 3), key=lambda s: abs(s - offset)):
            window, rest = np.divmod(starts - shift, step)
            inside = (window >= 0) & (window < len(guess.vectors)) & (rest <= step // 2)
            rows = int(inside.sum())
            if rows < min(LEAST_SCORES):
                continue
            score, least = score_of(guess.vectors[window[inside]], stored[inside])
            if score >= least and (best is None or 1 - score < best.distance):
                best = FingerprintMatch(
                    distance=1 - score, seq=seq, offset_s=shift / fp.SAMPLES_PER_S, rows=rows,
                    mirrored=guess.mirrored, crop=guess.crop,
                )  # fmt: skip
        return best

    def _settle(self) -> None:
        """Move pending rows into the arrays and the index; train an inverted file when the flat index has grown too
        large."""
        if not self._pending:
            return
        import faiss

        position = len(self._vectors)
        for seq, starts, _ in self._pending:
            self._span[seq] = (position, position + len(starts))
            position += len(starts)
        fresh = np.concatenate([v for _, _, v in self._pending])
        self._vectors = np.concatenate([self._vectors, fresh])
        self._starts = np.concatenate([self._starts, *(s for _, s, _ in self._pending)])
        self._seqs = np.concatenate([self._seqs, *(np.full(len(s), q, np.int64) for q, s, _ in self._pending)])
        self._pending = []
        total = len(self._vectors)
        if self._index is None or (total > FLAT_ROWS and total > 4 * self._trained_for):
            self._index, fresh = _new_index(faiss, self._vectors), self._vectors
            self._trained_for = total if total > FLAT_ROWS else 0
        for part in np.array_split(fresh, max(1, len(fresh) // 100_000)):
            self._index.add(fp.unit(part))


def score_of(query: NDArray[np.float32], stored: NDArray[np.float32]) -> tuple[float, float]:
    """The score of aligned (R, 128) unit rows, and the least score at which they are a match."""
    similarity = float((query * stored).sum(axis=1).mean())
    asked, kept = query[:, fp.SPATIAL :], stored[:, fp.SPATIAL :]
    asked_power, kept_power = float((asked**2).sum()), float((kept**2).sum())
    if min(asked_power, kept_power) < STILL**2 * len(query):
        return similarity, LEAST_STILL_SCORE
    change = float((asked * kept).sum() / np.sqrt(asked_power * kept_power))
    return min(similarity, change), LEAST_SCORES[min(len(query), max(LEAST_SCORES))]


def compare(sketch: fp.Sketch, print_: fp.Fingerprint) -> FingerprintMatch | None:
    """Whether ``sketch`` shows (a part of) the video of ``print_``, and where it begins in it."""
    index = FingerprintIndex()
    index.add(0, np.rint(print_.starts_s * 1000).astype(np.int64), print_.vectors)
    return next(iter(index.find(sketch)), None)


def _new_index(faiss: Any, vectors: NDArray[np.int8]) -> Any:
    """A flat index for few rows; for many an inverted file over 8-bit rows, trained on a sample."""
    total = len(vectors)
    if total <= FLAT_ROWS:
        return faiss.IndexFlatIP(fp.DIMENSIONS)
    lists = int(LISTS_PER_ROOT * np.sqrt(total))
    coarse = faiss.IndexFlatIP(fp.DIMENSIONS)
    index = faiss.IndexIVFScalarQuantizer(
        coarse, fp.DIMENSIONS, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter = 6
    index.nprobe = LISTS_VISITED
    rng = np.random.default_rng(0)
    index.train(fp.unit(vectors[rng.choice(total, min(total, 40 * lists), replace=False)]))
    return index


def _windows(query: fp.Sketch | fp.Fingerprint) -> tuple[NDArray[np.float32], int]:
    """The query's windows and the samples from one to the next."""
    if isinstance(query, fp.Sketch):
        return fp.describe(query.luma), 1
    return fp.unit(query.vectors), fp.STEP


def _probe_windows(windows: int, probes: int) -> NDArray[np.intp]:
    """Windows spread over the query that fall on different fifths of a second, because stored rows begin at whole
    ones."""
    if windows <= probes:
        return np.arange(windows)
    spread = np.linspace(0, windows - 1, probes).astype(int)
    return np.unique(np.minimum(spread + (np.arange(probes) - spread) % fp.STEP, windows - 1))


@cache
def _crop_bases() -> NDArray[np.float32]:
    """(crops, 74, 1024): the low frequencies of the canvas on which a cropped picture is laid back, as functions of
    the crop."""
    basis = fp._spatial_basis()[0]
    side = fp.SIDE
    pictures = np.eye(side * side, dtype=np.float32).reshape(-1, side, side)
    bases = []
    for kept, x, y in CROPS:
        left, top = (1 - kept) * side * x, (1 - kept) * side * y
        matrix = np.array([[kept, 0, left + kept / 2 - 0.5], [0, kept, top + kept / 2 - 0.5]])
        laid = np.stack([cv2.warpAffine(p, matrix, (side, side), flags=cv2.INTER_LINEAR) for p in pictures])
        bases.append(basis @ laid.reshape(side * side, -1).T)
    return np.stack(bases).astype(np.float32)


def _cropped(sketch: fp.Sketch) -> list[_Guess]:
    """The query under every guess of a crop, as it is and mirrored."""
    luma = sketch.luma - sketch.luma.mean(axis=(1, 2), keepdims=True)
    coefficients = np.tensordot(luma.reshape(-1, fp.SIDE * fp.SIDE), _crop_bases(), axes=(1, 2))
    guesses = []
    for i, crop in enumerate(CROPS):
        vectors = fp.describe_coefficients(coefficients[:, i])
        guesses.append(_Guess(vectors, False, crop, CROP_PROBES))
        guesses.append(_Guess(fp.mirrored(vectors), True, crop, CROP_PROBES))
    return guesses


def index_of(
    rows: Iterable[tuple[int, int, NDArray[np.int8]]], index: FingerprintIndex | None = None
) -> FingerprintIndex:
    """An index of (entry number, start in ms, (128,) int8) rows in order, as the ledger gives them."""
    index = FingerprintIndex() if index is None else index
    current: int | None = None
    starts: list[int] = []
    vectors: list[NDArray[np.int8]] = []
    for seq, start, vector in rows:
        if seq != current and current is not None:
            index.add(current, np.array(starts), np.stack(vectors))
            starts, vectors = [], []
        current = seq
        starts.append(start)
        vectors.append(vector)
    if current is not None:
        index.add(current, np.array(starts), np.stack(vectors))
    return index
