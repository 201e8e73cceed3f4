"""Fitting the fusion: examples of whole clips to a table, weights and calibration with persons held out, a model."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from facewitness.detector.calibration import FALSE_POSITIVE_RATE, Calibration
from facewitness.detector.cues import list_cues
from facewitness.detector.examples import Example
from facewitness.detector.eyes_model import EyeMixture
from facewitness.detector.fusion import Fusion
from facewitness.detector.model import Limits, Model
from facewitness.detector.surface_model import WINDOW, SurfaceModel, window_features
from facewitness.detector.texture import summary
from facewitness.detector.verdict import EYE_WAYS, window_scores
from facewitness.errors import UsageError

Fitted = TypeVar("Fitted")
FOLDS = 5
FEWEST = 12
"""Examples of each class below which a fusion would be guesswork."""


LEARNED = ("network", "surface", "eyes")
"""Columns that are learned scores: more of them is never less suspicious."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Examples as numbers: (N, F) values, NaN where missing; (N,) labels, persons and kinds."""

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    persons: NDArray[np.str_]
    kinds: NDArray[np.str_]
    weights: NDArray[np.float64]
    motion_only: NDArray[np.bool_]


def without_each(
    persons: NDArray[np.str_], folds: int, fit: Callable[[NDArray[np.int64]], Fitted]
) -> dict[str, Fitted]:
    """For every person a model that ``fit``, given the rows it may learn from, made without that person."""
    from sklearn.model_selection import GroupKFold

    out: dict[str, Fitted] = {}
    for kept, left in GroupKFold(folds).split(persons, groups=persons):
        out |= dict.fromkeys(map(str, set(persons[left])), fit(kept))
    return out


@dataclass(frozen=True)
class PersonalSurface:
    """A surface model, and for every person it was fitted on another one that never saw that person."""

    whole: SurfaceModel
    without: dict[str, SurfaceModel]

    @classmethod
    def fit(cls, x: NDArray, y: NDArray, persons: NDArray, *, seed: int = 0, folds: int = 4) -> "PersonalSurface":
        """Fit to features (N, F), labels (N,) and persons (N,); ``folds`` groups of persons are left out in turn."""
        whole = SurfaceModel(seed=seed).fit(x, y)
        without: dict[str, SurfaceModel] = {}
        if len(set(persons)) >= folds:
            without = without_each(persons, folds, lambda kept: SurfaceModel(seed=seed).fit(x[kept], y[kept]))
        return cls(whole, without)

    def score(self, example: Example) -> float:
        """Mean log odds of an example's windows by a model that does not know its person; NaN without a window."""
        features, _ = window_features(example.texture)
        model = self.without.get(example.person, self.whole)
        return float(model.decision_function(features).mean()) if len(features) else float("nan")


@dataclass(frozen=True)
class PersonalEyes:
    """A mixture of the cues of the eyes, and for every person another one that never saw that person."""

    whole: EyeMixture
    without: dict[str, EyeMixture]

    @classmethod
    def fit(cls, examples: Sequence[Example], *, folds: int = FOLDS) -> "PersonalEyes | None":
        """Fit to made motion of the eyes, other fakes keep real ones; None where there is too little of it."""
        moved = [x for x in examples if x.motion_only and x.kind in ("", *EYE_WAYS)]
        y = np.array([int(x.label == "fake") for x in moved])
        persons = np.array([x.person for x in moved])
        if min((y == 0).sum(), (y == 1).sum()) < FEWEST or len(set(persons)) < folds:
            return None
        x, kinds = np.stack([cls._cues(e) for e in moved]), np.array([e.kind for e in moved])
        without = without_each(persons, folds, lambda kept: EyeMixture().fit(x[kept], y[kept], kinds[kept]))
        return cls(EyeMixture().fit(x, y, kinds), without)

    @staticmethod
    def _cues(example: Example) -> NDArray[np.float64]:
        return np.array([example.cues.get(c.name, np.nan) for c in list_cues("eyes")], float)

    def score(self, example: Example) -> float:
        """Log odds by a mixture that does not know the example's person; NaN where no cue is measured."""
        model = self.without.get(example.person, self.whole)
        return float(model.decision_function(self._cues(example)[None])[0])


def tabulate(
    examples: Sequence[Example],
    *,
    surface: PersonalSurface | None,
    eyes: PersonalEyes | None = None,
    scorer: Any = None,
    seen_persons: Collection[str] = (),
) -> Table:
    """The table of the examples. For ``seen_persons``, on whom the network was fitted, its column is missing."""
    learned = {"network": scorer, "surface": surface, "eyes": eyes}
    columns = [name for name, one in learned.items() if one is not None] + [c.name for c in list_cues()]
    rows = []
    for x in examples:
        values = dict(x.cues)
        if x.person not in seen_persons:
            windows, _ = window_scores(x.rows, x.embeddings, x.logits, scorer)
            values["network"] = float(windows.mean()) if len(windows) else np.nan
        if surface is not None:
            values["surface"] = surface.score(x)
        if eyes is not None:
            values["eyes"] = eyes.score(x)
        rows.append([values.get(c, np.nan) for c in columns])
    return Table(
        columns=tuple(columns),
        values=np.array(rows, float),
        labels=np.array([int(x.label == "fake") for x in examples]),
        persons=np.array([x.person for x in examples]),
        kinds=np.array([x.kind for x in examples]),
        weights=np.array([x.weight for x in examples]),
        motion_only=np.array([x.motion_only for x in examples]),
    )


