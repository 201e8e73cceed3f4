"""One pass over the frames of a clip: tracks, surface statistics, eye crops and network outputs of every face."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector.crops import PATCHES, Chip, atlas, cut_chip, face_square
from facewitness.detector.evidence import Evidence, EyeCrops
from facewitness.detector.sampling import NETWORK_EVERY, Follower, is_measured, stride, thin
from facewitness.detector.texture import QUANTITIES, REGIONS, statistics
from facewitness.faces import FaceTrack
from facewitness.faces import landmarks as lm
from facewitness.media.types import Frame

BATCH = 8
"""Faces that go through the network at once."""
EYE_CROPS = 64
"""Frames of which eye crops are kept at most, spread over the clip; what keeps memory from growing with its length."""
EYE_SIZE = (96, 48)
MIN_PRESENCE = 0.05
"""Share of the looked-at frames below which a face is not reported."""


class FrameScorer(Protocol):
    """What the network is to a measurement: ``network.Scorer``, or whatever stands in for it."""

    def frames(self, pairs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(B, 224, 224, 6) squares beside those of the looks before -> embeddings (B, E) and frame logits (B,)."""


@dataclass(frozen=True, kw_only=True)
class FaceMeasures:
    """What one pass found of one face: evidence for the cues, and the network's outputs of its frames."""

    evidence: Evidence
    embeddings: NDArray[np.float32]
    """(n, E) of the frames that have one."""
    logits: NDArray[np.float32]
    """(n,)"""
    rows: NDArray[np.int64]
    """(n,) index of each of these frames into the track."""


@dataclass
class _Collected:
    """One face while frames come in."""

    looks: int = 0
    """Times it was seen; ``rows`` are the looks that were measured."""
    rows: list[int] = field(default_factory=list)
    texture: list[NDArray[np.float32]] = field(default_factory=list)
    flow: list[tuple[float, float]] = field(default_factory=list)
    brightness: list[float] = field(default_factory=list)
    before: NDArray[np.uint8] | None = None
    chip_before: Chip | None = None
    scored: list[int] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)
    logits: list[NDArray[np.float32]] = field(default_factory=list)
    eye_rows: list[int] = field(default_factory=list)
    eyes: list[NDArray[np.uint8]] = field(default_factory=list)
    eye_scales: list[tuple[float, float]] = field(default_factory=list)
    eye_step: int = 1


@contextlib.contextmanager
def one_cv_thread() -> Iterator[None]:
    """While inside, OpenCV keeps to one thread: faces are small, and handing them out costs more than it saves."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def measure(
    frames: Iterable[Frame], fps: float, *, scorer: FrameScorer | None = None, max_faces: int = 4, thinned: bool = False
) -> list[FaceMeasures]:
    """Measure all faces of a clip of ``fps`` (0 where unknown), the most present and largest first.

    ``thinned`` says that the frames come at the analysis's own rate already. Memory grows with the clip: see
    ``measure_chapters``.
    """
    chapters = measure_chapters(frames, fps, scorer=scorer, max_faces=max_faces, thinned=thinned, chapter_s=math.inf)
    return [face for chapter in chapters for _, face in chapter.faces]


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A stretch of a clip: when it begins and ends (seconds after the clip's first frame), and its faces."""

    start_s: float
    end_s: float
    faces: list[tuple[int, FaceMeasures]]
    """(number, measures): a face keeps its number through the chapters."""


def measure_chapters(
    frames: Iterable[Frame],
    fps: float,
    *,
    scorer: FrameScorer | None = None,
    max_faces: int = 4,
    thinned: bool = False,
    chapter_s: float,
) -> Iterator[Chapter]:
    """Measure a clip in chapters of ``chapter_s`` seconds: memory does not grow with its length."""
    follower = Follower(max_faces=max_faces)
    rate = fps if thinned else fps / stride(fps)
    faces: dict[int, _Collected] = {}
    queue: list[tuple[_Collected, NDArray[np.uint8]]] = []
    first: float | None = None
    begun = last = 0.0
    index = 0

    def chapter() -> Chapter:
        if scorer is not None and queue:
            _score(queue, scorer)
        found = [
            (number, _measures(track, faces[number], rate or _rate_of(track)))
            for number, track in follower.take()
            if track.present.mean() >= MIN_PRESENCE and number in faces
        ]
        faces.clear()
        origin = first or 0.0
        return Chapter(start_s=begun - origin, end_s=last - origin, faces=found)

    for frame in frames if thinned else thin(frames, fps):
        if first is None:
            first = begun = frame.time_s
        elif frame.time_s - begun >= chapter_s:
            yield chapter()
            begun, index = frame.time_s, 0
        last = frame.time_s
        for sighting in follower.update(frame):
            face = faces.setdefault(sighting.face, _Collected())
            face.looks += 1
            if not is_measured(face.looks):
                continue
            pair = _look(face, frame.image, sighting.mesh, index, wanted=scorer is not None)
            if scorer is not None and pair is not None:
                queue.append((face, pair))
                if len(queue) >= BATCH:
                    _score(queue, scorer)
        index += 1
    if index:
        yield chapter()


