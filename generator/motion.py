"""What a face does in a picture, read off by the landmark networks: for comparing made frames with what was wanted."""

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.shapes import Shapes

CHANNELS = ("mouth", "lids", "gaze")


class Reader:
    """Reads mouth opening, lid opening and sideways gaze off pictures whose face is known to be near a given mesh."""

    def __init__(self) -> None:
        """Load the mesh and the eye network."""
        from facewitness.faces.networks import IrisNetwork, MeshNetwork

        self._mesh, self._iris = MeshNetwork(), IrisNetwork()

    def __call__(self, picture: NDArray[np.uint8], near: NDArray[np.float32]) -> dict[str, float]:
        """One value a channel: gaps over the eye's width, gaze in eye widths from the middle of the corners."""
        from facewitness.faces.networks import roi_of_mesh

        image = np.ascontiguousarray(picture)
        mesh = self._mesh(image, roi_of_mesh(near)).mesh
        eyes, irises = self._iris(image, mesh)
        shapes = Shapes(mesh=mesh[None], irises=irises[None, :, lm.IRIS_CENTRE])
        gaps = []
        for side in (0, 1):
            outline = eyes[side]
            width = np.linalg.norm(outline[0] - outline[8])
            gaps.append(np.linalg.norm(outline[10:15].mean(0) - outline[2:7].mean(0)) / max(float(width), 1e-6))
        return {
            "mouth": float(shapes.mouth[0]),
            "lids": float(np.mean(gaps)),
            "gaze": float(shapes.local_irises[0, :, 0].mean()),
        }


def correlations(truth: list[dict[str, float]], made: list[dict[str, float]]) -> dict[str, float]:
    """``r_<channel>``: Pearson's r of each channel over the frames; NaN where nothing moved."""
    from facewitness.generator.metrics import correlation

    return {
        f"r_{c}": correlation(np.array([row[c] for row in truth]), np.array([row[c] for row in made])) for c in CHANNELS
    }
