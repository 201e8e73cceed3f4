"""Training the network: pairs of real and made windows on disk, the backbone on their frames, then the head on time.

Every pair is drawn from (seed, its number), so that the same seed on one machine gives the same network, and work
that was
stopped goes on where it was: shards of pairs that are there are kept, training goes on from its last checkpoint.
"""

import contextlib
import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector import augment as au
from facewitness.detector.backbones import freeze_start
from facewitness.detector.crops import FACE_PX, atlas, face_size, face_square
from facewitness.detector.examples import Example
from facewitness.detector.material import Burst, load_burst
from facewitness.detector.network import CELLS, Detector, NetworkConfig
from facewitness.detector.pseudo import PseudoFakes
from facewitness.detector.redraw import blended_anew, changed_alike
from facewitness.detector.texture import statistics, summary
from facewitness.devices import computes_in_half
from facewitness.errors import UsageError
from facewitness.files import whole_file

WINDOW = 9
"""Frames of a pair: eight, and the one before the first."""
SHARD_PAIRS = 16
REFRAMED = 0.5
"""Share of pairs that are cut to a square and encoded once more."""
MADE_SHARE = 0.15
"""Share of pairs with a clip by a generator, where there are any; the others are made here."""
SAY_EVERY = 100
"""Steps between two checkpoints."""
JUDGE_EVERY = 500
"""Steps between two looks at persons who are not trained on."""
STILLS_SHARE = 0.15
"""Share of pairs made of photographs; they teach frames, not time."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the network is trained."""

    shards: int = 200
    """Shards of 16 pairs to make."""
    held_shards: int = 12
    """Shards of pairs of persons who are not trained on, for telling how far training has come."""
    steps: int = 3000
    """Steps of the backbone."""
    frozen_stride: int | None = None
    """Layers up to this stride keep their ImageNet weights, where there are such; None: 8 on a processor, where they
    cost the most, none on an accelerator."""
    head_steps: int = 400
    batch_pairs: int = 12
    frames: int = 1
    """Frames taken of each window in a step."""
    learning_rate: float = 6e-4
    weight_decay: float = 0.05
    half: bool = True
    """Compute in bfloat16 where it is safe: processors with AMX and accelerators are more than twice as fast then."""
    ema: float = 0.998
    """Weights are averaged over the last steps with this decay."""
    seed: int = 0


@dataclass(frozen=True)
class Pair:
    """A real window and the fake made from it."""

    squares: NDArray[np.uint8]
    """(2, 9, 224, 224, 3) faces, the real window and the fake one."""
    cells: NDArray[np.uint8]
    """(9, 14, 14) shares of change in the fake."""
    surface: NDArray[np.float32]
    """(2, F) surface statistics of both windows; none where there is no time."""
    kind: str
    person: str


