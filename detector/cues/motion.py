"""How the head and the face's points move once the rigid motion is taken out."""

import numpy as np

from facewitness.detector.cues.gaze import high_share
from facewitness.detector.cues.registry import Measured, Needs, cue
from facewitness.detector.evidence import Evidence, correlation
from facewitness.faces import landmarks as lm

MOTION = Needs(face_px=60, seconds=2, fps=9)
SUN = "Sun et al., Improving the efficiency and robustness of deepfakes detection (LRNet), CVPR 2021"
SKULL = (lm.RIGHT_EYE_OUTER, lm.RIGHT_EYE_INNER, lm.LEFT_EYE_INNER, lm.LEFT_EYE_OUTER, *lm.NOSE_BRIDGE, lm.GLABELLA)


@cue(
    "landmark_jitter", family="motion", unit="mm", needs=MOTION, source=SUN,
    low="its points are steadier than those of a filmed face", high="its points tremble",
)  # fmt: skip
def landmark_jitter(e: Evidence) -> Measured:
    """Median second difference of the points of brow, nose and eye corners in the head's own frame."""
    points = e.unmoved[:, SKULL, :2]
    bend = np.linalg.norm(np.diff(points, 2, axis=0), axis=-1) * 10
    return Measured(
        float(np.nanmedian(bend)), {"jitter_mm": np.pad(np.nanmean(bend, axis=1), 1, constant_values=np.nan)}
    )


@cue(
    "landmark_spectrum", family="motion", unit="share of power", needs=Needs(face_px=60, seconds=3, fps=9), source=SUN,
    low="its face moves more smoothly than a filmed one", high="its face has more fast trembling than a filmed one",
)  # fmt: skip
def landmark_spectrum(e: Evidence) -> Measured:
    """Share of power above 3 Hz in the motion of jaw, lips and brows in the head's frame."""
    picks = (lm.CHIN, lm.MOUTH_RIGHT, lm.MOUTH_LEFT, lm.RIGHT_BROW[2], lm.LEFT_BROW[2], lm.LIP_UPPER_OUTER)
    shares = [high_share(e.unmoved[:, p, axis], e.fps, above=3.0) for p in picks for axis in (0, 1)]
    return Measured(float(np.nanmean(shares)))


@cue(
    "head_smoothness", family="motion", unit="ratio", needs=MOTION, source="this project",
    low="its head moves too smoothly", high="its head moves in small jerks",
)  # fmt: skip
def head_smoothness(e: Evidence) -> Measured:
    """Spread of the second difference of yaw, pitch and roll over the spread of the first: 1.4 is noise, 0 a smooth
    curve."""
    first, second = np.diff(e.angles, axis=0), np.diff(e.angles, 2, axis=0)
    ratio = np.nanstd(second, axis=0) / np.maximum(np.nanstd(first, axis=0), 1e-6)
    degrees = np.rad2deg(e.angles)
    return Measured(
        float(np.nanmean(ratio)), {"yaw_deg": degrees[:, 0], "pitch_deg": degrees[:, 1], "roll_deg": degrees[:, 2]}
    )


@cue(
    "head_range", family="motion", unit="degrees",
    needs=MOTION, source="Agarwal et al., Protecting World Leaders, CVPRW 2019",
    low="hardly moves its head", high="moves its head more than people do on camera",
)  # fmt: skip
def head_range(e: Evidence) -> Measured:
    """Spread of yaw, pitch and roll together."""
    return Measured(float(np.rad2deg(np.sqrt(np.nansum(np.nanvar(e.angles, axis=0))))))


@cue(
    "pose_disagreement", family="motion", unit="degrees", needs=MOTION,
    source="Yang, Li and Lyu, Exposing deep fakes using inconsistent head poses, ICASSP 2019",
    low="the middle of its face and its outline turn together exactly",
    high="the middle of its face and its outline do not turn together",
)  # fmt: skip
def pose_disagreement(e: Evidence) -> Measured:
    """Spread over time of the angle between the nose's offset in the face's outline and the eyes' and mouth's own
    frame."""
    mesh = e.track.mesh[..., :2].astype(np.float64)
    outline = mesh[:, lm.FACE_OVAL].mean(1)
    inner = mesh[:, [lm.RIGHT_EYE_OUTER, lm.LEFT_EYE_OUTER, lm.MOUTH_RIGHT, lm.MOUTH_LEFT]].mean(1)
    offset = (outline - inner) / (e.pose[1][:, None] * 10)
    yaw = np.arcsin(np.clip(offset[:, 0] / 0.5, -1, 1))
    residual = np.rad2deg(yaw) - np.rad2deg(e.angles[:, 0]) * _slope(np.rad2deg(e.angles[:, 0]), np.rad2deg(yaw))
    return Measured(float(np.nanstd(residual)), {"residual_deg": residual})


@cue(
    "mouth_tremor", family="motion", unit="ratio", needs=MOTION, source="Haliassos et al., Lips Don't Lie, CVPR 2021",
    low="its mouth moves too smoothly", high="its mouth moves in jerks",
)  # fmt: skip
def mouth_tremor(e: Evidence) -> Measured:
    """Spread of the second difference of the mouth's opening and width over that of the first."""
    points = e.unmoved
    gap = np.linalg.norm(points[:, lm.LIP_UPPER_INNER] - points[:, lm.LIP_LOWER_INNER], axis=-1)
    width = np.linalg.norm(points[:, lm.MOUTH_RIGHT] - points[:, lm.MOUTH_LEFT], axis=-1)
    ratios = [np.nanstd(np.diff(x, 2)) / max(np.nanstd(np.diff(x)), 1e-4) for x in (gap, width)]
    return Measured(float(np.mean(ratios)), {"gap_cm": gap, "width_cm": width})


@cue(
    "brow_lid", family="motion", unit="correlation", needs=Needs(iris_px=5, seconds=3, fps=9), source="this project",
    low="its brows move against its lids", high="its brows and lids are tied together more than people's",
)  # fmt: skip
def brow_lid(e: Evidence) -> Measured:
    """Correlation of brow height and lid opening."""
    points = e.unmoved
    brow = points[:, [lm.RIGHT_EYE_INNER, lm.LEFT_EYE_INNER], 1].mean(1) - points[
        :, [lm.RIGHT_BROW[2], lm.LEFT_BROW[2]], 1
    ].mean(1)
    return Measured(correlation(np.diff(brow), np.diff(np.nanmean(e.openness, axis=1))), {"brow_cm": brow})


@cue(
    "shape_wander", family="motion", unit="mm",
    needs=MOTION, source="Cozzolino et al., ID-Reveal, ICCV 2021 (identity over time)",
    low="the shape of its skull is steadier than a measured one", high="the shape of its skull changes",
)  # fmt: skip
def shape_wander(e: Evidence) -> Measured:
    """Slow wander (over a second) of the points that do not move with expression, in the head's frame."""
    points = e.unmoved[:, SKULL]
    width = max(round(e.fps), 4)
    count = len(points) // width
    if count < 2:
        return Measured(float("nan"))
    means = np.nanmean(points[: count * width].reshape(count, width, len(SKULL), 3), axis=1)
    return Measured(float(np.nanmean(np.nanstd(means[..., :2], axis=0)) * 10))


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    ok = np.isfinite(x) & np.isfinite(y)
    variance = np.var(x[ok])
    return float(np.cov(x[ok], y[ok])[0, 1] / variance) if ok.sum() > 3 and variance > 1e-6 else 0.0
