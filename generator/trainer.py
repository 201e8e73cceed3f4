"""Training the refiner of one person against the clock: reconstruction first, then frame and short-clip
discriminators."""

import copy
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from facewitness.devices import computes_in_half
from facewitness.faces import landmarks as lm
from facewitness.files import whole_file
from facewitness.generator.compose import Composer, at
from facewitness.generator.condition import conditioning
from facewitness.generator.network import INPUTS, Network, PatchDiscriminator, Refiner, started
from facewitness.generator.retrieve import plan
from facewitness.generator.shapes import Shapes
from facewitness.generator.synthesis import network_input

CLIP = 3
"""Consecutive frames that are made together, so that a discriminator can see motion."""
AWAY_S = 1.0
"""While training, no frame is retrieved from within this many seconds of the one that is made."""
VALIDATE_EVERY = 8
"""One clip in so many is kept from training, to choose how much of the network is used."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How the refiner is trained."""

    crop: int = 128
    """Side of the training crops, pixels."""
    clips: int = 2
    """Clips of three frames in a step."""
    rate: float = 1.2e-3
    """Learning rate of Adam at the start; it falls to a tenth."""
    adversarial_from: float = 0.45
    """Share of the time after which the discriminators join."""
    adversarial: float = 0.012
    matching: float = 0.05
    """Weights of the adversarial loss and of feature matching, against an L1 of 1."""
    gradient: float = 0.6
    """Weight of the L1 of picture gradients."""
    average: float = 0.995
    """Decay of the moving average of weights, which is what is kept."""
    critics: bool = True
    """Whether discriminators take part at all; without them training is reconstruction to the end."""


@dataclass
class Material:
    """Clips of three frames made ready for training: what the network is given, and what it should show."""

    given: NDArray[np.uint8]
    """(M, 3, S, S, 12) base and conditioning."""
    truth: NDArray[np.uint8]
    """(M, 3, S, S, 3)."""
    points: NDArray[np.float32]
    """(M, 3, 2) centres of mouth, right eye and left eye in the first frame."""
    frames: NDArray[np.int64]
    """(M, 3) numbers of the stored frames."""
    meshes: NDArray[np.float32]
    """(M, 3, 468, 3)."""


def seen(
    material: Material, clip: int, t: int, box: tuple[slice, slice] = (slice(None), slice(None))
) -> NDArray[np.uint8]:
    """(h, w, 15) what the network is given of one frame: base, conditioning, and the base before it."""
    here, before = material.given[clip][(t, *box)], material.given[clip][(max(t - 1, 0), *box)]
    return network_input(here[..., :3], here[..., 3:], before[..., :3])


def make_material(
    frames: NDArray[np.uint8], shapes: Shapes, texture: NDArray[np.float32], *, rate: float, until: float,
    rng: np.random.Generator, most: int = 400, tick: Callable[[], None] = lambda: None,
    follow: NDArray[np.float32] | None = None, parts: NDArray[np.uint8] | None = None,
) -> Material:  # fmt: skip
    """Compose bases for clips drawn evenly from the footage, until the clock (``time.monotonic``) says ``until``.

    At least 8 clips are made whatever the clock says.
    """
    composer = Composer(frames, shapes, follow, parts)
    choices = plan(
        shapes, shapes, away=np.arange(len(shapes)), away_by=max(1, round(AWAY_S * rate)), looks=composer.looks
    )
    starts = np.arange(0, len(shapes) - CLIP + 1, CLIP)
    starts = rng.permutation(starts)[:most]
    given, truth, points = [], [], []
    for count, start in enumerate(starts):
        if count >= 8 and time.monotonic() > until:
            break
        clip = []
        for t in range(start, start + CLIP):
            torso = None if shapes.torso is None else shapes.torso[t]
            base = composer.compose(shapes.mesh[t], shapes.irises[t], at(choices, t), torso)
            cond = conditioning(shapes.mesh[t], shapes.irises[t], texture, composer.size)
            clip.append(np.concatenate([np.clip(base + 0.5, 0, 255).astype(np.uint8), cond], axis=2))
        given.append(np.stack(clip))
        truth.append(np.asarray(frames[start : start + CLIP]))
        mesh = shapes.mesh[start, :, :2]
        points.append(
            [mesh[list(lm.OUTER_LIPS)].mean(0), mesh[list(lm.RIGHT_EYE)].mean(0), mesh[list(lm.LEFT_EYE)].mean(0)]
        )
        tick()
    used = starts[: len(given), None] + np.arange(CLIP)
    return Material(
        given=np.stack(given),
        truth=np.stack(truth),
        points=np.asarray(points, np.float32),
        frames=used,
        meshes=shapes.mesh[used],
    )


