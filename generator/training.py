"""From footage to an actor, against the clock: follow, store, train, judge on the part held out, write the card."""

import time
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from facewitness import __version__
from facewitness.devices import pick_device
from facewitness.errors import FacewitnessError, UsageError
from facewitness.files import whole_file
from facewitness.generator import actor as actors
from facewitness.generator.actor import FILES, Actor, load_actor
from facewitness.generator.bank import BankWriter
from facewitness.generator.compose import anchor_of
from facewitness.generator.condition import mean_texture
from facewitness.generator.evaluate import choose_finish, held_out_figures, preview
from facewitness.generator.footage import Footage, prepare
from facewitness.generator.inference import as_function
from facewitness.generator.network import NetworkSpec, started
from facewitness.generator.paper import PaperSynthesiser, PaperTrainer, make_paper_material, network_size
from facewitness.generator.shapes import shapes_of
from facewitness.generator.skin import with_skin
from facewitness.generator.surround import background_moves, learn_follow, learn_parts
from facewitness.generator.synthesis import Finish, Synthesiser
from facewitness.generator.torso import with_torso
from facewitness.generator.trainer import Trained, Trainer, TrainSettings, make_material
from facewitness.progress import Bar

PRESETS = ("fast", "paper")
HOLDOUT = 0.2
"""The last part of the footage, that is never trained on."""
MATERIAL_SHARE = 0.3
"""Most of the time that goes into making pictures to train on."""
CLOSING_SHARE, LEAST_CLOSING_S = 0.07, 4.0
"""Kept for judging and writing at the end: this share of all the time, and at least so many seconds."""
MOVING_BACKGROUND = (
    "the background moves; the person is cut out by segmentation and laid before it, which shows at the hair: "
    "footage before a still background is better."
)
LEAST_TRAINING_S = 2.0
PREVIEW_EVERY_S = 20.0
FOLLOW_PAIRS = 60
"""Pairs of frames per minute from which hair and neck are learnt, up to 240."""
SKIN_PAIRS = 120
"""The same from which the skin's movement is learnt, up to 600."""
TORSO_ENDS = 0.15
"""Of the square: so far from an edge beyond which the frame goes on, a torso begins to be held."""
UNTRAINED = "too little time to train the network on this person; it is used as it starts."
SQUARES_CRF, FRAMES_CRF = 8, 10


