"""Training the network: pairs of real and made windows on disk, the backbone on their frames, then the head on time.

Every pair is drawn from (seed, its number), so that the same seed on one machine gives the same network, and work
that was
stopped goes on where it was: shards of pairs that are there are kept, training goes on from its last checkpoint.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector import augment as au
from facewitness.detector.autoencoder import Autoencoder
from facewitness.detector.crops import atlas, face_size
from facewitness.detector.material import load_burst
from facewitness.detector.network import CELL_PX, Detector, NetworkConfig
from facewitness.detector.pseudo import PseudoFakes
from facewitness.files import whole_file

WINDOW = 9
"""Frames of a pair: eight, and the one before the first."""
SHARD_PAIRS = 16
STILLS_SHARE = 0.15
"""Share of pairs made of photographs; they teach frames, not time."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the network is trained."""

    shards: int = 120
    """Shards of 16 pairs to make."""
    steps: int = 3000
    """Steps of the backbone."""
    head_steps: int = 1500
    batch_pairs: int = 8
    frames: int = 3
    """Frames taken of each window in a step."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    ema: float = 0.998
    """Weights are averaged over the last steps with this decay."""
    seed: int = 0


@dataclass(frozen=True)
class Pair:
    """Atlases (9, 128, 192, 3) of a real window and of the fake made from it, (9, 4, 6) shares of change, the fake's
    kind."""

    real: NDArray[np.uint8]
    fake: NDArray[np.uint8]
    cells: NDArray[np.uint8]
    kind: str
    person: str


class PairMaker:
    """Draws pairs from bursts on disk."""

    def __init__(self, bursts: Sequence[Path], autoencoders: Sequence[Autoencoder], *, seed: int = 0):
        names = sorted(bursts)
        self._stills = [p for p in names if _is_still(p)]
        self._videos = [p for p in names if not _is_still(p)]
        persons = {p: person_of(p) for p in self._videos}
        per_person = {q: sum(v == q for v in persons.values()) for q in set(persons.values())}
        weights = np.array([1 / np.sqrt(per_person[persons[p]]) for p in self._videos])
        self._weights = weights / weights.sum()
        self._fakes = PseudoFakes(autoencoders)
        self._seed = seed

    def make(self, number: int) -> Pair:
        """The pair with this number, always the same."""
        rng = np.random.default_rng((self._seed, number))
        if self._stills and rng.random() < STILLS_SHARE:
            return self._of_stills(rng)
        path = self._videos[int(rng.choice(len(self._videos), p=self._weights))]
        burst = load_burst(path)
        start = int(rng.integers(max(len(burst) - WINDOW, 0) + 1))
        images, meshes = _resized(burst.images[start : start + WINDOW], burst.meshes[start : start + WINDOW], rng)
        real, fake, cells, kind = self._pair(images, meshes, rng)
        return Pair(real, fake, cells, kind, burst.person)

    def _of_stills(self, rng: au.Rng) -> Pair:
        parts = []
        for i in rng.choice(len(self._stills), WINDOW - 1, replace=True):
            burst = load_burst(self._stills[int(i)])
            parts.append(self._pair(*_resized(burst.images, burst.meshes, rng), rng))
        first = parts[0]
        both = [np.concatenate([p[k] for p in [first, *parts]]) for k in range(3)]
        return Pair(both[0], both[1], both[2], "still", "")

    def _pair(self, images: au.Images, meshes: NDArray, rng: au.Rng) -> tuple[NDArray, NDArray, NDArray, str]:
        kind, (made, made_meshes, masks) = self._fakes.make(images, meshes, rng)
        history = au.draw_handling(rng)
        real, made = au.handle(images, meshes, history), au.handle(made, meshes, history)
        shake = rng.normal(0, 0.004 * face_size(meshes[0]), (len(images), 1, 2)) + rng.normal(
            0, 0.01 * face_size(meshes[0]), (1, 1, 2)
        )
        cells = [
            _shares(atlas((m * 255).astype(np.uint8), at)) for m, at in zip(masks, made_meshes + shake, strict=True)
        ]
        atlases = [
            np.stack([atlas(i, at) for i, at in zip(pictures, where + shake, strict=True)])
            for pictures, where in ((real, meshes), (made, made_meshes))
        ]
        if rng.random() < 0.5:
            atlases, cells = [_mirrored(a) for a in atlases], [_mirrored_cells(c) for c in cells]
        return atlases[0], atlases[1], np.stack(cells), kind


def _is_still(path: Path) -> bool:
    return path.name.startswith("s") and path.stat().st_size < 300_000  # fit names bursts of photographs s_


def person_of(path: Path) -> str:
    """The person of a burst on disk."""
    with np.load(path, allow_pickle=False) as z:
        return str(z["meta"][1])


def _resized(images: au.Images, meshes: NDArray, rng: au.Rng) -> tuple[au.Images, NDArray]:
    """The burst with its face between 90 and 256 pixels."""
    face = face_size(meshes[0])
    scale = min(1.0, float(np.exp(rng.uniform(np.log(90), np.log(256)))) / face)
    if scale > 0.95:
        return images, meshes
    size = (round(images.shape[2] * scale), round(images.shape[1] * scale))
    small = np.stack([cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in images])
    return small, ((meshes + 0.5) * scale - 0.5).astype(np.float32)


def _shares(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = mask.shape[0] // CELL_PX, mask.shape[1] // CELL_PX
    return mask.reshape(rows, CELL_PX, columns, CELL_PX).mean((1, 3)).astype(np.uint8)


def _mirrored(atlases: NDArray) -> NDArray:
    """Atlases of the mirrored face: the eyes change places."""
    out = np.empty_like(atlases)
    out[:, :, :128] = atlases[:, :, 127::-1]
    right = atlases[:, :, :127:-1]
    out[:, :48, 128:], out[:, 48:96, 128:], out[:, 96:, 128:] = right[:, 48:96], right[:, :48], right[:, 96:]
    return out


def _mirrored_cells(cells: NDArray) -> NDArray:
    out = cells.copy()
    out[:, :4] = cells[:, 3::-1]
    return out  # cells of 32 straddle the eye patches of 48; their shares differ little between the sides


def write_shard(maker: PairMaker, number: int, folder: Path) -> Path:
    """Make shard ``number`` (16 pairs) unless it is there."""
    path = folder / f"pairs{number:05d}.npz"
    if not path.is_file():
        pairs = [maker.make(number * SHARD_PAIRS + i) for i in range(SHARD_PAIRS)]
        with whole_file(path) as part:
            np.savez(
                part,
                real=np.stack([p.real for p in pairs]),
                fake=np.stack([p.fake for p in pairs]),
                cells=np.stack([p.cells for p in pairs]),
                kind=np.array([p.kind for p in pairs]),
                person=np.array([p.person for p in pairs]),
            )
    return path


class Pool:
    """Shards in memory as they come; batches are drawn from those that are there."""

    def __init__(self, folder: Path, *, limit: int = 130):
        self._folder, self._limit = folder, limit
        self._known: dict[Path, dict[str, NDArray]] = {}

    def refresh(self) -> int:
        """Take in new shards; how many pairs there are."""
        for path in sorted(self._folder.glob("pairs*.npz"))[: self._limit]:
            if path not in self._known:
                with contextlib.suppress(OSError, ValueError), np.load(path, allow_pickle=False) as z:
                    self._known[path] = {k: z[k] for k in ("real", "fake", "cells", "kind", "person")}
        return len(self._known) * SHARD_PAIRS

    def draw(self, rng: au.Rng, pairs: int, frames: int) -> tuple[NDArray, NDArray, NDArray]:
        """Inputs (2 * pairs * frames, 6, 128, 192) uint8, labels (N,), shares of change (N, 24) 0..1."""
        shards = list(self._known.values())
        xs, ys, cs = [], [], []
        for _ in range(pairs):
            shard = shards[int(rng.integers(len(shards)))]
            i = int(rng.integers(SHARD_PAIRS))
            at = rng.choice(np.arange(1, WINDOW), frames, replace=False)
            before = at if shard["kind"][i] == "still" else at - 1
            for name in ("real", "fake"):
                xs.append(np.concatenate([shard[name][i][at], shard[name][i][before]], -1))
                ys.append(np.full(frames, float(name == "fake")))
                share = shard["cells"][i][at].reshape(frames, -1) / 255
                cs.append(share if name == "fake" else np.zeros_like(share))
        x = np.concatenate(xs).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(x), np.concatenate(ys), np.concatenate(cs)

    def windows(self) -> tuple[NDArray, NDArray, NDArray]:
        """Where the windows with time are: (N,) shard, (N,) row in it, and (N,) the person seen; photographs are left
        out."""
        shards = list(self._known.values())
        rows = [(s, i) for s, d in enumerate(shards) for i, k in enumerate(d["kind"]) if k != "still"]
        persons = [str(shards[s]["person"][i]) for s, i in rows]
        return np.array([s for s, _ in rows]), np.array([i for _, i in rows]), np.array(persons)

    def window(self, shard: int, row: int, name: str) -> NDArray[np.uint8]:
        """(8, 128, 192, 6) frames of one window beside those before them."""
        a = list(self._known.values())[shard][name][row]
        return np.concatenate([a[1:], a[:-1]], -1)


def train_backbone(
    pool: Pool, config: TrainingConfig, network: NetworkConfig, checkpoint: Path, *, say: Callable[[str], None] = print,
    device: str = "cpu", pretrained: bool = False, refresh_every: int = 50,
) -> Detector:  # fmt: skip
    """Fit the frame part of the network; goes on from ``checkpoint`` where that is there. Returns the averaged
    weights."""
    import torch
    from torch import nn

    torch.manual_seed(config.seed)
    model = Detector(network, pretrained=pretrained).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Detector(network, pretrained=pretrained)
    average.load_state_dict(model.state_dict())
    decay = [p for p in model.face.parameters() if p.ndim > 1]
    plain = [p for p in model.face.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=config.learning_rate,
    )
    start = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        start = int(state["step"])
    bce = nn.BCEWithLogitsLoss()
    shown: list[tuple[float, float]] = []
    model.train()
    pool.refresh()
    for step in range(start, config.steps):
        if step % refresh_every == 0:
            pool.refresh()
        rng = np.random.default_rng((config.seed, 7, step))
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config.steps)
        x, y, c = pool.draw(rng, config.batch_pairs, config.frames)
        images = torch.from_numpy(x).to(device).float()
        images = images * float(rng.uniform(0.85, 1.15)) + float(rng.uniform(-12, 12))
        target, share = torch.from_numpy(y).float().to(device), torch.from_numpy(c).float().to(device)
        _, logits, cells = model.face(images.contiguous(memory_format=torch.channels_last))
        loss = bce(logits, target) + bce(cells, share)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.face.parameters(), 5.0)
        optimiser.step()
        with torch.no_grad():
            keep = min(config.ema, (step + 1) / (step + 10))
            for a, b in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
                a.lerp_(b.cpu(), 1 - keep) if a.is_floating_point() else a.copy_(b)
        shown.append((float(loss.detach()), float(((logits > 0) == (target > 0.5)).float().mean())))
        if (step + 1) % 50 == 0 or step + 1 == config.steps:
            loss_now, right = np.mean(shown, axis=0)
            say(f"step {step + 1} loss {loss_now:.4f} accuracy {right:.3f}")
            shown.clear()
            state = {
                "model": model.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
                "step": step + 1,
            }  # fmt: skip
            with whole_file(checkpoint) as part:
                torch.save(state, part)
    return average.eval()


def _schedule(step: int, steps: int) -> float:
    """Warm up over 3 % of the steps, then a cosine to nearly nothing."""
    warm = max(steps * 0.03, 1)
    return min((step + 1) / warm, 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * step / steps))))


def train_head(
    model: Detector, pool: Pool, config: TrainingConfig, *, say: Callable[[str], None] = print, batch: int = 32
) -> Detector:
    """Fit the temporal head on the embeddings of all windows, the frame part frozen."""
    import torch
    from torch import nn

    shards, rows, _ = pool.windows()
    embeddings, logits = [], []
    with torch.inference_mode():
        for s, r in zip(shards, rows, strict=True):
            for name in ("real", "fake"):
                x = torch.from_numpy(pool.window(s, r, name)).permute(0, 3, 1, 2).float()
                e, f, _ = model.face(x)
                embeddings.append(e)
                logits.append(f)
    e_all, f_all = torch.stack(embeddings).clone(), torch.stack(logits).clone()
    y_all = torch.tensor([0.0, 1.0]).repeat(len(shards))
    torch.manual_seed(config.seed)
    optimiser = torch.optim.AdamW(model.head.parameters(), lr=1e-3, weight_decay=0.02)
    bce = nn.BCEWithLogitsLoss()
    model.head.train()
    losses = []
    for step in range(config.head_steps):
        rng = np.random.default_rng((config.seed, 11, step))
        pick = torch.from_numpy(rng.integers(0, len(shards), batch))
        pick = torch.cat([2 * pick, 2 * pick + 1])
        e, f = e_all[pick], f_all[pick]
        if (
            rng.random() < 0.5
        ):  # a window of sixteen frames is what a scan shows; eight and their mirror in time stand in
            e, f = torch.cat([e, e.flip(1)], 1), torch.cat([f, f.flip(1)], 1)
        loss = bce(model.head(e, f), y_all[pick])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
        if (step + 1) % 300 == 0:
            say(f"head step {step + 1} loss {np.mean(losses[-300:]):.4f}")
    return model.eval()


def one_thread() -> None:
    """Keep the libraries of this process to one thread each; call it first in a worker."""
    os.environ["OMP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)
    with contextlib.suppress(ImportError, RuntimeError):
        import torch

        torch.set_num_threads(1)
