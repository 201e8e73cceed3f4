"""A small convolutional autoencoder of faces: its reconstructions are fakes of the very frame they are compared with.

"Aligned" real and reconstructed pairs teach what decoders leave behind without any generator at hand (Rajan et al.,
2024).
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Fully convolutional: (B, 3, H, W) in 0..1 -> the same; H and W multiples of ``2**halvings``."""

    def __init__(self, *, halvings: int = 3, latent: int = 8, width: int = 16, up: str = "nearest"):
        super().__init__()
        down: list[nn.Module] = []
        channels = 3
        for k in range(halvings):
            out = width * 2**k
            down += [nn.Conv2d(channels, out, 4, 2, 1), nn.SiLU()]
            channels = out
        self.encoder = nn.Sequential(*down, nn.Conv2d(channels, latent, 1))
        rise: list[nn.Module] = [nn.Conv2d(latent, channels, 1), nn.SiLU()]
        for k in reversed(range(halvings)):
            out = width * 2 ** max(k - 1, 0)
            if up == "transposed":
                rise += [nn.ConvTranspose2d(channels, out, 4, 2, 1), nn.SiLU()]
            elif up == "shuffle":
                rise += [nn.Conv2d(channels, 4 * out, 3, 1, 1), nn.PixelShuffle(2), nn.SiLU()]
            else:
                rise += [nn.Upsample(scale_factor=2, mode=up), nn.Conv2d(channels, out, 3, 1, 1), nn.SiLU()]
            channels = out
        self.decoder = nn.Sequential(*rise, nn.Conv2d(channels, 3, 3, 1, 1))
        self.settings: dict[str, Any] = {"halvings": halvings, "latent": latent, "width": width, "up": up}

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct."""
        return self.decoder(self.encoder(x * 2 - 1))


VARIANTS: tuple[dict[str, Any], ...] = (
    {"halvings": 2, "latent": 16, "width": 24, "up": "nearest"},
    {"halvings": 2, "latent": 8, "width": 24, "up": "shuffle"},
    {"halvings": 3, "latent": 32, "width": 16, "up": "transposed"},
    {"halvings": 2, "latent": 12, "width": 24, "up": "bilinear"},
    {"halvings": 3, "latent": 48, "width": 16, "up": "nearest"},
)
"""Decoders of the kinds generators use: nearest and bilinear enlargement (most GANs), pixel shuffle, transposed
convolution, from a quarter and an eighth of the size (as latent diffusion). Their latents are wide:
a decoder that only blurs teaches nothing but to look for blur."""


def train_autoencoder(
    patches: NDArray[np.uint8], settings: dict, *, steps: int = 1500, batch: int = 32, seed: int = 0
) -> Autoencoder:
    """Fit an autoencoder to (N, 64, 64, 3) uint8 patches of real faces by L1 in the picture and in its gradients."""
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Autoencoder(**settings)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    for _ in range(steps):
        x = torch.from_numpy(patches[rng.integers(0, len(patches), batch)]).permute(0, 3, 1, 2).float() / 255
        y = model(x)
        loss = (y - x).abs().mean()
        for axis in (2, 3):
            loss = loss + (y.diff(dim=axis) - x.diff(dim=axis)).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    model.loss = float(loss.detach())  # type: ignore[assignment]
    return model.eval()


def coloured_as(x: Tensor, made: Tensor, *, coarse: int) -> Tensor:
    """``made`` (B, 3, H, W) with the colours that ``x`` has at one pixel in ``coarse``, its fine detail kept."""
    error = nn.functional.interpolate(x - made, scale_factor=1 / coarse, mode="area")
    return made + nn.functional.interpolate(error, size=x.shape[2:], mode="bilinear")


def reconstruct(model: Autoencoder, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(T, H, W, 3) uint8 through the autoencoder, same size (edges that do not divide are repeated)."""
    import torch

    step = 2 ** model.settings["halvings"]
    _, height, width, _ = images.shape
    pad = ((0, 0), (0, -height % step), (0, -width % step), (0, 0))
    x = torch.from_numpy(np.pad(images, pad, mode="edge")).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        y = model(x)
        # a briefly trained decoder has wrong colours, which no real generator has; only its fine errors are wanted
        y = coloured_as(x, y, coarse=8)
    out = (y.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(out[:, :height, :width])


def save_autoencoder(model: Autoencoder, path: Path) -> None:
    """Write weights and settings as safetensors."""
    import json

    save_file(model.state_dict(), path, metadata={"settings": json.dumps(model.settings)})


def load_autoencoder(path: Path) -> Autoencoder:
    """Read what ``save_autoencoder`` wrote."""
    import json

    from safetensors import safe_open

    with safe_open(path, "pt") as f:
        settings = json.loads(f.metadata()["settings"])
    model = Autoencoder(**settings)
    model.load_state_dict(load_file(path))
    return model.eval()