def train_actor(
    video: Path, out: Path, *, rights: str, minutes: float = 5.0, size: int = 256, preset: str = "fast",
    device: str = "auto", seed: int = 0, max_seconds: float | None = None, name: str | None = None,
    progress: bool = True, adversarial: bool = True, steps: int | None = None,
) -> Actor:  # fmt: skip
    """Make an actor from the footage of one person, in ``minutes`` of wall-clock time from first frame to finished
    card.

    ``rights`` is a statement of licence or consent and travels into everything made with the actor. ``size`` is the
    largest side in pixels at which the face's square is modelled; ``max_seconds`` uses only the beginning of the
    footage.
    ``adversarial`` off trains by reconstruction alone, for comparison. With ``steps`` the clock is not looked at: just
    so many are made, and on one processor the same actor comes out every time.
    The last fifth is held out: the card's figures are measured there. While it trains, ``preview.png`` in ``out`` shows
    how far it is: real squares above, made ones below. An interrupted training is taken up again when
    called with the same footage, size and seed.
    Raises UsageError for missing rights or unfit footage, UnreadableInputError for a file that is no video.
    """
    start = time.monotonic()
    budget = minutes * 60 if steps is None else float("inf")
    closing = LEAST_CLOSING_S if steps else max(CLOSING_SHARE * budget, LEAST_CLOSING_S)
    _check(rights, minutes, size, preset, steps)
    where = pick_device(device)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    footage = prepare(Path(video), size=size, max_seconds=max_seconds, progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    (out / actors.CARD).unlink(missing_ok=True)
    with Bar(f"training {out.name}", total=budget if steps is None else None) as bar:
        footage, squares = _store(footage, out)
        holdout_from = int(len(squares) * (1 - HOLDOUT))
        footage = _with_skin(footage, squares[:holdout_from], out, min(int(SKIN_PAIRS * minutes), 600), rng)
        texture = mean_texture(
            squares[: holdout_from : _every(holdout_from)], footage.shapes.mesh[: holdout_from : _every(holdout_from)]
        )
        follow = learn_follow(
            squares[:holdout_from], footage.shapes[:holdout_from], pairs=min(int(FOLLOW_PAIRS * minutes), 240), rng=rng
        )
        parts = learn_parts(
            squares[:holdout_from], footage.shapes[:holdout_from], follow, anchor_of(footage.shapes[:holdout_from]),
            pairs=min(int(FOLLOW_PAIRS * minutes), 80), rng=rng,
            edge=footage.square.edge(footage.info.height, footage.info.width, TORSO_ENDS),
        )  # fmt: skip
        moves = background_moves(squares, footage.shapes)
        bar.advance(min(time.monotonic() - start, budget), note="footage ready")
        left = budget - (time.monotonic() - start) - closing
        rate = float(footage.info.frame_rate) or 25.0
        until = time.monotonic() + MATERIAL_SHARE * max(left, 0)
        name_of_run = f"{footage.sha256} {preset} {footage.square.size} {seed} {adversarial}"
        to_train: dict[str, Any] = {"seed": seed, "device": where, "checkpoint": out / CHECKPOINT, "run": name_of_run}
        known = squares[:holdout_from], footage.shapes[:holdout_from], texture
        run: Trainer
        if preset == "paper":
            windows = make_paper_material(*known, until=until)
            left = max(budget - (time.monotonic() - start) - closing, LEAST_TRAINING_S)
            run = PaperTrainer(windows, seconds=left, **to_train)
            trained, finish = _train(run, bar, out, steps), Finish()
        else:
            material = make_material(*known, rate=rate, until=until, rng=rng, follow=follow, parts=parts)
            left = budget - (time.monotonic() - start) - closing
            settings = TrainSettings(critics=adversarial)
            run = Trainer(material, seconds=left, settings=settings, **to_train)
            trained = _train(run, bar, out, steps) if left >= LEAST_TRAINING_S else _untrained()
            finish = choose_finish(material, as_function(trained.network))
        card = _finish(
            footage, squares, texture, follow, parts, finish, trained, holdout_from, out, start + budget - 1.0,
            PaperSynthesiser if preset == "paper" else Synthesiser,
        )  # fmt: skip
    side = footage.square.size
    spec = asdict(NetworkSpec(preset=preset, size=network_size(side) if preset == "paper" else side))
    card = {
        "name": name or Path(video).stem, "rights": rights, "made_by": f"facewitness {__version__}",
        "source": {"file": Path(video).name, "sha256": footage.sha256, "seconds": len(footage.kept) / rate},
        "frames": len(squares), "size": footage.square.size, "square": asdict(footage.square),
        "frame": {"width": footage.info.width, "height": footage.info.height, "rate": str(footage.info.frame_rate)},
        "seed": seed, "preset": preset, "minutes": minutes, "device": where, "holdout_from": holdout_from,
        "network": spec, "poses": poses_seen(footage), "background_moves": moves,
        "notes": [*footage.notes, *[MOVING_BACKGROUND] * moves, *card.pop("notes")], **card,
        "seconds": time.monotonic() - start,
    }  # fmt: skip
    files = [f for f in FILES.values() if (out / f).is_file()]
    actors.save_card(out, card, files)
    (out / CHECKPOINT).unlink(missing_ok=True)
    return load_actor(out, check=False)


CHECKPOINT = "training.safetensors"


def _check(rights: str, minutes: float, size: int, preset: str, steps: int | None) -> None:
    if not any(c.isalnum() for c in rights):
        raise UsageError(
            "training an actor needs --rights: say in a sentence who consented to, or licensed, the footage."
        )
    if preset not in PRESETS:
        raise UsageError(f"there is no preset {preset!r}; choose {' or '.join(PRESETS)}.")
    if minutes <= 0:
        raise UsageError("--minutes must be positive.")
    if steps is not None and steps < 1:
        raise UsageError("--steps must be positive.")
    if not 64 <= size <= 1024:
        raise UsageError("--size must lie between 64 and 1024 pixels.")


def _every(count: int) -> int:
    return max(1, count // 150)


def _store(footage: Footage, out: Path) -> tuple[Footage, NDArray[np.uint8]]:
    """Read the video once more; write whole frames and squares; return the squares, and the footage with what they show
    of the torso."""
    from facewitness.media import read_frames

    rate = Fraction(footage.info.frame_rate or 25).limit_denominator(1001)
    size, wanted = footage.square.size, set(footage.kept.tolist())
    squares = np.empty((len(wanted), size, size, 3), np.uint8)
    done, last = 0, int(footage.kept[-1])
    with (
        BankWriter(out / FILES["frames"], width=footage.info.width, height=footage.info.height, frame_rate=rate,
                   crf=FRAMES_CRF, full_colour=True) as frames,
        BankWriter(out / FILES["squares"], width=size, height=size, frame_rate=rate, crf=SQUARES_CRF,
                   full_colour=True) as bank,
    ):  # fmt: skip
        for frame in read_frames(footage.video, exact_colour=True):
            if frame.index in wanted:
                squares[done] = footage.square.cut(frame.image)
                frames.write(frame.image)
                bank.write(squares[done])
                done += 1
            if frame.index >= last:
                break
    _sign_copy(out / FILES["frames"], footage.video)
    performance = with_torso(footage.performance, footage.shapes.mesh, squares, footage.square.scale)
    return replace(footage, performance=performance), squares


def _with_skin(footage: Footage, known: NDArray[np.uint8], out: Path, pairs: int, rng: np.random.Generator) -> Footage:
    """The footage with how its person's skin moves, learnt from the squares ``known``; writes the performance."""
    from facewitness.generator.reconstruct import save_performance

    rate = float(footage.info.frame_rate) or 25.0
    performance = with_skin(footage.performance, known, footage.square, pairs=pairs, rate=rate, rng=rng)
    save_performance(performance, out / FILES["performance"])
    return replace(footage, performance=performance, shapes=footage.square.shapes(shapes_of(performance)))


def _sign_copy(frames: Path, video: Path) -> None:
    """Sign the stored frames as a copy of the footage, whose own manifest is so kept for all that is made from them."""
    from facewitness.provenance.manifest import TRANSCODED, Ingredient, ManifestSpec
    from facewitness.provenance.sign import readable_type, sign_file

    try:
        readable_type(video)
    except FacewitnessError:  # C2PA knows no such container; the card still holds the footage's hash
        return
    footage = Ingredient(path=video, relationship="parentOf", role="footage")
    with whole_file(frames) as part:
        spec = ManifestSpec(kind=TRANSCODED, ingredients=(footage,), description="footage an actor was trained on")
        sign_file(frames, part, manifest=spec)


def _train(trainer: Trainer, bar: Bar, out: Path, steps: int | None) -> Trained:
    shown_at = 0.0

    def tick(spent: float, loss: float) -> None:
        nonlocal shown_at
        bar.advance(spent, note=f"step {trainer.steps}, loss {loss:.4f}, see {out / FILES['preview']}")
        if time.monotonic() > shown_at + PREVIEW_EVERY_S:
            _show(trainer.glimpses(), out)
            shown_at = time.monotonic()

    trained = trainer.run(tick, most_steps=steps)
    trained.network.to("cpu").eval()
    return trained


def _show(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], out: Path) -> None:
    if pairs:
        with whole_file(out / FILES["preview"]) as part:
            cv2.imwrite(str(part), np.ascontiguousarray(preview(pairs)[..., ::-1]))


def _untrained() -> Trained:
    return Trained(network=started().eval(), steps=0, seconds=0.0, notes=[UNTRAINED])


def _finish(
    footage: Footage, squares: NDArray[np.uint8], texture: NDArray[np.float32], follow: NDArray[np.float32],
    parts: NDArray[np.uint8] | None, finish: Finish, trained: Trained, holdout_from: int, out: Path, until: float,
    kind: type[Synthesiser],
) -> dict[str, Any]:  # fmt: skip
    """Measure on the part held out, write weights, texture and preview."""
    from safetensors.torch import save_file

    refine = as_function(trained.network)
    known_parts = {} if parts is None else {"parts": parts}
    actors.save_arrays(out / FILES["texture"], texture=texture.astype(np.float16), follow=follow, **known_parts)
    with whole_file(out / FILES["weights"]) as part:
        save_file({k: v.contiguous() for k, v in trained.network.state_dict().items()}, part)
    figures, pairs = held_out_figures(
        squares,
        footage.shapes,
        texture,
        refine,
        finish,
        holdout_from=holdout_from,
        until=until,
        follow=follow,
        parts=parts,
        kind=kind,
    )
    _show(pairs, out)
    return {
        "finish": asdict(finish), "held_out": figures,
        "training": {"steps": trained.steps, "seconds": trained.seconds},
        "notes": trained.notes,
    }  # fmt: skip


def poses_seen(footage: Footage) -> dict[str, list[float]]:
    """Range (2nd to 98th percentile) of what the footage shows: head angles and gaze in degrees, lids and mouth
    openings."""
    from facewitness.generator.reconstruct import angles_deg

    p = footage.performance
    angles = angles_deg(p.rotation)
    values = {
        "yaw_deg": angles[:, 0], "pitch_deg": angles[:, 1], "roll_deg": angles[:, 2],
        "gaze_yaw_deg": np.degrees(p.gaze[:, :, 0].mean(1)), "gaze_pitch_deg": np.degrees(p.gaze[:, :, 1].mean(1)),
        "lids": p.lids.mean(1), "mouth_cm": footage.shapes.mouth,
    }  # fmt: skip
    return {name: [round(float(v), 3) for v in np.percentile(value, [2, 98])] for name, value in values.items()}
