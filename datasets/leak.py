"""What a file tells without being looked at: a classifier on size, rate, duration, bit rate and sound alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.datasets.labels import REAL, Clip

ATTRIBUTES = ("width", "height", "rate", "seconds", "bits_per_second", "audio", "file_bytes")
TOLERANCE = 0.08
"""An AUC further than this from one half is a leak."""
TREES, LEAF, FOLDS = 100, 4, 5
LEAST_OF_EACH = 8


@dataclass(frozen=True, kw_only=True)
class Leak:
    """How well attributes alone tell real from fake."""

    auc: float
    """Of out-of-fold scores; 0.5 is chance. NaN where there are too few clips to say."""
    importances: dict[str, float]
    clips: int

    @property
    def leaks(self) -> bool:
        """Whether the attributes tell the label better than tolerated."""
        return bool(abs(self.auc - 0.5) > TOLERANCE)


def attributes(clip: Clip, folder: Path) -> list[float]:
    """The attributes of a clip as its file says them, in the order of ``ATTRIBUTES``."""
    import av

    path = folder / clip.path
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [(p.size, p.dts) for p in container.demux(stream) if p.size]
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        rate = float(stream.average_rate or 0)
        seconds = seconds or len(packets) / max(rate, 1e-6)
        bits = 8 * sum(size for size, _ in packets) / max(seconds, 1e-6)
        audio = float(bool(container.streams.audio))
        return [stream.width, stream.height, rate, seconds, bits, audio, path.stat().st_size]


def attribute_leak(clips: Sequence[Clip], values: NDArray[np.float64], *, seed: int = 0) -> Leak:
    """Train the attribute-only classifier on ``values`` (n, attributes) and judge it on footage it was not trained on.

    Folds keep clips of one person together, so that it cannot learn a person's share of fakes.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    fake = np.array([c.label != REAL for c in clips])
    people = np.array([c.target_id for c in clips])
    folds = min(FOLDS, len(set(people)))
    if min(fake.sum(), (~fake).sum()) < LEAST_OF_EACH or folds < 2:
        return Leak(auc=float("nan"), importances={}, clips=len(clips))
    scores = np.zeros(len(clips))
    for train, test in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(values, fake, people):
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed, n_jobs=1
        ).fit(values[train], fake[train])
        scores[test] = forest.predict_proba(values[test])[:, 1]
    forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed, n_jobs=1)
    importances = forest.fit(values, fake).feature_importances_
    return Leak(
        auc=float(roc_auc_score(fake, scores)), clips=len(clips),
        importances=dict(zip(ATTRIBUTES, (float(v) for v in importances), strict=True)),
    )  # fmt: skip
