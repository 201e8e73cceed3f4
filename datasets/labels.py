"""The labels of a dataset: one row a clip, the same in ``labels.parquet`` and ``labels.csv``, in an order of their own.

Rows are sorted by clip id and hold nothing of when or where they were made, so the same recipe, seed and actors give
the
same bytes, but for the columns of ``HASHES``: a signature is never made twice alike.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from facewitness.errors import UnreadableInputError
from facewitness.files import to_json, whole_file, write_text

SCHEMA = "facewitness.labels/1"
PARQUET, CSV, HIDDEN = "labels.parquet", "labels.csv", ".build"
REAL, FAKE = "real", "fake"
SPLITS = ("train", "val", "test")
HASHES = ("sha256", "manifest_sha256", "actor_sha256", "mask_sha256", "parameters_sha256")
"""Columns that differ between two builds of the same recipe."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One labelled clip; the columns of ``labels.parquet`` in this order."""

    clip_id: str
    path: str
    """Relative to the dataset's folder, with forward slashes."""
    label: str
    """``real`` or ``fake``."""
    method: str = ""
    """Empty for a real clip; ``reenactment``, ``edit``, a controlled factor, or an imported set's own name."""
    target_id: str = ""
    """The person shown."""
    driver_id: str = ""
    """Whose motion it is; the target's own id in a self-reenactment, an edit or a real clip."""
    taken: tuple[str, ...] = ()
    """Of ``head, expression, gaze, lids, mouth``."""
    edits: dict[str, float] = field(default_factory=dict)
    split: str = ""
    """``train``, ``val`` or ``test``."""
    mask_path: str = ""
    """Video that is white where the clip was manipulated."""
    parameters_path: str = ""
    """Parameters (npz) of driver, target and result."""
    segments: tuple[tuple[float, float], ...] = ()
    """Manipulated stretches in seconds; the whole clip where a fake has none."""
    fps: float = 0.0
    frames: int = 0
    width: int = 0
    height: int = 0
    codec: str = ""
    crf: int = -1
    """Nominal quality of the encode; -1 where unknown. A built fake is encoded to the bit rate that its real clip
    has there."""
    seed: int = 0
    actor_sha256: str = ""
    manifest_sha256: str = ""
    sha256: str = ""
    rights: str = ""
    """Statement of licence or consent of the person shown, and the driver's where it is another."""
    generator_version: str = ""
    factor: str = ""
    """The one thing that was changed, in a controlled forgery; its control has the degree 0."""
    degree: float = 0.0
    pair_id: str = ""
    """Clips that show the same stretch of the same footage."""
    source: str = ""
    """The original file, by name."""
    source_sha256: str = ""
    start_s: float = 0.0
    """Where in the original the clip begins."""
    audio: bool = False
    mask_sha256: str = ""
    parameters_sha256: str = ""


COLUMNS = tuple(f.name for f in fields(Clip))


def write_labels(folder: Path, clips: Iterable[Clip]) -> str:
    """Write ``labels.parquet`` and ``labels.csv``; returns the SHA-256 of everything but ``HASHES``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = sorted(clips, key=lambda c: c.clip_id)
    table = pa.Table.from_pylist([_flat(c) for c in rows], schema=arrow_schema())
    with whole_file(folder / PARQUET) as part:
        pq.write_table(table, part, compression="zstd", store_schema=False)
    write_text(folder / CSV, to_csv(rows))
    return digest(rows)


def read_labels(folder: Path) -> list[Clip]:
    """The clips of a dataset folder, from ``labels.parquet`` or else ``labels.csv``.

    Raises UnreadableInputError where there is neither, or they are damaged.
    """
    try:
        if (folder / PARQUET).exists():
            import pyarrow.parquet as pq

            return [_clip(row) for row in pq.read_table(folder / PARQUET).to_pylist()]
        if (folder / CSV).exists():
            with (folder / CSV).open(encoding="utf-8", newline="") as f:
                return [_clip(row) for row in csv.DictReader(f)]
    except Exception as e:
        raise UnreadableInputError(f"the labels in {folder} cannot be read ({str(e).splitlines()[0][:160]}).") from e
    raise UnreadableInputError(f"{folder} is no dataset: it has no {PARQUET} and no {CSV}.")


def digest(clips: Sequence[Clip]) -> str:
    """SHA-256 of the labels without ``HASHES``: the same for every build of a recipe."""
    return hashlib.sha256(to_csv(clips, leave_out=HASHES).encode()).hexdigest()


def to_csv(clips: Sequence[Clip], *, leave_out: Sequence[str] = ()) -> str:
    """The labels as CSV text; lists and mappings as JSON."""
    text = io.StringIO()
    columns = [c for c in COLUMNS if c not in leave_out]
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for clip in sorted(clips, key=lambda c: c.clip_id):
        writer.writerow({k: to_json(v) if isinstance(v, list | dict) else v for k, v in _flat(clip).items()})
    return text.getvalue()


def arrow_schema() -> Any:
    """The Arrow schema of ``labels.parquet``; ``edits`` is JSON text, ``segments`` a list of [start, end]."""
    import pyarrow as pa

    kinds: dict[Any, Any] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    special = {"taken": pa.list_(pa.string()), "edits": pa.string(), "segments": pa.list_(pa.list_(pa.float64()))}
    return pa.schema(
        [pa.field(f.name, special.get(f.name) or kinds[f.type]) for f in fields(Clip)], metadata={"schema": SCHEMA}
    )


def _flat(clip: Clip) -> dict[str, Any]:
    row = asdict(clip)
    row["taken"] = list(clip.taken)
    row["segments"] = [list(s) for s in clip.segments]
    row["edits"] = to_json(dict(sorted(clip.edits.items())))
    return row


def _clip(row: dict[str, Any]) -> Clip:
    """A clip from a row of Parquet or CSV; columns that are not there keep their default."""
    values: dict[str, Any] = {}
    for f in fields(Clip):
        value = row.get(f.name)
        if value is None or (value == "" and f.type is not str):
            continue
        if f.name in ("taken", "segments", "edits") and isinstance(value, str):
            value = json.loads(value)
        if f.name == "taken":
            value = tuple(value)
        elif f.name == "segments":
            value = tuple((float(a), float(b)) for a, b in value)
        elif f.type is bool:
            value = value in (True, "True", "true", "1", 1)
        elif f.type in (int, float, str):
            value = f.type(value)
        values[f.name] = value
    return Clip(**values)
