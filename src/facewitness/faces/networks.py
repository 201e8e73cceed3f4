"""The networks that look at a face, each a small class over one LiteRT interpreter with one thread.

Sources: BlazeFace (arXiv 1907.05047), face mesh (arXiv 1907.06724), iris (arXiv 2006.11341), Attention Mesh
(arXiv 2006.10962); anchors, crops and order of outputs follow MediaPipe's graphs (``mediapipe/modules``).
"""

import contextlib
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness import weights
from facewitness.errors import MissingPieceError
from facewitness.faces import landmarks as lm

MESH_PX, IRIS_PX, PATCH_PX = 192, 64, 16
ROI_SCALE = 1.5
"""A face's crop is a square this many times the longer side of its box."""
EYE_ROI_SCALES = (2.3, 2.0, 2.7)
"""An eye's crop is a square this many times the distance of its corners: the first alone is one look, the mean of all
three is steadier. Correlation of sideways gaze with another tracker on nine real clips .81 with one, .86 with three."""
MIRRORED_RIM = (0, 3, 2, 1, 4)
"""Order of the iris points of a mirrored eye: centre, then the rim at the picture's right, top, left and bottom."""
MIN_DETECTION = 0.5
MAX_OVERLAP = 0.3
LOGIT_LIMIT = 100.0


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """LiteRT greets on file descriptor 2, past Python, and has no switch for it; errors still come as exceptions."""
    if "quiet" not in _said:
        _said.add("quiet")
        sys.stderr.flush()
        kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nothing)
    else:
        yield


_said: set[str] = set()
"""The greeting comes once a process, with the first network."""


class Network:
    """One LiteRT model on one thread; its outputs in the file's order. Not safe for two threads at once."""

    def __init__(self, model: Path | bytes):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as e:
            raise MissingPieceError("the package ai-edge-litert is missing; pip install ai-edge-litert.") from e
        source: dict[str, Any] = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
        with _quietly():
            self._interpreter = Interpreter(**source, num_threads=1)
            self._interpreter.allocate_tensors()
        self._inputs = [d["index"] for d in self._interpreter.get_input_details()]
        self._outputs = [d["index"] for d in self._interpreter.get_output_details()]

    def __call__(self, *x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run inputs of the model's shapes, float32; returns fresh arrays."""
        for place, values in zip(self._inputs, x, strict=True):
            self._interpreter.set_tensor(place, values)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(i) for i in self._outputs]


@dataclass(frozen=True)
class Roi:
    """A rotated square of the picture: centre and side in pixels, clockwise turn in radians."""

    x: float
    y: float
    side: float
    turn: float

    def to_picture(self, size: int, *, flip: bool = False) -> NDArray[np.float64]:
        """(2, 3) affine map from a crop of ``size`` pixels to the picture (pixel centres at integers)."""
        c, s, k = np.cos(self.turn), np.sin(self.turn), self.side / size
        m = np.array([[c, -s], [s, c]]) * k
        if flip:
            m[:, 0] *= -1
        half = (size - 1) / 2
        return np.concatenate([m, (np.array([self.x, self.y]) - m @ [half, half])[:, None]], axis=1)