def new_fusion(columns: Sequence[str]) -> Fusion:
    """An unfitted fusion that knows which columns are scores."""
    spoken_for = {c.name for c in list_cues("eyes")} if "eyes" in columns else set()
    return Fusion(
        rising=tuple(k for k, c in enumerate(columns) if c in LEARNED),
        silent=tuple(k for k, c in enumerate(columns) if c in spoken_for),
    )


def held_out_scores(table: Table, *, folds: int = FOLDS) -> NDArray[np.float64]:
    """Log odds of every example by a fusion fitted without its person."""
    from sklearn.model_selection import GroupKFold

    scores = np.zeros(len(table.labels))
    groups = min(folds, len(set(table.persons)))
    for fit, judge in GroupKFold(groups).split(table.values, table.labels, table.persons):
        fusion = new_fusion(table.columns).fit(table.values[fit], table.labels[fit], table.weights[fit])
        scores[judge] = fusion.decision_function(table.values[judge])
    return scores


def fuse(
    examples: Sequence[Example],
    *,
    model_id: str,
    surface: PersonalSurface | None,
    network: Path | None,
    scorer: Any = None,
    seen_persons: Collection[str] = (),
    false_positive_rate: float = FALSE_POSITIVE_RATE,
    notes: dict[str, Any] | None = None,
) -> Model:
    """Fit fusion and calibration to examples and put the model together.

    Raises UsageError where there are too few examples or persons.
    """
    eyes = PersonalEyes.fit(examples)
    table = tabulate(examples, surface=surface, eyes=eyes, scorer=scorer, seen_persons=seen_persons)
    if min((table.labels == 0).sum(), (table.labels == 1).sum()) < FEWEST or len(set(table.persons)) < 3:
        raise UsageError(f"a fusion needs at least {FEWEST} real and {FEWEST} fake clips of 3 persons; add footage.")
    held = held_out_scores(table)
    # thresholds come from clips as a scan sees them: with the network's word, on persons it was not taught
    whole = ~table.motion_only & ~(np.isin(table.persons, list(seen_persons)) & (scorer is not None))
    calibration = Calibration(false_positive_rate=false_positive_rate).fit(held[whole], table.labels[whole])
    return Model(
        id=model_id,
        columns=table.columns,
        fusion=new_fusion(table.columns).fit(table.values, table.labels, table.weights),
        calibration=calibration,
        surface=surface.whole if surface is not None else None,
        eyes=eyes.whole if eyes is not None else None,
        network=network,
        limits=Limits(),
        usual=usual_surface([x for x in examples if x.label == "real" and not x.motion_only]),
        notes={**(notes or {}), "fusion": results(table, held, whole)},
    )


def results(table: Table, held: NDArray[np.float64], whole: NDArray[np.bool_]) -> dict[str, Any]:
    """What the fusion reaches on persons it was not fitted on, overall, by kind of fake and by column alone.

    ``whole`` are the examples with pictures that no learned score was taught on.
    """
    from facewitness.detector.metrics import auc

    real, motion = table.labels == 0, table.motion_only

    def by_kind(scores: NDArray, part: NDArray) -> dict[str, float]:
        kinds = sorted({str(k) for k in table.kinds[~real & part]})
        return {k: auc(table.labels[m], scores[m]) for k in kinds if (m := part & (real | (table.kinds == k))).any()}

    of_eyes = table.values[:, table.columns.index("eyes")] if "eyes" in table.columns else np.full(len(real), np.nan)
    judged = motion & np.isfinite(of_eyes)
    alone = {}
    for k, name in enumerate(table.columns):
        ok = np.isfinite(table.values[:, k]) & whole
        if len(set(table.labels[ok])) == 2:
            alone[name] = auc(table.labels[ok], table.values[ok, k])
    return {
        "examples": {
            "real": int((real & whole).sum()),
            "fake": int((~real & whole).sum()),
            "motion": int((~real & motion).sum()),
            "persons": len(set(table.persons[whole])),
        },
        "auc_held_out": auc(table.labels[whole], held[whole]),
        "auc_by_kind": by_kind(held, whole),
        "auc_of_motion_by_kind": by_kind(held, motion),
        "auc_of_motion_by_eyes_alone": by_kind(of_eyes, judged),
        "eyes_judged": float(judged.sum() / max(motion.sum(), 1)),
        "auc_of_one_column": alone,
    }


def usual_surface(reals: Sequence[Example]) -> dict[str, list[float]]:
    """Centre and spread of the surface statistics of real clips (median, and the larger of two robust spreads)."""
    found = [summary(c) for x in reals if len(c := x.texture[np.isfinite(x.texture).all((1, 2))]) >= WINDOW]
    if len(found) < FEWEST:
        return {}
    f = np.stack(found)
    spread = np.maximum((np.quantile(f, 0.84, axis=0) - np.quantile(f, 0.16, axis=0)) / 2, f.std(0) / 2)
    return {"centre": np.median(f, axis=0).round(5).tolist(), "spread": np.maximum(spread, 1e-3).round(5).tolist()}
