"""Attention Mesh (Grishchenko et al., arXiv 2006.10962): the face mesh with second looks at lips, eyes and irises.

The file's three custom operators exist in no runtime but MediaPipe's: they find a region around the first guess of the
lips and of each eye, cut it out of the features, and carry back what is found in it. So the graph is taken in two
parts that any LiteRT runs, and what lies between them is done here; points and sizes of the regions come from the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewitness import weights
from facewitness.errors import MissingPieceError
from facewitness.faces import landmarks as lm
from facewitness.faces.covered import texture_of
from facewitness.faces.networks import (
    MESH_PX,
    MIRRORED_RIM,
    MeshNetwork,
    Network,
    Roi,
    Seen,
    apply,
    as_input,
    crop,
    patch_of,
    to_picture,
)

FACE_LOOKS = ((1.0, False), (0.9, True))
"""Crops of a face, as shares of ``ROI_SCALE`` and whether mirrored: the mean of both is steadier than one, and what
a network sees differently on either side cancels. Correlation of yaw with another tracker on six real clips .921 with
one, .937 with both; a third, of any size, added nothing."""
REGION_OP, CUT_OP, BACK_OP = b"Landmarks2TransformMatrix", b"TransformTensorBilinear", b"TransformLandmarks"
REGIONS = (0, 1, 1, 2, 2)
"""Region of each output of the second part: lips; eye and iris at the picture's left; eye and iris at its right."""
STRIDE = 4
"""Pixels of the crop for one cell of the features."""


@dataclass(frozen=True)
class Attended:
    """What the network says of one crop, in its pixels counted from the edge; the person's right eye first."""

    mesh: NDArray[np.float32]
    """(468, 3), the lips as the second look has them."""
    eyes: NDArray[np.float32]
    """(2, 71, 2) outline of the eye, folds of the lids and brow, in the order of ``landmarks.IRIS_CONTOURS``."""
    irises: NDArray[np.float32]
    """(2, 5, 2) centre, then the rim at the picture's right, top, left and bottom."""


class AttentionNetwork:
    """The mesh of one crop of 192 pixels with second looks. Raises MissingPieceError where its file cannot be had."""

    def __init__(self) -> None:
        graph = _Graph(weights.fetch("face_landmark_with_attention").read_bytes())
        self._regions = [_Region(**_options(op)) for op in graph.operators(REGION_OP)]
        cuts, backs = graph.operators(CUT_OP), graph.operators(BACK_OP)
        self._first = Network(graph.part([int(graph.inputs[0])], [int(graph.outputs[0]), int(cuts[0].inputs[0])]))
        self._second = Network(graph.part([int(op.outputs[0]) for op in cuts], [int(op.inputs[0]) for op in backs]))

    def __call__(self, crop: NDArray[np.float32]) -> Attended:
        """Look at a crop (1, 192, 192, 3), 0..1."""
        points, features = self._first(crop)
        mesh = points.reshape(lm.POINTS, 3)
        cells = mesh[:, :2].astype(np.float64) / STRIDE
        affines = [region.affine(cells) for region in self._regions]
        found = self._second(
            *(_cut(features[0], a, r.output_width) for a, r in zip(affines, self._regions, strict=True))
        )
        lips, right, right_iris, left, left_iris = (
            p.reshape(-1, 2) @ affines[k][:, :2].T + affines[k][:, 2] * STRIDE
            for p, k in zip(found, REGIONS, strict=True)
        )
        mesh[self.lips, :2] = lips
        eyes, irises = np.stack([right, left]), np.stack([right_iris, left_iris])
        return Attended(mesh, eyes.astype(np.float32), irises.astype(np.float32))

    @property
    def lips(self) -> NDArray[np.int64]:
        """(80,) the points of the mesh that a second look is taken at as lips."""
        return self._regions[0].points


