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
from facewitness.datasets.truth import load_parameters
from facewitness.errors import FacewitnessError
from facewitness.files import to_json, write_text
from facewitness.generator.performance import Performance

STILL = 0.35
"""Mean grey levels between two frames, as a share of the control's median, under which one repeats the other: the
watermark alone changes a frame that is shown again."""
EYE_WIDTHS_A_RADIAN = 0.4
"""How far the iris moves in widths of the eye's opening when the eye turns: a radius of 12 mm, an opening of 30."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one clip shows."""

    performance: Performance
    irises: NDArray[np.float64]
    """(T, 2) where each iris stands between its lid corners, in widths of the opening from its middle, to the right."""
    steps: NDArray[np.float64]
    """(T - 1,) mean grey levels by which each frame differs from the one before."""
    asked: Performance | None = None
    """The parameters it was made of."""


def rate_of(p: Performance) -> float:
    """Frames a second."""
    return 1.0 / float(np.median(np.diff(p.times_s)))


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


def apart(seen: Seen, control: Seen) -> float:
    """Degrees by which the left eye looks further to the right than the right eye does, less the control's.

    From the irises between their corners: the reconstruction couples the eyes.
    """
    gaps = [np.nanmedian(s.irises[:, 1] - s.irises[:, 0]) for s in (seen, control)]
    return float(np.degrees((gaps[0] - gaps[1]) / EYE_WIDTHS_A_RADIAN))


def gain(channel: str) -> Callable[[Seen, Seen], float]:
    """The change from the control that is seen in a channel, as a share of the one that was asked for.

    The tracker smooths over time, so that of trembling from frame to frame about half is seen.
    """

    def measured(seen: Seen, control: Seen) -> float:
        assert seen.asked and control.asked
        wanted = getattr(seen.asked, channel) - getattr(control.asked, channel)
        found = getattr(seen.performance, channel) - getattr(control.performance, channel)
        return float((wanted * found).sum() / max((wanted * wanted).sum(), 1e-12))

    return measured


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
    "gaze_decoupled": ("degrees further apart", apart, lambda d: d),
    "saccades_smoothed": ("speed of gaze, share", ratio(gaze_speed), lambda d: float("nan")),
    "head_jitter": ("share of the trembling that is seen", gain("rotation"), lambda d: 1.0),
    "lid_jitter": ("share of the flutter that is seen", gain("lids"), lambda d: 1.0),
    "expression_scaled": ("spread of the mouth's opening, share",
                          ratio(lambda p: float(mouth(p).std())), lambda d: 1 + d),
    "mouth_delay": ("seconds the mouth comes later",
                    lambda s, c: lag_s(mouth(s.performance), mouth(c.performance), rate_of(c.performance)),
                    lambda d: d),
    "frames_repeated": ("share of frames repeated, more", repeats, lambda d: d),
    "frames_dropped": ("mean step between frames, share",
                       lambda s, c: float(s.steps.mean() / c.steps.mean()), lambda d: 1 / (1 - d)),
}  # fmt: skip
"""Factor to what is measured, how, and what is to be expected of a degree (NaN: only the direction is known)."""


def look(path: Path, parameters: Path) -> Seen:
    """Follow and reconstruct a clip as if nothing were known of it; what was asked for is read beside it."""
    from facewitness.faces import landmarks as lm
    from facewitness.faces import track_video
    from facewitness.generator.reconstruct import reconstruct
    from facewitness.media import read_frames

    tracks = track_video(path, max_faces=1, progress=False)
    if not tracks:
        raise FacewitnessError("no face is seen.")
    where = []
    for side, eye in enumerate((lm.RIGHT_EYE, lm.LEFT_EYE)):
        x = tracks[0].mesh[:, list(eye), 0]
        low, high = x.min(1), x.max(1)
        where.append((tracks[0].irises[:, side, :, 0].mean(1) - (low + high) / 2) / (high - low))
    grey = [f.image[::2, ::2].mean(2) for f in read_frames(path)]
    steps = np.array([np.abs(b - a).mean() for a, b in pairwise(grey)])
    asked = load_parameters(parameters)["result"]
    return Seen(performance=reconstruct(tracks[0]), irises=np.stack(where, 1), steps=steps, asked=asked)


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
                seen = {control.clip_id: look(folder / control.path, folder / control.parameters_path)}
            what, how, expected = MEASURES[clip.factor]
            value = how(look(folder / clip.path, folder / clip.parameters_path), seen[control.clip_id])
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
