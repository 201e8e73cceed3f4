"""Skin that changes with what the face does: one albedo, and modes of change that the parameters call up.

Folds, teeth, the inside of the mouth, irises and closed lids are not in the shape of a mesh of 468 points. Frames of
the clip are unwrapped into the texture and divided by their light; what differs from their mean is reduced to a few
modes (Cootes, Edwards and Taylor, Active Appearance Models, PAMI 2001) whose strengths are learnt as a smooth function
of expression, lids, gaze and head pose by kernel ridge regression. Nothing of a frame but its parameters is needed to
draw it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Performance
from facewitness.generator.reconstruct.rotation import angles_deg
from facewitness.generator.render import Raster, interpolate, rasterise

TEXTURE_PX = 320
MODES = 48
"""Modes of change kept: on five real clips they draw frames not learnt from within 0.1 dB of all modes."""
EXPRESSION_STEP, LIDS_STEP, GAZE_STEP_RAD, TURN_STEP_DEG = 2.0, 0.25, 0.12, 15.0
"""One step of each parameter: as much of one changes the skin about as much as of another."""
REACH_STEPS, RIDGE = 3.0, 0.03
"""Width of the kernel in steps, and the ridge beside its diagonal of 1: best on frames not learnt from, broadly."""
WELL_SEEN = 0.3
"""A texel that faces the camera this much counts fully; less, and it keeps more of the mean."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How one person's albedo changes with what the face does."""

    modes: NDArray[np.float16]
    """(M, 320, 320, 3) changes of albedo."""
    seen: NDArray[np.float32]
    """(n, P) parameters, in steps, of the frames that were learnt from."""
    weights: NDArray[np.float32]
    """(n, M) strength of each mode for likeness to each of those frames."""


def texture_raster() -> Raster:
    """The canonical face in its own texture, 320 x 320."""
    return rasterise(lm.canonical_uv() * (TEXTURE_PX - 1), lm.triangles(), TEXTURE_PX, TEXTURE_PX)


def unwrapped(image: NDArray[np.uint8], mesh: NDArray, raster: Raster) -> NDArray[np.uint8]:
    """(320, 320, 3) the picture's colours carried into the texture of a mesh (468, 2 or 3) in pixels; black outside."""
    where = interpolate(raster, lm.triangles(), mesh[:, :2])
    return np.asarray(cv2.remap(image, where[..., 0], where[..., 1], cv2.INTER_LINEAR), np.uint8)


def steps(performance: Performance) -> NDArray[np.float32]:
    """(T, P) the parameters that skin depends on, each in units that change it about equally."""
    p = performance
    turned = angles_deg(p.rotation)[:, :2] / TURN_STEP_DEG
    gaze = p.gaze.mean(1) / GAZE_STEP_RAD
    return np.concatenate([p.expression / EXPRESSION_STEP, p.lids / LIDS_STEP, gaze, turned], 1).astype(np.float32)


def learn_changes(textures: NDArray[np.float32], facing: NDArray[np.float32], seen: NDArray[np.float32]) -> Changes:
    """Modes of change from the albedo of n frames less its mean, (n, 320, 320, 3), which is overwritten.

    ``facing`` (n, 320, 320, 1) says how well each texel was seen, 0..1; ``seen`` (n, P) is ``steps`` of the frames.
    """
    textures *= np.minimum(facing / WELL_SEEN, 1)
    flat = textures.reshape(len(textures), -1)
    _, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    strengths = vectors[:, ::-1][:, :MODES]
    modes = strengths.T.astype(np.float32) @ flat
    kernel = _likeness(seen, seen) + RIDGE * np.eye(len(seen))
    return Changes(
        modes=modes.reshape(-1, *textures.shape[1:]).astype(np.float16),
        seen=seen,
        weights=np.linalg.solve(kernel, strengths).astype(np.float32),
    )


def change_at(changes: Changes, at: NDArray[np.float32]) -> NDArray[np.float32]:
    """(320, 320, 3) what is to be added to the albedo where the parameters are ``at`` (P,), in steps."""
    strength = (_likeness(at[None], changes.seen) @ changes.weights)[0].astype(np.float32)
    return np.einsum("m,mhwc->hwc", strength, changes.modes.astype(np.float32), optimize=True)


def _likeness(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """(n, m) Gaussian kernel of the distance between parameters (n, P) and (m, P)."""
    apart = ((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1)
    return np.asarray(np.exp(-apart / (2 * REACH_STEPS**2)))
