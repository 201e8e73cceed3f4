"""Proving a dataset: files, hashes, manifests, labels, splits, and that nothing but the content tells the label."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facewitness.datasets.labels import CSV, FAKE, PARQUET, REAL, SPLITS, Clip, digest, read_labels
from facewitness.datasets.layouts.base import relative, videos
from facewitness.datasets.leak import TOLERANCE, Leak, attribute_leak, attributes
from facewitness.datasets.marks import Marks, read_marks
from facewitness.datasets.splits import leaks, near_duplicates
from facewitness.datasets.truth import mask_against_label, parameters_against_label
from facewitness.errors import FacewitnessError
from facewitness.files import sha256_file
from facewitness.progress import Bar

SCHEMA = "facewitness.dataset-check/1"
SHORT_S = 0.06
"""A clip's real length may differ from its label by a frame or so."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    """``missing | altered | unlisted | manifest | mark | label | split | duplicate | leak | unreadable``."""
    clip: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the check found; fine where ``findings`` is empty."""

    folder: str
    clips: int
    findings: tuple[Finding, ...]
    leak: Leak | None
    labels_sha256: str
    manifests: dict[str, int] = field(default_factory=dict)
    """Number of clips by state of their manifest."""
    marks: Marks | None = None
    """Whether reals and fakes carry the watermark alike; None where it was not looked for."""
    schema: str = SCHEMA

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def check_dataset(folder: Path, *, manifests: bool = True, footage: bool = True, workers: int | None = None) -> Checked:
    """Check everything that can be checked in a dataset folder.

    ``manifests`` verifies the signature of every clip; ``footage`` looks for near-duplicate footage across the parts.
    Raises UnreadableInputError where the folder has no labels.
    """
    folder = Path(folder)
    clips = read_labels(folder)
    findings = [*_labels(clips), *_splits(clips), *_two_tables(folder, clips)]
    readable: list[Clip] = []
    values: list[list[float]] = []
    with Bar("checking files", total=len(clips)) as bar:
        for clip in clips:
            found, value = _file(clip, folder)
            findings += found
            if value is not None:
                readable.append(clip)
                values.append(value)
            bar.advance()
    findings += _unlisted(clips, folder)
    leak = attribute_leak(readable, np.array(values)) if readable else None
    if leak and leak.leaks:
        most = max(leak.importances, key=lambda k: leak.importances[k])
        said = f"AUC {leak.auc:.3f} (chance is .5, tolerated ±{TOLERANCE}); {most} tells most."
        findings.append(Finding(kind="leak", clip="", text=f"attributes alone tell real from fake: {said}"))
    states: dict[str, int] = {}
    marks = None
    if manifests:
        marks = read_marks(readable, folder)
        if marks and marks.leaks:
            findings.append(
                Finding(kind="mark", clip="", text=f"the watermark tells real from fake: it {said_of(marks)}.")
            )
        found, states = _manifests(readable, folder, workers)
        findings += found
    if footage:
        findings += _near_duplicates(readable, folder)
    return Checked(
        folder=str(folder), clips=len(clips), findings=tuple(findings), leak=leak, labels_sha256=digest(clips),
        manifests=states, marks=marks,
    )  # fmt: skip


def said_of(marks: Marks) -> str:
    """Where the watermark was read, as the end of a sentence."""
    return (
        f"is read in {marks.reals_read} of {marks.reals} reals and {marks.fakes_read} of {marks.fakes} fakes looked at"
    )


def _labels(clips: Sequence[Clip]) -> Iterator[Finding]:
    seen: set[str] = set()
    for clip in clips:

        def wrong(text: str, clip: Clip = clip) -> Finding:
            return Finding(kind="label", clip=clip.clip_id, text=text)

        if clip.clip_id in seen:
            yield wrong("its id is not unique.")
        seen.add(clip.clip_id)
        if clip.label not in (REAL, FAKE):
            yield wrong(f"its label is {clip.label!r}, not real or fake.")
        if clip.label == REAL and (clip.method or clip.factor or clip.taken):
            yield wrong(f"it is called real, but its method is {clip.method or clip.factor!r}.")
        if clip.label == FAKE and not clip.method:
            yield wrong("it is called fake, but no method is named.")
        if not clip.rights.strip():
            yield wrong("it has no statement of rights.")
        length = clip.frames / clip.fps if clip.fps else 0.0
        for start, end in clip.segments:
            if not 0 <= start < end <= length + SHORT_S:
                yield wrong(f"its segment {start:g} to {end:g} s lies outside the clip of {length:.2f} s.")


def _splits(clips: Sequence[Clip]) -> Iterator[Finding]:
    for text in leaks(clips):
        yield Finding(kind="split", clip="", text=text)
    for clip in clips:
        if clip.split not in SPLITS:
            yield Finding(kind="split", clip=clip.clip_id, text=f"its part is {clip.split!r}, not {', '.join(SPLITS)}.")
    for part in sorted({c.split for c in clips} & set(SPLITS)):
        kinds = {c.label for c in clips if c.split == part}
        if len(kinds) == 1:
            yield Finding(kind="split", clip="", text=f"{part} holds {kinds.pop()} clips only.")


def _two_tables(folder: Path, clips: Sequence[Clip]) -> Iterator[Finding]:
    from facewitness.datasets.labels import to_csv

    if not (folder / PARQUET).exists() or not (folder / CSV).exists():
        yield Finding(
            kind="missing", clip="", text=f"{PARQUET if not (folder / PARQUET).exists() else CSV} is missing."
        )
    elif (folder / CSV).read_text(encoding="utf-8") != to_csv(clips):
        yield Finding(kind="altered", clip="", text=f"{CSV} and {PARQUET} say different things.")


def _file(clip: Clip, folder: Path) -> tuple[list[Finding], list[float] | None]:
    path = folder / clip.path
    found = []
    beside = (
        ("mask", clip.mask_path, clip.mask_sha256),
        ("parameters", clip.parameters_path, clip.parameters_sha256),
    )
    for what, other, known in beside:
        if other and not (folder / other).is_file():
            found.append(Finding(kind="missing", clip=clip.clip_id, text=f"its {what} {other} is missing."))
        elif other and known and sha256_file(folder / other) != known:
            found.append(
                Finding(
                    kind="altered", clip=clip.clip_id, text=f"its {what} {other} was changed since it was labelled."
                )
            )
    for contradiction in (*parameters_against_label(clip, folder), *mask_against_label(clip, folder)):
        found.append(Finding(kind="label", clip=clip.clip_id, text=contradiction))
    if not path.is_file():
        return [*found, Finding(kind="missing", clip=clip.clip_id, text=f"{clip.path} is missing.")], None
    if clip.sha256 and sha256_file(path) != clip.sha256:
        found.append(Finding(kind="altered", clip=clip.clip_id, text=f"{clip.path} was changed since it was labelled."))
    try:
        values = attributes(clip, folder)
    except Exception as e:  # whatever a damaged file does to a demuxer
        said = str(e).splitlines()[0][:120] if str(e) else type(e).__name__
        return [
            *found,
            Finding(kind="unreadable", clip=clip.clip_id, text=f"{clip.path} cannot be read ({said})."),
        ], None
    size, rate, seconds = (int(values[0]), int(values[1])), values[2], values[3]
    if clip.width and size != (clip.width, clip.height):
        found.append(
            Finding(kind="label", clip=clip.clip_id, text=f"it is {size[0]}x{size[1]}, not {clip.width}x{clip.height}.")
        )
    if clip.fps and abs(rate - clip.fps) > 0.01:
        found.append(Finding(kind="label", clip=clip.clip_id, text=f"it has {rate:g} frames/s, not {clip.fps:g}."))
    if clip.fps and clip.frames and abs(seconds - clip.frames / clip.fps) > SHORT_S:
        said = f"it lasts {seconds:.2f} s, not {clip.frames / clip.fps:.2f} s."
        found.append(Finding(kind="label", clip=clip.clip_id, text=said))
    return found, values


def _unlisted(clips: Sequence[Clip], folder: Path) -> Iterator[Finding]:
    listed = {c.path for c in clips} | {c.mask_path for c in clips}
    for path in videos(folder):
        where = relative(path, folder)
        parts = path.relative_to(folder).parts
        beside = parts[0] == "masks"  # an interrupted build may leave the mask of a clip that is not there
        if where not in listed and not beside and not any(part.startswith(".") for part in parts):
            yield Finding(kind="unlisted", clip="", text=f"{where} is not in the labels.")


def _manifests(clips: Sequence[Clip], folder: Path, workers: int | None) -> tuple[list[Finding], dict[str, int]]:
    """Every manifest must hold, and say of the clip what the labels say."""
    from facewitness.provenance import verify_many

    by_path = {str(folder / c.path): c for c in clips}
    found: list[Finding] = []
    states: dict[str, int] = {}
    bindings: dict[str, set[int]] = {REAL: set(), FAKE: set()}
    with Bar("verifying manifests", total=len(clips)) as bar:
        for audit in verify_many([Path(p) for p in by_path], workers=workers):
            clip = by_path[str(audit.path)]
            states[audit.state] = states.get(audit.state, 0) + 1
            found += [Finding(kind="manifest", clip=clip.clip_id, text=t) for t in _contradictions(clip, audit)]
            bindings.setdefault(clip.label, set()).add(_bindings(audit))
            bar.advance()
    if bindings[REAL] and bindings[FAKE] and bindings[REAL] != bindings[FAKE]:
        reals, fakes = ("/".join(map(str, sorted(bindings[label]))) for label in (REAL, FAKE))
        text = f"reals declare {reals} watermarks and fingerprints, fakes {fakes}: the mark tells the label."
        found.append(Finding(kind="mark", clip="", text=text))
    return found, dict(sorted(states.items()))


def _bindings(audit: Any) -> int:
    """How many soft bindings (watermarks, fingerprints) a manifest declares."""
    return sum(str(a).startswith("c2pa.soft-binding") for a in (audit.claims or {}).get("assertions") or ())


def _contradictions(clip: Clip, audit: Any) -> Iterator[str]:
    if audit.state in ("invalid", "timeout", "unreadable"):
        yield f"its manifest is {audit.state}."
        return
    if audit.state == "absent":
        if clip.manifest_sha256:
            yield "its manifest was removed."
        return
    said = audit.label or {}
    if said and clip.label == REAL:
        yield f"it is labelled real, but its manifest says it was made by {said.get('method')}."
    for name in ("method", "target_id", "driver_id"):
        if clip.label == FAKE and said and said.get(name) != getattr(clip, name):
            yield f"its {name} is {getattr(clip, name)!r}, but its manifest says {said.get(name)!r}."
    if clip.label == FAKE and audit.ai == "none":
        yield "it is labelled fake, but its manifest names nothing generated."


def _near_duplicates(clips: Sequence[Clip], folder: Path) -> Iterator[Finding]:
    """Real footage that is nearly the same in two parts."""
    from facewitness.provenance import fingerprint

    reals = [c for c in clips if c.label == REAL]
    prints = {}
    with Bar("comparing footage", total=len(reals)) as bar:
        for clip in reals:
            try:
                prints[clip.clip_id] = fingerprint.of_video(folder / clip.path)
            except FacewitnessError:
                continue
            finally:
                bar.advance()
    split = {c.clip_id: c.split for c in reals}
    person = {c.clip_id: c.target_id for c in reals}
    for same in near_duplicates(prints):
        parts = {split[i] for i in same}
        if len(parts) > 1 and not all(person[i].startswith("sample-") for i in same):
            names = ", ".join(sorted(same)[:4])
            yield Finding(
                kind="duplicate", clip="", text=f"nearly the same footage is in {' and '.join(sorted(parts))}: {names}."
            )
