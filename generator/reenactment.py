"""Driving an actor: the driver's performance, transferred, rendered and pasted into the whole frame, in the
driver's time."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.devices import pick_device
from facewitness.errors import FacewitnessError, UnreadableInputError, UsageError
from facewitness.faces import landmarks as lm
from facewitness.files import sha256_file
from facewitness.generator.actor import FILES, Actor
from facewitness.generator.backdrop import bent
from facewitness.generator.label import Label
from facewitness.generator.performance import Performance
from facewitness.generator.publishing import Made, publish
from facewitness.generator.shapes import Shapes, shapes_of
from facewitness.generator.square import FaceSquare, Ground, mix
from facewitness.generator.synthesis import Made1, Shown, Synthesiser
from facewitness.generator.torso import with_torso_of
from facewitness.progress import track as progress_bar

if TYPE_CHECKING:
    from facewitness.provenance.manifest import Ingredient

TAKE = ("head", "expression", "gaze", "lids")
"""What is taken from the driver where nothing else is asked."""
ANGLES = ("yaw", "pitch", "roll")
BEYOND_DEG = 12.0
"""The head may turn this much further than the footage shows; warping hides no more."""
BEYOND_MOUTH = 2.5
"""The mouth may open this many times as wide as the footage shows; further, drawn-out teeth give it away."""
BEYOND_TORSO = (0.5, 0.5, np.radians(1.5))
"""Centimetres to the side, up or down, and radians that the torso may leave the place it has in the footage by."""
LEAST_MOUTH_CM = 0.6
CROSSED_CM, LEAST_SLOPE_CM = 0.05, 0.1
"""Lips of a closed mouth may seem to overlap by so much; a jaw opens them by at least so much."""


def reenact(
    actor: Actor, driver: Path | Performance, out: Path, *, take: Collection[str] = TAKE, mode: str = "relative",
    hold: Collection[str] = (), ease_s: float = 0.0, compare: bool = False, driver_rights: str = "",
    driver_face: int = 0, device: str = "auto", engine: str = "openvino", method: str = "reenactment",
    progress: bool = True, maker: Synthesiser | None = None,
) -> Made:  # fmt: skip
    """Make a labelled video of the actor doing what the driver does, with the driver's timing and sound.

    ``take`` names what is taken (``head, expression, gaze, lids, mouth``), the rest keeps the actor's own rhythm, or
    stands still where ``hold`` names it. With ``ease_s`` the first and last so many seconds lead out of and back into
    the actor's rest.
    ``mode`` is ``relative`` (departures from rest) or ``absolute``. With ``compare`` a second video,
    ``<out>-compare.mp4``,
    shows driver and result side by side. ``driver_face`` chooses a face where the driver's video shows several.
    ``maker`` makes the pictures in another way than the actor's own.
    Raises UnreadableInputError for a driver without a face, UsageError for an unknown ``take`` or ``mode``.
    """
    from facewitness.generator.recombine import eased, rest, transfer
    from facewitness.media import probe

    path = driver if isinstance(driver, Path) else None
    performance = (
        driver_performance(driver, face=driver_face, progress=progress) if isinstance(driver, Path) else driver
    )
    if path and "head" in take and actor.parts is not None:
        performance = with_torso_of(performance, path)
    # a dubbed mouth does wholly what the driver's does; ``over_footage`` keeps the rest of the face out of it
    given = ("expression",) if maker is None and set(take) == {"mouth"} and _stands(take, hold, ease_s) else take
    wanted = eased(transfer(performance, actor.performance, given, mode, hold), rest(actor.performance), ease_s)
    wanted, notes = within_reach(wanted, actor)
    rate = probe(path).frame_rate if path else _rate(performance)
    label = Label(
        method=method, target_id=actor.name, driver_id=path.stem if path else "performance", taken=tuple(take),
        seed=int(actor.card["seed"]), rights=actor.rights, driver_rights=driver_rights, actor_sha256=actor.sha256,
        model_sha256=actor.card["sha256"].get(FILES["weights"], ""),
    )  # fmt: skip
    if maker is None and _stands(take, hold, ease_s):
        frames = over_footage(actor, wanted, take, engine=engine, device=device)
    else:
        frames = render(actor, wanted, engine=engine, device=device, synthesiser=maker)
    if progress:
        frames = progress_bar(frames, f"making {out.name}", total=len(wanted))
    made = publish(
        frames, out, frame_rate=rate or Fraction(25), label=label, pts=wanted.pts.tolist(), time_base=wanted.time_base,
        ingredients=(*_ingredients(path), _target(actor)), audio_from=path,
        description=f"{actor.name} reenacted by facewitness" + (f", driven by {path.name}" if path else ""),
    )  # fmt: skip
    made = dataclasses.replace(made, notes=tuple(notes))
    if compare and path:
        side_by_side(path, made, out.with_stem(out.stem + "-compare"))
    return made


def _stands(take: Collection[str], hold: Collection[str], ease_s: float) -> bool:
    """Whether the head is the actor's own, so that pictures can stand on the actor's own frames."""
    return "head" not in (*take, *hold) and ease_s == 0


def driver_performance(video: Path, *, face: int = 0, progress: bool = False) -> Performance:
    """What a face of a video does, frame by frame; raises UnreadableInputError where there is no such face."""
    from facewitness.faces import track_video
    from facewitness.generator.reconstruct import reconstruct

    tracks = track_video(video, max_faces=face + 1, progress=progress)
    if len(tracks) <= face or not tracks[face].present.any():
        raise UnreadableInputError(
            f"no face was found in {video.name}; use a driver that shows one face from the front."
            if not tracks
            else f"{video.name} shows {len(tracks)} face(s); there is no face number {face}."
        )
    return reconstruct(tracks[face])


def within_reach(wanted: Performance, actor: Actor) -> tuple[Performance, list[str]]:
    """Limit head angles and the mouth's opening to little more than the footage shows, softly, and say so in one
    sentence for each."""
    from facewitness.generator.reconstruct import angles_deg, from_angles_deg

    wanted, said = _mouth_within_reach(_torso_within_reach(wanted, actor), actor)
    angles = np.array(angles_deg(wanted.rotation), np.float64)
    seen = np.array(angles_deg(actor.performance.rotation))
    notes = []
    for k, name in enumerate(ANGLES):
        usual = np.percentile(seen[:, k], [1, 99])
        # what the footage shows is never limited, however rare
        low = min(usual[0] - BEYOND_DEG, seen[:, k].min() - BEYOND_DEG / 2)
        high = max(usual[1] + BEYOND_DEG, seen[:, k].max() + BEYOND_DEG / 2)
        limited = _soft_limit(angles[:, k], low, high, BEYOND_DEG / 2)
        beyond = float((np.abs(limited - angles[:, k]) > 1.0).mean())
        if beyond > 0:
            notes.append(
                f"{name} was limited in {beyond:.0%} of the frames: the footage shows {usual[0]:.0f} to "
                f"{usual[1]:.0f} degrees, up to {BEYOND_DEG:.0f} more can be shown."
            )
        angles[:, k] = limited
    if not notes:
        return wanted, said
    return dataclasses.replace(wanted, rotation=np.asarray(from_angles_deg(angles), np.float32)), notes + said


def _torso_within_reach(wanted: Performance, actor: Actor) -> Performance:
    """The torso goes a little further than in the footage at most, softly."""
    own = actor.performance.torso
    if wanted.torso is None or own is None:
        return wanted
    limited = [
        _soft_limit(wanted.torso[:, k].astype(np.float64), float(own[:, k].min()) - beyond,
                    float(own[:, k].max()) + beyond, beyond)
        for k, beyond in enumerate(BEYOND_TORSO)
    ]  # fmt: skip
    return dataclasses.replace(wanted, torso=np.stack(limited, axis=1).astype(np.float32))


def _mouth_within_reach(wanted: Performance, actor: Actor) -> tuple[Performance, list[str]]:
    """Lips part no further than ``BEYOND_MOUTH`` of what the footage shows, and do not go through each other."""
    from facewitness.generator.reconstruct import basis

    direction = basis().direction("jaw_open")
    gap, own = _lips_apart(shapes_of(wanted)), _lips_apart(actor.shapes)
    seen = max(float(np.percentile(own, 99)), LEAST_MOUTH_CM)
    widest = max(float(own.max()), seen)
    soft = max(BEYOND_MOUTH * seen - widest, 0.1 * seen)
    limited = _soft_limit(gap, -np.inf, widest + soft, soft)
    beyond = float((gap - limited > 0.05).mean())
    limited = np.maximum(limited, min(float(own.min()), -CROSSED_CM))
    if beyond == 0 and np.array_equal(limited, gap):
        return wanted, []
    opened = dataclasses.replace(wanted, expression=wanted.expression + direction)
    slope = np.maximum(_lips_apart(shapes_of(opened)) - gap, LEAST_SLOPE_CM)
    closing = ((gap - limited) / slope)[:, None] * direction
    note = f"the mouth's opening was limited in {beyond:.0%} of the frames: the footage shows up to {seen:.1f} cm."
    closed = dataclasses.replace(wanted, expression=(wanted.expression - closing).astype(np.float32))
    return closed, [note] if beyond else []


def _lips_apart(shapes: Shapes) -> NDArray[np.float64]:
    """(T,) how far the lower lip's inner edge lies below the upper one's, canonical centimetres."""
    local = shapes.local.astype(np.float64)
    return np.asarray(local[:, lm.LIP_LOWER_INNER, 1] - local[:, lm.LIP_UPPER_INNER, 1])


def _soft_limit(values: NDArray[np.float64], low: float, high: float, soft: float) -> NDArray[np.float64]:
    """Values inside are kept; from ``soft`` before a limit on they approach it without a corner."""

    def over(excess: NDArray[np.float64]) -> NDArray[np.float64]:
        return soft * np.tanh(np.maximum(excess, 0) / soft)

    top, bottom = high - soft, low + soft
    out = np.where(values > top, top + over(values - top), values)
    return np.where(out < bottom, bottom - over(bottom - out), out)


def render(
    actor: Actor, performance: Performance, *, engine: str = "openvino", device: str = "auto",
    allowed: NDArray[np.bool_] | None = None, synthesiser: Synthesiser | None = None,
    plan_for: Performance | None = None, canvas_for: Performance | None = None, faithful: bool = False,
    footage: NDArray[np.int64] | None = None, moving: NDArray[np.float32] | None = None,
    still: Performance | None = None,
) -> Iterator[NDArray[np.uint8]]:  # fmt: skip
    """Yield whole frames, (height, width, 3) RGB uint8, of the actor giving ``performance``.

    Stored frames are chosen for ``plan_for`` where the face's shape was edited (the same performance with the
    actor's own shape), the canvas for ``canvas_for`` (the same head without the edited expression). ``faithful``
    leaves every pixel that need not change as it is in the footage: in the canvas, or the stored frames ``footage``
    (T,). ``moving`` (468,) 0..1 says how far each point of the mesh may leave ``still``, or ``canvas_for`` without it.
    """
    maker = synthesiser or actor.synthesiser(refine=actor.refine(engine=engine, device=pick_device(device)))
    stored = actor.full_frames()
    square = actor.square
    backdrop = None if faithful or not actor.background_moves else actor.backdrop()
    numbers = itertools.count()
    try:
        wanted = square.shapes(shapes_of(performance))
        canvas = square.shapes(shapes_of(canvas_for)) if canvas_for else None
        kept = square.shapes(shapes_of(still)) if still else canvas
        if moving is not None and kept is not None:
            mesh = kept.mesh + moving[:, None] * (wanted.mesh - kept.mesh)
            eyes = moving[np.array(lm.EYE_CORNERS)].mean(1)[:, None]
            wanted = dataclasses.replace(wanted, mesh=mesh, irises=kept.irises + eyes * (wanted.irises - kept.irises))
        choices = maker.plan(
            square.shapes(shapes_of(plan_for)) if plan_for else wanted, allowed=allowed,
            canvas_for=canvas, footage=footage,
        )  # fmt: skip

        def grounding(canvas: Shown, behind: Shown, where: NDArray[np.float32], share: NDArray[np.float32]) -> Ground:
            ground = ground_of(canvas, behind, where, share, square, stored.__getitem__)
            if backdrop is None:
                return ground
            person = bent(backdrop.person(ground.frame), square, where)
            return dataclasses.replace(ground, behind=(backdrop.at(next(numbers)), person))

        squares = maker.frames(wanted, choices, faithful=faithful, grounding=grounding)
        with contextlib.closing(squares):  # its thread reads from what is closed below
            for made in squares:
                yield composite(made, square, stored.__getitem__)
    finally:
        stored.close()
        if backdrop is not None:
            backdrop.close()


def ground_of(
    canvas: Shown, behind: Shown, where: NDArray[np.float32], share: NDArray[np.float32], square: FaceSquare,
    frame: Callable[[int], NDArray[np.uint8]],
) -> Ground:  # fmt: skip
    """The whole frame, HxWx3 RGB, that a square (``canvas``, ``behind``, ``where`` and ``share`` as in ``Made1``)
    belongs into, and its fine detail; ``frame`` gives stored frames by number."""
    detail = square.detail(frame(canvas[0]), where, share)
    first, second, mixed = behind
    under = frame(first)
    if mixed > 0 and second != first:
        under = np.asarray(cv2.addWeighted(under, 1 - mixed, frame(second), mixed, 0), np.uint8)
    return Ground(frame=under, detail=detail)


def over_footage(
    actor: Actor, wanted: Performance, take: Collection[str], *, engine: str = "openvino", device: str = "auto"
) -> Iterator[NDArray[np.uint8]]:
    """Yield whole frames, (height, width, 3) RGB uint8, of ``wanted``, whose head is the actor's own (see
    ``recombine.last``): they stand on the actor's frames, which stay what they are where nothing is taken."""
    from facewitness.generator.border import bordered
    from facewitness.generator.recombine import last, last_frames, lower_face

    times = wanted.times_s - wanted.times_s[0]
    own = last(actor.performance, times)
    maker = actor.synthesiser(refine=actor.refine(engine=engine, device=pick_device(device)))
    moving = lower_face() if set(take) == {"mouth"} else None
    return render(
        actor, wanted, canvas_for=own, faithful=True, moving=moving, footage=last_frames(actor.performance, times),
        synthesiser=bordered(maker, actor, own, wanted),
    )  # fmt: skip


