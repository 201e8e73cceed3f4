"""The network: a timm backbone over upright squares around the face, and a small head over their embeddings in time."""

import json
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
    import_timm,
)
from facewitness.detector.crops import FACE_PX, VIEWS, View
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
    view: str = "face"
    """What it is shown, one of ``crops.VIEWS``."""
    traces: int = 24
    """Channels of the first stage of the branch that reads fine detail and change; 0 leaves it away."""
    embedding: int = 64
    """Numbers kept of one frame."""
    head: str = "steady"
    """``steady``, or ``mixed``, that of networks fitted before it."""
    window: int = 16
    """Frames the temporal head looks at; a scan gives it every ``view.every``-th look."""


def _stage(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class _Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.first = _stage(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(x + self.second(self.first(x)))


class TracedBackbone(nn.Module):
    """A backbone up to stride 8 and, beside it, a branch for what a backbone taught on objects overlooks.

    Input (B, 3, H, W) face and (B, 4, H, W) fine detail and change -> (B, 192, H / 16, W / 16). The branch and what
    joins both are dense convolutions from scratch (Luo et al., CVPR 2021, add high frequencies likewise).
    """

    channels = 192

    def __init__(self, backbone: nn.Module, channels: int, width: int):
        super().__init__()
        self.backbone = backbone
        self.traces = nn.Sequential(
            _stage(4, width, 5, 2), _Residual(width),
            _stage(width, 2 * width, 3, 2), _Residual(2 * width),
            _stage(2 * width, 3 * width, 3, 2), _Residual(3 * width),
        )  # fmt: skip
        self.join = nn.Sequential(
            _stage(channels + 3 * width, 128), _Residual(128),
            _stage(128, self.channels, 3, 2), _Residual(self.channels),
        )  # fmt: skip

    def forward(self, face: Tensor, fine: Tensor) -> Tensor:
        """See the class."""
        return self.join(torch.cat([self.backbone(face)[0], self.traces(fine)], 1))


class FaceNetwork(nn.Module):
    """One frame: the face and the look before it -> embedding, logit of the frame, logits of where it was changed.

    Input (B, 6, 160, 160) float 0..255: RGB of the frame, RGB of the look before (the same where there is none). The
    change in grey between them is made inside, so that the exported network takes pictures.
    Output (B, embedding), (B,), (B, cells) with cells = 10 x 10, row by row. The cells are taught where the picture was
    changed, and say where the embedding should look (Dang et al., CVPR 2020, attend in the same way).
    """

    grey: Tensor

    def __init__(self, config: NetworkConfig, *, pretrained: bool = False):
        super().__init__()
        self.traced = config.traces > 0
        backbone = create_backbone(
            config.backbone, in_chans=3 if self.traced else 4, stride=8 if self.traced else STRIDE,
            pretrained=pretrained, **config.backbone_args,
        )  # fmt: skip
        channels = backbone.feature_info.channels()[0]
        self.backbone = TracedBackbone(backbone, channels, config.traces) if self.traced else backbone
        channels = self.backbone.channels if self.traced else channels
        self.cells = nn.Conv2d(channels, 1, 1)
        self.embed = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * channels, config.embedding), nn.Tanh())
        self.frame = nn.Linear(config.embedding, 1)
        self.register_buffer("grey", torch.tensor(GREY).view(1, 3, 1, 1), persistent=False)

    @property
    def pretrained(self) -> nn.Module:
        """The timm backbone alone."""
        return self.backbone.backbone if self.traced else self.backbone

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        now, before = x[:, :3], x[:, 3:]
        change = ((now - before) * self.grey).sum(1, keepdim=True)
        change = (change / CHANGE_SCALE).clamp(-3, 3)
        face = (now - IMAGENET_MEAN) / IMAGENET_SCALE
        if self.traced:
            blurred = nn.functional.avg_pool2d(now, (5, 1), 1, (2, 0), count_include_pad=False)
            blurred = nn.functional.avg_pool2d(blurred, (1, 5), 1, (0, 2), count_include_pad=False)
            fine = ((now - blurred) / FINE_SCALE).clamp(-3, 3)
            maps = self.backbone(face, torch.cat([fine, change], 1))
        else:
            maps = self.backbone(torch.cat([face, change], 1))[0]
        cells = self.cells(maps).flatten(1)
        flat = maps.flatten(2)
        attended = (flat * cells.softmax(1)[:, None]).sum(2)
        embedding = self.embed(torch.cat([flat.mean(2), attended], 1))
        return embedding, self.frame(embedding)[:, 0], cells


