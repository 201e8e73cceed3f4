"""How far each parameter of a frame can be trusted, from what of the face that frame shows."""

import numpy as np
from numpy.typing import NDArray

from facewitness.generator.performance import Performance
from facewitness.generator.reconstruct.rotation import to_matrix
from facewitness.generator.reconstruct.solve import visibility


def certainty(performance: Performance) -> dict[str, NDArray[np.float32]]:
    """Confidence 0..1 of each parameter in each frame; 0 in a gap that was filled in.

    ``rotation``, ``translation`` and ``expression`` (T,), the last falling as half of the face turns away; ``lids``
    (T, 2) of the person's right and left eye, each as its half is seen; ``gaze`` (T, 2) likewise, and 0 for a closed
    eye, whose gaze is carried over from before. Each falls as the part it is read from is covered: head by the upper
    face, expression by that or by the mouth, lids and gaze by their own eye.
    """
    p = performance
    whole = p.confidence.astype(np.float64)
    halves = visibility(to_matrix(p.rotation))
    shown = np.ones((len(p), 4)) if p.parts is None else p.parts.astype(np.float64)
    lids = whole[:, None] * halves * shown[:, 2:]
    found = {
        "rotation": whole * shown[:, 0],
        "translation": whole * shown[:, 0],
        "expression": whole * halves.mean(1) * shown[:, :2].min(1),
        "lids": lids,
        "gaze": lids * np.clip(1 - p.lids, 0, 1),
    }
    return {name: values.astype(np.float32) for name, values in found.items()}
