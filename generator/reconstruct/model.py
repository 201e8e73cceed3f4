"""The head model: neutral shape of one person + expression modes of everyone + lids, and its picture in a camera."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import MissingPieceError, UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.performance import PER_FRAME, Camera, Identity, Performance
from facewitness.generator.reconstruct.rotation import to_matrix

EYEBALL_RADIUS_CM = 1.2
"""Radius of the human eyeball (12 mm; Bekerman et al., J. Ophthalmology 2014)."""
IRIS_DEPTH = float(np.sqrt(1 - (lm.IRIS_DIAMETER_CM / 2 / EYEBALL_RADIUS_CM) ** 2))
"""The iris lies in a plane at this fraction of the radius in front of the eyeball's centre."""
EYE_FOLLOWS = 0.5
"""How far an eye is drawn along with what expression does to its corners; least error of reprojected irises."""
BASIS_FILE = "basis.npz"


@dataclass(frozen=True, kw_only=True)
class Basis:
    """How faces move: estimated from tracked clips by ``learn.py``; holds differences from a neutral face only."""

    modes: NDArray[np.float32]
    """(K, 468, 3) movement in centimetres of one standard deviation of each mode, head frame."""
    lids: NDArray[np.float32]
    """(2, 468, 3) movement in centimetres while the right, left eye closes, for an eye that opens ``lid_gap`` wide."""
    lid_gap: float
    """Centimetres between the lids' middles of the eye that ``lids`` was measured on."""
    names: tuple[str, ...]
    """Names of the semantic directions, such as ``jaw_open`` or ``smile``."""
    directions: NDArray[np.float32]
    """(S, K) coefficients, in standard deviations, of each semantic direction at strength 1."""

    def direction(self, name: str) -> NDArray[np.float32]:
        """(K,) coefficients of a semantic direction at strength 1. Raises UsageError for an unknown name."""
        if name not in self.names:
            raise UsageError(f"there is no expression {name!r}; choose one of {', '.join(self.names)}.")
        return self.directions[self.names.index(name)]


@cache
def basis() -> Basis:
    """The basis that ships with the package. Raises MissingPieceError where the file is not there."""
    path = Path(__file__).parent / BASIS_FILE
    if not path.is_file():
        raise MissingPieceError(f"the expression basis {BASIS_FILE} is missing from the installation; install again.")
    return load_basis(path)


def load_basis(path: Path) -> Basis:
    """Read a basis that ``learn.py`` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return Basis(
            modes=stored["modes"].astype(np.float32),
            lids=stored["lids"].astype(np.float32),
            lid_gap=float(stored["lid_gap"]),
            names=tuple(str(n) for n in stored["names"]),
            directions=stored["directions"].astype(np.float32),
        )


LID_MIDDLE = (((159, 145), (158, 153), (160, 144)), ((386, 374), (385, 380), (387, 373)))
"""Per eye: three pairs of points opposite each other on the upper and lower lid."""


def lid_opening(points: NDArray) -> NDArray:
    """Distance between the lids' middles (..., 2), of the right and left eye, in the units of a mesh (..., 468, 3)."""
    out = []
    for pairs in LID_MIDDLE:
        upper, lower = [a for a, _ in pairs], [b for _, b in pairs]
        out.append(np.linalg.norm(points[..., lower, :] - points[..., upper, :], axis=-1).mean(-1))
    return np.stack(out, -1)


LID_MEETING = 0.9
"""Lids meet this far down from the upper one: the lower lid hardly moves (Doane, Am. J. Ophthalmology 1980)."""


PRESSED_FLAT = 0.25
"""The line of pressed lids sinks along its whole length: by this power of how far the eye opens there."""


def lid_fields(identity: Identity) -> NDArray[np.float32]:
    """(2, 468, 3) movement in centimetres of the skin around this person's right, left eye while it closes fully.

    The lids' edges themselves do not move here: ``head_mesh`` makes them meet, wherever expression has put them.
    """
    b = basis()
    scale = lid_opening(np.asarray(identity.neutral, np.float32)) / b.lid_gap
    out: NDArray = b.lids * scale.astype(np.float32)[:, None, None]
    for ring in lm.EYES:
        out[:, list(ring)] = 0
    return out


def head_mesh(identity: Identity, expression: NDArray, lids: NDArray) -> NDArray[np.float32]:
    """Shape of the face in its head frame.

    ``expression`` (..., K) in standard deviations and ``lids`` (..., 2) closure 0..1 give (..., 468, 3) centimetres.
    Beyond 1 lids are pressed together: what is over says how many openings of the eye their line sinks by.
    """
    b = basis()
    expression, lids = np.asarray(expression, np.float32), np.asarray(lids, np.float32)
    moved: NDArray = expression @ b.modes[: expression.shape[-1]].reshape(-1, lm.POINTS * 3)
    moved = moved + lids @ lid_fields(identity).reshape(2, -1)
    shape = identity.neutral + moved.reshape(*expression.shape[:-1], lm.POINTS, 3)
    for eye in (0, 1):
        upper, lower = list(lm.LIDS_UPPER[eye][1:-1]), list(lm.LIDS_LOWER[eye][1:-1])
        gap = shape[..., lower, :] - shape[..., upper, :]
        closure = np.minimum(lids[..., eye, None, None], 1)
        size = np.linalg.norm(gap, axis=-1, keepdims=True)
        widest = np.maximum(size.max(-2, keepdims=True), 1e-6)
        flat = (np.maximum(size, 1e-6) / widest) ** (PRESSED_FLAT - 1)
        pressed = np.maximum(lids[..., eye, None, None] - 1, 0) * flat
        shape[..., upper, :] += (LID_MEETING * closure + pressed) * gap
        shape[..., lower, :] -= ((1 - LID_MEETING) * closure - pressed) * gap
    return shape


