"""The published method (Kim et al., Deep Video Portraits, SIGGRAPH 2018), as a preset and as a baseline: a window of
conditioning pictures alone becomes the whole square; nothing of the footage is shown again.

What is drawn for the network are our conditioning pictures, nine channels as theirs: render of the mean texture,
coordinates on the surface, eyes and gaze.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from facewitness.devices import computes_in_half
from facewitness.faces.ahead import read_ahead
from facewitness.generator.compose import at
from facewitness.generator.condition import CHANNELS, conditioning
from facewitness.generator.network import WINDOW, PaperNetwork
from facewitness.generator.retrieve import Choice
from facewitness.generator.shapes import Shapes
from facewitness.generator.synthesis import AHEAD, FOOTAGE, Grounding, Made1, Synthesiser
from facewitness.generator.trainer import Threads, Trainer, TrainSettings

MEMORY_BYTES = 2 << 30
"""Of conditioning pictures that are kept for training: about 3,600 frames at 256 px."""
LEAST_FRAMES = 16


def network_size(side: int) -> int:
    """Pixels at which the published network models a square of ``side``: the largest power of two within."""
    return 1 << (side.bit_length() - 1)


def drawn(shapes: Shapes, texture: NDArray[np.float32], side: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the conditioning (S, S, 9) of each of ``shapes`` (in pixels of a square of ``side``), S the network's."""
    size = network_size(side)
    scaled = shapes.moved((0, 0), size / side)
    for mesh, irises in zip(scaled.mesh, scaled.irises, strict=True):
        yield conditioning(mesh, irises, texture, size)


def window_of(drawn: NDArray[np.uint8], t: int) -> NDArray[np.uint8]:
    """(S, S, 99) the window of (N, S, S, 9) that ends at frame ``t``; before the beginning, the first frame stands."""
    numbers = np.maximum(np.arange(t - WINDOW + 1, t + 1), 0)
    return np.concatenate(list(drawn[numbers]), axis=-1)


@dataclass(frozen=True, kw_only=True)
class PaperMaterial:
    """Consecutive frames to train on."""

    drawn: NDArray[np.uint8]
    """(N, S, S, 9) conditioning."""
    truth: NDArray[np.uint8]
    """(N, S, S, 3)."""


