"""Whether a controlled forgery shows what its label says, measured from its pixels.

    python -m bench.forgeries SET [--people 3] [--json OUT.json]

Every clip that changes one thing by degree is followed and reconstructed as any unknown video is, and so is its control
(the same seconds of the same person, rendered with nothing changed). A table says what was asked for and what is seen.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.datasets.factors import find_blinks, quiet_lids
from facewitness.datasets.labels import Clip, read_labels
from facewitness.errors import FacewitnessError
from facewitness.files import to_json, write_text
from facewitness.generator.performance import Performance

STILL = 0.6
"""Mean grey levels between two frames, as a share of the median, under which one repeats the other."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one clip shows."""

    performance: Performance
    steps: NDArray[np.float64]
    """(T - 1,) mean grey levels by which each frame differs from the one before."""


def rate_of(p: Performance) -> float:
    """Frames a second."""
    return 1.0 / float(np.median(np.diff(p.times_s)))


def shake(values: NDArray, scale: float = 1.0) -> float:
    """Deviation of white noise that has the second differences of ``values``, mean over columns."""
    return float(scale * np.sqrt(np.mean(np.diff(values.reshape(len(values), -1), 2, axis=0) ** 2) / 6))


def lag_s(of: NDArray, behind: NDArray, rate: float, most_s: float = 0.6) -> float:
    """Seconds by which ``of`` comes later than ``behind``, by the best correlation of their changes."""
    a, b = np.diff(of) - np.diff(of).mean(), np.diff(behind) - np.diff(behind).mean()
    most = round(most_s * rate)
    scores = {k: float(np.dot(a[max(k, 0) : len(a) + min(k, 0)], b[max(-k, 0) : len(b) - max(k, 0)]))
              for k in range(-most, most + 1)}  # fmt: skip
    return max(scores, key=lambda k: scores[k]) / rate


def blink_depth(seen: Seen, control: Seen) -> float:
    """Largest rise of both lids at the control's blinks, as a share of the control's."""
    blinks = find_blinks(control.performance)
    if not blinks:
        return float("nan")
    rise = [(s.performance.lids - quiet_lids(s.performance)).mean(1) for s in (seen, control)]
    ratios = [rise[0][a - 2 : b + 2].max() / rise[1][a - 2 : b + 2].max() for a, b in blinks if a > 2]
    return float(np.mean(ratios)) if ratios else float("nan")


def eye_lag(seen: Seen, control: Seen) -> float:
    """Seconds between the lids' closing, either way; NaN without a blink."""
    p = seen.performance
    if not find_blinks(control.performance):
        return float("nan")
    return abs(lag_s(p.lids[:, 0], p.lids[:, 1], rate_of(p), 0.4))


def ratio(of: Callable[[Performance], float]) -> Callable[[Seen, Seen], float]:
    """``of`` the clip as a share of the control's."""
    return lambda seen, control: of(seen.performance) / max(of(control.performance), 1e-9)


def more(of: Callable[[Performance], float]) -> Callable[[Seen, Seen], float]:
    """``of`` the clip less the control's."""
    return lambda seen, control: of(seen.performance) - of(control.performance)


def gaze_spread(p: Performance) -> float:
    """Deviation of both eyes' common gaze, degrees."""
    return float(np.degrees(p.gaze.mean(1).std(0)).mean())


def gaze_speed(p: Performance) -> float:
    """95th percentile of the common gaze's steps, degrees a frame."""
    return float(np.percentile(np.degrees(np.linalg.norm(np.diff(p.gaze.mean(1), axis=0), axis=1)), 95))


def apart(p: Performance) -> float:
    """Degrees by which the left eye looks further to the right than the right eye does."""
    return float(np.degrees(np.median(p.gaze[:, 1, 0] - p.gaze[:, 0, 0])))


def mouth(p: Performance) -> NDArray[np.float32]:
    """(T,) opening of the lips, centimetres."""
    from facewitness.generator.shapes import shapes_of

    return shapes_of(p).mouth


def repeats(seen: Seen, control: Seen) -> float:
    """Share of frames that hardly differ from the one before."""
    return float(
        (seen.steps < STILL * np.median(control.steps)).mean()
        - (control.steps < STILL * np.median(control.steps)).mean()
    )


