"""What a sample actor does: blinks, saccades, head motion, speech and brows, drawn from published statistics.

Sources of the numbers:

- Blinks: 26 a minute in conversation, 17 at rest (Bentivoglio et al., Movement Disorders 1997); closing about 90 ms,
  opening about 190 ms, the lid slowing towards the end (VanderWerf et al., J. Neurophysiology 2003).
- Gaze: amplitude ``-6.9 ln(P / 15.7)`` degrees with P uniform in 0..15 %, direction by a table of eight, duration
  ``25 ms + 2.4 ms per degree``, time at and away from the other's face while talking (Lee, Badler and Badler, "Eyes
  Alive", SIGGRAPH 2002). Drift within a fixation: Rolfs, Vision Research 2009.
- Head: slow sway below 1 Hz plus motion of 1.6 to 3.6 Hz while speaking, smaller as it is faster (Hadar et al.,
  Language and Speech 1983); the eyes counter-rotate so that gaze stays where it was (vestibulo-ocular reflex).
- Speech: the mouth opens and closes at 2 to 7 Hz (Chandrasekaran et al., PLoS Computational Biology 2009), in
  phrases of some two seconds (Goldman-Eisler 1968).
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
"""Arrays of float32; OpenCV's own types say less."""

BLINKS_PER_MINUTE_TALKING, BLINKS_PER_MINUTE_RESTING = 26.0, 17.0
BLINK_CLOSING_S, BLINK_SHUT_S, BLINK_OPENING_S = 0.09, 0.03, 0.19
SACCADE_BASE_S, SACCADE_S_PER_DEG = 0.025, 0.0024
LARGEST_SACCADE_DEG = 22.0
DIRECTION_SHARES = (15.54, 6.46, 17.69, 7.44, 16.80, 7.89, 20.38, 7.79)
"""Per cent of saccades to 0, 45, ... 315 degrees, counted from the right, upwards."""
LOOKING_AT_S, LOOKING_AWAY_S = (3.13, 3.16), (0.93, 0.80)
"""Mean and deviation of the time spent looking at the listener and away from them, while talking."""
HEAD_DEG = (4.5, 3.0, 2.2)
"""Deviation of yaw, pitch and roll over a talk."""
OVERSAMPLE_HZ = 200
"""The motion is made at this rate and sampled at the frames, so that every frame rate shows the same motion."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """What an actor does over T frames; the ground truth of a sample clip."""

    times_s: NDArray[np.float64]
    """(T,) seconds."""
    lids: Floats
    """(T, 2) closure of the person's right and left eye, 0 open to 1 closed."""
    gaze: Floats
    """(T, 2, 2) yaw (positive: right in the picture) and pitch (positive: down) per eye in the head frame, radians."""
    rotation: Floats
    """(T, 3) head to camera rotation vector, radians."""
    translation: Floats
    """(T, 3) movement of the head, centimetres."""
    mouth: Floats
    """(T,) opening, 0 closed to 1 wide open."""
    width: Floats
    """(T,) -1 rounded to 1 spread lips."""
    smile: Floats
    """(T,) 0..1."""
    brows: Floats
    """(T,) 0..1 raised."""
    blinks_s: NDArray[np.float64]
    """(n,) seconds at which a blink is fullest."""
    saccades_s: NDArray[np.float64]
    """(m,) seconds at which a saccade starts."""

    def arrays(self) -> dict[str, NDArray]:
        """The fields by name, for ``numpy.savez``."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def make_motion(times_s: NDArray[np.float64], *, seed: int, liveliness: float = 1.0) -> Motion:
    """Draw what an actor does at ``times_s`` (T,), the same for the same seed and length.

    ``liveliness`` scales head motion and brows.
    """
    rng = np.random.default_rng([seed, 7])
    length = math.ceil(times_s[-1]) + 2  # whole seconds, so that the frame rate does not change what is drawn
    fine = np.arange(int(length * OVERSAMPLE_HZ)) / OVERSAMPLE_HZ
    talking, mouth, width, stress = _speech(fine, rng)
    rotation, translation = _head(fine, talking, stress, rng, liveliness)
    target, saccades = _gaze(fine, rng)
    gaze = _eyes_in_head(fine, target, rotation, rng)
    lids, blinks = _lids(fine, talking, target, rng)
    brows = np.clip(_smooth(stress, 0.12) * 0.8 + 0.25 * _wander(fine, 0.15, rng), 0, 1)
    smile = np.clip(0.25 + 0.3 * _wander(fine, 0.08, rng), 0, 0.8) * (1 - 0.5 * talking)
    at = np.clip(np.round(times_s * OVERSAMPLE_HZ).astype(int), 0, len(fine) - 1)

    def pick(values: NDArray) -> Floats:
        return values[at].astype(np.float32)

    within = float(times_s[-1])
    return Motion(
        times_s=times_s, lids=pick(lids), gaze=pick(gaze), rotation=pick(rotation), translation=pick(translation),
        mouth=pick(mouth), width=pick(width), smile=pick(smile), brows=pick(liveliness * brows),
        blinks_s=blinks[blinks <= within], saccades_s=saccades[saccades <= within],
    )  # fmt: skip


def _smooth(values: NDArray, sigma_s: float) -> NDArray:
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(values.astype(float), sigma_s * OVERSAMPLE_HZ, axis=0, mode="nearest")


def _wander(fine: NDArray, cutoff_hz: float, rng: np.random.Generator, columns: int = 0) -> NDArray:
    """Smooth noise of deviation 1 whose power lies below ``cutoff_hz``."""
    shape = (len(fine), columns) if columns else (len(fine),)
    pad = int(OVERSAMPLE_HZ / cutoff_hz)
    noise = _smooth(rng.normal(size=(shape[0] + 2 * pad, *shape[1:])), 0.19 / cutoff_hz)[pad:-pad]
    expected = np.sqrt(1 / (2 * np.sqrt(np.pi) * 0.19 / cutoff_hz * OVERSAMPLE_HZ))
    return noise / expected


def _speech(fine: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Whether talking (0..1), opening, width, and stress (0..1) over the fine times."""
    talking, mouth, width, stress = (np.zeros(len(fine)) for _ in range(4))
    now = rng.uniform(0.1, 0.6)
    while now < fine[-1]:
        end = now + np.clip(rng.lognormal(np.log(2.0), 0.45), 0.8, 5.0)
        talking[(fine >= now) & (fine < end)] = 1
        while now < end:
            length = rng.uniform(0.13, 0.30)  # a syllable: 3.3 to 7.7 Hz
            here = (fine >= now) & (fine < now + length)
            accent = rng.random() < 0.22
            phase = (fine[here] - now) / length
            mouth[here] = rng.uniform(0.12, 0.42) * (1.35 if accent else 1.0) * np.sin(np.pi * phase) ** 1.2
            width[here] = rng.uniform(-0.9, 0.8)
            stress[here] = accent * rng.uniform(0.4, 1.0)
            now += length
        now = end + rng.uniform(0.35, 1.3)
    return _smooth(talking, 0.15), _smooth(mouth, 0.022), _smooth(width, 0.05), _smooth(stress, 0.06)


