"""Making one clip of a dataset: real or fake, it goes through the same decode, crop, resize, watermark, encode and
signature."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from facewitness import __version__
from facewitness.datasets.direction import cut, direct
from facewitness.datasets.footage import Take
from facewitness.datasets.labels import REAL, Clip
from facewitness.datasets.plan import Job
from facewitness.datasets.quality import encoded_bytes, matched_crf
from facewitness.datasets.rendering import Studio, Wanted, fake_frames, real_frames, size_of
from facewitness.datasets.sound import sound_of
from facewitness.datasets.stretch import Stretch, find_stretch, segments
from facewitness.datasets.truth import save_parameters
from facewitness.errors import FacewitnessError
from facewitness.files import sha256_file
from facewitness.generator.actor import FILES, Actor

if TYPE_CHECKING:
    from facewitness.provenance.manifest import Ingredient

REAL_ASSERTION = "org.facewitness.dataset"


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
    performances = {"target": cut(actor.performance, stretch.frames)}
    with ExitStack() as stack:
        sound = sound_of(job, studio, stretch, drivers, stack)
        if job.label == REAL:
            digest, manifest = _make_real(job, studio, stretch, path, sound)
        else:
            wanted = direct(job, studio, stretch, drivers)
            digest, manifest = _make_fake(job, studio, stretch, path, wanted, sound, drivers, stack)
            result = wanted.result if wanted.order is None else cut(wanted.result, wanted.order)
            performances |= {"driver": wanted.driver, "result": result}
    if spec.parameters:
        save_parameters(studio.folder / "parameters" / f"{job.clip_id}.npz", performances)
    rights = list(dict.fromkeys((studio.take.rights, drivers[job.driver][1].rights)))
    return _row(job, studio, stretch, digest, manifest, audio=sound is not None, rights="; driver: ".join(rights))


def _row(job: Job, studio: Studio, stretch: Stretch, digest: str, manifest: str, *, audio: bool, rights: str) -> Clip:
    width, height = size_of(studio)
    fake, spec = job.label != REAL, studio.spec
    mask = f"masks/{job.clip_id}.mp4" if fake and spec.masks else ""
    parameters = f"parameters/{job.clip_id}.npz" if spec.parameters else ""
    pts = studio.actor.performance.pts[stretch.first] - studio.actor.performance.pts[0]
    return Clip(
        clip_id=job.clip_id, path=f"clips/{job.clip_id}.mp4", label=job.label, method=job.method, target_id=job.person,
        driver_id=job.driver, taken=job.take if fake else (), edits=job.edits, split=job.split,
        mask_path=mask, mask_sha256=sha256_file(studio.folder / mask) if mask else "",
        parameters_path=parameters, parameters_sha256=sha256_file(studio.folder / parameters) if parameters else "",
        segments=segments(job, stretch) if fake else (), fps=float(stretch.rate), frames=stretch.count, width=width,
        height=height, codec="h264", crf=job.crf, seed=job.seed, actor_sha256=studio.actor.sha256 if fake else "",
        manifest_sha256=manifest, sha256=digest, rights=rights, generator_version=__version__,
        factor=job.factor, degree=job.degree, pair_id=f"{studio.take.name}-s{job.stretch}",
        source=studio.take.path.name,
        source_sha256=studio.take.sha256, start_s=round(float(pts * studio.actor.performance.time_base), 3),
        audio=audio,
    )  # fmt: skip


def _footage(actor: Actor, take: Take, relationship: str, role: str) -> "Ingredient":
    """The footage of a person, as what a clip was made of; the actor's signed copy of it where C2PA knows no such
    container."""
    from facewitness.provenance.manifest import Ingredient
    from facewitness.provenance.sign import readable_type

    path = take.path
    try:
        readable_type(path)
    except FacewitnessError:
        path = actor.path / FILES["frames"]
    return Ingredient(path=path, title=f"footage {take.name}", relationship=relationship, role=role)


def _make_real(job: Job, studio: Studio, stretch: Stretch, path: Path, sound: Path | None) -> tuple[str, str]:
    """Cut, watermark, encode and sign real footage; (SHA-256 of the file, of its manifest)."""
    from facewitness.generator.publishing import publish_footage

    done = publish_footage(
        real_frames(studio, stretch), path, frame_rate=stretch.rate, crf=job.crf, audio_from=sound,
        footage=_footage(studio.actor, studio.take, "parentOf", "footage"),
        description="real footage, cut and encoded again for a data set; nothing in it was generated",
        assertions={REAL_ASSERTION: {"label": REAL, "target_id": job.person, "rights": studio.take.rights}},
    )  # fmt: skip
    return done.sha256, done.manifest_sha256


def _make_fake(
    job: Job, studio: Studio, stretch: Stretch, path: Path, wanted: Wanted, sound: Path | None,
    drivers: dict[str, tuple[Actor, Take]], stack: ExitStack,
) -> tuple[str, str]:  # fmt: skip
    """Render, match the real clip's bit rate, and publish; (SHA-256 of the file, of its manifest)."""
    from facewitness.generator.label import Label
    from facewitness.generator.publishing import publish

    actor = studio.actor
    driver_rights = drivers[job.driver][1].rights if job.driver != job.person else ""
    label = Label(
        method=job.method, target_id=job.person, driver_id=job.driver, taken=job.take, edits=job.edits,
        segments=segments(job, stretch), mask_path=f"masks/{job.clip_id}.mp4" if studio.spec.masks else None,
        seed=job.seed, rights=studio.take.rights, driver_rights=driver_rights, actor_sha256=actor.sha256,
        model_sha256=actor.card["sha256"].get(FILES["weights"], ""),
    )  # fmt: skip
    partly = job.segment < 1 or wanted.edited_from is not None
    sources = [_footage(actor, studio.take, "parentOf" if partly else "inputTo", "target")]
    if job.driver != job.person:
        sources.append(_footage(*drivers[job.driver], "inputTo", "driver"))
    frames = list(fake_frames(job, studio, stretch, wanted, stack))
    probe = stretch.first, job.crf
    if probe not in studio.real_bytes:
        studio.real_bytes[probe] = encoded_bytes(real_frames(studio, stretch), stretch.rate, job.crf)
    made = publish(
        frames, path, frame_rate=stretch.rate, label=label, audio_from=sound, ingredients=sources,
        crf=matched_crf(frames, stretch.rate, crf=job.crf, wanted=studio.real_bytes[probe]),
        digital_source_type="ai-edited" if partly else "ai-generated", description=f"{job.method} made for a data set",
    )  # fmt: skip
    return made.sha256, made.manifest_sha256
