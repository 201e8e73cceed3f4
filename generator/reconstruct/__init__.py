"""From a track to a metric head that moves: pose, identity, expression, lids, gaze, light."""

from facewitness.generator.reconstruct.certainty import certainty
from facewitness.generator.reconstruct.estimate import reconstruct
from facewitness.generator.reconstruct.model import Basis, basis, head_mesh, iris_rims, project, project_irises
from facewitness.generator.reconstruct.readings import readings
from facewitness.generator.reconstruct.rotation import angles_deg, from_angles_deg
from facewitness.generator.reconstruct.store import load_performance, save_performance

__all__ = [
    "Basis", "angles_deg", "basis", "certainty", "from_angles_deg", "head_mesh", "iris_rims", "load_performance",
    "project", "project_irises", "readings", "reconstruct", "save_performance",
]  # fmt: skip
