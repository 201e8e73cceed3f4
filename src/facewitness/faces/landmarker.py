"""``--tracker landmarker``: the networks inside ``face_landmarker.task`` through LiteRT, 478 points, 52 blendshapes."""

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.faces.networks import Network, Roi, Seen, crop, patch_of, read_task, sigmoid, to_picture

INPUT_PX = 256
IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))
"""Per eye, the person's right first: centre, then the rim at the picture's right, top, left, bottom."""
BLENDSHAPE_POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249,
    251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314,
    317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382,
    384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473,
    474, 475, 476, 477,
)  # fmt: skip
"""The 146 landmarks the blendshape network takes (MediaPipe, ``face_blendshapes_graph.cc``)."""
BLENDSHAPES = (
    "neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
"""Names of the 52 coefficients, in the network's order."""


class TaskNetwork:
    """Landmarks, irises and blendshapes of one crop. Raises MissingPieceError where the file cannot be had."""

    def __init__(self) -> None:
        self._landmarks = Network(read_task("face_landmarks_detector.tflite"))
        self._blendshapes = Network(read_task("face_blendshapes.tflite"))

    def __call__(self, image: NDArray[np.uint8], roi: Roi) -> Seen:
        """Look at one crop of the picture."""
        cut = crop(image, roi, INPUT_PX)
        points, flag, _ = self._landmarks(cut.astype(np.float32)[None] / np.float32(255))
        seen = to_picture(points.reshape(-1, 3), roi, INPUT_PX)
        (shapes,) = self._blendshapes(np.ascontiguousarray(seen[None, BLENDSHAPE_POINTS, :2]))
        return Seen(
            seen[: lm.POINTS],
            float(sigmoid(flag.ravel()[0])),
            patch_of(cut),
            irises=seen[np.array(IRISES), :2],
            blendshapes=shapes.ravel(),
        )