def _rate_of(track: FaceTrack) -> float:
    span = float(track.times_s[-1] - track.times_s[0]) if len(track.pts) > 1 else 0.0
    return (len(track.pts) - 1) / span if span > 0 else 0.0


def _look(
    face: _Collected, image: NDArray[np.uint8], mesh: NDArray[np.float32], index: int, *, wanted: bool
) -> NDArray[np.uint8] | None:
    """Take in one face of a frame, ``mesh`` (468, 3); returns what the network is to see: its square beside the
    last."""
    chip = cut_chip(image, mesh, tight=True)
    now = atlas(chip.image, chip.mesh)
    follows = bool(face.rows) and face.rows[-1] == index - 1
    before, chip_before = (face.before, face.chip_before) if follows else (None, None)
    face.rows.append(index)
    face.texture.append(statistics(now, before))
    face.flow.append(_changes(now, before))
    face.brightness.append(float(now[32:96, 32:96].mean()))
    if len(face.rows) % face.eye_step == 0:
        _keep_eyes(face, image, mesh, index)
    face.before, face.chip_before = now, chip
    if not wanted or face.looks % NETWORK_EVERY:
        return None
    face.scored.append(index)
    shown = face_square(chip.image, chip.mesh)
    earlier = shown if chip_before is None else face_square(chip_before.image, chip_before.mesh)
    return np.concatenate([shown, earlier], -1)


def _changes(now: NDArray[np.uint8], before: NDArray[np.uint8] | None) -> tuple[float, float]:
    if before is None:
        return float("nan"), float("nan")
    size = PATCHES[0].width
    change = cv2.absdiff(now[:, :size], before[:, :size])
    inside, *edges = (sum(cv2.mean(part)) / 3 for part in (change[28:108, 28:100], change[:, :12], change[:, -12:]))
    return inside, sum(edges) / 2


def _keep_eyes(face: _Collected, image: NDArray[np.uint8], mesh: NDArray[np.float32], index: int) -> None:
    width, height = EYE_SIZE
    crops, scales = [], []
    for outer, inner in lm.EYE_CORNERS:
        a, b = mesh[outer, :2].astype(np.float64), mesh[inner, :2].astype(np.float64)
        left, right = (a, b) if a[0] < b[0] else (b, a)
        across = right - left
        apart = float(np.linalg.norm(across))
        # native scale up to the size at which the eye fills two thirds of the crop
        scale = min(1.0, width * 2 / 3 / max(apart, 1.0))
        unit = across / max(apart, 1e-6) / scale
        m = np.array([[unit[0], -unit[1]], [unit[1], unit[0]]])
        centre = (a + b) / 2
        m = np.concatenate([m, (centre - m @ [(width - 1) / 2, (height - 1) / 2])[:, None]], 1)
        crop = cv2.warpAffine(image, m, EYE_SIZE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        crops.append(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY))
        scales.append(scale)
    face.eyes.append(np.stack(crops))
    face.eye_scales.append((scales[0], scales[1]))
    face.eye_rows.append(index)
    if len(face.eyes) >= 2 * EYE_CROPS:  # thin out and go on half as often
        face.eyes, face.eye_scales, face.eye_rows = face.eyes[::2], face.eye_scales[::2], face.eye_rows[::2]
        face.eye_step *= 2


def _score(queue: list[tuple[_Collected, NDArray[np.uint8]]], scorer: FrameScorer) -> None:
    embeddings, logits = scorer.frames(np.stack([pair for _, pair in queue]))
    for (face, _), e, f in zip(queue, embeddings, logits, strict=True):
        face.embeddings.append(e)
        face.logits.append(f)
    queue.clear()


def _measures(track: FaceTrack, face: _Collected, fps: float) -> FaceMeasures:
    count = len(track.pts)
    texture = np.full((count, len(REGIONS), len(QUANTITIES)), np.nan, np.float32)
    flow = np.full((count, 2), np.nan, np.float32)
    texture[face.rows], flow[face.rows] = np.stack(face.texture), np.array(face.flow, np.float32)
    eyes = EyeCrops(
        frames=np.array(face.eye_rows, np.int64),
        images=np.stack(face.eyes) if face.eyes else np.zeros((0, 2, EYE_SIZE[1], EYE_SIZE[0]), np.uint8),
        scale=np.array(face.eye_scales, np.float32).reshape(-1, 2),
    )
    evidence = Evidence(
        track=track, fps=fps, texture=texture, flow=flow, eyes=eyes, brightness=float(np.mean(face.brightness))
    )
    has = len(face.embeddings) == len(face.scored) and bool(face.scored)
    return FaceMeasures(
        evidence=evidence,
        embeddings=np.stack(face.embeddings) if has else np.zeros((0, 1), np.float32),
        logits=np.array(face.logits, np.float32) if has else np.zeros(0, np.float32),
        rows=np.array(face.scored if has else [], np.int64),
    )
