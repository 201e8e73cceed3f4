"""Rotations of many frames at once: vectors, matrices, angles."""

import numpy as np
from numpy.typing import NDArray

TINY = 1e-9


def to_matrix(vectors: NDArray) -> NDArray[np.float64]:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) in radians (Rodrigues)."""
    v = np.asarray(vectors, np.float64)
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    small = angle < 1e-6
    safe = np.where(small, 1.0, angle)
    k = cross_matrix(v)
    a = np.where(small, 1.0, np.sin(safe) / safe)[..., None]
    b = np.where(small, 0.5, (1 - np.cos(safe)) / safe**2)[..., None]
    return np.eye(3) + a * k + b * (k @ k)


def to_vector(matrices: NDArray) -> NDArray[np.float64]:
    """Rotation vectors (..., 3) in radians of matrices (..., 3, 3); angles below pi."""
    from scipy.spatial.transform import Rotation

    m = np.asarray(matrices, np.float64)
    return Rotation.from_matrix(m.reshape(-1, 3, 3)).as_rotvec().reshape(*m.shape[:-2], 3)


def cross_matrix(v: NDArray) -> NDArray[np.float64]:
    """(..., 3, 3) matrices that do the cross product with (..., 3) vectors."""
    out = np.zeros((*v.shape[:-1], 3, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    out[..., 1, 0], out[..., 2, 0], out[..., 2, 1] = v[..., 2], -v[..., 1], v[..., 0]
    return out


def angles_deg(vectors: NDArray) -> NDArray[np.float64]:
    """Yaw (positive: the face turns to the right of the picture), pitch (positive: down) and roll (positive: clockwise
    in the picture), (..., 3) degrees, of rotation vectors (..., 3)."""
    m = to_matrix(vectors)
    forward = -m[..., :, 2]
    yaw = np.arctan2(forward[..., 0], -forward[..., 2])
    pitch = np.arcsin(np.clip(forward[..., 1], -1, 1))
    # undo yaw and pitch, what remains is roll: the head's x axis against the horizontal
    right = m[..., :, 0]
    level = np.stack([np.cos(yaw), np.zeros_like(yaw), np.sin(yaw)], -1)
    down = np.cross(-forward, level)
    roll = np.arctan2((right * down).sum(-1), (right * level).sum(-1))
    return np.degrees(np.stack([yaw, pitch, roll], -1))


def from_angles_deg(angles: NDArray) -> NDArray[np.float64]:
    """Rotation vectors (..., 3) of yaw, pitch, roll (..., 3) in degrees; the inverse of ``angles_deg``."""
    from scipy.spatial.transform import Rotation

    a = np.asarray(angles, np.float64)
    flat = a.reshape(-1, 3) * [-1, 1, 1]
    return Rotation.from_euler("YXZ", flat, degrees=True).as_rotvec().reshape(a.shape)


def similarity(source: NDArray, target: NDArray, weights: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Scale (T,), rotation (T, 3, 3) and shift (T, 3) that take ``source`` (n, 3) or (T, n, 3) to ``target`` (T, n, 3),
    in least squares with ``weights`` (n,) (Umeyama, PAMI 1991)."""
    w = weights / weights.sum()
    source = np.broadcast_to(source, target.shape)
    ms, mt = (source * w[:, None]).sum(1), (target * w[:, None]).sum(1)
    a, b = source - ms[:, None], target - mt[:, None]
    u, s, vt = np.linalg.svd(np.swapaxes(b * w[:, None], 1, 2) @ a)
    sign = np.sign(np.linalg.det(u @ vt))
    u[:, :, 2] *= sign[:, None]
    s[:, 2] *= sign
    rotation = u @ vt
    scale = s.sum(1) / ((a**2).sum(2) * w).sum(1)
    shift = mt - scale[:, None] * (rotation @ ms[..., None])[..., 0]
    return scale, rotation, shift