@dataclass
class Trained:
    """What training gave."""

    network: Network
    steps: int
    seconds: float
    notes: list[str] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """One run of training, which can be stopped after any step and taken up again from its checkpoint."""

    def __init__(
        self, material: Material, *, seconds: float, seed: int = 0, device: str = "cpu",
        settings: TrainSettings | None = None, checkpoint: Path | None = None, fresh: bool = False, run: str = "",
    ):  # fmt: skip
        """``run`` names what is trained on what: a checkpoint of another one is not taken up."""
        self.settings = settings or TrainSettings()
        self.material, self.seconds, self.device = material, seconds, torch.device(device)
        self.checkpoint, self.name = checkpoint, run
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        clips = np.arange(len(material.given))
        self.training = clips[clips % VALIDATE_EVERY != VALIDATE_EVERY - 1]
        self.half = computes_in_half(self.device)
        self.network: Network = self._placed(Refiner() if fresh else started())
        self.average: Network = copy.deepcopy(self.network).requires_grad_(False)
        self.frame_critic = self._placed(PatchDiscriminator(3))
        self.clip_critic = self._placed(PatchDiscriminator(3 * CLIP))
        self.optimiser = torch.optim.Adam(self.network.parameters(), self.settings.rate, betas=(0.9, 0.99), fused=True)
        self.critics = [*self.frame_critic.parameters(), *self.clip_critic.parameters()]
        self.critic_optimiser = torch.optim.Adam(self.critics, 4e-4, betas=(0.5, 0.99), fused=True)
        self.steps, self.spent = 0, 0.0
        self.threads = Threads(1 if self.device.type != "cpu" else os.cpu_count() or 1)

    def run(
        self, tick: Callable[[float, float], None] = lambda share, loss: None, *, most_steps: int | None = None
    ) -> Trained:
        """Train until the seconds are spent (those of earlier runs counted); ``tick(seconds, loss)`` after each step.

        ``most_steps`` ends it sooner: with it and one thread, a run is the same every time.
        """
        out = Trained(network=self.average, steps=0, seconds=0.0)
        self.resume()
        last_saved = time.monotonic()
        while self.spent < self.seconds and (most_steps is None or self.steps < most_steps):
            start = time.monotonic()
            share = self.spent / self.seconds if most_steps is None else self.steps / most_steps
            for group in self.optimiser.param_groups:
                group["lr"] = self._rate(share)
            with self.threads:
                loss = self._step(adversarial=self.settings.critics and share >= self.settings.adversarial_from)
            if not np.isfinite(loss):
                out.notes.append(
                    f"training stopped after {self.steps} steps because the loss was no number; "
                    "the last good state is kept."
                )
                break
            self.steps += 1
            step_s = time.monotonic() - start
            self.spent += step_s
            tick(step_s, loss)
            if self.checkpoint and time.monotonic() - last_saved > 30:
                self.save()
                last_saved = time.monotonic()
        out.steps, out.seconds = self.steps, self.spent
        return out

    def _rate(self, share: float) -> float:
        """Learning rate when ``share`` of the time is spent."""
        return float(self.settings.rate * (0.1 + 0.45 * (1 + np.cos(np.pi * share))) * min(1, (self.steps + 1) / 30))

    def _placed(self, network: Any) -> Any:
        """The network where it is trained, channels last in memory, which is how convolutions are quick."""
        return network.to(self.device, memory_format=torch.channels_last)

    def _kept(self) -> dict[str, nn.Module]:
        """Networks that a checkpoint holds."""
        return {
            "network": self.network, "average": self.average, "frame_critic": self.frame_critic,
            "clip_critic": self.clip_critic,
        }  # fmt: skip

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Optimisers that a checkpoint holds."""
        return {"optimiser": self.optimiser, "critic_optimiser": self.critic_optimiser}

    def _step(self, *, adversarial: bool) -> float:
        given, truth = self._batch(clips=adversarial)
        s = self.settings
        assert isinstance(self.network, Refiner)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            made, _ = self.network.parts(given)
        weight = 1 + given[:, 8:9] + 2 * torch.maximum(given[:, 9:10], given[:, 11:12])
        loss = (weight * (made - truth).abs()).mean() + s.gradient * sum(
            (weight[..., 1:, 1:] * d).mean() for d in (_gradient(made, truth))
        )
        lesson = None
        if adversarial:
            fooling, lesson = self._adversarial(made, truth)
            loss = loss + fooling
        value = float(loss.detach())
        if not np.isfinite(value):
            return value
        weights = list(self.network.parameters())
        # asked for one by one: the way back through the critics needs no gradients of their weights, nor theirs ours
        taught = [] if lesson is None else torch.autograd.grad(lesson, self.critics, retain_graph=True)
        _give(weights, torch.autograd.grad(loss, weights))
        norm = torch.nn.utils.clip_grad_norm_(weights, 1.0)
        if not torch.isfinite(norm):
            return float("nan")
        self.optimiser.step()
        if taught:
            _give(self.critics, taught)
            self.critic_optimiser.step()
        decay = min(self.settings.average, (1 + self.steps) / (10 + self.steps))
        get_ema_multi_avg_fn(decay)(list(self.average.parameters()), weights, 0)
        return value

    def _adversarial(self, made: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """The network's loss (fool both critics, and match their features), and the critics' own (hinge)."""
        s = self.settings
        critic_loss, loss = torch.zeros((), device=made.device), torch.zeros((), device=made.device)
        middle = slice(CLIP // 2, None, CLIP)  # neighbours look alike: one frame of each clip teaches as much as all
        pairs = [(self.frame_critic, made[middle], truth[middle]), (self.clip_critic, _clips(made), _clips(truth))]
        for critic, fake, real in pairs:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                # seen together, so that one look serves the critic's lesson and the network's
                score, features = critic(torch.cat([real, fake]).contiguous(memory_format=torch.channels_last))
            good, bad = score.float().chunk(2)
            critic_loss = critic_loss + F.relu(1 - good).mean() + F.relu(1 + bad).mean()
            loss = loss - s.adversarial * bad.mean()
            for seen in features:
                wanted, shown = seen.chunk(2)
                loss = loss + s.matching * (shown - wanted.detach()).abs().mean() / len(features)
        return loss, critic_loss

    def _batch(self, *, clips: bool) -> tuple[Tensor, Tensor]:
        """Crops (B, 15, c, c) and (B, 3, c, c) in 0..1: whole clips, or the same number of single frames less a
        third."""
        m, s = self.material, self.settings
        size, crop = m.truth.shape[2], min(s.crop, m.truth.shape[2])
        given, truth = [], []
        for _ in range(s.clips if clips else 2 * s.clips):
            k = int(self.rng.choice(self.training))
            x, y = self._corner(m.points[k], size, crop)
            for t in range(CLIP) if clips else [int(self.rng.integers(CLIP))]:
                box = slice(y, y + crop), slice(x, x + crop)
                given.append(seen(m, k, t, box))
                truth.append(m.truth[(k, t, *box)])
        return self._tensor(given), self._tensor(truth)

    def _corner(self, points: NDArray[np.float32], size: int, crop: int) -> tuple[int, int]:
        pick = self.rng.random()
        if pick < 0.35:
            centre = points[0]
        elif pick < 0.7:
            centre = points[1 + int(self.rng.integers(2))]
        else:
            centre = self.rng.uniform(0, size, 2)
        corner = centre - crop / 2 + self.rng.uniform(-crop / 4, crop / 4, 2)
        x, y = np.clip(np.round(corner), 0, size - crop).astype(int)
        return int(x), int(y)

    def _tensor(self, pictures: list[NDArray[np.uint8]]) -> Tensor:
        stacked = torch.from_numpy(np.stack(pictures)).to(self.device)
        return stacked.permute(0, 3, 1, 2).float().div_(255)

    def glimpses(self, most: int = 6) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """(real, made) squares (S, S, 3) of clips kept from training, as the network is now."""
        clips = np.setdiff1d(np.arange(len(self.material.given)), self.training)
        chosen = clips[np.unique(np.linspace(0, max(len(clips) - 1, 0), most).astype(int))] if len(clips) else clips
        return [(self.material.truth[k, 1], self._made(seen(self.material, int(k), 1))) for k in chosen]

    def _made(self, given: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(S, S, 3) what the network kept makes of its input (S, S, C)."""
        with torch.inference_mode():
            made = self.average(self._tensor([given]))[0].float().permute(1, 2, 0).cpu().numpy()
        return np.asarray(np.clip(made * 255 + 0.5, 0, 255), np.uint8)

    def save(self) -> None:
        """Write everything that the next step depends on (safetensors), whole or not at all."""
        from safetensors.torch import save_file

        assert self.checkpoint is not None
        state = {f"{name}.{k}": v for name, n in self._kept().items() for k, v in n.state_dict().items()}
        for name, optimiser in self._optimisers().items():
            for k, of_weight in optimiser.state_dict()["state"].items():
                state |= {f"{name}.{k}.{what}": v for what, v in of_weight.items()}
        state["torch_rng"] = torch.get_rng_state()
        state["clock"] = torch.tensor([float(self.steps), self.spent], dtype=torch.float64)
        about = {"run": self.name, "rng": json.dumps(self.rng.bit_generator.state)}
        with whole_file(self.checkpoint) as part:
            save_file({k: v.contiguous() for k, v in state.items()}, part, about)

    def resume(self) -> bool:
        """Take up the checkpoint, where there is one of this run: from here on all is as if nothing had happened.

        One that is damaged or of another run is left alone, and training starts afresh.
        """
        from safetensors import SafetensorError, safe_open

        if self.checkpoint is None or not self.checkpoint.exists():
            return False
        try:
            with safe_open(self.checkpoint, "pt", str(self.device)) as file:
                about = file.metadata() or {}
                if about.get("run") != self.name:
                    return False
                state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return False
        for name, network in self._kept().items():
            network.load_state_dict(_under(name, state))
        for name, optimiser in self._optimisers().items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(name, state).items():
                number, what = key.split(".")
                # the fused optimiser reads memory as it lies: like the weights
                moments.setdefault(int(number), {})[what] = value.to(memory_format=_layout(value))
            optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        torch.set_rng_state(state["torch_rng"].cpu())
        self.rng.bit_generator.state = json.loads(about["rng"])
        steps, self.spent = state["clock"].tolist()
        self.steps = int(steps)
        return True