class AtlasNetwork(nn.Module):
    """The first network's form, kept for weights fitted before ``FaceNetwork``: it reads atlases, (B, 6, 128, 192).

    Output as of ``FaceNetwork``, with 4 x 6 cells.
    """

    grey: Tensor

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.backbone = import_timm().create_model(
            config.backbone, in_chans=5, num_classes=0, global_pool="", **config.backbone_args
        )
        channels = self.backbone.num_features
        self.pool = nn.AdaptiveAvgPool2d((4, 6))
        self.cells = nn.Conv2d(channels, 1, 1)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, 24, 1), nn.ReLU())
        self.embed = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(24 * 4 * 6 + channels, config.embedding), nn.Tanh()
        )
        self.frame = nn.Linear(config.embedding, 1)
        self.register_buffer("grey", torch.tensor(GREY).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        now, before = x[:, :3], x[:, 3:]
        grey = (now * self.grey).sum(1, keepdim=True)
        change = grey - (before * self.grey).sum(1, keepdim=True)
        blurred = nn.functional.avg_pool2d(grey, 5, 1, 2, count_include_pad=False)
        fine = ((grey - blurred) / 12).clamp(-3, 3)
        maps = self.pool(self.backbone(torch.cat([now / 64 - 2, fine, (change / CHANGE_SCALE).clamp(-3, 3)], 1)))
        embedding = self.embed(torch.cat([self.squeeze(maps).flatten(1), maps.mean((2, 3))], 1))
        return embedding, self.frame(embedding)[:, 0], self.cells(maps).flatten(1)


class SteadyHead(nn.Module):
    """Embeddings (B, T, E) and frame logits (B, T) of a window -> its logit (B,). Works for any T of at least 2.

    The mean of the frames' logits, and a little for how they and the embeddings wander: a larger head learns the few
    persons it is shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wander = nn.Linear(4, 1)
        nn.init.zeros_(self.wander.weight)
        nn.init.zeros_(self.wander.bias)

    def forward(self, embeddings: Tensor, logits: Tensor) -> Tensor:
        """See the class."""
        mean = logits.mean(1)
        apart = embeddings - embeddings.mean(1, keepdim=True)
        told = [
            (logits - mean[:, None]).abs().mean(1),
            (logits[:, 1:] - logits[:, :-1]).abs().mean(1),
            apart.abs().mean((1, 2)),
            (embeddings[:, 1:] - embeddings[:, :-1]).abs().mean((1, 2)),
        ]
        return mean + self.wander(torch.stack(told, 1))[:, 0]


class TemporalHead(nn.Module):
    """The first networks' head, kept for their weights; in and out as ``SteadyHead``."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        width = config.embedding
        self.mix = nn.Sequential(
            nn.Conv1d(width, 48, 3, padding=1), nn.ReLU(), nn.Conv1d(48, 48, 3, padding=2, dilation=2), nn.ReLU()
        )
        self.attend = nn.Conv1d(48, 1, 1)
        self.last = nn.Sequential(nn.Dropout(0.2), nn.Linear(48 * 2 + 2 * width, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, embeddings: Tensor, logits: Tensor) -> Tensor:
        """See the class."""
        x = embeddings.transpose(1, 2)
        mixed = self.mix(x)
        attended = (mixed * self.attend(mixed).softmax(2)).sum(2)
        moving = (x[:, :, 1:] - x[:, :, :-1]).abs().mean(2)
        spread = ((x - x.mean(2, keepdim=True)) ** 2).mean(2).clamp_min(1e-8).sqrt()
        pooled = torch.cat([mixed.mean(2), attended, moving, spread], 1)
        return self.last(pooled)[:, 0] + logits.mean(1)


class Detector(nn.Module):
    """Both parts, as trained and stored together."""

    def __init__(self, config: NetworkConfig | None = None, *, pretrained: bool = False):
        super().__init__()
        self.config = config or NetworkConfig()
        self.face = (
            AtlasNetwork(self.config)
            if self.config.view == "atlas"
            else FaceNetwork(self.config, pretrained=pretrained)
        )
        self.head = SteadyHead() if self.config.head == "steady" else TemporalHead(self.config)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, 6, H, W) -> window logits (B,), frame logits (B, T), cell logits (B, T, cells)."""
        b, t = windows.shape[:2]
        embedding, logits, cells = self.face(windows.flatten(0, 1))
        embedding, logits, cells = embedding.view(b, t, -1), logits.view(b, t), cells.view(b, t, -1)
        return self.head(embedding, logits), logits, cells


def save_network(model: Detector, path: Path, **notes: str) -> None:
    """Write weights (float32 safetensors) with the configuration and ``notes`` in the header."""
    from safetensors.torch import save_file

    from facewitness.files import whole_file

    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
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
        model.load_state_dict(load_file(path))
    except (SafetensorError, KeyError, TypeError, RuntimeError) as e:
        raise UsageError(f"{path} is no network of this version of facewitness ({e}); fit it again.") from e
    return model.eval()


def read_config(path: Path) -> NetworkConfig:
    """The configuration in the header of a network's file. Raises UsageError for a file that is none of ours."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as f:
            stored = json.loads((f.metadata() or {})["config"])
        # what networks were before they had a choice
        return NetworkConfig(**{"view": "atlas", "traces": 0, "head": "mixed", **stored})
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
        self.view: View = VIEWS[read_config(path).view]
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
        """(B, height, width, 6) uint8 views beside those before -> embeddings (B, E) and frame logits (B,)."""
        if self._face is not None:
            out = self._face(pairs)
            return out[0], out[1]
        assert self._torch is not None
        x = np.ascontiguousarray(pairs.transpose(0, 3, 1, 2), np.float32)
        with torch.inference_mode():
            embedding, logits, _ = self._torch.face(torch.from_numpy(x))
        return embedding.numpy(), logits.numpy()

    def windows(self, embeddings: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, T, E) and (B, T) -> logits of the windows (B,)."""
        if self._head is not None:
            return self._head([np.ascontiguousarray(embeddings), np.ascontiguousarray(logits)])[0]
        assert self._torch is not None
        with torch.inference_mode():
            return self._torch.head(torch.from_numpy(embeddings), torch.from_numpy(logits)).numpy()


def _openvino(path: Path) -> tuple[Any, Any]:
    import openvino as ov

    from facewitness.files import cache_dir, sha256_file

    folder = cache_dir() / "openvino" / f"{sha256_file(path)[:16]}-{ov.__version__.split('-')[0]}"
    files = folder / "face.xml", folder / "head.xml"
    core = ov.Core()
    if not all(f.is_file() for f in files):
        model = load_network(path)
        view = VIEWS[model.config.view]
        face = torch.zeros(2, 6, view.height, view.width)
        head = torch.zeros(2, model.config.window, model.config.embedding), torch.zeros(2, model.config.window)
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
