"""The network: a timm backbone over upright squares around the face, and a small head over time."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facewitness.detector.backbones import (
    DEFAULT_BACKBONE,
    IMAGENET_MEAN,
    IMAGENET_SCALE,
    STRIDE,
    create_backbone,
)
from facewitness.detector.crops import FACE_PX
from facewitness.detector.sampling import NETWORK_WINDOW
from facewitness.errors import UsageError

CELLS = FACE_PX // STRIDE
"""Cells along each side of the map that says where the picture was changed."""
CHANGE_SCALE = 24.0
"""Grey levels of change between looks that count as one."""
FINE_SCALE = 12.0
"""Grey levels of difference from the surroundings that count as one."""
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What it takes to build the network again."""

    backbone: str = DEFAULT_BACKBONE
    """Any timm backbone by name."""
    backbone_args: dict[str, Any] = field(default_factory=dict)
    window: int = NETWORK_WINDOW
    """Looks the temporal head is taught on, as many as a scan gives it."""


class FaceNetwork(nn.Module):
    """One frame, the face and the look before it -> where it was changed, and whether.

    Input (B, 6, 224, 224) float 0..255: RGB of the frame, RGB of the look before (the same where there is none). Beside
    the colours the backbone reads fine detail and the change in grey, both made inside, so that the exported network
    takes pictures.
    Output log odds of its cells (B, 196), 14 x 14, row by row, and of the frame (B,). Each cell judges its own
    surroundings, and the frame is the soft maximum of its cells: what a patch shows is known again on other persons,
    where a word on the whole face is about the persons it was taught on (Chai et al., ECCV 2020, judge patches alike).
    """

    grey: Tensor

    def __init__(self, config: NetworkConfig, *, pretrained: bool = False):
        super().__init__()
        self.backbone = create_backbone(
            config.backbone, in_chans=7, stride=STRIDE, pretrained=pretrained, **config.backbone_args
        )
        self.cells = nn.Conv2d(self.backbone.feature_info.channels()[0], 1, 1)
        self.register_buffer("grey", torch.tensor(GREY).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        now, before = x[:, :3], x[:, 3:]
        change = (((now - before) * self.grey).sum(1, keepdim=True) / CHANGE_SCALE).clamp(-3, 3)
        blurred = nn.functional.avg_pool2d(now, (5, 1), 1, (2, 0), count_include_pad=False)
        blurred = nn.functional.avg_pool2d(blurred, (1, 5), 1, (0, 2), count_include_pad=False)
        fine = ((now - blurred) / FINE_SCALE).clamp(-3, 3)
        (maps,) = self.backbone(torch.cat([(now - IMAGENET_MEAN) / IMAGENET_SCALE, fine, change], 1))
        cells = self.cells(maps).flatten(1)
        return cells, cells.logsumexp(1) - math.log(CELLS**2)


class SteadyHead(nn.Module):
    """Cells (B, T, 196) and frame logits (B, T) of a window -> its logit (B,). Works for any T of at least 2.

    The mean of the frames' logits, and a little for how they and the cells wander: a larger head learns the few persons
    it is shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wander = nn.Linear(4, 1)
        nn.init.zeros_(self.wander.weight)
        nn.init.zeros_(self.wander.bias)

    def forward(self, cells: Tensor, logits: Tensor) -> Tensor:
        """See the class."""
        mean = logits.mean(1)
        apart = cells - cells.mean(1, keepdim=True)
        told = [
            (logits - mean[:, None]).abs().mean(1),
            (logits[:, 1:] - logits[:, :-1]).abs().mean(1),
            apart.abs().mean((1, 2)),
            (cells[:, 1:] - cells[:, :-1]).abs().mean((1, 2)),
        ]
        return mean + self.wander(torch.stack(told, 1))[:, 0]


class Detector(nn.Module):
    """Both parts, as trained and stored together."""

    def __init__(self, config: NetworkConfig | None = None, *, pretrained: bool = False):
        super().__init__()
        self.config = config or NetworkConfig()
        self.face = FaceNetwork(self.config, pretrained=pretrained)
        self.head = SteadyHead()

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, 6, H, W) -> window logits (B,), frame logits (B, T), cell logits (B, T, cells)."""
        b, t = windows.shape[:2]
        cells, logits = self.face(windows.flatten(0, 1))
        cells, logits = cells.view(b, t, -1), logits.view(b, t)
        return self.head(cells, logits), logits, cells


def save_network(model: Detector, path: Path, **notes: str) -> None:
    """Write weights (safetensors, those of layers in half precision) with the configuration and ``notes`` in the
    header."""
    from safetensors.torch import save_file

    from facewitness.files import whole_file

    def stored(v: Tensor) -> Tensor:
        v = v.detach().cpu().contiguous()
        return v.half() if v.is_floating_point() and v.ndim > 1 else v

    state = {k: stored(v) for k, v in model.state_dict().items()}
    with whole_file(path) as part:
        save_file(state, part, metadata={"config": json.dumps(asdict(model.config)), **notes})
        part.chmod(0o644)  # safetensors writes for the owner alone


def load_network(path: Path) -> Detector:
    """Read what ``save_network`` wrote, ready to score. Raises UsageError for a file that is not a network of ours."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = read_config(path)
    try:
        model = Detector(config)
        model.load_state_dict(load_file(path))  # copied into single precision
    except (SafetensorError, KeyError, TypeError, RuntimeError) as e:
        raise UsageError(f"{path} is no network of this version of facewitness ({e}); fit it again.") from e
    return model.eval()


def read_config(path: Path) -> NetworkConfig:
    """The configuration in the header of a network's file. Raises UsageError for a file that is none of ours."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as f:
            stored = json.loads((f.metadata() or {})["config"])
        return NetworkConfig(**stored)
    except (SafetensorError, KeyError, TypeError) as e:
        raise UsageError(f"{path} is no network of this version of facewitness ({e}); fit it again.") from e


class Scorer:
    """Runs the network on pictures: through OpenVINO where it is installed, else through torch.

    The exported graph is kept in the cache folder under the hash of its weights, so that a scan needs no torch once
    it is there.
    """

    def __init__(self, path: Path, *, runtime: str = "auto"):
        if runtime not in ("auto", "openvino", "torch"):
            raise UsageError(f"there is no runtime {runtime!r}; choose auto, openvino or torch.")
        self.path, self.runtime = path, runtime
        read_config(path)  # refused here, as the cache may hold the graph of a form that is no longer read
        self._torch: Detector | None = None
        self._face: Any = None
        self._head: Any = None
        if runtime != "torch":
            try:
                self._face, self._head = _openvino(path)
                self.runtime = "openvino"
            except (ImportError, OSError):  # not installed, or no place to keep the exported graph
                if runtime == "openvino":
                    raise
        if self._face is None:
            self.runtime = "torch"
            self._torch = load_network(path)

    def frames(self, pairs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(B, 224, 224, 6) uint8 squares beside those before -> cells (B, 196) and frame logits (B,)."""
        if self._face is not None:
            out = self._face(pairs)
            return out[0], out[1]
        assert self._torch is not None
        x = np.ascontiguousarray(pairs.transpose(0, 3, 1, 2), np.float32)
        with torch.inference_mode():
            cells, logits = self._torch.face(torch.from_numpy(x))
        return cells.numpy(), logits.numpy()

    def windows(self, cells: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, T, 196) and (B, T) -> logits of the windows (B,)."""
        if self._head is not None:
            return self._head([np.ascontiguousarray(cells), np.ascontiguousarray(logits)])[0]
        assert self._torch is not None
        with torch.inference_mode():
            return self._torch.head(torch.from_numpy(cells), torch.from_numpy(logits)).numpy()


def _openvino(path: Path) -> tuple[Any, Any]:
    import openvino as ov

    from facewitness.files import cache_dir, sha256_file

    folder = cache_dir() / "openvino" / f"{sha256_file(path)[:16]}-{ov.__version__.split('-')[0]}"
    files = folder / "face.xml", folder / "head.xml"
    core = ov.Core()
    if not all(f.is_file() for f in files):
        model = load_network(path)
        face = torch.zeros(2, 6, FACE_PX, FACE_PX)
        head = torch.zeros(2, model.config.window, CELLS**2), torch.zeros(2, model.config.window)
        folder.mkdir(parents=True, exist_ok=True)
        for part, example, file in ((model.face, face, files[0]), (model.head, head, files[1])):
            graph = ov.convert_model(part, example_input=example)
            _save_whole(ov, graph, file)
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    face = ov.preprocess.PrePostProcessor(core.read_model(files[0]))  # pictures as they are, not copied here
    face.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    face.input().model().set_layout(ov.Layout("NCHW"))
    return core.compile_model(face.build(), "CPU", settings), core.compile_model(str(files[1]), "CPU", settings)


def _save_whole(ov: Any, graph: Any, file: Path) -> None:
    """Save ``file`` and its .bin so that two processes that convert at once do not mix; the .xml comes last."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        made = Path(scratch) / file.name
        ov.save_model(graph, str(made), compress_to_fp16=False)
        made.with_suffix(".bin").replace(file.with_suffix(".bin"))
        made.replace(file)