def to_camera(points: NDArray, rotation: NDArray, translation: NDArray) -> NDArray[np.float32]:
    """Head frame to camera frame: (T, n, 3) or (n, 3) points, (T, 3) rotation vectors and translations, centimetres."""
    turn = to_matrix(rotation)
    return (np.asarray(points) @ np.swapaxes(turn, -1, -2) + np.asarray(translation)[..., None, :]).astype(np.float32)


def to_picture(points: NDArray, camera: Camera) -> NDArray[np.float32]:
    """Camera frame (..., 3) centimetres to pixels x, y (..., 2); pixel centres lie at integers."""
    xy = points[..., :2] / points[..., 2:] * camera.focal_px
    return np.asarray(xy + np.array([camera.width - 1, camera.height - 1]) / 2, np.float32)


def project(performance: Performance, frame_indices: NDArray | None = None) -> NDArray[np.float32]:
    """The mesh of each frame in the picture, (T, 468, 3): x and y in pixels, z with the scale of x, 0 at the head's
    origin.

    ``frame_indices`` chooses frames; all of them where None.
    """
    p = performance if frame_indices is None else pick(performance, np.asarray(frame_indices))
    head = head_mesh(p.identity, p.expression, p.lids) + skin_moved(p)
    points = to_camera(head, p.rotation, p.translation)
    depth = p.translation[:, None, 2:]
    return np.concatenate([to_picture(points, p.camera), (points[..., 2:] - depth) / depth * p.camera.focal_px], -1)


def skin_moved(performance: Performance) -> NDArray[np.float32]:
    """(T, 468, 3) centimetres, head frame: what this person's skin does beyond the basis, as far as that is known."""
    p, skin = performance, performance.identity.skin
    if skin is None:
        return np.zeros((len(p), lm.POINTS, 3), np.float32)
    moved = np.clip(p.expression, skin.low, skin.high) @ skin.modes.reshape(len(skin.modes), -1)
    return np.asarray(moved.reshape(-1, lm.POINTS, 3), np.float32)


def pick(performance: Performance, at: NDArray) -> Performance:
    """The performance of the frames ``at`` only (indices or a mask)."""
    chosen = {n: getattr(performance, n)[at] for n in ("pts", *PER_FRAME) if getattr(performance, n) is not None}
    return replace(performance, **chosen)


def gaze_vectors(gaze: NDArray) -> NDArray[np.float32]:
    """Unit vectors (..., 3) in the head frame of yaw and pitch (..., 2) in radians; (0, 0) looks straight ahead, to
    -z."""
    yaw, pitch = gaze[..., 0], gaze[..., 1]
    flat = np.cos(pitch)
    return np.stack([np.sin(yaw) * flat, np.sin(pitch), -np.cos(yaw) * flat], -1).astype(np.float32)


def iris_rims(identity: Identity, gaze: NDArray, points: int = 4) -> NDArray[np.float32]:
    """Centre and rim of both irises in the head frame: gaze (..., 2, 2) gives (..., 2, 1 + points, 3) centimetres.

    The rim starts at the picture's right and goes over the top.
    """
    ahead = gaze_vectors(gaze)
    centre, radius = identity.eyeballs[:, :3], identity.eyeballs[:, 3:]
    middle = centre + ahead * (radius * IRIS_DEPTH)
    up = np.array([0, -1, 0], np.float32)
    right = np.cross(ahead, up)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    up = np.cross(right, ahead)
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    across = right[..., None, :] * np.cos(turn)[:, None] + up[..., None, :] * np.sin(turn)[:, None]
    rim_radius = radius * (lm.IRIS_DIAMETER_CM / 2 / EYEBALL_RADIUS_CM)
    rim = middle[..., None, :] + across * rim_radius[:, None, :]
    return np.concatenate([middle[..., None, :], rim], -2).astype(np.float32)


def project_irises(performance: Performance, frame_indices: NDArray | None = None) -> NDArray[np.float32]:
    """Irises in the picture as a track has them: (T, 2, 5, 2) pixels, centre and rim (right, top, left, bottom)."""
    p = performance if frame_indices is None else pick(performance, np.asarray(frame_indices))
    rims = iris_rims(p.identity, p.gaze)
    moved = head_mesh(p.identity, p.expression, p.lids) - p.identity.neutral
    for eye, corners in enumerate(lm.EYE_CORNERS):
        rims[:, eye, :, :2] += EYE_FOLLOWS * moved[:, corners].mean(1)[:, None, :2]
    points = to_camera(rims.reshape(len(p), 10, 3), p.rotation, p.translation)
    return to_picture(points, p.camera).reshape(len(p), 2, 5, 2)
