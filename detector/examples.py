"""Whole clips as examples for the fusion: real footage and pseudo-fakes of it, tracked anew and measured like any
scanned clip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.detector import augment as au
from facewitness.detector import motion_fakes
from facewitness.detector.cues import Measured, list_cues, run_cue
from facewitness.detector.evidence import Evidence
from facewitness.detector.material import load_burst
from facewitness.detector.measure import FaceMeasures, measure
from facewitness.detector.network import Scorer
from facewitness.detector.pseudo import PseudoFakes
from facewitness.detector.sampling import ANALYSIS_FPS
from facewitness.media.types import Frame

KINDS = ("one_shot", "lip_sync", "blended", "reconstructed", "eyes_held", "restored", "flicker")
SHARES = (0.34, 0.22, 0.14, 0.12, 0.08, 0.06, 0.04)
"""Kinds of pseudo-fake among the examples: whole-head and lip-sync first, as in the wild."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One measured clip: its cues by name (NaN where the cue abstains), surface statistics and network outputs."""

    name: str
    person: str
    label: str
    kind: str
    cues: dict[str, float]
    texture: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    logits: NDArray[np.float32]
    weight: float = 1.0
    motion_only: bool = False
    """Made on landmarks alone: it speaks of the cues of eyes and motion and of nothing else."""


def cue_values(evidence: Evidence) -> dict[str, float]:
    """Every cue's value, NaN where it abstains."""
    out = {}
    for one in list_cues():
        found = run_cue(one, evidence)
        out[one.name] = found.value if isinstance(found, Measured) else float("nan")
    return out


def example_of(
    measures: FaceMeasures, *, name: str, person: str, label: str, kind: str
) -> Example:  # fmt: skip
    """The example of a measured face."""
    return Example(
        name=name, person=person, label=label, kind=kind, cues=cue_values(measures.evidence),
        texture=measures.evidence.texture, embeddings=measures.embeddings, logits=measures.logits,
    )  # fmt: skip


def motion_examples(evidence: Evidence, rng: au.Rng, *, name: str, person: str, count: int = 4) -> Iterator[Example]:
    """A real face's motion as it is and ``count`` made ones, all without their pictures; both classes weigh the
    same."""
    kinds = ["", *rng.choice(motion_fakes.KINDS, count, replace=False)]
    nothing = np.zeros(0, np.float32)
    for kind in kinds:
        changed = motion_fakes.make(evidence, str(kind), rng) if kind else evidence
        cues = cue_values(changed)
        for one in list_cues("surface"):
            cues[one.name] = float("nan")
        yield Example(
            name=name,
            person=person,
            label="fake" if kind else "real",
            kind=str(kind),
            cues=cues,
            texture=np.full((0, 1, 1), np.nan, np.float32),
            embeddings=nothing[:, None],
            logits=nothing,
            weight=1 / count if kind else 1.0,
            motion_only=True,
        )


def rehearse(
    bursts: Sequence[Path], fakes: PseudoFakes, rng: au.Rng, *, scorer: Scorer | None = None, kind: str | None = None,
    max_bursts: int = 4,
) -> Iterator[Example]:  # fmt: skip
    """A real clip (its bursts on disk, in order) and a pseudo-fake of it, both handled and measured alike.

    Yields the real one, its motion and made motions, then the fake; none where the face is not found again.
    """
    bursts = sorted(bursts)[:max_bursts]
    kind = kind or str(rng.choice(KINDS, p=SHARES))
    history = au.draw_handling(rng)
    seed = int(rng.integers(2**31))
    pictures: dict[str, list[NDArray]] = {"real": [], "fake": []}
    loaded = [load_burst(b) for b in bursts]
    for burst in loaded:
        _, (made, _, _) = fakes.make(burst.images, burst.meshes, np.random.default_rng(seed), kind)
        pictures["real"].append(au.handle(burst.images, burst.meshes, history))
        pictures["fake"].append(au.handle(made, burst.meshes, history))
    for label, parts in pictures.items():
        found = measure(_frames(parts), ANALYSIS_FPS, scorer=scorer, max_faces=1, thinned=True)
        if found:
            what = "" if label == "real" else kind
            yield example_of(found[0], name=loaded[0].name, person=loaded[0].person, label=label, kind=what)
        if found and label == "real":
            yield from motion_examples(found[0].evidence, rng, name=loaded[0].name, person=loaded[0].person)


def _frames(parts: list[NDArray]) -> Iterator[Frame]:
    """The bursts one after the other at the analysis's rate, all in the size of the first."""
    import cv2

    height, width = parts[0].shape[1:3]
    number = 0
    for part in parts:
        for image in part:
            if image.shape[:2] != (height, width):
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            yield Frame(index=number, pts=number * 2, time_base=Fraction(1, 25), image=image)
            number += 1