class PairMaker:
    """Draws pairs from bursts on disk.

    ``made`` names bursts of clips by a generator, and beside each the burst of the real clip of the same moment.
    """

    def __init__(
        self,
        bursts: Sequence[Path],
        fakes: PseudoFakes,
        *,
        seed: int = 0,
        made: Mapping[Path, Path] | None = None,
    ):
        names = sorted(bursts)
        self._stills = [p for p in names if _is_still(p)]
        self._videos = [p for p in names if not _is_still(p)]
        persons = {p: person_of(p) for p in self._videos}
        per_person = {q: sum(v == q for v in persons.values()) for q in set(persons.values())}
        weights = np.array([1 / np.sqrt(per_person[persons[p]]) for p in self._videos])
        self._weights = weights / weights.sum()
        self._fakes = fakes
        self._seed = seed
        self._made = sorted((made or {}).items())

    def make(self, number: int) -> Pair:
        """The pair with this number, always the same."""
        rng = np.random.default_rng((self._seed, number))
        if self._stills and rng.random() < STILLS_SHARE:
            return self._of_stills(rng)
        if self._made and rng.random() < MADE_SHARE:
            return self._of_made(rng)
        path = self._videos[int(rng.choice(len(self._videos), p=self._weights))]
        burst = load_burst(path)
        start = int(rng.integers(max(len(burst) - WINDOW, 0) + 1))
        images, meshes = _shrunk(*_window(burst, start), draw_face_size(rng))
        kind, real, fake, at, cells = self._pair(images, meshes, rng)
        surface = np.stack([_surface(real, at[0]), _surface(fake, at[1])])
        return Pair(np.stack([_squares(real, at[0]), _squares(fake, at[1])]), cells, surface, kind, burst.person)

    def _of_stills(self, rng: au.Rng) -> Pair:
        squares, shares = [], []
        for i in rng.choice(len(self._stills), WINDOW - 1, replace=True):
            burst = load_burst(self._stills[int(i)])
            _, real, fake, at, cells = self._pair(*_shrunk(burst.images, burst.meshes, draw_face_size(rng)), rng)
            squares.append(np.stack([_squares(real, at[0]), _squares(fake, at[1])]))
            shares.append(cells)
        first = [squares[0], *squares], [shares[0], *shares]
        return Pair(np.concatenate(first[0], 1), np.concatenate(first[1]), np.zeros((2, 0), np.float32), "still", "")

    def _of_made(self, rng: au.Rng) -> Pair:
        fake_path, real_path = self._made[int(rng.integers(len(self._made)))]
        bursts = load_burst(real_path), load_burst(fake_path)
        start = int(rng.integers(max(min(map(len, bursts)) - WINDOW, 0) + 1))
        face, history = draw_face_size(rng), au.draw_handling(rng)
        frame = au.draw_reframing(rng) if rng.random() < REFRAMED else None
        shift = rng.normal(0, 0.015, 2)
        squares, surfaces = [], []
        for burst in bursts:
            images, meshes = _shrunk(*_window(burst, start), face)
            shake = (rng.normal(0, 0.004, (len(images), 1, 2)) + shift) * face_size(meshes[0])
            at = (meshes[..., :2] + shake).astype(np.float32)
            region = au.region_masks(meshes, images.shape[1:3], "face", rng)
            cells = _cells(region, at)
            images = au.handle(images, meshes, history)
            if frame:
                images, scale, offset = au.reframe(images, meshes, frame)
                at = (at * scale + offset).astype(np.float32)
            squares.append(_squares(images, at))
            surfaces.append(_surface(images, at))
        return Pair(np.stack(squares), cells, np.stack(surfaces), "made", bursts[0].person)

    def _pair(self, images: au.Images, meshes: NDArray, rng: au.Rng) -> tuple[str, NDArray, NDArray, NDArray, NDArray]:
        """Kind, real and fake pictures handled alike, (2, T, 468, 2) where their faces are, shares of change."""
        kind, (made, made_meshes, masks) = self._fakes.make(images, meshes, rng)
        history = au.draw_handling(rng)
        real, made = au.handle(images, meshes, history), au.handle(made, meshes, history)
        face = face_size(meshes[0])
        shake = rng.normal(0, 0.004 * face, (len(images), 1, 2)) + rng.normal(0, 0.015 * face, (1, 1, 2))
        at = np.stack([meshes[..., :2] + shake, made_meshes[..., :2] + shake]).astype(np.float32)
        cells = _cells(masks, at[1])
        if rng.random() < REFRAMED:
            frame = au.draw_reframing(rng)
            made, scale, offset = au.reframe(made, meshes, frame)
            real, scale, offset = au.reframe(real, meshes, frame)
            at = (at * scale + offset).astype(np.float32)
        return kind, real, made, at, cells


def _cells(masks: NDArray, meshes: NDArray) -> NDArray[np.uint8]:
    """Shares of change of each frame's cells, from where its picture (T, h, w; 0..1) was changed."""
    return np.stack([_shares(face_square((m * 255).astype(np.uint8), p)) for m, p in zip(masks, meshes, strict=True)])


def _squares(images: au.Images, meshes: NDArray) -> NDArray[np.uint8]:
    return np.stack([face_square(i, m) for i, m in zip(images, meshes, strict=True)])


def _surface(images: au.Images, meshes: NDArray) -> NDArray[np.float32]:
    """Surface statistics of a window whose first look only stands before the second."""
    atlases = [atlas(i, m) for i, m in zip(images, meshes, strict=True)]
    return summary(np.stack([statistics(b, a) for a, b in pairwise(atlases)]))


def _is_still(path: Path) -> bool:
    return path.name.startswith("s") and path.stat().st_size < 300_000  # fit names bursts of photographs s_


def person_of(path: Path) -> str:
    """The person of a burst on disk."""
    with np.load(path, allow_pickle=False) as z:
        return str(z["meta"][1])


def _window(burst: Burst, start: int) -> tuple[au.Images, NDArray]:
    return burst.images[start : start + WINDOW], burst.meshes[start : start + WINDOW]