MEASURES: dict[str, tuple[str, Callable[[Seen, Seen], float], Callable[[float], float]]] = {
    "blinks_removed": ("blink depth, share of the control's", blink_depth, lambda d: 1 - d),
    "blinks_added": ("blinks more", more(lambda p: float(len(find_blinks(p)))), lambda d: d),
    "eye_delay": ("seconds between the lids", eye_lag, lambda d: d),
    "gaze_frozen": ("spread of gaze, share", ratio(gaze_spread), lambda d: 1 - d),
    "gaze_decoupled": ("degrees further apart", more(apart), lambda d: d),
    "saccades_smoothed": ("speed of gaze, share", ratio(gaze_speed), lambda d: float("nan")),
    "head_jitter": ("trembling of the head, degrees more",
                    more(lambda p: shake(p.rotation, np.degrees(1))), lambda d: d),
    "lid_jitter": ("trembling of the lids more", more(lambda p: shake(p.lids.mean(1))), lambda d: d),
    "expression_scaled": ("spread of the mouth's opening, share",
                          ratio(lambda p: float(mouth(p).std())), lambda d: 1 + d),
    "mouth_delay": ("seconds the mouth comes later",
                    lambda s, c: lag_s(mouth(s.performance), mouth(c.performance), rate_of(c.performance)),
                    lambda d: d),
    "frames_repeated": ("share of frames repeated, more", repeats, lambda d: d),
    "frames_dropped": ("median step between frames, share",
                       lambda s, c: float(np.median(s.steps) / np.median(c.steps)), lambda d: 1 / (1 - d)),
}  # fmt: skip
"""Factor to what is measured, how, and what is to be expected of a degree (NaN: only the direction is known)."""


def look(path: Path) -> Seen:
    """Follow and reconstruct a clip as if nothing were known of it."""
    from facewitness.generator.reenactment import driver_performance
    from facewitness.media import read_frames

    grey = [f.image[::2, ::2].mean(2) for f in read_frames(path)]
    steps = np.array([np.abs(b - a).mean() for a, b in pairwise(grey)])
    return Seen(performance=driver_performance(path), steps=steps)


def measure(folder: Path, clips: list[Clip]) -> list[dict]:
    """One row a controlled clip: what was asked for and what is seen."""
    controls = {c.pair_id: c for c in clips if c.method == "self_reenactment" and c.segments[0][0] == 0
                and c.segments[0][1] > 0.9 * c.frames / c.fps}  # fmt: skip
    seen: dict[str, Seen] = {}
    rows = []
    for clip in sorted((c for c in clips if c.factor in MEASURES), key=lambda c: c.pair_id):
        control = controls.get(clip.pair_id)
        if control is None:
            continue
        try:
            if control.clip_id not in seen:
                seen = {control.clip_id: look(folder / control.path)}
            what, how, expected = MEASURES[clip.factor]
            value = how(look(folder / clip.path), seen[control.clip_id])
        except FacewitnessError as e:
            print(f"{clip.clip_id}: {e}")
            continue
        rows.append({"clip": clip.clip_id, "person": clip.target_id, "factor": clip.factor, "degree": clip.degree,
                     "what": what, "expected": expected(clip.degree), "seen": value})  # fmt: skip
    return rows


def main() -> None:
    """Print the table; write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=0, help="only so many people; all where 0")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    clips = read_labels(given.folder)
    people = sorted({c.target_id for c in clips})[: given.people or None]
    rows = measure(given.folder, [c for c in clips if c.target_id in people])
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["factor"], row["degree"]].append(row)
    print(f"{'factor':18s} {'degree':>6s} {'clips':>5s} {'asked':>7s} {'seen':>7s} {'quartiles':>16s}  what")
    for (factor, degree), some in sorted(groups.items()):
        values = np.array([r["seen"] for r in some], float)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        low, middle, high = np.percentile(values, [25, 50, 75])
        print(f"{factor:18s} {degree:6g} {len(values):5d} {some[0]['expected']:7.2f} {middle:7.2f} "
              f"{low:7.2f} {high:8.2f}  {some[0]['what']}")  # fmt: skip
    if given.json:
        write_text(given.json, to_json({"schema": "facewitness.bench-forgeries/1", "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