def crop(image: NDArray[np.uint8], roi: Roi, size: int, *, flip: bool = False) -> NDArray[Any]:
    """Cut ``roi`` out of HxWx3 as ``size`` x ``size`` x 3, without aliasing; outside is black."""
    to_picture = roi.to_picture(size, flip=flip)
    shrink = int(roi.side / size)
    source: NDArray[Any] = image
    if shrink >= 2:
        reach = roi.side * 0.75
        x0, y0 = max(int(roi.x - reach), 0), max(int(roi.y - reach), 0)
        # blocks are counted from there, however the square is turned; what it does not reach is left out
        reach = roi.side * float(np.abs([np.cos(roi.turn), np.sin(roi.turn)]).sum()) / 2 + 2 * shrink
        x0 += max(int(roi.x - reach) - x0, 0) // shrink * shrink
        y0 += max(int(roi.y - reach) - y0, 0) // shrink * shrink
        x1, y1 = min(int(roi.x + reach) + 1, image.shape[1]), min(int(roi.y + reach) + 1, image.shape[0])
        w, h = (x1 - x0) // shrink, (y1 - y0) // shrink
        if w > 0 and h > 0:
            part = image[y0 : y0 + h * shrink, x0 : x0 + w * shrink]
            source = cv2.resize(part, (w, h), interpolation=cv2.INTER_AREA)
            # a small pixel's centre lies in the middle of the block it stands for
            to_picture = (to_picture - np.array([[0, 0, x0], [0, 0, y0]])) / shrink
            to_picture[:, 2] -= (shrink - 1) / (2 * shrink)
    return cv2.warpAffine(source, to_picture, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def sigmoid(x: Any) -> Any:
    """Logistic function, safe for large arguments."""
    return 1 / (1 + np.exp(-np.clip(np.asarray(x, np.float64), -LOGIT_LIMIT, LOGIT_LIMIT)))


def apply(affine: NDArray, points: NDArray) -> NDArray:
    """Map (..., 2) points by a (2, 3) affine."""
    return points @ affine[:, :2].T + affine[:, 2]


def roi_of_mesh(mesh: NDArray) -> Roi:
    """Crop for the next frame from the (468, 2 or 3) mesh of this one: upright by the eyes, 1.5 times the box."""
    xy = mesh[:, :2].astype(np.float64)
    across = xy[lm.LEFT_EYE_OUTER] - xy[lm.RIGHT_EYE_OUTER]
    turn = float(np.arctan2(across[1], across[0]))
    low, high = xy.min(0), xy.max(0)
    # MediaPipe boxes the upright picture, not the turned face; the network was trained on such crops
    centre = (low + high) / 2
    return Roi(float(centre[0]), float(centre[1]), float((high - low).max()) * ROI_SCALE, turn)


@dataclass(frozen=True)
class Detection:
    """One found face: box x0, y0, x1, y1 in pixels, score 0..1, six key points (eyes, nose, mouth, ears), (6, 2)."""

    box: NDArray[np.float64]
    score: float
    points: NDArray[np.float64]

    @property
    def roi(self) -> Roi:
        """Crop for the mesh network."""
        across = self.points[1] - self.points[0]
        x0, y0, x1, y1 = self.box
        side = max(x1 - x0, y1 - y0) * ROI_SCALE
        return Roi((x0 + x1) / 2, (y0 + y1) / 2, side, float(np.arctan2(across[1], across[0])))


def overlap(a: NDArray, b: NDArray) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if not (w > 0 and h > 0):
        return 0.0
    inter = w * h
    return float(inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter))


