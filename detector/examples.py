"""Whole clips as examples for the fusion: real footage and pseudo-fakes of it, tracked anew and measured like any
scanned clip."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.detector import augment as au
from facewitness.detector import motion_fakes
from facewitness.detector.crops import FACE_PX
from facewitness.detector.cues import Measured, list_cues, run_cue
from facewitness.detector.evidence import Evidence
from facewitness.detector.material import load_burst
from facewitness.detector.measure import FaceMeasures, measure
from facewitness.detector.network import Scorer
from facewitness.detector.pseudo import PseudoFakes
from facewitness.detector.sampling import ANALYSIS_FPS
from facewitness.files import whole_file
from facewitness.media.types import Frame

KINDS = (
    "painted_mouth", "painted_head", "painted_face", "one_shot", "lip_sync", "blended", "reconstructed", "eyes_held",
    "restored", "flicker",
)  # fmt: skip
SHARES = (0.18, 0.14, 0.10, 0.16, 0.10, 0.12, 0.06, 0.06, 0.04, 0.04)
"""Kinds of pseudo-fake among the examples: whole-head and lip-sync first, as in the wild."""


REFRAMED = 0.5
"""Share of rehearsals that are cut to a square and encoded once more."""
STRETCHES = 4
STRETCH_S = (3.6, 12.0)
"""Parts of a real clip whose motion is an example and is made anew, and the seconds each has."""


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
    rows: NDArray[np.int64]
    """(n,) numbers of the looks that the network sees, by which gaps between them are known."""
    squares: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, FACE_PX, FACE_PX, 6), np.uint8))
    """(n, 224, 224, 6) what the network is to see, where it has not seen it yet."""
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


class Tape:
    """Stands in for the network while clips are measured, and keeps what it is shown for one that is not there yet."""

    def __init__(self) -> None:
        self._shown: list[NDArray[np.uint8]] = []

    def frames(self, pairs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Keeps (B, 224, 224, 6); its embeddings (B, 1) are numbers into what was kept, its logits are 0."""
        start = len(self._shown)
        self._shown += list(pairs)
        return np.arange(start, len(self._shown), dtype=np.float32)[:, None], np.zeros(len(pairs), np.float32)

    def shown(self, embeddings: NDArray[np.float32]) -> NDArray[np.uint8]:
        """What it was shown, by the embeddings it gave."""
        kept = [self._shown[int(k)] for k in embeddings[:, 0]]
        return np.stack(kept) if kept else np.zeros((0, FACE_PX, FACE_PX, 6), np.uint8)


def example_of(measures: FaceMeasures, tape: Tape, *, name: str, person: str, label: str, kind: str) -> Example:
    """The example of a face that was measured with ``tape`` in the network's place."""
    return Example(
        name=name, person=person, label=label, kind=kind, cues=cue_values(measures.evidence),
        texture=measures.evidence.texture, embeddings=np.zeros((0, 1), np.float32), logits=np.zeros(0, np.float32),
        rows=measures.rows, squares=tape.shown(measures.embeddings),
    )  # fmt: skip


def seen_by(scorer: Scorer, example: Example, *, batch: int = 32) -> Example:
    """The example after the network has seen its pictures, which are then let go."""
    parts = [scorer.frames(example.squares[k : k + batch]) for k in range(0, len(example.squares), batch)]
    if not parts:
        return example
    embeddings, logits = (np.concatenate(p) for p in zip(*parts, strict=True))
    return replace(example, embeddings=embeddings, logits=logits, squares=example.squares[:0])


def save_examples(examples: Sequence[Example], path: Path) -> None:
    """Write examples with their pictures as one npz; without a pickle."""
    arrays: dict[str, NDArray] = {}
    told = []
    for k, x in enumerate(examples):
        told.append({"name": x.name, "person": x.person, "label": x.label, "kind": x.kind, "weight": x.weight,
                     "motion_only": x.motion_only, "cues": list(x.cues)})  # fmt: skip
        arrays |= {f"cues{k}": np.array(list(x.cues.values())), f"texture{k}": x.texture, f"squares{k}": x.squares,
                   f"rows{k}": x.rows}  # fmt: skip
    with whole_file(path) as part, part.open("wb") as f:
        np.savez(f, told=np.array(json.dumps(told)), **arrays)  # type: ignore[arg-type]


def load_examples(path: Path) -> list[Example]:
    """Read what ``save_examples`` wrote."""
    out = []
    with np.load(path, allow_pickle=False) as z:
        for k, x in enumerate(json.loads(str(z["told"]))):
            x["cues"] = dict(zip(x["cues"], z[f"cues{k}"].tolist(), strict=True))
            nothing = np.zeros(0, np.float32)
            out.append(
                Example(
                    **x,
                    texture=z[f"texture{k}"],
                    squares=z[f"squares{k}"],
                    rows=z[f"rows{k}"],
                    embeddings=nothing[:, None],
                    logits=nothing,
                )
            )
    return out


def stretches(evidence: Evidence, rng: au.Rng) -> list[Evidence]:
    """Up to ``STRETCHES`` parts of a face's time, of the lengths clips have; what eyes do in four seconds says less
    than in twelve."""
    total, parts = len(evidence.track.pts), set()
    for _ in range(STRETCHES):
        length = min(round(rng.uniform(*STRETCH_S) * evidence.fps), total)
        start = int(rng.integers(0, total - length + 1))
        parts.add((start, start + length))
    return [part for a, b in sorted(parts) if (part := evidence.between(a, b)).seen.sum() >= 8]


def motion_examples(
    evidence: Evidence, rng: au.Rng, *, name: str, person: str, count: int = 4, weight: float = 1.0
) -> Iterator[Example]:
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
            rows=np.zeros(0, np.int64),
            weight=weight / count if kind else weight,
            motion_only=True,
        )


def rehearse(
    bursts: Sequence[Path], fakes: PseudoFakes, rng: au.Rng, *, kind: str | None = None, max_bursts: int = 4
) -> Iterator[Example]:
    """A real clip (its bursts on disk, in order) and a pseudo-fake of it, both handled and measured alike.

    Yields the real one, then the fake; none where the face is not found again.
    """
    bursts = sorted(bursts)[:max_bursts]
    kind = kind or fakes.draw(KINDS, SHARES, rng)
    history = au.draw_handling(rng)
    seed = int(rng.integers(2**31))
    frame = au.draw_reframing(rng) if rng.random() < REFRAMED else None
    pictures: dict[str, list[NDArray]] = {"real": [], "fake": []}
    loaded = [load_burst(b) for b in bursts]
    for burst in loaded:
        _, (made, _, _) = fakes.make(burst.images, burst.meshes, np.random.default_rng(seed), kind)
        for label, images in (("real", burst.images), ("fake", made)):
            images = au.handle(images, burst.meshes, history)
            pictures[label].append(au.reframe(images, burst.meshes, frame)[0] if frame else images)
    for label, parts in pictures.items():
        tape = Tape()
        found = measure(_frames(parts), ANALYSIS_FPS, scorer=tape, max_faces=1, thinned=True)
        if found:
            what = "" if label == "real" else kind
            yield example_of(found[0], tape, name=loaded[0].name, person=loaded[0].person, label=label, kind=what)


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
