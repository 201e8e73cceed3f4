"""Least squares for many frames at once: rigid pose in a perspective camera, and expression given the pose."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Camera
from facewitness.generator.reconstruct.rotation import cross_matrix, similarity, to_matrix, to_vector

DEPTH_WEIGHT = 0.35
"""Weight of the network's depth against its x and y: it is a guess from the picture, not a measurement."""
POSE_DEPTH_WEIGHT = 0.6
"""The same for pose: how the network turns its depth says more of the head's nod than where landmarks lie. At .35, .6
and 1 pitch is read with a gain of .87, .88 and .90 on rendered heads at errors of 1.3, 1.3 and 1.4 degrees, and agrees
with another tracker at .92, .96 and .97 on six real clips."""
CHUNK = 256
"""Frames solved at once; bounds memory."""
NOISE_CM = 0.03
"""Spread of a landmark about the model: the ridge that keeps expression within what faces do."""


ELSEWHERE = 0.02
"""Weight in pose of a landmark that is not among the rigid ones, against their mean."""


@cache
def pose_weights() -> NDArray[np.float64]:
    """(468,) how much each landmark says about rigid pose: MediaPipe's Procrustes basis, and a little of the upper
    face.

    Chosen on rendered sequences (bench/known_truth.py): spreading the weight over the whole face made rotation worse.
    """
    w = np.full(lm.POINTS, ELSEWHERE)
    w[lm.canonical_xyz()[:, 1] > 2.0] = ELSEWHERE / 10  # below the wings of the nose
    for contour in lm.IRIS_CONTOURS:
        w[list(contour[:48])] = ELSEWHERE / 10
    rigid, weights = lm.rigid_points()
    w[rigid] += weights / weights.mean()
    return w


@dataclass(frozen=True)
class Pose:
    """Rigid pose of T frames: matrices (T, 3, 3) head to camera, and (T, 3) centimetres."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @property
    def vectors(self) -> NDArray[np.float64]:
        """(T, 3) rotation vectors."""
        return to_vector(self.rotation)


def first_pose(mesh: NDArray, shape: NDArray, camera: Camera) -> Pose:
    """Pose from a mesh in pixels (T, 468, 3) by a similarity to ``shape`` (468, 3) centimetres, weak perspective."""
    weights = pose_weights()
    scale, rotation, shift = similarity(np.asarray(shape, np.float64), mesh.astype(np.float64), weights)
    z = camera.focal_px / scale
    xy = (shift[:, :2] - [(camera.width - 1) / 2, (camera.height - 1) / 2]) / scale[:, None]
    # what was found is how the head looks seen along the axis; off the axis it is seen from the side
    return Pose(sight(xy / z[:, None]) @ rotation, np.concatenate([xy, z[:, None]], 1))


def sight(aside: NDArray) -> NDArray[np.float64]:
    """(T, 3, 3) turns of the camera's axis to lines of sight, given as x and y over z (T, 2)."""
    angles = np.arctan(aside)
    return to_matrix(np.stack([-angles[:, 1], angles[:, 0], np.zeros(len(angles))], -1))


def along_axis(mesh: NDArray, camera: Camera) -> NDArray[np.float64]:
    """``mesh`` (T, n, 3) in pixels with its depth along the camera's axis; a network gives it along its own line of
    sight, which goes through the middle of the face.

    Near and aside, as in a self-portrait, that is several degrees of nod: on 17 rendered close-ups of people outside
    the benchmark the mean error of pitch falls from 2.9 to 1.5 degrees, and a calibration would take off .1 more.
    """
    out = np.array(mesh, np.float64)
    middle = out[..., :2].mean(1)
    turn = sight((middle - [(camera.width - 1) / 2, (camera.height - 1) / 2]) / camera.focal_px)
    out[..., 2] = ((out[..., :2] - middle[:, None]) @ turn[:, 2, :2, None])[..., 0] + out[..., 2] * turn[:, 2, 2, None]
    return out


def visibility(rotation: NDArray) -> NDArray[np.float64]:
    """(T, 2) weight of the picture's left half and right half of the face: a half turned away counts little."""
    forward = -rotation[:, :, 2]
    yaw = np.degrees(np.arctan2(forward[:, 0], -forward[:, 2]))
    away = np.stack([yaw, -yaw], -1)  # the face turned to the picture's left hides its left half, and so on
    return np.clip(1 - (-away - 15) / 40, 0.1, 1)


def refine_pose(pose: Pose, shape: NDArray, mesh: NDArray, camera: Camera, weights: NDArray, rounds: int = 3) -> Pose:
    """Gauss-Newton on the reprojection of ``shape`` (n, 3) or (T, n, 3) against ``mesh`` (T, n, 3), with (T, n)
    weights."""
    parts = []
    shape = np.broadcast_to(np.asarray(shape, np.float64), mesh.shape)
    for at in range(0, len(mesh), CHUNK):
        s = slice(at, at + CHUNK)
        r, t = pose.rotation[s], pose.translation[s]
        for _ in range(rounds):
            r, t = _step(r, t, shape[s], mesh[s].astype(np.float64), camera, weights[s])
        parts.append((r, t))
    if not parts:
        return pose
    return Pose(np.concatenate([r for r, _ in parts]), np.concatenate([t for _, t in parts]))


