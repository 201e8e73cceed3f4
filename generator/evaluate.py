"""Judging an actor: how much of the network to use, and how near its frames come to footage it has not seen."""

import dataclasses
import time

import numpy as np
from numpy.typing import NDArray

from facewitness.generator.metrics import Score, face_mask, fine_energy, psnr
from facewitness.generator.motion import Reader, correlations
from facewitness.generator.retrieve import Choice
from facewitness.generator.shapes import Shapes
from facewitness.generator.synthesis import Finish, Made1, Refine, Synthesiser, motion_map, steadied
from facewitness.generator.trainer import CLIP, VALIDATE_EVERY, Material, seen
from facewitness.generator.warp import shells

WANTED_DETAIL = 0.88
"""Fine detail aimed at, as a share of the footage's own."""
MOST_DETAIL = 0.8
STRENGTHS = (0.0, 0.5, 1.0)
LEAST_PAIRS = 6
"""Pairs of frames that are looked at however little time is left."""
MOST_FRAMES = 40
"""Held-out frames looked at for the card."""


def choose_finish(material: Material, refine: Refine | None) -> Finish:
    """The share of the network's change that comes nearest to clips kept from training, and the detail then wanting.

    Without a network, or where it makes the face worse, the base stays as it is: training never makes an actor worse.
    """
    clips = np.arange(len(material.given))[VALIDATE_EVERY - 1 :: VALIDATE_EVERY][:12]
    rows: list[tuple[NDArray, NDArray, NDArray, NDArray]] = []
    for k in clips:
        around = shells(Shapes(mesh=material.meshes[k], irises=np.zeros((CLIP, 2, 2), np.float32)))
        bases = [given[..., :3].astype(np.float32) for given in material.given[k]]
        better = bases if refine is None else [refine(seen(material, int(k), t)[None])[0] for t in range(CLIP)]
        base, refined, size = bases[0], better[0], len(bases[0])
        for t in range(1, CLIP):
            where = motion_map(around[t], around[t - 1], size)
            base, refined = steadied(bases[t], base, where), steadied(better[t], refined, where)
        truth = material.truth[k, CLIP - 1].astype(np.float32)
        rows.append((base, refined, truth, face_mask(material.meshes[k, CLIP - 1], size)))
    if not rows:
        return Finish(strength=1.0 if refine is not None else 0.0)
    best = 0.0
    if refine is not None:
        gains = {s: np.mean([psnr(b + s * (r - b), t, m) for b, r, t, m in rows]) for s in STRENGTHS}
        best = max(gains, key=lambda s: (round(float(gains[s]), 2), s))
    pictures = [(b + best * (r - b), t, m) for b, r, t, m in rows]
    return Finish(strength=best, detail=_detail(pictures))


def _detail(pictures: list[tuple[NDArray, NDArray, NDArray]]) -> float:
    """The smallest gain that gives the faces as much fine detail as wanted."""
    import cv2

    wanted = WANTED_DETAIL * sum(fine_energy(t, m) for _, t, m in pictures)
    for gain in np.arange(0, MOST_DETAIL + 0.01, 0.05):
        have = sum(fine_energy(p + gain * (p - cv2.GaussianBlur(p, (0, 0), 1.0)), m) for p, _, m in pictures)
        if have >= wanted:
            return float(round(gain, 2))
    return MOST_DETAIL


def held_out_figures(
    squares: NDArray[np.uint8], shapes: Shapes, texture: NDArray[np.float32], refine: Refine | None, finish: Finish, *,
    holdout_from: int, most: int = MOST_FRAMES, until: float = float("inf"), follow: NDArray[np.float32] | None = None,
    parts: NDArray[np.uint8] | None = None, kind: type[Synthesiser] = Synthesiser,
) -> tuple[dict[str, float], list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]]:  # fmt: skip
    """Self-reenactment of the part held out, from the rest of the footage alone.

    Gives PSNR, SSIM and sharpness (see ``metrics.Score.row``), the correlation of what mouth, lids and gaze do with
    the truth
    (``r_mouth`` ...), and (real, made) pairs for the eye.
    """
    synthesiser = kind(
        squares[:holdout_from], shapes[:holdout_from], texture, refine=refine, finish=finish, follow=follow,
        parts=parts,
    )  # fmt: skip
    wanted = shapes[holdout_from:]
    choices = synthesiser.plan(wanted)
    score, pairs = Score(squares.shape[1]), []
    reader, true_motion, made_motion = Reader(), [], []
    pairs_of = max(1, most // 2)
    starts = np.unique(np.linspace(0, max(len(wanted) - 2, 0), pairs_of).astype(int))
    # drawn in an order that covers the whole stretch however early the clock stops it
    for count, start in enumerate(np.random.default_rng(0).permutation(starts)):
        if count >= LEAST_PAIRS and time.monotonic() > until:
            break
        for k, made in enumerate(made_at(synthesiser, wanted, choices, slice(start, start + 2))):
            truth = squares[holdout_from + start + k]
            mesh = wanted.mesh[start + k]
            score.add(made.picture, truth, mesh, follows=k == 1)
            true_motion.append(reader(truth, mesh))
            made_motion.append(reader((made.picture + 0.5).astype(np.uint8), mesh))
        pairs.append((np.asarray(truth), (made.picture + 0.5).astype(np.uint8)))
    figures = score.row() | correlations(true_motion, made_motion)
    return {k: round(v, 3) for k, v in figures.items()}, pairs


def made_at(synthesiser: Synthesiser, wanted: Shapes, choices: dict[str, Choice], at: slice) -> list[Made1]:
    """Some consecutive frames of a longer plan."""
    warm = min(synthesiser.looks_back, at.start)
    longer = slice(at.start - warm, at.stop)
    part = {
        r: dataclasses.replace(c, first=c.first[longer], second=c.second[longer], mix=c.mix[longer])
        for r, c in choices.items()
    }
    made = synthesiser.frames(wanted[longer], part, earlier=wanted[: longer.start] if longer.start else None)
    return list(made)[warm:]


def preview(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], most: int = 6) -> NDArray[np.uint8]:
    """A sheet of held-out frames: real above, made below."""
    chosen = [pairs[k] for k in np.unique(np.linspace(0, len(pairs) - 1, most).astype(int))]
    return np.concatenate([np.concatenate([p[row] for p in chosen], axis=1) for row in (0, 1)], axis=0)
