"""``facewitness detector fit``: from a labelled folder to a model folder, in steps that can be stopped and gone on
with.

Persons are split once: three quarters teach network and surface model, the rest, whom these never see, teach the
fusion together
with cues of everybody. Fakes of the data set teach the fusion as they are; pseudo-fakes are made of every real clip.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector.examples import Example, example_of, rehearse
from facewitness.detector.fusing import PersonalSurface, fuse
from facewitness.detector.material import Clip, bursts_of, load_burst, read_clips, save_burst
from facewitness.detector.model import NETWORK, Model, save_model
from facewitness.detector.training import (
    SHARD_PAIRS,
    PairMaker,
    Pool,
    TrainingConfig,
    one_thread,
    train_backbone,
    train_head,
    write_shard,
)
from facewitness.errors import FacewitnessError, UsageError
from facewitness.files import sha256_file, to_json, whole_file, write_text

HELD_SHARE = 0.25
"""Share of persons whom network and surface model never see."""
LONGEST_S = 24.0
"""Seconds used of one clip, so that a long one does not dominate."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a detector is fitted."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    network: bool = True
    """Train the network too; without it the network's cue abstains."""
    autoencoder_steps: int = 700
    rehearsals: int = 1
    """Pseudo-fakes of every real clip among the fusion's examples."""
    workers: int = 2
    device: str = "auto"
    backbone: str | None = None
    pretrained: bool = False
    false_positive_rate: float = 0.01
    seed: int = 0


def fit(dataset: Path, out: Path, config: FitConfig, *, say: Callable[[str], None] = print) -> Model:
    """Fit a detector to the clips of ``dataset`` and write the model folder ``out``; intermediate work is in
    ``out/work``.

    Raises UsageError where there is too little footage, UnreadableInputError where nothing can be read.
    """
    cv2.setNumThreads(1)  # pictures are small; threads only get in each other's way
    clips = [c for c in read_clips(dataset) if c.split in ("", "train", "val")]
    reals, fakes = [c for c in clips if c.label == "real"], [c for c in clips if c.label == "fake"]
    persons = sorted({c.person for c in reals})
    if len(persons) < 4:
        raise UsageError(f"{dataset} shows {len(persons)} real persons; a detector needs at least 4.")
    held = held_persons(persons, config.seed)
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    say(f"{len(reals)} real and {len(fakes)} fake clips of {len(persons)} persons; {len(held)} are held out")
    bursts = cut_bursts(reals, work / "bursts", say=say)
    taught = [p for p, person in bursts.items() if person not in held]
    decoders = fit_autoencoders(taught, work, config, say=say)
    make_shards(taught, decoders, work / "pairs", config, say=say)
    pool = Pool(work / "pairs", limit=config.training.shards)
    pool.refresh()
    surface = PersonalSurface.fit(*surface_examples(pool), seed=config.seed)
    network = fit_network(pool, work, config, say=say) if config.network else None
    examples = list(_examples(bursts, fakes, decoders, network, work, config, say=say))
    from facewitness.detector.network import Scorer

    notes = {
        "dataset": {"clips": len(clips), "sha256": _hash_of_clips(clips)},
        "config": asdict(config),
        "held_persons": sorted(held),
        "pairs": config.training.shards * SHARD_PAIRS,
    }
    model = fuse(
        examples,
        model_id=out.name,
        surface=surface,
        network=network,
        scorer=Scorer(network) if network else None,
        seen_persons=set(persons) - held,
        false_positive_rate=config.false_positive_rate,
        notes=notes,
    )
    save_model(model, out)
    from facewitness.detector.card import write_card

    write_card(model, out)
    return model


def held_persons(persons: Sequence[str], seed: int) -> set[str]:
    """The quarter of the persons whom the learned scores never see, by a hash, so that adding footage moves nobody."""
    order = sorted(persons, key=lambda p: hashlib.sha256(f"{seed}/{p}".encode()).hexdigest())
    return set(order[: max(round(len(order) * HELD_SHARE), 1)])


