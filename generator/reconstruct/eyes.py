"""Lids and gaze: how far each eye is open for this person, and where each eyeball points."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import find_peaks

from facewitness.faces import landmarks as lm
from facewitness.faces.types import FaceTrack
from facewitness.generator.performance import Camera
from facewitness.generator.reconstruct.model import EYEBALL_RADIUS_CM, IRIS_DEPTH
from facewitness.generator.reconstruct.solve import Pose

CONTOUR_UPPER, CONTOUR_LOWER = (11, 12, 13), (3, 4, 5)
"""Among the 71 points of the iris model: the middles of the upper and the lower lid, pairwise opposite."""
CONTOUR_CORNERS = (0, 8)
MESH_SHARE = 0.3
"""Weight of the mesh's own lids beside those of the iris model (judged by their agreement with a third tracker)."""
CLOSED_RATIO, OPEN_RATIO = 0.07, 0.36
"""Opening over width of a closed and of an open eye, population, as the iris model sees them."""
BLINKED, BASELINE_FRAMES = 0.62, 31
"""An eye whose opening fell, for a moment, below this share of what it was around that moment has blinked in the clip;
how deep the fall looks differs between people and pictures, that a blink closes the eye does not."""
BLINKED_TOO = 0.8
"""Eyes blink together: one that fell below this share in the deepest blink of the other has blinked too."""
BLINK_HEIGHT, BLINK_PROMINENCE = 0.4, 0.3
"""A blink is a peak of the closure at least this high, rising this much above the valleys beside it."""
CORNER_SHARE = 0.75
"""How far the eyeball follows the eye's corners, as the iris model sees them, rather than the rigid head: they share
the
crop and therefore the error. Chosen on six real clips by agreement with a third tracker."""
CORNER_LEAK = (0.31, 0.18)
"""How far the iris model drags the corners along with the iris, x and y: its own error, measured on rendered eyes that
turn (bench/known_truth.py) and undone."""
IRIS_SHARE, UPPER_LID_RAD_CM, LOWER_LID_RAD_CM = 0.79, 0.62, 0.88
"""Vertical gaze: the share of what the irises say, and radians for every centimetre that the upper and the lower lid
are lower than usual: lids follow the eye (Becker and Fuchs, Vision Research 1988), and are seen better than an iris
half hidden. Least squares against another tracker on clips of people other than those it is judged on, scaled so that
its response to a degree is that of sideways gaze; leaving out one person at a time, the mean correlation over 24 clips
goes from .54 (irises alone) to .72."""
LID_LIMIT_CM = (0.25, 0.12)
"""What an upper and a lower lid move with gaze; more is a blink, or a smile."""
IRIS_BIAS = 1.0
"""Measured over true iris diameter of the iris model."""


def rays(points: NDArray, pose: Pose, camera: Camera) -> tuple[NDArray, NDArray]:
    """Lines of sight through pixels (T, ..., 2), in the head frame: origins (T, 3) and directions (T, ..., 3) of
    unit z."""
    xy = (points - [(camera.width - 1) / 2, (camera.height - 1) / 2]) / camera.focal_px
    ahead = np.concatenate([xy, np.ones_like(xy[..., :1])], -1)
    flat = ahead.reshape(len(ahead), -1, 3) @ pose.rotation
    origin = -(pose.translation[:, None] @ pose.rotation)[:, 0]
    return origin, flat.reshape(ahead.shape)


def eye_opening(track: FaceTrack, mesh_cm: NDArray, pose: Pose, camera: Camera) -> NDArray[np.float64]:
    """(T, 2) distance of the lids' middles over the distance of the eye's corners, in the head frame, so that it
    does not
    change when the head nods. ``mesh_cm`` (T, 468, 3) is the track's mesh in the head frame."""
    origin, direction = rays(track.eyes[:, :, :16].astype(np.float64), pose, camera)
    out = np.empty((len(track.pts), 2))
    for eye, (outer, inner) in enumerate(lm.EYE_CORNERS):
        plane = mesh_cm[:, [outer, inner], 2].mean(1) - 0.35  # the lids bulge over the eyeball
        d = direction[:, eye]
        reach = (plane[:, None] - origin[:, 2:]) / d[..., 2]
        at = origin[:, None, :2] + reach[..., None] * d[..., :2]
        gap = np.linalg.norm(at[:, CONTOUR_LOWER] - at[:, CONTOUR_UPPER], axis=-1).mean(1)
        pairs = ((159, 145), (158, 153), (160, 144)) if eye == 0 else ((386, 374), (385, 380), (387, 373))
        of_mesh = np.mean([np.linalg.norm(mesh_cm[:, a, :2] - mesh_cm[:, b, :2], axis=-1) for a, b in pairs], 0)
        width = np.median(np.linalg.norm(mesh_cm[:, outer] - mesh_cm[:, inner], axis=-1))
        out[:, eye] = ((1 - MESH_SHARE) * gap + MESH_SHARE * of_mesh) / width
    return out


