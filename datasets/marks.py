"""Whether the watermark tells the label: real and fake clips must carry it alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facewitness.datasets.labels import FAKE, REAL, Clip
from facewitness.errors import FacewitnessError
from facewitness.progress import Bar

SAMPLE = 12
"""Clips of each label in which the mark is looked for."""
CHANCE = 0.01
"""Shares of read marks that differ by label with a smaller probability than this are no chance (Fisher's test)."""


@dataclass(frozen=True, kw_only=True)
class Marks:
    """In how many clips this installation's watermark was read."""

    reals: int
    reals_read: int
    fakes: int
    fakes_read: int
    p: float
    """Probability of so large a difference by chance (Fisher's exact test, two-sided)."""

    @property
    def leaks(self) -> bool:
        """Whether the mark tells the label."""
        return self.p < CHANCE


def read_marks(clips: Sequence[Clip], folder: Path, *, sample: int = SAMPLE) -> Marks | None:
    """Look for the watermark in ``sample`` reals and as many fakes, spread over the set; None without both.

    A set from another installation is marked with another key: then none is read, and nothing leaks by it here.
    """
    from scipy.stats import fisher_exact

    from facewitness.provenance.watermark import detect, installation_key

    chosen = {label: _spread([c for c in clips if c.label == label], sample) for label in (REAL, FAKE)}
    if not all(chosen.values()):
        return None
    key, read = installation_key(), dict.fromkeys(chosen, 0)
    with Bar("reading watermarks", total=sum(map(len, chosen.values()))) as bar:
        for label, some in chosen.items():
            for clip in some:
                try:
                    read[label] += detect(folder / clip.path, key) is not None
                except FacewitnessError:
                    continue
                finally:
                    bar.advance()
    reals, fakes = len(chosen[REAL]), len(chosen[FAKE])
    table = [[read[REAL], reals - read[REAL]], [read[FAKE], fakes - read[FAKE]]]
    return Marks(
        reals=reals, reals_read=read[REAL], fakes=fakes, fakes_read=read[FAKE], p=float(fisher_exact(table).pvalue)
    )


def _spread(clips: Sequence[Clip], count: int) -> list[Clip]:
    ordered = sorted(clips, key=lambda c: c.clip_id)
    return [ordered[i] for i in np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).astype(int))]
