"""Where the eyes look, how they jump, and whether both look at the same thing."""

import numpy as np

from facewitness.detector.cues.registry import Abstained, Measured, Needs, cue
from facewitness.detector.evidence import Evidence, correlation, runs_of

GAZE = Needs(iris_px=6, seconds=3, fps=9)
DEMIR = "Demir and Ciftci, Where Do Deep Fakes Look?, ETRA 2021"
JUMP = 0.045
"""Change of gaze in eye widths between two looks that counts as a jump, about 4 degrees."""


def _mean(e: Evidence) -> np.ndarray:
    return np.nanmean(e.gaze, axis=1)


@cue(
    "gaze_spread", family="eyes", unit="eye widths", needs=GAZE, source=DEMIR,
    low="hardly moves its eyes", high="moves its eyes further than people do",
)  # fmt: skip
def gaze_spread(e: Evidence) -> Measured:
    """Spread of the gaze across and up, against the head."""
    gaze = _mean(e)
    value = float(np.sqrt(np.nanvar(gaze[:, 0]) + np.nanvar(gaze[:, 1])))
    return Measured(value, {"across": gaze[:, 0], "down": gaze[:, 1]})


@cue(
    "gaze_jumps", family="eyes", unit="per second", needs=GAZE, source=DEMIR,
    low="its eyes jump less often than people's", high="its eyes jump more often than people's",
)  # fmt: skip
def gaze_jumps(e: Evidence) -> Measured:
    """Jumps of the gaze a second (30 frames a second cannot resolve a saccade, but they can count it)."""
    gaze = _mean(e)
    steps = np.linalg.norm(np.diff(gaze, axis=0), axis=1)
    seen = np.isfinite(steps).sum() / e.fps
    jumps = len(runs_of(np.nan_to_num(steps) > JUMP))
    return Measured((jumps + 0.5) / (seen + 1.0) if seen > 1 else float("nan"), {"step": np.append(steps, np.nan)})


@cue(
    "fixation_length", family="eyes", unit="s", needs=GAZE, source="Rayner 1998 (fixations of 0.2 to 0.4 s)",
    low="its eyes rest for a shorter time than people's", high="its eyes rest on one spot longer than people's",
)  # fmt: skip
def fixation_length(e: Evidence) -> Measured:
    """Mean seconds between jumps of the gaze."""
    gaze = _mean(e)
    steps = np.linalg.norm(np.diff(gaze, axis=0), axis=1)
    runs = runs_of(np.isfinite(steps) & (steps <= JUMP))
    return Measured(float(np.mean([b - a for a, b in runs]) / e.fps) if runs else float("nan"))


@cue(
    "gaze_conjugacy", family="eyes", unit="correlation", needs=GAZE, source=DEMIR,
    low="its two eyes do not turn together", high="its two eyes turn more alike than a measured pair",
)  # fmt: skip
def gaze_conjugacy(e: Evidence) -> Measured:
    """Correlation of the changes of the two eyes' gaze across."""
    steps = np.diff(e.gaze[..., 0], axis=0)
    return Measured(correlation(steps[:, 0], steps[:, 1]), {"right": e.gaze[:, 0, 0], "left": e.gaze[:, 1, 0]})


@cue(
    "gaze_together", family="eyes", unit="correlation", needs=GAZE,
    source="Krauzlis et al. 2017 (drifts, small and large jumps and the reflex against head motion turn both eyes)",
    low="its two eyes do not wander together, as if they stood still and were measured with noise",
    high="its two eyes wander more alike than a measured pair",
)  # fmt: skip
def gaze_together(e: Evidence) -> Measured:
    """Correlation of the two eyes' gaze across: whatever moves real eyes moves both, and noise of measuring does
    not."""
    return Measured(correlation(e.gaze[:, 0, 0], e.gaze[:, 1, 0]), {"right": e.gaze[:, 0, 0], "left": e.gaze[:, 1, 0]})