def _step(r: NDArray, t: NDArray, shape: NDArray, mesh: NDArray, camera: Camera, w: NDArray) -> tuple[NDArray, NDArray]:
    f = camera.focal_px
    turned = shape @ np.swapaxes(r, 1, 2)
    y = turned + t[:, None]
    z = y[..., 2:]
    residual = np.empty_like(mesh)
    residual[..., :2] = mesh[..., :2] - [(camera.width - 1) / 2, (camera.height - 1) / 2] - f * y[..., :2] / z
    k = (f / t[:, 2])[:, None]
    share = w / w.sum(1, keepdims=True)
    deeper = mesh[..., 2] - k * turned[..., 2]
    residual[..., 2] = deeper - (deeper * share).sum(1, keepdims=True)
    # rows of the derivative of (x px, y px, depth px) by the camera point
    d = np.zeros((*y.shape, 3))
    d[..., 0, 0] = d[..., 1, 1] = f / z[..., 0]
    d[..., 0, 2], d[..., 1, 2] = -f * y[..., 0] / z[..., 0] ** 2, -f * y[..., 1] / z[..., 0] ** 2
    d[..., 2, 2] = k
    by_turn = d @ -cross_matrix(turned)
    by_turn[..., 2, :] -= (by_turn[..., 2, :] * share[..., None]).sum(1, keepdims=True)
    by_shift = d
    by_shift[..., 2, 2] = 0  # relative depth does not see a shift
    j = np.concatenate([by_turn, by_shift], -1)
    rows = np.array([1, 1, POSE_DEPTH_WEIGHT**2])
    jw = j * (w[..., None, None] * rows[:, None])
    jw_flat = jw.reshape(len(jw), -1, 6)
    j_flat = j.reshape(len(j), -1, 6)
    normal = np.swapaxes(jw_flat, 1, 2) @ j_flat
    right = (np.swapaxes(jw_flat, 1, 2) @ residual.reshape(len(j), -1, 1))[..., 0]
    step = np.linalg.solve(
        normal + np.eye(6) * 1e-6 * np.trace(normal, axis1=1, axis2=2)[:, None, None], right[..., None]
    )
    return to_matrix(step[:, :3, 0]) @ r, t + step[:, 3:, 0]


def in_head_frame(mesh: NDArray, pose: Pose, camera: Camera) -> NDArray:
    """What was seen, carried into the head frame: (T, n, 3) pixels with relative depth become (T, n, 3) centimetres."""
    depth = pose.translation[:, 2]
    z = depth[:, None] * (1 + mesh[..., 2] / camera.focal_px)
    xy = (mesh[..., :2] - [(camera.width - 1) / 2, (camera.height - 1) / 2]) / camera.focal_px * z[..., None]
    seen = np.concatenate([xy, z[..., None]], -1) - pose.translation[:, None]
    return seen @ pose.rotation


def centre_depth(mesh: NDArray, shape: NDArray, pose: Pose, camera: Camera, weights: NDArray) -> NDArray[np.float64]:
    """``mesh`` (T, n, 3) with its depth counted from the head's origin, as the pose and ``shape`` say it lies."""
    turned = np.asarray(shape) @ np.swapaxes(pose.rotation, 1, 2)
    k = (camera.focal_px / pose.translation[:, 2])[:, None]
    share = weights / weights.sum(-1, keepdims=True)
    off = ((mesh[..., 2] - k * turned[..., 2]) * share).sum(1, keepdims=True)
    out = np.array(mesh, np.float64)
    out[..., 2] -= off
    return out


def fit_modes(
    offsets: NDArray, pose: Pose, modes: NDArray, weights: NDArray, halves: NDArray, sides: NDArray
) -> NDArray[np.float64]:
    """Coefficients (T, K) of ``modes`` (K, n, 3) that explain ``offsets`` (T, n, 3) centimetres in the head frame.

    Errors along the line of sight count DEPTH_WEIGHT; ``weights`` (n,) per landmark, ``halves`` (T, 2) per half of the
    face, ``sides`` (n,) is 0 or 1. The prior is a standard normal on every coefficient.
    """
    look = np.diag([1.0, 1.0, DEPTH_WEIGHT**2]) / NOISE_CM**2
    metric = np.swapaxes(pose.rotation, 1, 2) @ look @ pose.rotation  # in the head frame, (T, 3, 3)
    count = len(modes)
    normal = np.tile(np.eye(count), (len(offsets), 1, 1))
    right = np.zeros((len(offsets), count))
    for half in (0, 1):
        at = np.flatnonzero((sides == half) & (weights > 0))
        m = modes[:, at] * np.sqrt(weights[at])[:, None]
        gram = np.einsum("knx,lny->xykl", m, m, optimize=True).reshape(9, count * count)
        q = (metric * halves[:, half, None, None]).reshape(-1, 9)
        normal += (q @ gram).reshape(-1, count, count)
        pulled = (offsets[:, at] * np.sqrt(weights[at])[:, None]) @ (metric * halves[:, half, None, None])
        right += pulled.reshape(len(offsets), -1) @ m.reshape(count, -1).T
    normal = (normal + np.swapaxes(normal, 1, 2)) / 2
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0], np.float64)


def face_sides() -> NDArray[np.int64]:
    """(468,) 0 for the half of the face on the picture's left (the person's right), 1 for the other."""
    return (lm.canonical_xyz()[:, 0] > 0).astype(np.int64)