def lid_range(opening: NDArray, good: NDArray) -> tuple[NDArray, NDArray]:
    """Personal opening of the open and of the closed eye, (2,) each, from openings (T, 2) of the frames ``good`` (T,).

    Open is where the eye mostly is when it is not blinking; closed is the least it reached, where it did blink.
    """
    seen = opening[good]
    opened = np.percentile(seen, 60, axis=0)
    # in a drowsy or grimacing clip the eye is open for less than half of the time
    opened = np.maximum(opened, np.minimum(np.percentile(seen, 95, axis=0) * 0.85, opened * 1.25))
    # the deepest blink closes the eye; the second-lowest frame, because one may be a mistake
    around = median_filter(opening, size=(BASELINE_FRAMES, 1), mode="nearest")
    dip = np.where(good[:, None], opening / np.maximum(around, 1e-6), 1.0)
    order = np.argsort(dip, axis=0)[min(1, len(dip) - 1)]
    least, depth = opening[order, (0, 1)], dip[order, (0, 1)]
    blinked = depth < BLINKED
    for eye, other in ((0, 1), (1, 0)):
        if blinked[other] and depth[eye] >= BLINKED and dip[order[other], eye] < BLINKED_TOO:
            least[eye], blinked[eye] = opening[order[other], eye], True
    ratio = CLOSED_RATIO / OPEN_RATIO
    closed = np.where(blinked, np.clip(least, 0.05 * opened, BLINKED_TOO * opened), ratio * opened)
    return opened, closed


def lid_closure(opening: NDArray, opened: NDArray, closed: NDArray) -> NDArray[np.float64]:
    """Closure (T, 2), 0 open to 1 closed, of openings (T, 2)."""
    return np.clip((opened - opening) / np.maximum(opened - closed, 1e-6), 0, 1)


def lid_heights(mesh_cm: NDArray) -> NDArray[np.float64]:
    """(T, 2) how far the upper and the lower lids lie below the eye's corners, mean of both eyes, centimetres.

    ``mesh_cm`` (T, 468, 3) is the track's mesh in the head frame.
    """
    corners = mesh_cm[:, np.ravel(lm.EYE_CORNERS), 1].mean(1)
    return np.stack(
        [mesh_cm[:, np.ravel(np.array(lids)[:, 3:6]), 1].mean(1) - corners for lids in (lm.LIDS_UPPER, lm.LIDS_LOWER)],
        1,
    )


def pitch_with_lids(pitch: NDArray, heights: NDArray, awake: NDArray) -> NDArray[np.float64]:
    """Vertical gaze (T,) in radians from that of the irises (T,) and the lids' heights (T, 2) of ``lid_heights``.

    Both count as departures from the median over the frames ``awake`` (T,), all of them where there is none.
    """
    use = awake if awake.any() else np.ones(len(pitch), bool)
    rest = float(np.median(pitch[use]))
    moved = np.clip(heights - np.median(heights[use], axis=0), -np.array(LID_LIMIT_CM), LID_LIMIT_CM)
    return np.asarray(rest + IRIS_SHARE * (pitch - rest) + moved @ [UPPER_LID_RAD_CM, LOWER_LID_RAD_CM], np.float64)


def iris_offsets(irises: NDArray, centres: NDArray, pose: Pose, camera: Camera, reach: float) -> NDArray[np.float64]:
    """(T, 2, 2) where each iris lies beside its eyeball's centre, x and y in centimetres in the head frame.

    The line of sight through the iris (T, 2, 2) pixels is cut with the plane ``reach`` centimetres before
    ``centres`` (2, 3).
    """
    origin, direction = rays(irises.astype(np.float64), pose, camera)
    plane = centres[:, 2] - reach
    along = (plane - origin[:, 2:]) / direction[..., 2]
    at = origin[:, None, :2] + along[..., None] * direction[..., :2]
    return at - centres[:, :2]