def make_paper_material(
    frames: NDArray[np.uint8], shapes: Shapes, texture: NDArray[np.float32], *, until: float,
    tick: Callable[[], None] = lambda: None,
) -> PaperMaterial:  # fmt: skip
    """Draw the conditioning of squares (N, S, S, 3) from the first on, until the clock (``time.monotonic``) says so or
    memory is used up; 16 at least."""
    side = frames.shape[1]
    size = network_size(side)
    most = min(len(frames), MEMORY_BYTES // (size * size * CHANNELS))
    out: list[NDArray[np.uint8]] = []
    for picture in drawn(shapes[:most], texture, side):
        if len(out) >= LEAST_FRAMES and time.monotonic() > until:
            break
        out.append(picture)
        tick()
    truth = [np.asarray(cv2.resize(f, (size, size), interpolation=cv2.INTER_AREA)) for f in frames[: len(out)]]
    return PaperMaterial(drawn=np.stack(out), truth=np.stack(truth))


class PaperCritic(nn.Module):
    """Conditional PatchGAN: says patch by patch (70 px each) whether (window, picture) is footage (Isola et al. 2017).

    (B, 102, S, S) in, (B, 1, S/8 - 2, S/8 - 2) scores out, high for footage.
    """

    def __init__(self, channels: int, width: int = 64):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for k, stride in ((1, 2), (2, 2), (3, 1)):
            a, b = width * 2 ** (k - 1), width * 2**k
            layers += [nn.Conv2d(a, b, 4, stride, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Scores before the sigmoid."""
        return self.layers(x)


@dataclass(frozen=True, kw_only=True)
class PaperSettings(TrainSettings):
    """How the published network was trained."""

    rate: float = 2e-4
    batch: int | None = None
    """Frames in a step; None: 16 on an accelerator as published, 1 on a processor, where a step would else take
    minutes."""
    reconstruction: float = 100.0
    """Weight of L1 (of values -1..1) against an adversarial loss of 1."""
    width: int = 64
    """Channels of the first module."""


class PaperTrainer(Trainer):
    """Training of the published network: conditional GAN and 100 times L1, Adam with first momentum .5."""

    def __init__(
        self, material: PaperMaterial, *, seconds: float, seed: int = 0, device: str = "cpu",
        settings: PaperSettings | None = None, checkpoint: Path | None = None, run: str = "",
    ):  # fmt: skip
        self.settings: PaperSettings = settings or PaperSettings()
        self.window, self.seconds, self.device, self.checkpoint = material, seconds, torch.device(device), checkpoint
        self.name, self.half = run, computes_in_half(self.device)
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        size = material.drawn.shape[1]
        self.network: PaperNetwork = self._placed(PaperNetwork(WINDOW, size, self.settings.width))
        self.average = self.network  # weights are kept as they are; nothing is averaged
        self.critic = self._placed(PaperCritic(CHANNELS * WINDOW + 3, self.settings.width))
        self.optimiser = torch.optim.Adam(self.network.parameters(), self.settings.rate, betas=(0.5, 0.999))
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), self.settings.rate, betas=(0.5, 0.999))
        self.batch = self.settings.batch or (16 if self.device.type != "cpu" else 1)
        self.steps, self.spent = 0, 0.0
        self.threads = Threads(1 if self.device.type != "cpu" else os.cpu_count() or 1)

    def _kept(self) -> dict[str, nn.Module]:
        return {"network": self.network, "critic": self.critic}

    def _rate(self, share: float) -> float:
        del share
        return self.settings.rate

    def _step(self, *, adversarial: bool) -> float:
        """One update of critic and network; the network is as before where a loss is no number."""
        del adversarial
        m = self.window
        numbers = self.rng.integers(0, len(m.truth), self.batch)
        given = self._tensor([window_of(m.drawn, int(t)) for t in numbers])
        truth = self._tensor(list(m.truth[numbers]))
        statistics = [b.clone() for b in self.network.buffers()]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            made = self.network(given).float()
            real, fake = self._score(given, truth), self._score(given, made.detach())
        critic_loss = 0.5 * (_bce(real, 1.0) + _bce(fake, 0.0))
        if np.isfinite(float(critic_loss.detach())):
            self.critic_optimiser.zero_grad(set_to_none=True)
            critic_loss.backward()
            self.critic_optimiser.step()
        self.critic.requires_grad_(False)
        error = 2 * F.l1_loss(made, truth)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            believed = self._score(given, made)
        loss = _bce(believed, 1.0) + self.settings.reconstruction * error
        self.critic.requires_grad_(True)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        good = bool(torch.isfinite(loss)) and all(
            bool(torch.isfinite(p.grad).all()) for p in self.network.parameters() if p.grad is not None
        )
        if not good:
            for now, before in zip(self.network.buffers(), statistics, strict=True):
                now.copy_(before)
            return float("nan")
        self.optimiser.step()
        return float(error.detach()) / 2

    def glimpses(self, most: int = 6) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """(real, made) squares (S, S, 3) of frames it is trained on, as the network is now."""
        m = self.window
        chosen = np.unique(np.linspace(0, len(m.truth) - 1, most).astype(int))
        self.network.eval()
        pairs = [(m.truth[t], self._made(window_of(m.drawn, int(t)))) for t in chosen]
        self.network.train()
        return pairs

    def _score(self, given: Tensor, picture: Tensor) -> Tensor:
        return self.critic(torch.cat([given, picture], 1)).float()


def _bce(scores: Tensor, wanted: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, wanted))


class PaperSynthesiser(Synthesiser):
    """Makes squares from shapes with the published network alone; stored frames only lend what is around the square."""

    looks_back = 0  # what it looks back on is given as shapes

    def frames(
        self, wanted: Shapes, choices: dict[str, Choice] | None = None, *, allowed: NDArray[np.bool_] | None = None,
        faithful: bool = False, earlier: Shapes | None = None, grounding: Grounding | None = None,
    ) -> Generator[Made1, None, None]:  # fmt: skip
        """Yield a square for every frame of ``wanted``; with ``faithful`` only the head is new.

        ``earlier`` are the shapes before the first, for the network to look back on.
        """
        assert self.refine is not None
        del grounding
        choices = choices or self.plan(wanted, allowed=allowed)
        seen: deque[NDArray[np.uint8]] = deque(maxlen=WINDOW)
        if earlier is not None:
            seen.extend(drawn(earlier[-WINDOW + 1 :], self.texture, self.size))
        y, x = np.mgrid[: self.size, : self.size].astype(np.float32)
        where, nothing = np.stack([x, y], -1), np.zeros((self.size, self.size), np.float32)
        for t, picture in enumerate(read_ahead(drawn(wanted, self.texture, self.size), AHEAD)):
            seen.extend([picture] * (1 if seen else WINDOW))
            stacked = np.concatenate([*[seen[0]] * (WINDOW - len(seen)), *seen], axis=2)
            made = self.refine(stacked[None])[0]
            made = cv2.resize(np.ascontiguousarray(made), (self.size, self.size), interpolation=cv2.INTER_CUBIC)
            choice = at(choices, t)
            alpha = self.alpha(self.composer.shell_of(wanted.mesh[t], wanted.irises[t])) if faithful else 1 + nothing
            yield Made1(
                picture=np.clip(made, 0, 255).astype(np.float32), alpha=alpha, canvas=choice["canvas"],
                behind=choice.get(FOOTAGE, choice["canvas"]), where=where, share=nothing,
            )  # fmt: skip