class CarefulMesh:
    """Both mesh networks on two crops of a face, for tracks that a performance is reconstructed from.

    The networks err in different ways, so the mean of their meshes is better than either; lips, lids and brows are the
    attention network's second looks.
    """

    def __init__(self) -> None:
        self._mesh, self._attention = MeshNetwork(), AttentionNetwork()

    def __call__(self, image: NDArray[np.uint8], roi: Roi) -> Seen:
        """Look at a face twice; its eyes and irises come along."""
        looks = [self._look(image, replace(roi, side=roi.side * scale), flip=flip) for scale, flip in FACE_LOOKS]
        mesh = np.mean([look.mesh for look, _, _ in looks], axis=0)
        eyes, irises = np.mean([e for _, e, _ in looks], axis=0), np.mean([i for _, _, i in looks], axis=0)
        for contour, points in zip(lm.IRIS_CONTOURS, eyes, strict=True):
            mesh[list(contour), :2] = points
        return replace(looks[0][0], mesh=mesh, eyes=eyes, irises=irises)

    def _look(
        self, image: NDArray[np.uint8], roi: Roi, *, flip: bool
    ) -> tuple[Seen, NDArray[np.float32], NDArray[np.float32]]:
        """Mesh, eyes and irises of one crop, in the picture; its texture where it is not mirrored."""
        cut = crop(image, roi, MESH_PX, flip=flip)
        x = as_input(cut)
        points, confidence = self._mesh.points(x)
        seen = self._attention(x)
        both = (points + seen.mesh) * np.float32(0.5)
        both[self._attention.lips, :2] = seen.mesh[self._attention.lips, :2]
        mesh = to_picture(both, roi, MESH_PX, flip=flip)
        affine = roi.to_picture(MESH_PX, flip=flip)
        eyes, irises = (apply(affine, p.astype(np.float64) - 0.5).astype(np.float32) for p in (seen.eyes, seen.irises))
        if flip:
            mesh, eyes, irises = mesh[lm.mirror()], eyes[::-1], irises[::-1][:, list(MIRRORED_RIM)]
        texture = None if flip else texture_of(cut, both - 0.5)
        return Seen(mesh, confidence, patch_of(cut), texture=texture), eyes, irises


@dataclass(frozen=True, kw_only=True)
class _Region:
    """Where a second look is taken: around these points, upright by two of them. Named as in the file."""

    subset_idxs: Sequence[int]
    left_rotation_idx: int
    right_rotation_idx: int
    target_rotation_radians: float
    scale_x: float
    scale_y: float
    output_width: int
    output_height: int

    @cached_property
    def points(self) -> NDArray[np.int64]:
        return np.array(self.subset_idxs, np.int64)

    def affine(self, points: NDArray) -> NDArray[np.float64]:
        """(2, 3) from the region's cells to those of the features, where the mesh (468, 2) lies in the latter."""
        across = points[self.right_rotation_idx] - points[self.left_rotation_idx]
        angle = np.arctan2(across[1], across[0]) - self.target_rotation_radians
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        upright = points[self.points] @ turn
        low, high = upright.min(0), upright.max(0)
        cells = np.array([self.output_width, self.output_height])
        linear = turn * ((high - low) * [self.scale_x, self.scale_y] / cells)
        shift = turn @ ((low + high) / 2) - linear @ (cells / 2)
        return np.concatenate([linear, shift[:, None]], 1)


def _cut(features: NDArray[np.float32], affine: NDArray, size: int) -> NDArray[np.float32]:
    """(1, size, size, C) bilinear samples of features (H, W, C) under an affine between cells; 0 outside."""
    y, x = np.mgrid[:size, :size] + 0.5
    at = np.stack([x, y], -1) @ affine[:, :2].T + affine[:, 2] - 0.5
    last = np.array(features.shape[1::-1]) - 1
    inside = ((at >= 0) & (at <= last)).all(-1, keepdims=True)
    low = np.clip(np.floor(at).astype(int), 0, last)
    (x0, y0), (x1, y1) = np.moveaxis(low, -1, 0), np.moveaxis(np.minimum(low + 1, last), -1, 0)
    share = (at - low).astype(np.float32)
    right, down = share[..., :1], share[..., 1:]
    upper = features[y0, x0] * (1 - right) + features[y0, x1] * right
    lower = features[y1, x0] * (1 - right) + features[y1, x1] * right
    return np.where(inside, upper * (1 - down) + lower * down, np.float32(0))[None].astype(np.float32)


def _options(operator: Any) -> dict[str, Any]:
    from flatbuffers import flexbuffers

    return dict(flexbuffers.Loads(bytearray(operator.customOptions)))


class _Graph:
    """The graph of a ``.tflite`` file, to be taken in parts."""

    def __init__(self, content: bytes):
        try:
            from ai_edge_litert import schema_py_generated as schema
        except ImportError as e:
            raise MissingPieceError("the package ai-edge-litert is missing; pip install ai-edge-litert.") from e
        self._model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
        self._graph: Any = self._model.subgraphs[0]
        self._all: list[Any] = self._graph.operators
        self.inputs, self.outputs = list(self._graph.inputs), list(self._graph.outputs)

    def operators(self, custom: bytes) -> list[Any]:
        """The operators of a custom kind, in the file's order."""
        codes = self._model.operatorCodes
        return [op for op in self._all if codes[op.opcodeIndex].customCode == custom]

    def part(self, inputs: list[int], outputs: list[int]) -> bytes:
        """A file of its own that computes the tensors ``outputs`` from the tensors ``inputs``."""
        import flatbuffers

        needed, kept = set(outputs), []
        for op in reversed(self._all):
            if needed.intersection(map(int, op.outputs)):
                kept.append(op)
                needed.update(set(map(int, op.inputs)) - set(inputs))
        self._graph.operators = kept[::-1]
        self._graph.inputs, self._graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        self._model.signatureDefs = None
        builder = flatbuffers.Builder(2**20)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
