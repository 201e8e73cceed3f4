"""Making one clip of a dataset: real or fake, it goes through the same decode, crop, resize, watermark, encode and
signature."""

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness import __version__
from facewitness.datasets.factors import FACTORS
from facewitness.datasets.footage import Take
from facewitness.datasets.labels import REAL, Clip
from facewitness.datasets.plan import Job
from facewitness.datasets.recipe import BASELINES, SELF_METHODS, TAKES, ClipSpec
from facewitness.errors import FacewitnessError, UsageError
from facewitness.files import sha256_file
from facewitness.generator.actor import Actor
from facewitness.generator.performance import Performance
from facewitness.generator.synthesis import Synthesiser

MARGIN_S = 1.0
"""Stored frames this near to the stretch are not retrieved for it: they would be the real clip again."""
LEAST_ALLOWED = 50
"""Fewer frames than this outside the stretch show too little to make the person of."""
MASK_CRF = 30
CRF_A_DOUBLING = 6
"""Steps of quality that halve or double the bits, about (x264)."""
CRF_REACH = 5
REAL_ASSERTION = "org.facewitness.dataset"


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Some seconds of an actor's footage: consecutive stored frames."""

    first: int
    count: int
    rate: Fraction

    @property
    def frames(self) -> range:
        """Numbers of the stored frames."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True, kw_only=True)
class Studio:
    """One actor, opened once for all of their clips."""

    actor: Actor
    take: Take
    synthesiser: Synthesiser
    spec: ClipSpec
    folder: Path
    """The dataset's folder."""


def open_studio(actor: Actor, take: Take, spec: ClipSpec, folder: Path) -> Studio:
    """Open an actor for rendering on one core."""
    return Studio(actor=actor, take=take, synthesiser=actor.synthesiser(), spec=spec, folder=folder)


def find_stretch(performance: Performance, rate: Fraction, seconds: float, number: int, of: int) -> Stretch:
    """Stretch ``number`` of ``of`` in the longest run of consecutive frames; raises UsageError where it does not
    fit."""
    count = round(seconds * rate)
    steps = np.diff(performance.pts) * float(performance.time_base)
    breaks = np.flatnonzero(steps > 1.5 / float(rate)) + 1
    edges = np.r_[0, breaks, len(performance)]
    longest = int(np.argmax(np.diff(edges)))
    start, length = int(edges[longest]), int(np.diff(edges)[longest])
    if length < count * (number + 1):
        raise UsageError(
            f"the face is followed for {length / float(rate):.1f} s at a time, too short for {number + 1} stretches of "
            f"{seconds:g} s"
        )
    room = length - count
    at = start if of == 1 else start + round(number * room / (of - 1))
    if of > 1 and room / (of - 1) < count:
        at = start + number * count
    return Stretch(first=at, count=count, rate=rate)


def make_clip(job: Job, studio: Studio, drivers: dict[str, tuple[Actor, Take]]) -> Clip:
    """Make one clip with its mask and parameters and return its row; ``drivers`` are the actors of the same part by
    person.

    Raises FacewitnessError where the footage does not allow it.
    """
    actor, spec = studio.actor, studio.spec
    rate = Fraction(actor.card["frame"]["rate"])
    stretch = find_stretch(actor.performance, rate, spec.seconds, job.stretch, job.of)
    path = studio.folder / "clips" / f"{job.clip_id}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        sound = _sound(job, studio, stretch, drivers, stack)
        if job.label == REAL:
            digest, manifest = _make_real(job, studio, stretch, path, sound)
            performances = {"target": _cut(actor.performance, stretch.frames)}
        else:
            result, driver = wanted_performance(job, studio, stretch, drivers)
            digest, manifest = _make_fake(job, studio, stretch, path, result, sound, stack)
            performances = {"target": _cut(actor.performance, stretch.frames), "driver": driver, "result": result}
    if spec.parameters:
        save_parameters(studio.folder / "parameters" / f"{job.clip_id}.npz", performances)
    return _row(job, studio, stretch, digest, manifest, audio=sound is not None)