def draw_face_size(rng: au.Rng) -> float:
    """Pixels of a face as clips show it, 90 to 256."""
    return float(np.exp(rng.uniform(np.log(90), np.log(256))))


def _shrunk(images: au.Images, meshes: NDArray, face_px: float) -> tuple[au.Images, NDArray]:
    """The burst with its face no larger than ``face_px``."""
    scale = min(1.0, face_px / face_size(meshes[0]))
    if scale > 0.95:
        return images, meshes
    size = (round(images.shape[2] * scale), round(images.shape[1] * scale))
    small = np.stack([cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in images])
    return small, ((meshes + 0.5) * scale - 0.5).astype(np.float32)


def _shares(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = FACE_PX // CELLS
    return mask.reshape(CELLS, side, CELLS, side).mean((1, 3)).astype(np.uint8)


def write_shard(maker: PairMaker, number: int, folder: Path) -> Path:
    """Make shard ``number`` (16 pairs) unless it is there: the squares as .npy, what belongs to them as .npz."""
    path = folder / f"pairs{number:05d}.npz"
    if not path.is_file():
        pairs = [maker.make(number * SHARD_PAIRS + i) for i in range(SHARD_PAIRS)]
        size = max(p.surface.shape[1] for p in pairs)
        surface = [p.surface if p.surface.shape[1] else np.full((2, size), np.nan, np.float32) for p in pairs]
        with whole_file(path.with_suffix(".npy")) as part, part.open("wb") as f:
            np.save(f, np.stack([p.squares for p in pairs]))
        with whole_file(path) as part, part.open("wb") as f:
            np.savez(
                f,
                cells=np.stack([p.cells for p in pairs]),
                surface=np.stack(surface),
                kind=np.array([p.kind for p in pairs]),
                person=np.array([p.person for p in pairs]),
            )
    return path


class Pool:
    """Shards on disk as they come; batches are drawn from those that are there."""

    def __init__(self, folder: Path, *, limit: int | None = None, blends: float = 0.4):
        """``blends`` is the share of draws in which the fake is a new blend of the real half."""
        self._folder, self._limit, self._blends = folder, limit, blends
        self._shards: dict[Path, dict[str, NDArray]] = {}

    def refresh(self) -> int:
        """Take in new shards; how many pairs there are."""
        for path in sorted(self._folder.glob("pairs*.npz"))[: self._limit]:
            if path not in self._shards:
                with np.load(path, allow_pickle=False) as z:
                    shard = {k: z[k] for k in ("cells", "surface", "kind", "person")}
                shard["squares"] = np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
                self._shards[path] = shard
        return len(self._shards) * SHARD_PAIRS

    def draw(self, rng: au.Rng, pairs: int, frames: int) -> tuple[NDArray, NDArray, NDArray]:
        """Inputs (2 * pairs * frames, 6, 224, 224) uint8, labels (N,), shares of change (N, 196) 0..1.

        Every draw changes what is stored (see ``redraw``), both halves of a pair alike.
        """
        shards = list(self._shards.values())
        x, y, c = [], [], []
        for _ in range(pairs):
            shard, i = shards[int(rng.integers(len(shards)))], int(rng.integers(SHARD_PAIRS))
            for at in rng.choice(np.arange(1, WINDOW), frames, replace=False):
                before = at if shard["kind"][i] == "still" else at - 1
                squares = shard["squares"][i][:, [before, at]]
                share = shard["cells"][i][at] / np.float32(255)
                if rng.random() < self._blends:
                    made, masks = blended_anew(squares[0], rng)
                    squares, share = np.stack([squares[0], made]), _shares((masks[1] * 255).astype(np.uint8)) / 255
                both, share = changed_alike(squares.reshape(4, *squares.shape[2:]), share, rng)
                x += [np.concatenate([both[k + 1], both[k]], -1) for k in (0, 2)]
                y += [0.0, 1.0]
                c += [np.zeros_like(share), share]
        inputs = np.ascontiguousarray(np.stack(x).transpose(0, 3, 1, 2))
        return inputs, np.array(y), np.stack(c).reshape(len(c), -1)

    def everything(self, at: int = WINDOW // 2) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
        """Inputs (2, 6, 224, 224), labels (2,) and kind (2,) of one frame of every pair, in order."""
        for shard in self._shards.values():
            for i in range(SHARD_PAIRS):
                x, y, _ = self._frames(shard, i, np.array([at]))
                yield x.transpose(0, 3, 1, 2), y, np.repeat(shard["kind"][i], 2)

    @staticmethod
    def _frames(shard: dict[str, NDArray], i: int, at: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        before = at if shard["kind"][i] == "still" else at - 1
        seen = shard["squares"][i]
        x = np.concatenate([np.concatenate([seen[k][at], seen[k][before]], -1) for k in range(2)])
        share = shard["cells"][i][at] / 255
        return x, np.repeat([0.0, 1.0], len(at)), np.concatenate([np.zeros_like(share), share])

    def surface(self) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.str_]]:
        """Surface statistics (N, F), labels and persons of every window with time."""
        x, who = [], []
        for shard in self._shards.values():
            timed = shard["kind"] != "still"
            x.append(shard["surface"][timed].reshape(-1, shard["surface"].shape[-1]))
            who.append(np.repeat(shard["person"][timed], 2))
        return np.concatenate(x), np.tile([0, 1], sum(map(len, who)) // 2), np.concatenate(who)


def train_backbone(
    pool: Pool, config: TrainingConfig, network: NetworkConfig, checkpoint: Path, *, say: Callable[[str], None] = print,
    device: str = "cpu", pretrained: bool = False, held: Pool | None = None, workers: int = 0,
) -> Detector:  # fmt: skip
    """Fit the frame part of the network; goes on from ``checkpoint`` where that is there. Returns the averaged weights.

    ``held`` holds pairs of persons who are not trained on; of the weights that were judged by them, every
    ``JUDGE_EVERY`` steps and at the end, the best are returned: networks learn their persons by heart in time.
    ``workers`` processes draw beside this one; what they draw is the same however many they are.
    """
    import torch
    from torch import nn

    torch.manual_seed(config.seed)
    model = Detector(network, pretrained=pretrained).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(model)
    decay = [p for p in model.face.parameters() if p.ndim > 1]
    plain = [p for p in model.face.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=config.learning_rate,
    )
    start, best, best_auc = 0, copy.deepcopy(average.state_dict()), 0.0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        start, best, best_auc = int(state["step"]), state["best"], float(state["best_auc"])
    averages, weights = ([v for v in m.state_dict().values() if v.is_floating_point()] for m in (average, model))
    bce = nn.BCEWithLogitsLoss()
    half = config.half and computes_in_half(torch.device(device))
    shown: list[tuple[float, float]] = []
    model.train()
    kept = config.frozen_stride if config.frozen_stride is not None else 8 * (torch.device(device).type == "cpu")
    if pretrained and kept:
        freeze_start(model.face.backbone, kept)
    for step, (x, y, c) in enumerate(_batches(pool, config, start, workers), start):
        torch.manual_seed(config.seed * 1_000_003 + step)  # what is dropped is the same after an interruption
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config.steps)
        images = x.to(device, non_blocking=True).float()
        target, share = y.float().to(device), c.float().to(device)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            cells, logits = model.face(images.contiguous(memory_format=torch.channels_last))
        loss = bce(logits.float(), target) + bce(cells.float(), share)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.face.parameters(), 5.0)
        optimiser.step()
        with torch.no_grad():
            keep = min(config.ema, (step + 1) / (step + 10))
            torch._foreach_lerp_(averages, weights, 1 - keep)
        shown.append((float(loss.detach()), float(((logits > 0) == (target > 0.5)).float().mean())))
        last = step + 1 == config.steps
        if held is not None and ((step + 1) % JUDGE_EVERY == 0 or last):
            told = judged(average, held)
            say(f"step {step + 1} on persons held out: {told}")
            if told["all"] > best_auc:
                best, best_auc = copy.deepcopy(average.state_dict()), told["all"]
        if (step + 1) % SAY_EVERY == 0 or last:
            loss_now, right = np.mean(shown, axis=0)
            say(f"step {step + 1} loss {loss_now:.4f} accuracy {right:.3f}")
            shown.clear()
            state = {
                "model": model.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
                "step": step + 1, "best": best, "best_auc": best_auc,
            }  # fmt: skip
            with whole_file(checkpoint) as part:
                torch.save(state, part)
    if held is not None:
        average.load_state_dict(best)
    return average.cpu().eval()