def _under(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}


def _layout(values: Tensor) -> torch.memory_format:
    return torch.channels_last if values.ndim == 4 else torch.contiguous_format


def _give(weights: list[nn.Parameter], slopes: Sequence[Tensor]) -> None:
    for w, slope in zip(weights, slopes, strict=True):
        w.grad = slope


def _gradient(made: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    def d(x: Tensor) -> tuple[Tensor, Tensor]:
        return x[..., 1:, 1:] - x[..., 1:, :-1], x[..., 1:, 1:] - x[..., :-1, 1:]

    (ax, ay), (bx, by) = d(made), d(truth)
    return (ax - bx).abs(), (ay - by).abs()


def _clips(pictures: Tensor) -> Tensor:
    """(B, 9, h, w) three consecutive frames as channels: the first, and the two changes that follow, enlarged."""
    x = pictures.unflatten(0, (-1, CLIP))
    return torch.cat([x[:, 0], 4 * (x[:, 1] - x[:, 0]), 4 * (x[:, 2] - x[:, 1])], 1)


class Threads:
    """Finds out by trying whether a step is quicker on all processors or on one: on a busy machine, one often wins."""

    AGAIN_S = 45.0
    TRIES = 2

    def __init__(self, most: int):
        self.most = most
        self.begin()

    def begin(self) -> None:
        """Try all counts afresh; only one thread where others keep the machine busy, for then threads wait in vain."""
        busy = os.getloadavg()[0] > 1.5 * self.most
        self.counts = [1] if busy else sorted({1, self.most})
        self.took: dict[int, list[float]] = {n: [] for n in self.counts}
        self.decided_at: float | None = None

    def __enter__(self) -> None:
        if self.decided_at is not None and time.monotonic() - self.decided_at > self.AGAIN_S:
            self.begin()
        if self.decided_at is None:
            untried = [n for n in self.counts if len(self.took[n]) < self.TRIES]
            count = untried[0] if untried else min(self.counts, key=lambda n: min(self.took[n]))
            torch.set_num_threads(count)
            if not untried:
                self.decided_at = time.monotonic()
        self.start = time.monotonic()

    def __exit__(self, *exc: object) -> None:
        if self.decided_at is None:
            self.took[torch.get_num_threads()].append(time.monotonic() - self.start)


assert INPUTS == 15