def _row(job: Job, studio: Studio, stretch: Stretch, digest: str, manifest: str, *, audio: bool) -> Clip:
    width, height = _size(studio)
    fake, spec = job.label != REAL, studio.spec
    pts = studio.actor.performance.pts[stretch.first] - studio.actor.performance.pts[0]
    return Clip(
        clip_id=job.clip_id, path=f"clips/{job.clip_id}.mp4", label=job.label, method=job.method, target_id=job.person,
        driver_id=job.driver, taken=job.take if fake else (), edits=job.edits, split=job.split,
        mask_path=f"masks/{job.clip_id}.mp4" if fake and spec.masks else "",
        parameters_path=f"parameters/{job.clip_id}.npz" if spec.parameters else "",
        segments=segments(job, stretch) if fake else (), fps=float(stretch.rate), frames=stretch.count, width=width,
        height=height, codec="h264", crf=job.crf, seed=job.seed, actor_sha256=studio.actor.sha256 if fake else "",
        manifest_sha256=manifest, sha256=digest, rights=studio.take.rights, generator_version=__version__,
        factor=job.factor, degree=job.degree, pair_id=f"{studio.take.name}-s{job.stretch}",
        source=studio.take.path.name,
        source_sha256=studio.take.sha256, start_s=round(float(pts * studio.actor.performance.time_base), 3),
        audio=audio,
    )  # fmt: skip


def segments(job: Job, stretch: Stretch) -> tuple[tuple[float, float], ...]:
    """The manipulated stretches of a fake in seconds."""
    first, last = _changed(job, stretch)
    return ((round(first / float(stretch.rate), 4), round(last / float(stretch.rate), 4)),)


def _changed(job: Job, stretch: Stretch) -> tuple[int, int]:
    """First and one past the last manipulated frame of the clip."""
    length = max(1, round(job.segment * stretch.count))
    first = (stretch.count - length) // 2
    return first, first + length


def wanted_performance(
    job: Job, studio: Studio, stretch: Stretch, drivers: dict[str, tuple[Actor, Take]]
) -> tuple[Performance, Performance]:
    """What the clip shows, and the driver's performance it was made of, both as long as the stretch."""
    from facewitness.generator.reenactment import within_reach

    own = studio.actor.performance
    mine = _cut(own, stretch.frames)
    rng = np.random.default_rng(job.seed)
    if job.method in SELF_METHODS or (job.factor and FACTORS[job.factor].order):
        return mine, mine
    if job.factor:
        return FACTORS[job.factor].apply(mine, job.degree, rng), mine
    if job.method in TAKES:
        driver, _ = drivers[job.driver]
        theirs = _at_rate(driver, studio.spec.seconds, job, stretch)
        result = _transferred(theirs, driver.performance, own, stretch, job)
        return within_reach(result, studio.actor)[0], theirs
    return _edited(mine, job), mine


def _edited(performance: Performance, job: Job) -> Performance:
    from facewitness.generator.editing import apply_edits

    return apply_edits(performance, job.edits)[0]


def _at_rate(driver: Actor, seconds: float, job: Job, stretch: Stretch) -> Performance:
    """The driver's stretch of the same number, at the target's frame rate, with the target's number of frames."""
    from facewitness.generator.recombine import at_times

    rate = Fraction(driver.card["frame"]["rate"])
    theirs = find_stretch(driver.performance, rate, seconds, job.stretch, job.of)
    start = driver.performance.times_s[theirs.first]
    moved = at_times(driver.performance, start + np.arange(stretch.count) / float(stretch.rate))
    return dataclasses.replace(moved, time_base=1 / stretch.rate, pts=np.arange(stretch.count, dtype=np.int64))


def _transferred(
    theirs: Performance, driver_all: Performance, own: Performance, stretch: Stretch, job: Job
) -> Performance:
    """The target's stretch with what is taken from the driver; both people's rest is judged over all of their
    footage."""
    from facewitness.generator.recombine import join, transfer

    driver = join([theirs, driver_all])
    inside = np.array(stretch.frames)
    rest = np.setdiff1d(np.arange(len(own)), inside)
    target = join([_cut(own, inside), _cut(own, rest)]) if len(rest) else _cut(own, inside)
    steady = np.arange(len(target), dtype=np.int64)
    target = dataclasses.replace(target, time_base=1 / stretch.rate, pts=steady)
    result = transfer(driver, target, job.take, job.mode)
    return dataclasses.replace(
        _cut(result, range(stretch.count)), time_base=1 / stretch.rate, pts=np.arange(stretch.count, dtype=np.int64)
    )