def _batches(pool: Pool, config: TrainingConfig, start: int, workers: int) -> Iterable[Sequence[Any]]:
    """What the steps from ``start`` see, as tensors of ``Pool.draw``."""
    from torch.utils.data import DataLoader

    draws: Any = _Draws(pool, config)  # it only has to have items
    return DataLoader(
        draws, batch_size=None, sampler=range(start, config.steps), num_workers=workers,
        worker_init_fn=_one_thread_each if workers else None, prefetch_factor=2 if workers else None,
    )  # fmt: skip


@dataclass(frozen=True)
class _Draws:
    pool: Pool
    config: TrainingConfig

    def __getitem__(self, step: int) -> tuple[NDArray, NDArray, NDArray]:
        self.pool.refresh()
        rng = np.random.default_rng((self.config.seed, 7, step))
        return self.pool.draw(rng, self.config.batch_pairs, self.config.frames)


def _one_thread_each(_: int) -> None:
    one_thread()


def judged(model: Detector, pool: Pool) -> dict[str, float]:
    """AUC of single frames of the pairs in ``pool``: over all, and by kind of fake."""
    import torch

    from facewitness.detector.metrics import auc

    device = next(model.parameters()).device
    scores, labels, kinds = [], [], []
    model.eval()
    with torch.inference_mode():
        for x, y, kind in pool.everything():
            scores.append(model.face(torch.from_numpy(np.ascontiguousarray(x)).float().to(device))[1].cpu().numpy())
            labels.append(y)
            kinds.append(kind)
    s, y, k = (np.concatenate(v) for v in (scores, labels, kinds))
    told = {"all": auc(y, s)} | {str(one): auc(y[k == one], s[k == one]) for one in sorted(set(k))}
    return {name: round(value, 3) for name, value in told.items()}


