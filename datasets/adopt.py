"""Taking a benchmark of the field in: its clips become a dataset of ours, probed, hashed and split."""

from dataclasses import replace
from pathlib import Path

from facewitness.datasets.labels import Clip, write_labels
from facewitness.datasets.layouts import import_dataset
from facewitness.datasets.layouts.base import VIDEO_SUFFIXES, place, slug, unique
from facewitness.datasets.splits import assign
from facewitness.errors import FacewitnessError, UsageError
from facewitness.files import sha256_file
from facewitness.progress import track


def adopt(source: Path, out: Path, *, layout: str | None = None, rights: str) -> list[Clip]:
    """Make the dataset ``out`` of the benchmark in ``source``; its parts are kept, or drawn where it has none.

    Clips that cannot be read are left out. Raises UsageError without rights or where ``out`` is not empty.
    """
    from facewitness.media import probe

    if not rights.strip():
        raise UsageError("say with --rights on what terms the footage may be used.")
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; give a new folder.")
    clips, taken = [], set[str]()
    for clip in track(import_dataset(source, layout), "reading clips"):
        path = source / clip.path
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        try:
            info = probe(path)
        except FacewitnessError:
            continue
        name = unique(slug(clip.clip_id), taken)
        where = f"clips/{name}{path.suffix.lower()}"
        place(path, out / where)
        mask = ""
        if clip.mask_path and (source / clip.mask_path).exists():
            mask = f"masks/{name}{Path(clip.mask_path).suffix}"
            place(source / clip.mask_path, out / mask)
        parameters = ""
        if clip.parameters_path and (source / clip.parameters_path).exists():
            parameters = f"parameters/{name}.npz"
            place(source / clip.parameters_path, out / parameters)
        clips.append(
            replace(
                clip, clip_id=name, path=where, mask_path=mask, parameters_path=parameters,
                mask_sha256=sha256_file(out / mask) if mask else "",
                parameters_sha256=sha256_file(out / parameters) if parameters else "", fps=float(info.frame_rate),
                frames=info.frames or clip.frames, width=info.width, height=info.height, codec=info.codec,
                audio=info.audio_codec is not None, sha256=sha256_file(path), rights=clip.rights or rights,
            )
        )  # fmt: skip
    if any(not c.split for c in clips):
        clips = assign(clips)
    write_labels(out, clips)
    return clips
