"""What the eyes, the mouth and the head of one face did over time, in the few curves that screens and reports draw."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UnreadableInputError
from facewitness.faces import landmarks as marks
from facewitness.faces.types import FaceTrack
from facewitness.files import whole_file
from facewitness.generator.performance import Performance

FORMAT = "facewitness.traces/1"

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Traces:
    """Curves of one face over the T frames of a clip; NaN where the face was not seen or a quantity is not known."""

    t_s: NDArray[np.float64]
    """(T,) presentation times in seconds, rising."""
    lids: Floats
    """(T, 2) closure of the person's right and left eye, 0 open to 1 closed."""
    gaze_yaw_deg: Floats
    """(T,) mean of both eyes in the head frame, positive to the right of the picture."""
    gaze_pitch_deg: Floats
    """(T,) mean of both eyes in the head frame, positive down."""
    mouth: Floats
    """(T,) opening of the lips over the distance between the outer corners of the eyes."""
    head_yaw_deg: Floats
    """(T,) turn of the head, positive to the right of the picture."""
    outline: Floats
    """(T, P, 2) points of brows, eyes, irises, lips and oval in pixels, for the overlay; P may be 0."""
    gaze_rays: Floats
    """(T, 2, 2, 2) start and end of the gaze ray of each eye in pixels; T may be 0 where there are none."""
    paths: tuple[int, ...] = ()
    """Where each polyline of ``outline`` ends (exclusive index); the first, the face's oval, begins at 0."""
    mesh: Floats = field(default_factory=lambda: np.zeros((0, 0, 2), np.float32))
    """(T, 468, 2) every landmark in pixels, to an eighth of one; T may be 0 where it was not kept."""

    def __post_init__(self) -> None:
        for name in ("lids", "gaze_yaw_deg", "gaze_pitch_deg", "mouth", "head_yaw_deg"):
            if len(getattr(self, name)) != len(self.t_s):
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {len(self.t_s)} frames")


def traces_of(track: FaceTrack, performance: Performance | None = None) -> Traces:
    """Curves of a track; gaze, lids and head pose come from its reconstruction where ``performance`` is given.

    A performance may be shorter than its track (it is matched by pts over the same time base). Without one the lids
    are measured on the mesh (opening over width of each eye, against the clip's own 95th percentile) and gaze is the
    place of the iris between the corners of the eye, both rough: good enough to look at, not to score.
    """
    measured = _measured(track)
    if performance is None or not len(performance):
        return measured
    at = {int(p): i for i, p in enumerate(performance.pts)}
    rows = np.array([at.get(int(p), -1) for p in track.pts])
    known = (rows >= 0) & track.present

    def spread(values: NDArray[np.floating]) -> Floats:
        out = np.full((len(track.pts), *values.shape[1:]), np.nan, np.float32)
        out[known] = values[rows[known]]
        return out

    gaze = np.degrees(performance.gaze.mean(axis=1))
    forward = _forward(performance.rotation)
    return Traces(
        t_s=measured.t_s,
        lids=spread(performance.lids),
        gaze_yaw_deg=spread(gaze[:, 0]),
        gaze_pitch_deg=spread(gaze[:, 1]),
        mouth=measured.mouth,
        head_yaw_deg=spread(np.degrees(np.arctan2(forward[:, 0], -forward[:, 2]))),
        outline=measured.outline,
        gaze_rays=_rays(track, spread(performance.gaze), spread(performance.rotation)),
        paths=measured.paths,
        mesh=measured.mesh,
    )


def save_traces(traces: Mapping[str, Traces], path: Path) -> Path:
    """Write named traces into one npz file (no pickle); returns ``path``."""
    arrays: dict[str, NDArray] = {"format": np.array(FORMAT), "names": np.array(list(traces))}
    for i, one in enumerate(traces.values()):
        for f in fields(one):
            arrays[f"{i}.{f.name}"] = np.asarray(getattr(one, f.name))
    with whole_file(path) as part, part.open("wb") as f_out:
        np.savez_compressed(f_out, **arrays)  # type: ignore[arg-type]
    return path


def load_traces(path: Path) -> dict[str, Traces]:
    """Read what save_traces wrote; raises UnreadableInputError where the file is missing or something else."""
    try:
        with np.load(path, allow_pickle=False) as data:
            if "format" not in data or str(data["format"]) != FORMAT:
                raise UnreadableInputError(f"{path} holds no traces of this version; make it again.")
            found = {}
            for i, name in enumerate(data["names"].tolist()):
                kept = (f.name for f in fields(Traces) if f.name != "mesh" or f"{i}.mesh" in data)
                values = {name: data[f"{i}.{name}"] for name in kept}
                values["paths"] = tuple(int(p) for p in values["paths"])
                found[str(name)] = Traces(**values)
            return found
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
        raise UnreadableInputError(f"{path} cannot be read as traces ({e}); make it again.") from e