def gaze_angles(
    irises: NDArray, eyeballs: NDArray, pose: Pose, camera: Camera
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Yaw and pitch (T, 2, 2) in radians in the head frame from iris centres (T, 2, 2) in pixels.

    The line of sight is cut with the sphere on which the iris moves; where it misses (2nd result, (T, 2) bool) the
    nearest
    point counts. ``eyeballs`` is (2, 4): centre and radius.
    """
    origin, direction = rays(irises.astype(np.float64), pose, camera)
    d = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    radius = eyeballs[:, 3] * IRIS_DEPTH
    to_centre = eyeballs[:, :3] - origin[:, None]
    along = (to_centre * d).sum(-1)
    apart = to_centre - along[..., None] * d
    missed2 = radius**2 - (apart**2).sum(-1)
    depth = along - np.sqrt(np.maximum(missed2, 0))
    hit = origin[:, None] + depth[..., None] * d
    ahead = hit - eyeballs[:, :3]
    yaw = np.arctan2(ahead[..., 0], -ahead[..., 2])
    pitch = np.arctan2(ahead[..., 1], np.hypot(ahead[..., 0], ahead[..., 2]))
    return np.stack([yaw, pitch], -1), missed2 < 0


def iris_radius_cm(irises: NDArray, centres: NDArray, pose: Pose, camera: Camera, good: NDArray) -> float:
    """Radius of the iris in the head's centimetres: half the median horizontal diameter over both eyes, good frames
    (T,)."""
    rim = irises[:, :, [1, 3]].astype(np.float64)
    across = np.linalg.norm(rim[:, :, 0] - rim[:, :, 1], axis=-1)[good]
    depth = ((centres @ np.swapaxes(pose.rotation, 1, 2))[..., 2] + pose.translation[:, 2:])[good] - EYEBALL_RADIUS_CM
    return float(np.median(across * depth / camera.focal_px) / 2 / IRIS_BIAS)


def corner_shift(
    track: FaceTrack, shape: NDArray, centres: NDArray, pose: Pose, camera: Camera, good: NDArray
) -> NDArray[np.float64]:
    """(T, 2, 2) pixels by which each eye lies beside where the rigid head has it, less the median of the ``good``
    frames.

    Told by the eye's corners; what of their movement follows the iris rather than the eye is taken out. ``shape``
    (468, 3)
    and ``centres`` (2, 3) of the eyeballs are centimetres in the head frame.
    """

    def picture(points: NDArray) -> NDArray:
        turned = points @ np.swapaxes(pose.rotation, 1, 2) + pose.translation[:, None]
        return turned[..., :2] / turned[..., 2:] * camera.focal_px + [(camera.width - 1) / 2, (camera.height - 1) / 2]

    ahead = np.array([0, 0, EYEBALL_RADIUS_CM * IRIS_DEPTH])
    rigid, straight = picture(shape), picture(centres - ahead)
    shift = np.empty((len(rigid), 2, 2))
    for eye, corners in enumerate(lm.EYE_CORNERS):
        shift[:, eye] = track.eyes[:, eye, CONTOUR_CORNERS].mean(1) - rigid[:, corners].mean(1)
    turned = track.irises[:, :, 0] - straight
    use = good if good.any() else np.ones(len(shift), bool)
    shift -= np.median(shift[use], axis=0)
    turned = turned - np.median(turned[use], axis=0)
    # iris = eye's own shift + turn, corners = shift + leak * turn; and the iris has moved by the shift as well
    leak = np.array(CORNER_LEAK)
    return CORNER_SHARE * (shift - leak * turned) / (1 - leak * CORNER_SHARE)


def blink_times(
    closure: NDArray, times_s: NDArray, *, height: float = BLINK_HEIGHT, prominence: float = BLINK_PROMINENCE
) -> NDArray[np.float64]:
    """Seconds at which the lids are most closed in each blink, from closure (T,) 0..1 and times (T,)."""
    peaks, _ = find_peaks(closure, height=height, prominence=prominence, distance=3)
    return np.asarray(times_s[peaks], np.float64)
