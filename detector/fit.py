"""``facewitness detector fit``: from a labelled folder to a model folder, in steps that can be stopped and continued.

Persons are split once: most teach network and surface model; the rest, whom these never see, teach the fusion what
their word is worth. Fakes of the data set teach the fusion as they are; pseudo-fakes are made of every real clip.
"""

import contextlib
import hashlib
import json
import warnings
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector.autoencoder import VARIANTS, load_autoencoder, save_autoencoder, train_autoencoder
from facewitness.detector.card import write_card
from facewitness.detector.examples import (
    Example,
    Tape,
    example_of,
    load_examples,
    motion_examples,
    rehearse,
    save_examples,
    seen_by,
    stretches,
)
from facewitness.detector.fusing import PersonalSurface, fuse
from facewitness.detector.material import Clip, bursts_of, load_burst, read_clips, save_burst
from facewitness.detector.measure import FaceMeasures
from facewitness.detector.model import NETWORK, Model, save_model
from facewitness.detector.network import NetworkConfig, Scorer, save_network
from facewitness.detector.painters import PAINTINGS, lessons, load_painter, save_painter, train_painter
from facewitness.detector.pseudo import PseudoFakes
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
from facewitness.devices import pick_device
from facewitness.errors import FacewitnessError, UsageError
from facewitness.files import sha256_file, to_json, whole_file, write_text

HELD_SHARE = 0.3
"""Share of the filmed persons whom network and surface model never see."""
LONGEST_S = 24.0
"""Seconds used of one clip, so that a long one does not dominate."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a detector is fitted."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    network: bool = True
    """Train the network too; without it the network's cue abstains."""
    autoencoder_steps: int = 700
    painter_steps: int = 300
    """Steps of each painter; 0 makes pseudo-fakes without them."""
    lessons: int = 12
    """Examples of every burst that painters learn from."""
    rehearsals: int = 1
    """Pseudo-fakes of every real clip among the examples for the temporal head and the fusion."""
    held_rehearsals: int = 4
    """The same of persons held out, who alone show what the network's word is worth."""
    workers: int = 2
    device: str = "auto"
    backbone: str | None = None
    pretrained: bool = True
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
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    bursts = cut_bursts(reals, work / "bursts", say=say)
    # photographs only teach; who is held out is to be judged over time
    held = held_persons(sorted({q for p, q in bursts.items() if p.name.startswith("v_")}) or persons, config.seed)
    say(f"{len(reals)} real and {len(fakes)} fake clips of {len(persons)} persons; {len(held)} are held out")
    taught = [p for p, person in bursts.items() if person not in held]
    makers = fit_makers(taught, work, config, say=say)
    training = config.training
    made = made_beside(reals, [c for c in fakes if c.person not in held], work / "bursts", say=say)
    make_shards(taught, makers, work / "pairs", training.shards, config, made=made)
    pool = Pool(work / "pairs", limit=training.shards)
    pool.refresh()
    examples = list(_examples(bursts, reals, fakes, makers, held, work, config, say=say))
    surface = PersonalSurface.fit(*pool.surface(), seed=config.seed)
    network = scorer = None
    if config.network:
        unseen = [p for p, person in bursts.items() if person in held]
        make_shards(unseen, makers, work / "pairs_held", training.held_shards, config)
        held_pool = Pool(work / "pairs_held", limit=training.held_shards)
        held_pool.refresh()
        taught_examples = [x for x in examples if x.person not in held]
        network = fit_network(pool, held_pool, taught_examples, work, config, say=say)
        scorer = Scorer(network)
        examples = [seen_by(scorer, x) for x in examples]

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
        scorer=scorer,
        seen_persons=set(persons) - held,
        false_positive_rate=config.false_positive_rate,
        notes=notes,
    )
    save_model(model, out)
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