def _cut(performance: Performance, frames: range | NDArray) -> Performance:
    from facewitness.generator.reconstruct.model import pick

    return pick(performance, np.asarray(frames))


def _size(studio: Studio) -> tuple[int, int]:
    size = studio.spec.size
    if studio.spec.crop:
        return size, size
    width, height = studio.actor.frame_size
    scale = size / min(width, height)
    return round(width * scale / 2) * 2, round(height * scale / 2) * 2


def _shown(studio: Studio, frame: NDArray, *, mask: bool = False) -> NDArray[np.uint8]:
    """A whole frame as the clip shows it: cut and resized."""
    if studio.spec.crop:
        square = studio.actor.square
        frame = frame[square.y : square.y + square.side, square.x : square.x + square.side]
    width, height = _size(studio)
    shrinks = width < frame.shape[1]
    how = cv2.INTER_AREA if shrinks else (cv2.INTER_LINEAR if mask else cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)


def _make_real(job: Job, studio: Studio, stretch: Stretch, path: Path, sound: Path | None) -> tuple[str, str]:
    """Cut, watermark, encode and sign real footage; (SHA-256 of the file, of its manifest)."""
    from facewitness.files import whole_file
    from facewitness.provenance import fingerprint, ledger, watermark
    from facewitness.provenance.bindings import soft_bindings
    from facewitness.provenance.manifest import TRANSCODED, Ingredient, ManifestSpec
    from facewitness.provenance.sign import readable_type, sign_file

    stored = studio.actor.full_frames()
    payload = watermark.new_payload()

    def frames() -> Iterator[NDArray[np.uint8]]:
        for number in stretch.frames:
            yield _shown(studio, stored[number])

    parent = studio.take.path
    try:
        readable_type(parent)
    except FacewitnessError:  # C2PA knows no such container: the stored copy stands for it
        parent = studio.actor.path / "frames.mp4"
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as scratch:
            encoded = Path(scratch) / "encoded.mp4"
            picture = _encode(frames(), encoded, stretch.rate, job.crf, payload, sound)
            seen = fingerprint.of_video(encoded)
            spec = ManifestSpec(
                kind=TRANSCODED,
                title=path.name,
                ingredients=(Ingredient(path=parent, title=studio.take.name, relationship="parentOf", role="footage"),),
                soft_bindings=soft_bindings(watermark=payload, fingerprint=seen),
                thumbnail=picture,
                description="real footage, cut and encoded again for a data set; nothing in it was generated",
                assertions={REAL_ASSERTION: {"label": REAL, "target_id": job.person, "rights": studio.take.rights}},
            )
            with whole_file(path) as part:
                signed = sign_file(encoded, part, manifest=spec)
                digest = sha256_file(part)
            with ledger.Ledger() as book:
                book.append(
                    ledger.Record(
                        kind="signed", name=path.name, sha256=digest, manifest_id=signed.manifest_id,
                        manifest=signed.manifest, watermark=payload, fingerprint=seen,
                    )
                )  # fmt: skip
    finally:
        stored.close()
    return digest, signed.manifest_sha256