def _schedule(step: int, steps: int) -> float:
    """Warm up over 3 % of the steps, then a cosine to nearly nothing."""
    warm = max(steps * 0.03, 1)
    return min((step + 1) / warm, 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * step / steps))))


def train_head(
    model: Detector, examples: Sequence[Example], config: TrainingConfig, *, say: Callable[[str], None] = print,
    batch: int = 64,
) -> Detector:  # fmt: skip
    """Fit the temporal head on windows of measured clips, the frame part frozen."""
    import torch
    from torch import nn

    size = model.config.window
    starts: dict[str, list[tuple[torch.Tensor, torch.Tensor, int]]] = {"real": [], "fake": []}
    with torch.inference_mode():
        for x in examples:
            if len(x.squares) < size // 2:
                continue
            parts = [torch.from_numpy(x.squares[k : k + 32]).permute(0, 3, 1, 2) for k in range(0, len(x.squares), 32)]
            seen = [model.face(p.float()) for p in parts]
            e, f = torch.cat([s[0] for s in seen]), torch.cat([s[1] for s in seen])
            starts[x.label] += [(e, f, k) for k in range(max(len(e) - size, 0) + 1)]
    if not all(starts.values()):
        raise UsageError("the clips are too short to teach the network about time; it needs some of two seconds.")
    torch.manual_seed(config.seed)
    optimiser = torch.optim.AdamW(model.head.parameters(), lr=2e-2, weight_decay=0.05)
    bce = nn.BCEWithLogitsLoss()
    model.head.train()
    losses = []
    target = torch.tensor([0.0, 1.0]).repeat_interleave(batch // 2)
    for step in range(config.head_steps):
        rng = np.random.default_rng((config.seed, 11, step))
        length = int(rng.choice([size // 2, size]))  # short clips have short windows
        rows = [starts[y][int(k)] for y in ("real", "fake") for k in rng.integers(0, len(starts[y]), batch // 2)]
        rows = [(e, f, min(k, max(len(e) - length, 0))) for e, f, k in rows]
        length = min(length, *(len(e) for e, _, _ in rows))
        e = torch.stack([e[k : k + length] for e, _, k in rows]).clone()
        f = torch.stack([f[k : k + length] for _, f, k in rows]).clone()
        loss = bce(model.head(e, f), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
        if (step + 1) % 100 == 0:
            say(f"head step {step + 1} loss {np.mean(losses[-100:]):.4f}")
    return model.eval()


def one_thread() -> None:
    """Keep the libraries of this process to one thread each; call it first in a worker."""
    os.environ["OMP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)
    with contextlib.suppress(ImportError, RuntimeError):
        import torch

        torch.set_num_threads(1)
