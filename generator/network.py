"""The networks: a small residual refiner that trains in minutes, the published rendering-to-video U-Net,
discriminators."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from facewitness.generator.condition import CHANNELS

BASES = 2
"""Pictures offered to the refiner: the composed base and the textured mesh."""
INPUTS = 3 * BASES + CHANNELS - 3 + 3
"""Channels of one frame: base 3, conditioning 9 (its first three are the second picture), base of the frame before
3."""
START = Path(__file__).with_name("start.safetensors")
WINDOW = 11
"""Frames of conditioning that the published network sees: the one it makes and those before."""
BOUND = 0.35
"""The refiner moves a value by at most this much of the full range."""


def _conv(a: int, b: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1), nn.LeakyReLU(0.2, inplace=True))


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


class Refiner(nn.Module):
    """Blends the base with the textured mesh and adds a bounded residual; at initialisation it gives the base itself.

    Input (B, 15, S, S) in 0..1, S a multiple of 16; output (B, 3, S, S) in 0..1. Works at a quarter of the resolution
    on a pixel-unshuffle stem, so that a step costs little on a processor.
    """

    def __init__(self, widths: tuple[int, int, int] = (48, 80, 112)):
        super().__init__()
        self.widths, self.inputs = widths, INPUTS
        a, b, c = widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(16 * INPUTS, a, 1), nn.LeakyReLU(0.2))
        self.enter = _conv(a, a)
        self.down1, self.mid1 = _conv(a, b, 2), _conv(b, b)
        self.down2, self.mid2 = _conv(b, c, 2), nn.Sequential(_conv(c, c), _conv(c, c))
        self.up1, self.join1 = nn.Conv2d(c, b, 1), _conv(b, b)
        self.up0, self.join0 = nn.Conv2d(b, a, 1), nn.Sequential(_conv(a, a), _conv(a, a))
        self.head = nn.Conv2d(a, 16 * 4, 3, 1, 1)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, 0.2)
                nn.init.constant_(_bias(m), 0)
        with torch.no_grad():
            self.head.weight.mul_(0.02)
            _bias(self.head)[3 * 16 :].fill_(-3.0)

    def forward(self, x: Tensor) -> Tensor:
        """Refined picture, clamped to 0..1."""
        return self.parts(x)[0].clamp(0, 1)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Unclamped picture (B, 3, S, S) and the share of the textured mesh in it (B, 1, S, S)."""
        base, render = x[:, :3], x[:, 3:6]
        # the texture is a mean over time: in the eyes and the mouth it would hold gaze and teeth back
        face = x[:, 8:9] * (1 - torch.maximum(x[:, 9:10], x[:, 11:12]))
        e0 = self.enter(self.stem(x * 2 - 1))
        e1 = self.mid1(self.down1(e0))
        e2 = self.mid2(self.down2(e1))
        d1 = self.join1(e1 + self.up1(F.interpolate(e2, scale_factor=2.0, mode="nearest")))
        d0 = self.join0(e0 + self.up0(F.interpolate(d1, scale_factor=2.0, mode="nearest")))
        out = F.pixel_shuffle(self.head(d0).float(), 4)
        share = torch.sigmoid(out[:, 3:4]) * face
        picture = base + share * (render - base) + BOUND * torch.tanh(out[:, :3])
        return picture, share


def started() -> Refiner:
    """A refiner that has already learnt, from synthetic sample footage alone, what warps and fades do to a picture.

    Its weights lie beside this file; ``bench/refiner_start.py`` makes them.
    """
    from safetensors.torch import load_file

    network = Refiner()
    network.load_state_dict({name: values.float() for name, values in load_file(START).items()})
    return network


class PaperNetwork(nn.Module):
    """The rendering-to-video network of Kim et al. 2018, section 5: 8 down and 8 up modules, tanh; ``window``
    frames in.

    Input (B, 9 * window, 256, 256) in 0..1, output (B, 3, 256, 256) in 0..1.
    """

    def __init__(self, window: int = WINDOW, size: int = 256, width: int = 64):
        super().__init__()
        self.inputs = CHANNELS * window
        levels = size.bit_length() - 1
        sizes = [min(width * 2**i, 8 * width) for i in range(levels)]
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        before = self.inputs
        for k, out in enumerate(sizes):
            norm: list[nn.Module] = [] if k in (0, levels - 1) else [nn.BatchNorm2d(out)]
            self.downs.append(nn.Sequential(nn.Conv2d(before, out, 4, 2, 1), *norm, nn.LeakyReLU(0.2)))
            before = out
        for k in range(levels - 1, -1, -1):
            out = sizes[k - 1] if k else width
            source = sizes[k] if k == levels - 1 else 2 * sizes[k]
            drop: list[nn.Module] = [nn.Dropout(0.5)] if k > levels - 4 else []
            up = [nn.ConvTranspose2d(source, out, 4, 2, 1), nn.BatchNorm2d(out), *drop, nn.ReLU()]
            refine = [
                layer
                for _ in range(2)
                for layer in (nn.Conv2d(out, out, 3, 1, 1), nn.BatchNorm2d(out), *drop, nn.ReLU())
            ]
            self.ups.append(nn.Sequential(*up, *refine))
        self.last = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The frame at the end of the window."""
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for k, up in enumerate(self.ups):
            x = up(x)
            if k < len(self.ups) - 1:
                x = torch.cat([x, skips.pop()], 1)
        return torch.tanh(self.last(x)) * 0.5 + 0.5


class PatchDiscriminator(nn.Module):
    """Says patch by patch whether pictures (B, C, h, w) are footage; spectral norm keeps it from running away."""

    def __init__(self, channels: int, width: int = 24):
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.ModuleList([
            norm(nn.Conv2d(channels, width, 4, 2, 1)),
            norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
            norm(nn.Conv2d(2 * width, 4 * width, 3, 1, 1)),
        ])  # fmt: skip
        self.last = norm(nn.Conv2d(4 * width, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, h/4, w/4) scores, high for footage, and the features on the way for matching."""
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.last(x), features


Network = Refiner | PaperNetwork


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """What must be known to rebuild a trained network from its weights."""

    preset: str
    """``fast`` or ``paper``."""
    widths: tuple[int, int, int] = (48, 80, 112)
    window: int = WINDOW
    size: int = 256

    def build(self) -> Network:
        """The network with fresh weights."""
        if self.preset == "paper":
            return PaperNetwork(self.window, self.size)
        return Refiner(tuple(self.widths))  # type: ignore[arg-type]