def cut_bursts(reals: Sequence[Clip], folder: Path, *, say: Callable[[str], None]) -> dict[Path, str]:
    """Bursts on disk of every real clip, and the person of each; clips that were cut before are not cut again."""
    from facewitness.progress import track

    folder.mkdir(parents=True, exist_ok=True)
    out: dict[Path, str] = {}
    for clip in track(reals, "cutting faces", total=len(reals)):
        listing = folder / f"{_safe(clip.name)}.json"
        if not listing.is_file():
            try:
                made = bursts_of(clip, max_seconds=LONGEST_S)
            except FacewitnessError as e:
                say(f"left out: {e}")
                made = []
            names = []
            for n, burst in enumerate(made):
                still = "s" if len(burst) == 1 else "v"
                names.append(f"{still}_{_safe(clip.name)}_{n:03d}.npz")
                with whole_file(folder / names[-1]) as part:
                    save_burst(burst, part)
            write_text(listing, json.dumps(names))
        out |= {folder / n: clip.person for n in json.loads(listing.read_text())}
    if not out:
        raise UsageError("no face was found in any real clip.")
    return out


def _safe(name: str) -> str:
    stem = "".join(c if c.isalnum() or c in "-." else "-" for c in name)
    return f"{stem[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def fit_autoencoders(
    bursts: Sequence[Path], work: Path, config: FitConfig, *, say: Callable[[str], None]
) -> list[Path]:
    """Small autoencoders of the taught persons' faces, one of each kind of decoder."""
    from facewitness.detector.autoencoder import VARIANTS, save_autoencoder, train_autoencoder

    paths = [work / f"autoencoder{n}.safetensors" for n in range(len(VARIANTS))]
    patches = None
    for path, settings in zip(paths, VARIANTS, strict=True):
        if path.is_file():
            continue
        patches = patches if patches is not None else _patches(bursts, config.seed)
        model = train_autoencoder(patches, settings, steps=config.autoencoder_steps, seed=config.seed)
        with whole_file(path) as part:
            save_autoencoder(model, part)
        say(f"autoencoder {path.stem}: loss {model.loss:.4f}")
    return paths


def _patches(bursts: Sequence[Path], seed: int, *, size: int = 64, each: int = 12) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    out = []
    for path in sorted(bursts):
        image = load_burst(path, frames=1).images[0]
        height, width = image.shape[:2]
        if min(height, width) <= size:
            continue
        for y, x in zip(rng.integers(0, height - size, each), rng.integers(0, width - size, each), strict=True):
            out.append(image[y : y + size, x : x + size])
    if not out:
        raise UsageError("the faces are too small to learn from; they need 64 pixels.")
    return np.stack(out)


def make_shards(
    bursts: Sequence[Path], decoders: Sequence[Path], folder: Path, config: FitConfig, *, say: Callable[[str], None]
) -> None:
    """Shards of pairs on disk, made by several processes; those that are there are kept."""
    from facewitness.progress import Bar

    folder.mkdir(parents=True, exist_ok=True)
    total = config.training.shards
    jobs = [(tuple(bursts), tuple(decoders), config.training.seed, n, folder) for n in range(total)]
    with Bar("making pairs", total=total) as bar:
        if config.workers <= 1:
            for job in jobs:
                _shard(job)
                bar.advance()
            return
        with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn"), initializer=one_thread) as workers:
            for _ in workers.map(_shard, jobs):
                bar.advance()


_maker: tuple[tuple, PairMaker] | None = None


def _shard(job: tuple[tuple[Path, ...], tuple[Path, ...], int, int, Path]) -> None:
    global _maker
    bursts, decoders, seed, number, folder = job
    key = (len(bursts), decoders, seed, bursts[0] if bursts else None)
    if _maker is None or _maker[0] != key:
        _maker = key, PairMaker(bursts, _load(decoders), seed=seed)
    write_shard(_maker[1], number, folder)