def made_beside(
    reals: Sequence[Clip], fakes: Sequence[Clip], folder: Path, *, say: Callable[[str], None]
) -> dict[Path, Path]:
    """Bursts of made clips, and the burst of the real clip of the same moment beside each (``Clip.pair`` tells)."""
    real = {c.pair: c for c in reals if c.pair}
    paired = [c for c in fakes if c.pair in real]
    if not paired:
        return {}
    cut_bursts([*paired, *(real[c.pair] for c in paired)], folder, say=say)

    def bursts(clip: Clip) -> list[Path]:
        return [folder / n for n in json.loads((folder / f"{_safe(clip.name)}.json").read_text())]

    return {m: r for c in paired for m, r in zip(bursts(c), bursts(real[c.pair]), strict=False)}


def _safe(name: str) -> str:
    stem = "".join(c if c.isalnum() or c in "-." else "-" for c in name)
    return f"{stem[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def fit_makers(bursts: Sequence[Path], work: Path, config: FitConfig, *, say: Callable[[str], None]) -> list[Path]:
    """Small autoencoders and painters of the taught persons' faces, one of each kind; those that are there are
    kept."""
    decoders = [work / f"autoencoder{n}.safetensors" for n in range(len(VARIANTS))]
    patches = None
    for path, settings in zip(decoders, VARIANTS, strict=True):
        if path.is_file():
            continue
        patches = patches if patches is not None else _patches(bursts, config.seed)
        model = train_autoencoder(patches, settings, steps=config.autoencoder_steps, seed=config.seed)
        with whole_file(path) as part:
            save_autoencoder(model, part)
        say(f"autoencoder {path.stem}: loss {model.loss:.4f}")
    painters = [work / f"painter{n}.safetensors" for n in range(len(PAINTINGS))] if config.painter_steps else []
    device = pick_device(config.device)
    for path, painting in zip(painters, PAINTINGS, strict=False):
        if not path.is_file():
            shown, filmed = lessons(painting, bursts, each=config.lessons, seed=config.seed)
            painter = train_painter(
                painting, shown, filmed, steps=config.painter_steps, batch=8 if device == "cpu" else 32, device=device,
                seed=config.seed, say=say,
            )  # fmt: skip
            save_painter(painter, path)
    return [*decoders, *painters]


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
    bursts: Sequence[Path], makers: Sequence[Path], folder: Path, count: int, config: FitConfig, *,
    made: dict[Path, Path] | None = None,
) -> None:  # fmt: skip
    """``count`` shards of pairs on disk; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(tuple(bursts), tuple(makers), config.training.seed, n, folder, made or {}) for n in range(count)]
    _side_by_side(_shard, jobs, config.workers, "making pairs")


def _side_by_side(work: Callable[[Any], None], jobs: Sequence[Any], workers: int, title: str) -> None:
    """Do ``jobs`` in several processes, which write their results to disk."""
    from facewitness.progress import Bar

    with Bar(title, total=len(jobs)) as bar:
        if workers <= 1:
            for job in jobs:
                work(job)
                bar.advance()
            return
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=one_thread) as pool:
            for _ in pool.map(work, jobs):
                bar.advance()


_maker: tuple[tuple, PairMaker] | None = None


def _shard(job: tuple[tuple[Path, ...], tuple[Path, ...], int, int, Path, dict[Path, Path]]) -> None:
    global _maker
    bursts, makers, seed, number, folder, made = job
    key = (len(bursts), makers, seed, bursts[0] if bursts else None)
    if _maker is None or _maker[0] != key:
        _maker = key, PairMaker(bursts, _load(makers), seed=seed, made=made)
    write_shard(_maker[1], number, folder)


def _load(makers: Sequence[Path]) -> PseudoFakes:
    painters = [p for p in makers if p.name.startswith("painter")]
    return PseudoFakes([load_autoencoder(p) for p in makers if p not in painters], [load_painter(p) for p in painters])


def fit_network(
    pool: Pool, held: Pool, examples: Sequence[Example], work: Path, config: FitConfig, *, say: Callable[[str], None]
) -> Path:
    """Train backbone and head, or take what an earlier run finished with the same settings."""
    settings = to_json([asdict(config.training), config.backbone, config.pretrained])
    told = hashlib.sha256(settings.encode()).hexdigest()[:8]
    done = work / f"{told}-{NETWORK}"
    if done.is_file():
        return done
    network = NetworkConfig(backbone=config.backbone) if config.backbone else NetworkConfig()
    device = pick_device(config.device)
    model = train_backbone(
        pool,
        config.training,
        network,
        work / f"{told}-checkpoint.pt",
        say=say,
        device=device,
        pretrained=config.pretrained,
        held=held,
        workers=config.workers if device != "cpu" else 0,
    )
    model = train_head(model, examples, config.training, say=say)
    save_network(model, done)
    return done


def _examples(
    bursts: dict[Path, str], reals: Sequence[Clip], fakes: Sequence[Clip], makers: Sequence[Path],
    held: Collection[str], work: Path, config: FitConfig, *, say: Callable[[str], None],
) -> Iterator[Example]:  # fmt: skip
    """Rehearsals and motion of every real clip, made side by side and kept on disk, then the labelled fakes as they
    are."""
    from facewitness.progress import track

    folder = work / "examples"
    folder.mkdir(exist_ok=True)
    clips: dict[str, list[Path]] = defaultdict(list)
    for path in bursts:
        if path.name.startswith("v_"):
            clips[path.name[:-8]].append(path)
    jobs = [
        (folder / f"{name}_{k}.npz", tuple(parts), tuple(makers), (config.seed, zlib.crc32(name.encode()), k))
        for name, parts in sorted(clips.items())
        for k in range(config.held_rehearsals if bursts[parts[0]] in held else config.rehearsals)
    ]
    _side_by_side(_rehearsal, jobs, config.workers, "rehearsing clips")
    moving = [(folder / f"motion_{_safe(c.name)}.npz", c, config.seed) for c in reals]
    _side_by_side(_motion, moving, config.workers, "following eyes and heads")
    for path in (*(j[0] for j in jobs), *(m[0] for m in moving)):
        yield from load_examples(path)
    for clip in track(fakes, "measuring fakes", total=len(fakes)):
        try:
            yield from measured(clip)
        except FacewitnessError as e:
            say(f"left out: {e}")


def _rehearsal(job: tuple[Path, tuple[Path, ...], tuple[Path, ...], tuple[int, ...]]) -> None:
    path, bursts, makers, seed = job
    if not path.is_file():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # means over no frames are NaN here, and NaN is an abstention
            save_examples(list(rehearse(bursts, _load(makers), np.random.default_rng(seed))), path)


def _motion(job: tuple[Path, Clip, int]) -> None:
    path, clip, seed = job
    if path.is_file():
        return
    rng = np.random.default_rng((seed, zlib.crc32(clip.name.encode())))
    out: list[Example] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means over no frames are NaN here, and NaN is an abstention
        with contextlib.suppress(FacewitnessError):  # a photograph, or a clip that was left out before
            for face in _measure(clip, None):
                parts = stretches(face.evidence, rng)
                for part in parts:
                    share = 1 / len(parts)
                    out += motion_examples(part, rng, name=clip.name, person=clip.person, weight=share)
    save_examples(out, path)


def measured(clip: Clip) -> Iterator[Example]:
    """The example of a labelled clip as it is; nothing where it shows no face."""
    tape = Tape()
    for face in _measure(clip, tape):
        yield example_of(face, tape, name=clip.name, person=clip.person, label=clip.label, kind=clip.method)


def _measure(clip: Clip, tape: Tape | None) -> list[FaceMeasures]:
    from facewitness.detector.measure import measure
    from facewitness.media import probe, read_frames

    fps = float(probe(clip.path).frame_rate)
    return measure(read_frames(clip.path, end_s=LONGEST_S), fps, scorer=tape, max_faces=1)


def _hash_of_clips(clips: Sequence[Clip]) -> str:
    total = hashlib.sha256()
    for clip in sorted(clips, key=lambda c: c.name):
        if clip.path.is_file():
            total.update(f"{clip.name} {clip.label} {sha256_file(clip.path)}\n".encode())
    return total.hexdigest()
