"""Where the face is in the picture: mesh and irises of every frame, the meeting point of tracks, performances and
warps."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Performance

STILL = sorted(
    {*lm.FACE_OVAL[:10], *lm.FACE_OVAL[-9:], *lm.NOSE_BRIDGE, lm.NOSE_BASE, lm.GLABELLA, lm.NOSE_RIGHT, lm.NOSE_LEFT}
    | {i for corners in lm.EYE_CORNERS for i in corners}
)
"""Points of the mesh that move least while a face does."""


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Mesh and irises over T frames, in pixels of one picture."""

    mesh: NDArray[np.float32]
    """(T, 468, 3) x right, y down, z away, all in pixels."""
    irises: NDArray[np.float32]
    """(T, 2, 2) centre of the person's right and left iris."""
    lids: NDArray[np.float32] | None = None
    """(T, 2) closure of the right and left eye, 0 open to 1 closed, where a performance says it."""
    gaze: NDArray[np.float32] | None = None
    """(T, 2, 2) yaw and pitch of each eye in the head frame, radians, where a performance says it."""
    torso: NDArray[np.float32] | None = None
    """(T, 3) how far the torso is from where it rests: x and y in pixels, and its turn in radians; None: at rest."""

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.mesh)

    def __getitem__(self, frames: slice | NDArray) -> "Shapes":
        """The same for some of the frames."""
        lids = None if self.lids is None else self.lids[frames]
        gaze = None if self.gaze is None else self.gaze[frames]
        torso = None if self.torso is None else self.torso[frames]
        return Shapes(mesh=self.mesh[frames], irises=self.irises[frames], lids=lids, gaze=gaze, torso=torso)

    def moved(self, origin: tuple[float, float], scale: float) -> "Shapes":
        """The same in a picture that was cut at pixel ``origin`` (x, y) and then resized by ``scale``.

        Pixel centres are at integers before and after.
        """
        first = np.array([origin[0] - 0.5, origin[1] - 0.5], np.float32)
        mesh = self.mesh.copy()
        mesh[..., :2] -= first
        mesh *= np.float32(scale)
        mesh[..., :2] -= np.float32(0.5)
        irises = (self.irises - first) * np.float32(scale) - np.float32(0.5)
        torso = None if self.torso is None else self.torso * np.array([scale, scale, 1], np.float32)
        return Shapes(mesh=mesh, irises=irises.astype(np.float32), lids=self.lids, gaze=self.gaze, torso=torso)

    @cached_property
    def head(self) -> NDArray[np.float32]:
        """(T, 3, 4) affine map from canonical head centimetres to pixels, fitted to the points that move least."""
        still = STILL
        known = np.concatenate([lm.canonical_xyz()[still], np.ones((len(still), 1))], axis=1)
        return np.einsum("ij,tjk->tki", np.linalg.pinv(known), self.mesh[:, still].astype(np.float64)).astype(
            np.float32
        )

    @cached_property
    def local(self) -> NDArray[np.float32]:
        """(T, 468, 3) the mesh with the head's pose taken out, canonical centimetres."""
        turn, shift = self.head[:, :, :3].astype(np.float64), self.head[:, :, 3].astype(np.float64)
        return np.einsum("tij,tvj->tvi", np.linalg.inv(turn), self.mesh - shift[:, None]).astype(np.float32)

    @cached_property
    def local_irises(self) -> NDArray[np.float32]:
        """(T, 2, 2) irises relative to the middle of their eye's corners, in units of the distance between the
        corners."""
        corners = np.asarray(lm.EYE_CORNERS)
        ends = self.mesh[:, corners, :2]
        axis = ends[:, :, 1] - ends[:, :, 0]
        axis = axis * np.where(np.arange(2) == 0, 1, -1)[None, :, None]
        length = np.linalg.norm(axis, axis=-1, keepdims=True)
        along = axis / np.maximum(length, 1e-6)
        across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
        offset = self.irises - ends.mean(2)
        return np.stack([(offset * along).sum(-1), (offset * across).sum(-1)], axis=-1) / length

    @property
    def openings(self) -> NDArray[np.float32]:
        """(T, 2) lid gap of each eye over its width."""
        gaps = []
        for (outer, inner), upper, lower in zip(lm.EYE_CORNERS, lm.LIDS_UPPER, lm.LIDS_LOWER, strict=True):
            gap = np.linalg.norm(self.mesh[:, upper[2:-2], :2] - self.mesh[:, lower[2:-2], :2], axis=-1).mean(1)
            gaps.append(gap / np.linalg.norm(self.mesh[:, outer, :2] - self.mesh[:, inner, :2], axis=-1))
        return np.stack(gaps, axis=1).astype(np.float32)

    @property
    def mouth(self) -> NDArray[np.float32]:
        """(T,) gap between the lips' inner edges in canonical centimetres."""
        return np.linalg.norm(self.local[:, lm.LIP_UPPER_INNER] - self.local[:, lm.LIP_LOWER_INNER], axis=-1)


def shapes_of(performance: Performance) -> Shapes:
    """Where a performance puts mesh and irises, in pixels of its camera's picture.

    Stored frames and wanted ones both go through the model: what it gets wrong of a person cancels in the difference.
    """
    from facewitness.generator.reconstruct import project, project_irises

    irises = np.asarray(project_irises(performance), np.float32)[:, :, lm.IRIS_CENTRE]
    mesh = project(performance).astype(np.float32)
    torso = performance.torso
    if torso is not None:
        px_of_cm = performance.camera.focal_px / performance.translation[:, 2:]
        torso = np.concatenate([torso[:, :2] * px_of_cm, torso[:, 2:]], axis=1).astype(np.float32)
    return Shapes(mesh=mesh, irises=irises, lids=performance.lids, gaze=performance.gaze, torso=torso)