def composite(made: Made1, square: FaceSquare, frame: Callable[[int], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The frame that a synthesised square belongs to, HxWx3 RGB: what it stands on from ``frame``, by number, with
    ``made`` in its ``square``."""
    ground = made.ground or ground_of(made.canvas, made.behind, made.where, made.share, square, frame)
    whole = square.paste(ground.frame, made.picture, made.alpha, detail=ground.detail)
    if ground.behind is None:
        return whole
    picture, person = ground.behind
    out = picture.copy()
    mix(out, whole, person)
    return out


def side_by_side(driver: Path, made: Made, out: Path) -> Made:
    """A labelled video of the driver (left) and what was made of it (right), in the driver's time."""
    from facewitness.media import probe, read_frames
    from facewitness.provenance.manifest import Ingredient

    info = probe(made.path)
    left = probe(driver)
    width = round(left.width * info.height / left.height)

    def frames() -> Iterator[NDArray[np.uint8]]:
        for a, b in zip(read_frames(driver), read_frames(made.path), strict=False):
            yield np.concatenate(
                [cv2.resize(a.image, (width, info.height), interpolation=cv2.INTER_AREA), b.image], axis=1
            )

    label = dataclasses.replace(made.label, method=f"{made.label.method}, side by side")
    times = [f.pts for f in read_frames(made.path)]
    return publish(
        frames(), out, frame_rate=info.frame_rate, label=label, audio_from=driver, pts=times, time_base=info.time_base,
        ingredients=(Ingredient(path=made.path, relationship="componentOf", role="reenactment"), *_ingredients(driver)),
        description="driver on the left, reenactment on the right",
    )  # fmt: skip


def _target(actor: Actor) -> "Ingredient":
    from facewitness.provenance.manifest import Ingredient

    title = f"footage of {actor.name} {actor.card['source']['sha256'][:12]}"
    return Ingredient(path=actor.path / FILES["frames"], title=title, relationship="inputTo", role="target")


def _ingredients(driver: Path | None) -> tuple:
    from facewitness.provenance.manifest import Ingredient
    from facewitness.provenance.sign import readable_type

    if driver is None:
        return ()
    try:
        readable_type(driver)
    except FacewitnessError:  # C2PA knows no such container; the label still names the driver
        return ()
    return (Ingredient(path=driver, title=f"driver {sha256_file(driver)[:12]}", relationship="inputTo", role="driver"),)


def _rate(performance: Performance) -> Fraction:
    if len(performance) < 2:
        return Fraction(25)
    step = Fraction(int(np.median(np.diff(performance.pts)))) * performance.time_base
    if step <= 0:
        raise UsageError("the performance's times do not go forward.")
    return (1 / step).limit_denominator(1001)