def _head(fine: NDArray, talking: NDArray, stress: NDArray, rng: np.random.Generator, liveliness: float
          ) -> tuple[NDArray, NDArray]:  # fmt: skip
    """Rotation vector (radians) and translation (centimetres) over the fine times."""
    slow = _wander(fine, 0.35, rng, 3) * np.radians(HEAD_DEG)[[1, 0, 2]]  # about x: pitch, about y: yaw, about z: roll
    quick = _wander(fine, 2.2, rng, 3) * np.radians([0.55, 0.45, 0.35]) * talking[:, None]
    rotation = liveliness * (slow + quick)
    rotation[:, 0] += liveliness * np.radians(2.2) * _smooth(stress, 0.08)
    rotation = np.clip(rotation, -np.radians([11, 16, 9]), np.radians([11, 16, 9]))
    sway = _wander(fine, 0.25, rng, 3) * [0.55, 0.28, 0.8]
    breath = 0.05 * np.sin(2 * np.pi * 0.25 * fine + rng.uniform(0, 6))
    sway[:, 1] += breath
    return rotation, liveliness * sway


def _gaze(fine: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Gaze in the camera frame, (n, 2) yaw and pitch in radians, and when saccades start."""
    points, starts = [np.zeros(2)], [0.0]
    now, at, switch = 0.0, True, rng.uniform(0.6, 2.5)
    while now < fine[-1]:
        if now >= switch:
            at = not at
            mean, deviation = LOOKING_AT_S if at else LOOKING_AWAY_S
            switch = now + np.clip(rng.gamma((mean / deviation) ** 2, deviation**2 / mean), 0.4, 8.0)
        if at:
            goal = rng.normal(0, np.radians([1.3, 0.9]))  # from one of the listener's eyes to the other, to the mouth
            now += np.clip(rng.lognormal(np.log(0.42), 0.5), 0.15, 1.5)
        else:
            amplitude = min(-6.9 * np.log(rng.uniform(0.2, 15) / 15.7), LARGEST_SACCADE_DEG)
            direction = np.radians(45 * rng.choice(8, p=np.array(DIRECTION_SHARES) / sum(DIRECTION_SHARES)))
            goal = np.radians(amplitude) * np.array([np.cos(direction), -0.7 * np.sin(direction)])
            goal = np.clip(goal + 0.25 * points[-1], -np.radians([22, 13]), np.radians([22, 13]))
            now += np.clip(rng.lognormal(np.log(0.55), 0.5), 0.2, 1.5)
        starts.append(now)
        points.append(goal)
    gaze, begun = np.zeros((len(fine), 2)), []
    for start, before, after in zip(starts[1:], points[:-1], points[1:], strict=True):
        size = np.degrees(np.linalg.norm(after - before))
        length = SACCADE_BASE_S + SACCADE_S_PER_DEG * size
        t = np.clip((fine - start) / length, 0, 1)
        gaze += (after - before) * (t**2 * (3 - 2 * t))[:, None]
        if size >= 2.0:
            begun.append(start)
    return gaze, np.array(begun)


def _eyes_in_head(fine: NDArray, target: NDArray, rotation: NDArray, rng: np.random.Generator) -> NDArray:
    """Gaze of each eye in the head frame (n, 2, 2): the target less the head's turn, drift, and convergence."""
    head = np.stack([-rotation[:, 1], rotation[:, 0]], -1)  # where the face points: yaw to the right, pitch down
    drift = _wander(fine, 1.5, rng, 2) * np.radians(0.15)
    both = target - head * 0.95 + drift
    both = np.clip(both, -np.radians([28, 20]), np.radians([28, 20]))
    vergence = np.radians(1.6 + 0.2 * _wander(fine, 0.3, rng))  # towards a point some 110 cm away
    inward = np.stack([vergence, -vergence], -1)[..., None] * [1.0, 0.0]
    noise = np.radians(0.12) * np.stack([_wander(fine, 3.0, rng, 2), _wander(fine, 3.0, rng, 2)], 1)
    return both[:, None] + inward + noise


def _lids(fine: NDArray, talking: NDArray, target: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Closure of both lids (n, 2), and when blinks are fullest."""
    closure, peaks = np.zeros((len(fine), 2)), []
    now = rng.uniform(0.6, 1.8)
    while now < fine[-1] - 0.6:
        depth, speed = rng.uniform(0.88, 1.0), rng.uniform(0.9, 1.15)
        lag = rng.normal(0, 0.004)
        for eye in (0, 1):
            start = now + (lag if eye else 0)
            close = np.clip((fine - start) / (BLINK_CLOSING_S / speed), 0, 1)
            open_ = np.clip((fine - start - (BLINK_CLOSING_S + BLINK_SHUT_S) / speed) / (BLINK_OPENING_S / speed), 0, 1)
            bell = (close**2 * (3 - 2 * close)) * (1 - open_) ** 1.7 * (1 + 0.7 * open_)
            closure[:, eye] = np.maximum(closure[:, eye], depth * np.clip(bell, 0, 1))
        peaks.append(now + (BLINK_CLOSING_S + BLINK_SHUT_S / 2) / speed)
        rate = BLINKS_PER_MINUTE_TALKING if talking[int(now * OVERSAMPLE_HZ)] > 0.5 else BLINKS_PER_MINUTE_RESTING
        now += max(rng.gamma(2.0, 60 / rate / 2.0), 0.5)  # intervals skewed to the left, as in people
    squint = 0.04 + 0.03 * _wander(fine, 0.2, rng)
    return np.clip(np.maximum(closure, np.clip(squint, 0, 0.12)[:, None]), 0, 1), np.array(peaks)