def _encode(
    frames: Iterator[NDArray[np.uint8]], path: Path, rate: Fraction, crf: int, payload: bytes, sound: Path | None
) -> bytes:
    """Watermark and encode as generated frames are (generator/publishing.py); a small JPEG of the first frame."""
    from facewitness.media import VideoWriter
    from facewitness.provenance.watermark import Embedder, installation_key

    first = next(frames)
    height, width = first.shape[:2]
    embedder = Embedder(payload, installation_key(), width=width, height=height, frame_rate=rate)
    with VideoWriter(
        path, width=width, height=height, frame_rate=rate, crf=crf, preset="fast", audio_from=sound
    ) as video:
        video.write(embedder.embed(first, None))
        for image in frames:
            video.write(embedder.embed(image, None))
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(first[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes() if done else b""


def _make_fake(
    job: Job,
    studio: Studio,
    stretch: Stretch,
    path: Path,
    performance: Performance,
    sound: Path | None,
    stack: ExitStack,
) -> tuple[str, str]:
    from facewitness.generator.label import Label
    from facewitness.generator.publishing import publish

    actor = studio.actor
    label = Label(
        method=job.method, target_id=job.person, driver_id=job.driver, taken=job.take, edits=job.edits,
        segments=segments(job, stretch), mask_path=f"masks/{job.clip_id}.mp4" if studio.spec.masks else None,
        seed=job.seed, rights=studio.take.rights, actor_sha256=actor.sha256,
        model_sha256=actor.card["sha256"].get("weights.safetensors", ""),
    )  # fmt: skip
    frames = list(_fake_frames(job, studio, stretch, performance, stack))
    made = publish(
        frames, path, frame_rate=stretch.rate, label=label, crf=_matched_crf(job, studio, stretch, frames),
        audio_from=sound,
        digital_source_type="ai-edited" if job.segment < 1 else "ai-generated",
        description=f"{job.method} made for a data set",
    )  # fmt: skip
    return made.sha256, made.manifest_sha256


def _matched_crf(job: Job, studio: Studio, stretch: Stretch, frames: list[NDArray[np.uint8]]) -> int:
    """The quality at which the fake takes as many bits as the real clip of its stretch does at the nominal one.

    Rendered frames are noisier over time than filmed ones and took some 25 % more bits: the bit rate told the label.
    """
    stored = studio.actor.full_frames()
    try:
        real = _bits((_shown(studio, stored[n]) for n in stretch.frames), stretch.rate, job.crf)
    finally:
        stored.close()
    crf = job.crf
    for _ in range(2):
        ratio = _bits(iter(frames), stretch.rate, crf) / max(real, 1)
        crf = round(crf + CRF_A_DOUBLING * np.log2(max(ratio, 1e-3)))
        crf = int(np.clip(crf, max(job.crf - CRF_REACH, 0), min(job.crf + CRF_REACH, 51)))
    return crf


def _bits(frames: Iterator[NDArray[np.uint8]], rate: Fraction, crf: int) -> int:
    """Bytes that the frames take at a quality."""
    from facewitness.media import VideoWriter

    first = next(frames)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "probe.mp4"
        height, width = first.shape[:2]
        with VideoWriter(path, width=width, height=height, frame_rate=rate, crf=crf, preset="fast") as video:
            video.write(first)
            for image in frames:
                video.write(image)
        return path.stat().st_size


def _fake_frames(
    job: Job, studio: Studio, stretch: Stretch, performance: Performance, stack: ExitStack
) -> Iterator[NDArray[np.uint8]]:
    """The clip's frames; the mask video is written along."""
    from facewitness.media import VideoWriter

    pairs = _rendered(job, studio, stretch, performance, stack)
    factor = FACTORS.get(job.factor)
    if factor and factor.order:  # the pictures themselves are dropped and repeated, not the performance
        order = factor.order(stretch.count, job.degree, np.random.default_rng(job.seed))
        kept = list(pairs)
        pairs = (kept[i] for i in order)
    width, height = _size(studio)
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
    job: Job, studio: Studio, stretch: Stretch, performance: Performance, stack: ExitStack
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Frames and masks as the clip shows them, in the order of the performance."""
    actor, square = studio.actor, studio.actor.square
    first, last = _changed(job, stretch)
    stored = actor.full_frames()
    stack.callback(stored.close)
    blank = np.zeros((*actor.frame_size[::-1], 3), np.uint8)
    white = np.full((square.size, square.size, 3), 255, np.float32)
    make = _baseline if job.method in BASELINES else _ours
    for t, (frame, alpha) in enumerate(make(job, studio, stretch, performance)):
        if first <= t < last:
            yield _shown(studio, frame), _shown(studio, square.paste(blank, white, alpha), mask=True)
        else:
            yield _shown(studio, stored[stretch.first + t]), _shown(studio, blank, mask=True)


def _ours(
    job: Job, studio: Studio, stretch: Stretch, performance: Performance
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Whole frames of the person giving ``performance``, and where in the square they are made (S, S) 0..1."""
    from facewitness.generator.compose import at
    from facewitness.generator.reenactment import render
    from facewitness.generator.shapes import shapes_of

    maker, allowed = studio.synthesiser, _allowed(studio, stretch)
    wanted = studio.actor.square.shapes(shapes_of(performance))
    choices = maker.plan(wanted, allowed=allowed)
    for t, frame in enumerate(render(studio.actor, performance, allowed=allowed, synthesiser=maker)):
        yield frame, maker.alpha(wanted.mesh[t], wanted.irises[t], at(choices, t)["canvas"][0])


def _baseline(
    job: Job, studio: Studio, stretch: Stretch, performance: Performance
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """The same by an earlier way of reenacting."""
    from facewitness.generator import baselines
    from facewitness.generator.shapes import shapes_of

    maker, square = studio.synthesiser, studio.actor.square
    wanted = square.shapes(shapes_of(performance))
    canvas = baselines.nearest(maker, wanted)["canvas"]
    picture = baselines.BASELINES[BASELINES[job.method]](maker, wanted)
    stored = studio.actor.full_frames()
    try:
        for t in range(len(wanted)):
            behind = int(canvas[t])
            alpha = maker.alpha(wanted.mesh[t], wanted.irises[t], behind)
            yield square.paste(stored[behind], picture(t), alpha), alpha
    finally:
        stored.close()


def _allowed(studio: Studio, stretch: Stretch) -> NDArray[np.bool_]:
    """Which stored frames may be used: not those of the stretch itself, nor around it while enough are left."""
    count = len(studio.actor.performance)
    for margin_s in (MARGIN_S, 0.4, 0.0):
        margin = round(margin_s * stretch.rate)
        allowed = np.ones(count, bool)
        allowed[max(stretch.first - margin, 0) : stretch.first + stretch.count + margin] = False
        if allowed.sum() >= LEAST_ALLOWED:
            return allowed
    raise UsageError("the footage is too short to make this stretch of the rest of it")


def _sound(
    job: Job, studio: Studio, stretch: Stretch, drivers: dict[str, tuple[Actor, Take]], stack: ExitStack
) -> Path | None:
    """The stretch's sound in a file of its own: the person's, or the driver's where the mouth is theirs."""
    if not studio.spec.audio:
        return None
    take, start = studio.take, float(studio.actor.performance.times_s[stretch.first])
    if job.driver != job.person and {"expression", "mouth"} & set(job.take):
        actor, take = drivers[job.driver]
        rate = Fraction(actor.card["frame"]["rate"])
        theirs = find_stretch(actor.performance, rate, studio.spec.seconds, job.stretch, job.of)
        start = float(actor.performance.times_s[theirs.first])
    if not take.audio:
        return None
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sound.m4a"
    return path if cut_sound(take.path, path, start, stretch.count / float(stretch.rate)) else None


def cut_sound(video: Path, out: Path, start_s: float, seconds: float) -> bool:
    """Write ``seconds`` of a video's sound from ``start_s`` as AAC; False where it has none there."""
    import av

    written = False
    with av.open(str(video)) as source, av.open(str(out), "w", format="mp4") as target:
        stream = target.add_stream("aac", rate=48000)
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=48000)
        source.seek(max(int((start_s - 0.5) * 1e6), 0))
        for frame in source.decode(audio=0):
            time = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else 0.0
            if time + frame.samples / frame.sample_rate <= start_s:
                continue
            if time >= start_s + seconds:
                break
            frame.pts = None
            for part in resampler.resample(frame):
                target.mux(stream.encode(part))
                written = True
        target.mux(stream.encode(None))
    return written


def save_parameters(path: Path, performances: dict[str, Performance]) -> None:
    """Write performances as one npz: ``<who>/<array>`` for driver, target and result."""
    from facewitness.files import whole_file

    arrays = {}
    for who, p in performances.items():
        for name in ("pts", "rotation", "translation", "expression", "lids", "gaze", "confidence"):
            arrays[f"{who}/{name}"] = getattr(p, name)
        arrays[f"{who}/time_base"] = np.array([p.time_base.numerator, p.time_base.denominator])
        arrays[f"{who}/neutral"] = p.identity.neutral
    with whole_file(path) as part, part.open("wb") as f:
        np.savez_compressed(f, **arrays)
