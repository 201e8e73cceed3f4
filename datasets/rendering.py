"""The frames of one clip, real or fake, as the clip shows them: cut and resized alike, and the mask along with a
fake."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.datasets.footage import Take
from facewitness.datasets.plan import Job
from facewitness.datasets.recipe import BASELINES, ClipSpec
from facewitness.datasets.stretch import Stretch, allowed_frames, changed
from facewitness.generator.actor import Actor
from facewitness.generator.performance import Performance
from facewitness.generator.square import FaceSquare
from facewitness.generator.synthesis import Synthesiser

MASK_CRF = 30


@dataclass(frozen=True, kw_only=True)
class Studio:
    """One actor, opened once for all of their clips."""

    actor: Actor
    take: Take
    synthesiser: Synthesiser
    spec: ClipSpec
    folder: Path
    """The dataset's folder."""
    real_bytes: dict[tuple[int, int], int] = field(default_factory=dict)
    """Bytes of the real clips that were tried, by first frame and quality."""


def open_studio(actor: Actor, take: Take, spec: ClipSpec, folder: Path) -> Studio:
    """Open an actor for rendering on one core."""
    return Studio(actor=actor, take=take, synthesiser=actor.synthesiser(), spec=spec, folder=folder)


def size_of(studio: Studio) -> tuple[int, int]:
    """Width and height of the studio's clips, pixels."""
    size = studio.spec.size
    if studio.spec.crop:
        return size, size
    width, height = studio.actor.frame_size
    scale = size / min(width, height)
    return round(width * scale / 2) * 2, round(height * scale / 2) * 2


def shown(studio: Studio, frame: NDArray) -> NDArray[np.uint8]:
    """A whole frame as the clip shows it: cut and resized."""
    if studio.spec.crop:
        square = studio.actor.square
        frame = frame[square.y : square.y + square.side, square.x : square.x + square.side]
    width, height = size_of(studio)
    shrinks = width < frame.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)


def real_frames(studio: Studio, stretch: Stretch) -> Iterator[NDArray[np.uint8]]:
    """The filmed frames of a stretch, as a clip shows them."""
    stored = studio.actor.full_frames()
    try:
        for number in stretch.frames:
            yield shown(studio, stored[number])
    finally:
        stored.close()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a fake is to show, and from which frames it may be made."""

    result: Performance
    """As long as the clip, or longer where ``order`` picks from it."""
    driver: Performance
    """The performance it was made of, as long as the clip."""
    shown: range
    """Stored frames that the result stands for: they may not be used, except by an edit."""
    order: NDArray[np.int64] | None = None
    """For frames dropped and repeated: the pictures to show, by number in ``result``."""
    edited_from: Performance | None = None
    """For an edit: the performance before it. Pixels that it does not touch stay the footage's own."""


def fake_frames(
    job: Job, studio: Studio, stretch: Stretch, wanted: Wanted, stack: ExitStack
) -> Iterator[NDArray[np.uint8]]:
    """The clip's frames; the mask video is written along."""
    from facewitness.media import VideoWriter

    pairs = _rendered(job, studio, stretch, wanted)
    if wanted.order is not None:
        kept = list(pairs)
        pairs = (kept[i] for i in wanted.order)
    width, height = size_of(studio)
    mask_video = None
    if studio.spec.masks:
        mask_path = studio.folder / "masks" / f"{job.clip_id}.mp4"
        mask_video = stack.enter_context(
            VideoWriter(mask_path, width=width, height=height, frame_rate=stretch.rate, crf=MASK_CRF, preset="veryfast")
        )
    for frame, mask in pairs:
        if mask_video is not None:
            mask_video.write(mask)
        yield frame


def _rendered(
    job: Job, studio: Studio, stretch: Stretch, wanted: Wanted
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Frames and masks as the clip shows them, in the order of the performance."""
    first, last = changed(job, stretch)
    stage = _stage(studio)
    size = studio.actor.square.size
    white = np.full((size, size, 3), 255, np.float32)
    stored = studio.actor.full_frames()

    def behind(number: int) -> NDArray[np.uint8]:
        return stage.before(stored[number])

    make = _baseline if job.method in BASELINES else _ours
    try:
        for t, (frame, alpha) in enumerate(make(job, studio, stretch, wanted, stage, behind)):
            if wanted.order is not None or first <= t < last:
                mask = stage.square.paste(np.zeros_like(frame), white, alpha)
            else:
                frame = behind(stretch.first + t)
                mask = np.zeros_like(frame)
            yield stage.after(frame), stage.after(mask)
    finally:
        stored.close()


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """Where the square is pasted: into the crop as the clip shows it, or into the whole frame, which is then resized.

    Cutting and shrinking before costs a third of doing so after, and the background is the real clip's either way.
    """

    square: FaceSquare
    before: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    after: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def _stage(studio: Studio) -> _Stage:
    def show(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return shown(studio, frame)

    def leave(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return frame

    square = studio.actor.square
    if not studio.spec.crop:
        return _Stage(square=square, before=leave, after=show)
    whole = FaceSquare(x=0, y=0, side=studio.spec.size, size=square.size)
    return _Stage(square=whole, before=show, after=leave)


Picture = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""A frame of the stage, and where in the square it was made (S, S) 0..1."""


def _ours(
    job: Job, studio: Studio, stretch: Stretch, wanted: Wanted, stage: _Stage,
    behind: Callable[[int], NDArray[np.uint8]],
) -> Iterator[Picture]:  # fmt: skip
    """The person giving the wanted performance, by retrieval, warping and the trained network."""
    from facewitness.generator.reenactment import composite
    from facewitness.generator.shapes import shapes_of

    maker, square = studio.synthesiser, studio.actor.square
    shapes = square.shapes(shapes_of(wanted.result))
    before = wanted.edited_from
    if before is None:
        allowed = allowed_frames(len(studio.actor.performance), wanted.shown, stretch.rate)
        choices = maker.plan(shapes, allowed=allowed)
    else:  # as `facewitness edit` does it: stored frames by the person's own shape, the canvas by the head alone
        own_shape = dataclasses.replace(wanted.result, identity=before.identity)
        head = dataclasses.replace(before, rotation=wanted.result.rotation, translation=wanted.result.translation)
        choices = maker.plan(square.shapes(shapes_of(own_shape)), canvas_for=square.shapes(shapes_of(head)))
    for made in maker.frames(shapes, choices, faithful=before is not None):
        yield composite(made, stage.square, behind), made.alpha


def _baseline(
    job: Job, studio: Studio, stretch: Stretch, wanted: Wanted, stage: _Stage,
    behind: Callable[[int], NDArray[np.uint8]],
) -> Iterator[Picture]:  # fmt: skip
    """The same by an earlier way of reenacting."""
    from facewitness.generator import baselines
    from facewitness.generator.shapes import shapes_of

    maker = studio.synthesiser
    shapes = studio.actor.square.shapes(shapes_of(wanted.result))
    allowed = allowed_frames(len(studio.actor.performance), wanted.shown, stretch.rate)
    canvas = baselines.nearest(maker, shapes, allowed)["canvas"]
    picture = baselines.BASELINES[BASELINES[job.method]](maker, shapes, allowed)
    for t in range(len(shapes)):
        alpha = maker.alpha(maker.composer.shell_of(shapes.mesh[t], shapes.irises[t]))
        yield stage.square.paste(behind(int(canvas[t])), picture(t), alpha), alpha