_LINES = (
    (*marks.FACE_OVAL, marks.FACE_OVAL[0]),
    (*marks.RIGHT_EYE, marks.RIGHT_EYE[0]),
    (*marks.LEFT_EYE, marks.LEFT_EYE[0]),
    marks.RIGHT_BROW,
    marks.LEFT_BROW,
    (*marks.OUTER_LIPS, marks.OUTER_LIPS[0]),
    (*marks.INNER_LIPS, marks.INNER_LIPS[0]),
    marks.NOSE_BRIDGE,
)
"""Polylines of the overlay; the rims of the irises follow them."""


def _measured(track: FaceTrack) -> Traces:
    mesh = track.mesh.astype(np.float32)
    opening = np.empty((len(mesh), 2), np.float32)
    looks = np.empty((len(mesh), 2, 2), np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        for side, (outer, inner) in enumerate(marks.EYE_CORNERS):
            upper, lower = marks.LIDS_UPPER[side][4], marks.LIDS_LOWER[side][4]
            width = _distance(mesh, outer, inner)
            opening[:, side] = _distance(mesh, upper, lower) / width
            middle = (mesh[:, outer, :2] + mesh[:, inner, :2]) / 2
            # the eyeball's radius is about 0.42 of the width of the lid opening (12 mm over 28 mm)
            looks[:, side] = (track.irises[:, side, marks.IRIS_CENTRE] - middle) / (0.42 * width[:, None])
        open_eye = np.nanpercentile(opening, 95, axis=0) if np.isfinite(opening).any() else np.ones(2)
        lids = np.clip(1 - opening / open_eye, 0, 1)
        gaze = np.degrees(np.arcsin(np.clip(looks.mean(axis=1), -1, 1)))
        across = _distance(mesh, marks.RIGHT_EYE_OUTER, marks.LEFT_EYE_OUTER)
        mouth = _distance(mesh, marks.LIP_UPPER_INNER, marks.LIP_LOWER_INNER) / across
        side_vector = mesh[:, marks.LEFT_EYE_OUTER] - mesh[:, marks.RIGHT_EYE_OUTER]
        head_yaw = np.degrees(np.arctan2(-side_vector[:, 2], side_vector[:, 0]))
    outline, ends = _outline(track, mesh)
    return Traces(
        t_s=track.times_s,
        lids=lids.astype(np.float32),
        gaze_yaw_deg=gaze[:, 0].astype(np.float32),
        gaze_pitch_deg=gaze[:, 1].astype(np.float32),
        mouth=mouth.astype(np.float32),
        head_yaw_deg=head_yaw.astype(np.float32),
        outline=outline,
        gaze_rays=np.zeros((0, 2, 2, 2), np.float32),
        paths=ends,
        mesh=(np.round(mesh[:, :, :2] * 8) / 8).astype(
            np.float32
        ),  # what the overlay shows, and a file a third as long
    )


def _distance(mesh: Floats, a: int, b: int) -> Floats:
    return np.linalg.norm(mesh[:, a, :2] - mesh[:, b, :2], axis=-1)


def _outline(track: FaceTrack, mesh: Floats) -> tuple[Floats, tuple[int, ...]]:
    parts = [mesh[:, list(line), :2] for line in _LINES]
    parts += [track.irises[:, side][:, [*marks.IRIS_RIM, marks.IRIS_RIM[0]]] for side in (0, 1)]
    ends = np.cumsum([p.shape[1] for p in parts])
    return np.concatenate(parts, axis=1).astype(np.float32), tuple(int(e) for e in ends)


def _forward(rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    """(T, 3) where the face points, in the camera frame: the head's -z axis turned by each rotation vector."""
    from scipy.spatial.transform import Rotation

    vectors = np.where(np.isfinite(rotation), rotation, 0).astype(np.float64)
    return Rotation.from_rotvec(vectors).apply([0.0, 0.0, -1.0])


def _rays(track: FaceTrack, gaze: Floats, rotation: Floats) -> Floats:
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_rotvec(np.where(np.isfinite(rotation), rotation, 0).astype(np.float64))
    length = _distance(track.mesh, marks.RIGHT_EYE_OUTER, marks.LEFT_EYE_OUTER)
    rays = np.full((len(track.pts), 2, 2, 2), np.nan, np.float32)
    for side in (0, 1):
        yaw, pitch = gaze[:, side, 0], gaze[:, side, 1]
        direction = np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), -np.cos(yaw) * np.cos(pitch)], axis=-1)
        seen = turn.apply(np.where(np.isfinite(direction), direction, 0.0))
        rays[:, side, 0] = track.irises[:, side, 0]
        rays[:, side, 1] = track.irises[:, side, 0] + seen[:, :2] * length[:, None]
    rays[~np.isfinite(gaze).all(axis=(1, 2))] = np.nan
    return rays
