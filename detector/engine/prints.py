"""Near-duplicates: a clip's fingerprint is taken while the scan decodes it, and clips that look alike are linked."""

import base64
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facewitness.media.types import Frame

if TYPE_CHECKING:  # workers have no use for a database
    from facewitness.detector.engine.store import Store

PRINTED_SECONDS = 300
"""A clip is fingerprinted up to here: memory stays flat, and five minutes tell any two clips apart."""
SIDE = 96
"""Side of the small pictures that the fingerprint is made of."""
SAMPLES_PER_S = 5
MOST_CLIPS = 200_000
"""Beyond so many stored clips links are no longer made: their index would take gigabytes."""
LINKS = 8
"""The nearest clips that are linked to one."""


class FrameSketcher:
    """Called with each frame of a scan's first pass; keeps five small pictures a second.

    It watches what the detector decodes, so that a clip is decoded once.
    """

    def __init__(self) -> None:
        # taken at once: small pictures kept one by one between large frames would tear the heap apart
        self._pictures = np.zeros((PRINTED_SECONDS * SAMPLES_PER_S, SIDE, SIDE), np.uint8)
        self._kept = 0
        self._total: NDArray[np.float32] | None = None
        self._count = 0
        self._slot: int | None = None
        self._last_index = -1
        self._done = False

    def __call__(self, frame: Frame) -> None:
        """Take one frame; those of a second pass over the clip are passed over."""
        self._done |= frame.index <= self._last_index or self._kept >= len(self._pictures)
        if self._done:
            return
        self._last_index = frame.index
        import cv2

        slot = int(np.floor(frame.time_s * SAMPLES_PER_S + 1e-6))
        if self._slot is None:
            self._slot = slot
        if slot > self._slot:
            self._keep(slot - self._slot)
            self._slot = slot
        small = cv2.resize(frame.image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        self._total = grey if self._total is None else self._total + grey
        self._count += 1

    def _keep(self, slots: int) -> None:
        if self._total is not None:
            end = min(self._kept + slots, len(self._pictures))
            self._pictures[self._kept : end] = np.round(self._total / self._count)
            self._kept = end
        self._total, self._count = None, 0

    def packed(self) -> str | None:
        """The fingerprint's rows as base64 text; None for a clip of under half a second."""
        from facewitness.provenance.fingerprint import of_video

        self._keep(1)
        print_ = of_video(
            (np.repeat(p[..., None], 3, axis=2) for p in self._pictures[: self._kept]), frame_rate=SAMPLES_PER_S
        )
        return base64.b64encode(np.asarray(print_.vectors, np.int8).tobytes()).decode() if len(print_) else None


class NearLinker:
    """Finds and stores the links of clips: ``NearLinker(store).link(keys)``."""

    def __init__(self, store: "Store"):
        from facewitness.provenance.fingerprint_search import FingerprintIndex

        self._store = store
        self._index = FingerprintIndex()
        self._keys: list[str] = []
        self._known: set[str] = set()

    def link(self, keys: Iterable[str]) -> int:
        """Link each of ``keys`` with what looks like it; the number of links."""
        from facewitness.provenance.fingerprint import Fingerprint

        self._refresh()
        wanted, count = set(keys), 0
        if len(self._keys) > MOST_CLIPS:
            return 0
        for key, vectors in self._stored(wanted):
            starts = np.arange(len(vectors), dtype=np.float64)
            query = Fingerprint(vectors=vectors, starts_s=starts, duration_s=len(vectors) + 1.0)
            found = [(m.seq, m.distance) for m in self._index.find(query, limit=LINKS)]
            pairs = [(key, self._keys[seq], float(distance)) for seq, distance in found if self._keys[seq] != key]
            self._store.link(pairs)
            count += len(pairs)
        return count

    def _refresh(self) -> None:
        for key, vectors in self._stored(None):
            if key not in self._known:
                self._known.add(key)
                self._keys.append(key)
                starts = (np.arange(len(vectors)) * 1000).astype(np.int64)
                self._index.add(len(self._keys) - 1, starts, vectors)

    def _stored(self, keys: set[str] | None) -> Iterator[tuple[str, NDArray[np.int8]]]:
        from facewitness.provenance.fingerprint import DIMENSIONS

        for key, data in self._store.fingerprints(keys):
            yield key, np.frombuffer(data, np.int8).reshape(-1, DIMENSIONS)


def taken(row: dict[str, Any]) -> bytes | None:
    """Take the fingerprint off a row that a worker gave."""
    text = row.pop("fingerprint", None)
    return base64.b64decode(text) if text else None