def _load(decoders: Sequence[Path]) -> list:
    from facewitness.detector.autoencoder import load_autoencoder

    return [load_autoencoder(p) for p in decoders]


def surface_examples(pool: Pool) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.str_]]:
    """Features, labels and persons of every window with time in the pool."""
    from facewitness.detector.texture import statistics, summary

    shards, rows, persons = pool.windows()
    x, y, who = [], [], []
    for s, r, person in zip(shards, rows, persons, strict=True):
        for label, name in enumerate(("real", "fake")):
            pairs = pool.window(s, r, name)
            x.append(summary(np.stack([statistics(p[..., :3], p[..., 3:]) for p in pairs])))
            y.append(label)
            who.append(person)
    return np.stack(x), np.array(y), np.array(who)


def fit_network(pool: Pool, work: Path, config: FitConfig, *, say: Callable[[str], None]) -> Path:
    """Train backbone and head, or take what an earlier run finished with the same settings."""
    from facewitness.detector.network import NetworkConfig, save_network

    told = hashlib.sha256(to_json([asdict(config.training), config.backbone, config.pretrained]).encode()).hexdigest()[
        :8
    ]
    done = work / f"{told}-{NETWORK}"
    if done.is_file():
        return done
    network = NetworkConfig(backbone=config.backbone, backbone_args={}) if config.backbone else NetworkConfig()
    model = train_backbone(
        pool,
        config.training,
        network,
        work / f"{told}-checkpoint.pt",
        say=say,
        device=pick_device(config.device),
        pretrained=config.pretrained,
    )
    model = train_head(model, pool, config.training, say=say)
    save_network(model, done)
    return done


def pick_device(name: str) -> str:
    """``auto`` is an accelerator where torch sees one, else the processor."""
    import torch

    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _examples(
    bursts: dict[Path, str],
    fakes: Sequence[Clip],
    decoders: Sequence[Path],
    network: Path | None,
    work: Path,
    config: FitConfig,
    *,
    say: Callable[[str], None],
) -> Iterator[Example]:
    from facewitness.detector.network import Scorer
    from facewitness.detector.pseudo import PseudoFakes
    from facewitness.progress import track

    scorer = Scorer(network) if network else None
    clips: dict[str, list[Path]] = defaultdict(list)
    for path in bursts:
        if path.name.startswith("v_"):
            clips[path.name[:-8]].append(path)
    pseudo = PseudoFakes(_load(decoders))
    jobs = [(name, k) for name in sorted(clips) for k in range(config.rehearsals)]
    for number, (name, k) in enumerate(track(jobs, "rehearsing clips", total=len(jobs))):
        rng = np.random.default_rng((config.seed, number, k))
        yield from rehearse(clips[name], pseudo, rng, scorer=scorer)
    for clip in track(fakes, "measuring fakes", total=len(fakes)):
        try:
            yield from measured(clip, scorer)
        except FacewitnessError as e:
            say(f"left out: {e}")


def measured(clip: Clip, scorer: Any) -> Iterator[Example]:
    """The example of a labelled clip as it is; nothing where it shows no face."""
    from facewitness.detector.measure import measure
    from facewitness.media import probe, read_frames

    fps = float(probe(clip.path).frame_rate)
    found = measure(read_frames(clip.path, end_s=LONGEST_S), fps, scorer=scorer, max_faces=1)
    if found:
        yield example_of(found[0], name=clip.name, person=clip.person, label=clip.label, kind=clip.method)


def _hash_of_clips(clips: Sequence[Clip]) -> str:
    total = hashlib.sha256()
    for clip in sorted(clips, key=lambda c: c.name):
        if clip.path.is_file():
            total.update(f"{clip.name} {clip.label} {sha256_file(clip.path)}\n".encode())
    return total.hexdigest()