@cue(
    "gaze_difference", family="eyes", unit="eye widths", needs=GAZE, source=DEMIR,
    low="the angle between its eyes hardly changes", high="its eyes drift apart and together",
)  # fmt: skip
def gaze_difference(e: Evidence) -> Measured:
    """Spread over time of the difference of the two eyes' gaze across."""
    apart = e.gaze[:, 1, 0] - e.gaze[:, 0, 0]
    return Measured(float(np.nanstd(apart)), {"left_less_right": apart})


@cue(
    "vergence", family="eyes", unit="eye widths", needs=GAZE, source=DEMIR,
    low="its eyes point away from each other", high="its eyes cross: they meet in front of the nose",
)  # fmt: skip
def vergence(e: Evidence) -> Measured:
    """How much the eyes turn inwards, with the part that the head's yaw explains taken out; median."""
    inwards = e.gaze[:, 0, 0] - e.gaze[:, 1, 0]
    yaw = np.where(np.isfinite(inwards), e.angles[:, 0], np.nan)
    centred = inwards - 0.15 * np.abs(np.sin(yaw))
    return Measured(float(np.nanmedian(centred)), {"inwards": inwards})


@cue(
    "gaze_head", family="eyes", unit="correlation", needs=Needs(iris_px=6, seconds=4, fps=9),
    source="Leigh and Zee, The Neurology of Eye Movements (vestibulo-ocular reflex)",
    low="its eyes turn against the head more than people's", high="its eyes do not compensate the turns of its head",
)  # fmt: skip
def gaze_head(e: Evidence) -> Measured | Abstained:
    """Correlation of the turning of the eyes in the head with that of the head: compensation makes it negative."""
    yaw = np.where(e.frontal, e.angles[:, 0], np.nan)
    turn = np.diff(yaw)
    if not np.nanstd(turn) * e.fps > np.deg2rad(1.5):
        return Abstained("the head hardly turns")
    return Measured(correlation(np.diff(_mean(e)[:, 0]), turn), {"yaw_deg": np.rad2deg(yaw), "gaze": _mean(e)[:, 0]})


@cue(
    "gaze_tremor", family="eyes", unit="eye widths", needs=GAZE, source="this project",
    low="its eyes move more smoothly than people's", high="its eyes tremble",
)  # fmt: skip
def gaze_tremor(e: Evidence) -> Measured:
    """Median absolute second difference of the gaze: what is left between the jumps."""
    gaze = _mean(e)
    bend = np.linalg.norm(np.diff(gaze, 2, axis=0), axis=1)
    return Measured(float(np.nanmedian(bend)), {"across": gaze[:, 0], "down": gaze[:, 1]})


@cue(
    "gaze_spectrum", family="eyes", unit="share of power", needs=Needs(iris_px=6, seconds=5, fps=9), source=DEMIR,
    low="its gaze has less fast movement than people's", high="its gaze has more fast movement than people's",
)  # fmt: skip
def gaze_spectrum(e: Evidence) -> Measured:
    """Share of the power of the gaze signal above 2 Hz, over windows of 32 looks."""
    shares = [high_share(_mean(e)[:, axis], e.fps, above=2.0) for axis in (0, 1)]
    return Measured(float(np.nanmean(shares)))


def high_share(signal: np.ndarray, fps: float, *, above: float, length: int = 32) -> float:
    """Share of a signal's power above a frequency, mean over Hann windows; short gaps are bridged, windows with long
    ones left out."""
    shares = []
    for start in range(0, max(len(signal) - length + 1, 1), length // 2):
        part = signal[start : start + length]
        ok = np.isfinite(part)
        if len(part) < 16 or ok.mean() < 0.75:
            continue
        x = np.arange(len(part))
        filled = np.interp(x, x[ok], part[ok])
        filled = filled - np.polyval(np.polyfit(x, filled, 1), x)
        power = np.abs(np.fft.rfft(filled * np.hanning(len(part)))) ** 2
        frequency = np.fft.rfftfreq(len(part), 1 / fps)
        shares.append(power[frequency >= above].sum() / max(power[1:].sum(), 1e-12))
    return float(np.mean(shares)) if shares else float("nan")