class Detector:
    """BlazeFace: the short-range model, and for small faces the full-range one."""

    def __init__(self) -> None:
        self._short = Network(weights.fetch("face_detection_short_range"))
        self._full: Network | None = None
        self._short_anchors = _anchors(128, (8, 16, 16, 16), per_layer=2)
        self._full_anchors = _anchors(192, (4,), per_layer=1)

    def short_range(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Faces larger than about a sixth of the picture."""
        return _detect(self._short, image, 128, self._short_anchors)

    def full_range(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Faces down to about a thirtieth of the picture."""
        if self._full is None:
            self._full = Network(weights.fetch("face_detection_full_range_sparse"))
        return _detect(self._full, image, 192, self._full_anchors)

    def find(self, image: NDArray[np.uint8], *, thorough: bool = False) -> list[Detection]:
        """Faces of the picture, best first; ``thorough`` looks with both models even where the first sees one."""
        found = self.short_range(image)
        if thorough or not found:
            found = _without_overlap(found + self.full_range(image))
        return found

    def find_small(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Faces down to about a fiftieth of the picture, best first: the full-range model on overlapping squares of
        it."""
        return _without_overlap([d for part in _squares(image) for d in self._in_part(image, part)])

    def _in_part(self, image: NDArray[np.uint8], part: tuple[int, int, int, int]) -> list[Detection]:
        x0, y0, x1, y1 = part
        shift = np.array([x0, y0])
        return [
            Detection(d.box + np.tile(shift, 2), d.score, d.points + shift)
            for d in self.full_range(np.ascontiguousarray(image[y0:y1, x0:x1]))
        ]


def _squares(image: NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
    """Overlapping squares that cover the picture with two thirds of its shorter side."""
    h, w = image.shape[:2]
    side = int(min(h, w) * 2 / 3)
    if side < 96:
        return []
    columns, rows = -(-w // side) + (w % side > 0), -(-h // side) + (h % side > 0)
    xs = np.linspace(0, w - side, columns).astype(int)
    ys = np.linspace(0, h - side, rows).astype(int)
    return [(int(x), int(y), int(x) + side, int(y) + side) for y in ys for x in xs]


def _anchors(size: int, strides: tuple[int, ...], *, per_layer: int) -> NDArray[np.float64]:
    out = []
    i = 0
    while i < len(strides):
        same = sum(s == strides[i] for s in strides[i:])
        cells = size // strides[i]
        y, x = np.mgrid[0:cells, 0:cells]
        centres = np.stack([x, y], -1).reshape(-1, 2) + 0.5
        out.append(np.repeat(centres / cells, per_layer * same, axis=0))
        i += same
    return np.concatenate(out)


def _detect(network: Network, image: NDArray[np.uint8], size: int, anchors: NDArray) -> list[Detection]:
    h, w = image.shape[:2]
    scale = size / max(h, w)
    small = cv2.resize(image, (max(round(w * scale), 1), max(round(h * scale), 1)), interpolation=cv2.INTER_AREA)
    top, left = (size - small.shape[0]) // 2, (size - small.shape[1]) // 2
    x = np.full((1, size, size, 3), -1, np.float32)
    x[0, top : top + small.shape[0], left : left + small.shape[1]] = small / np.float32(127.5) - 1
    regressors, logits = network(x)
    scores = sigmoid(logits[0, :, 0])
    keep = np.flatnonzero(scores >= MIN_DETECTION)
    if not len(keep):
        return []
    raw = regressors[0, keep].astype(np.float64) / size
    centre = raw[:, :2] + anchors[keep]
    points = raw[:, 4:16].reshape(-1, 6, 2) + anchors[keep][:, None]
    boxes = np.concatenate([centre - raw[:, 2:4] / 2, centre + raw[:, 2:4] / 2], axis=1)
    offset = np.array([left, top])
    boxes = (boxes * size - np.tile(offset, 2)) / scale
    points = (points * size - offset) / scale
    return _without_overlap([Detection(b, float(s), p) for b, s, p in zip(boxes, scores[keep], points, strict=True)])


def _without_overlap(found: list[Detection]) -> list[Detection]:
    """Blend detections that overlap, weighted by score (BlazeFace, section 3.3), best first."""
    rest = sorted(found, key=lambda d: -d.score)
    out = []
    while rest:
        best = rest[0]
        same = [d for d in rest if overlap(best.box, d.box) > MAX_OVERLAP or _inside(d.box, best.box)]
        total = sum(d.score for d in same)
        box = sum(d.box * d.score for d in same) / total
        points = sum(d.points * d.score for d in same) / total
        out.append(Detection(np.asarray(box), best.score, np.asarray(points)))
        taken = {id(d) for d in same} | {id(best)}
        rest = [d for d in rest if id(d) not in taken]
    return out


def _inside(small: NDArray, large: NDArray) -> bool:
    cx, cy = (small[0] + small[2]) / 2, (small[1] + small[3]) / 2
    smaller = (small[2] - small[0]) < 0.7 * (large[2] - large[0])
    return bool(smaller and large[0] < cx < large[2] and large[1] < cy < large[3])


@dataclass(frozen=True)
class Seen:
    """What a landmark network says of one crop."""

    mesh: NDArray[np.float32]
    """(468, 3) pixels of the picture."""
    confidence: float
    """How sure the network is that there is a face, 0..1."""
    patch: NDArray[np.float32]
    """(16, 16, 3) the face itself, small, 0..255: tells a cut to another person from a movement."""
    eyes: NDArray[np.float32] | None = None
    """(2, 71, 2) where the network gives outlines of the eyes itself."""
    irises: NDArray[np.float32] | None = None
    """(2, 5, 2) where the network gives irises itself."""
    blendshapes: NDArray[np.float32] | None = None
    """(52,) where the network gives them."""
    texture: NDArray[np.uint8] | None = None
    """(32, 32, 3) the face in the texture of its mesh, where the look was careful."""


def patch_of(cut: NDArray[Any]) -> NDArray[np.float32]:
    """The face of a square crop as (16, 16, 3), 0..255."""
    edge = cut.shape[0] // 6  # the face fills the middle two thirds of its crop
    return cv2.resize(cut[edge:-edge, edge:-edge], (PATCH_PX, PATCH_PX), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )


class MeshNetwork:
    """468 points of a face in a crop of 192 pixels."""

    def __init__(self) -> None:
        self._network = Network(weights.fetch("face_landmark"))

    def __call__(self, image: NDArray[np.uint8], roi: Roi) -> Seen:
        """Look at one crop of the picture."""
        cut = crop(image, roi, MESH_PX)
        points, confidence = self.points(as_input(cut))
        return Seen(to_picture(points, roi, MESH_PX), confidence, patch_of(cut))

    def points(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """Points (468, 3) in pixels of a crop (1, 192, 192, 3), 0..1, counted from its edge, and confidence 0..1."""
        points, flag = self._network(x)
        return points.reshape(lm.POINTS, 3), float(sigmoid(flag.ravel()[0]))


def as_input(cut: NDArray[Any]) -> NDArray[np.float32]:
    """A crop (H, W, 3), 0..255, as the networks take it: (1, H, W, 3), 0..1."""
    return cut.astype(np.float32)[None] / np.float32(255)


def to_picture(points: NDArray[np.float32], roi: Roi, size: int, *, flip: bool = False) -> NDArray[np.float32]:
    """Crop to picture. The network counts pixels from the crop's edge, we from the first pixel's centre."""
    out = np.empty_like(points)
    out[:, :2] = apply(roi.to_picture(size, flip=flip), points[:, :2].astype(np.float64) - 0.5)
    out[:, 2] = points[:, 2] * (roi.side / size)
    return out


class IrisNetwork:
    """Outline of the eye and the iris in crops of 64 pixels; trained on one side, the other is mirrored.

    ``looks`` is the number of crops of different width whose results are averaged, 1 to 3.
    """

    def __init__(self, looks: int = 1) -> None:
        self._network = Network(weights.fetch("iris_landmark"))
        self._scales = EYE_ROI_SCALES[:looks]

    def __call__(
        self, image: NDArray[np.uint8], mesh: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eyes (2, 71, 2) and irises (2, 5, 2) in pixels, the person's right first."""
        eyes, irises = np.empty((2, 71, 2), np.float32), np.empty((2, 5, 2), np.float32)
        for side, (outer, inner) in enumerate(lm.EYE_CORNERS):
            a, b = mesh[outer, :2].astype(np.float64), mesh[inner, :2].astype(np.float64)
            right, left = (a, b) if side == 0 else (b, a)
            across = left - right
            x, y = (a + b) / 2
            turn = float(np.arctan2(across[1], across[0]))
            width = float(np.abs(across).max())
            seen = [self._look(image, Roi(float(x), float(y), width * s, turn), flip=side == 1) for s in self._scales]
            eyes[side], irises[side] = np.split(np.mean(seen, axis=0), [71])
        irises[1] = irises[1][list(MIRRORED_RIM)]
        return eyes, irises

    def _look(self, image: NDArray[np.uint8], roi: Roi, *, flip: bool) -> NDArray[np.float64]:
        """(76, 2) outline and iris in one crop, in pixels of the picture."""
        contour, iris = self._network(as_input(crop(image, roi, IRIS_PX, flip=flip)))
        points = np.concatenate([contour.reshape(71, 3), iris.reshape(5, 3)])[:, :2].astype(np.float64)
        return apply(roi.to_picture(IRIS_PX, flip=flip), points - 0.5)


def read_task(name: str) -> bytes:
    """One network out of ``face_landmarker.task``. Raises MissingPieceError where that file is not to be had."""
    with zipfile.ZipFile(weights.fetch("face_landmarker_task")) as archive:
        return archive.read(name)
