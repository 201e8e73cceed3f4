"""The face's surface over time: sharpness, colour, flicker, the mouth's inside, the pulse's distribution."""

import numpy as np

from facewitness.detector.cues.registry import Abstained, Measured, Needs, cue
from facewitness.detector.evidence import Evidence, runs_of
from facewitness.detector.texture import COLOURS, QUANTITIES, REGIONS

SURFACE = Needs(face_px=60, seconds=1.5, fps=5)
FINE, MIDDLE, CHANGE, GREEN = (QUANTITIES.index(q) for q in ("fine", "middle", "change", "green"))
_AT = {name: k for k, name in enumerate(REGIONS)}
SKIN = [_AT[n] for n in ("forehead", "right_cheek", "left_cheek", "nose", "chin")]
AROUND = [_AT[n] for n in ("right_edge", "left_edge", "below", "above")]
EYES = [_AT["right_eye"], _AT["left_eye"]]
LEAST_PULSE_S = 5.0
MATERN = "Matern, Riess and Stamminger, Exploiting visual artifacts to expose deepfakes, WACVW 2019"


def _relative(e: Evidence, quantity: int, of: list[int], to: list[int]) -> Measured:
    curve = e.texture[:, of, quantity].mean(1) - e.texture[:, to, quantity].mean(1)
    return Measured(float(np.nanmedian(curve)), {"difference": curve})


@cue(
    "mouth_sharpness", family="surface", unit="log energy", needs=SURFACE, source=MATERN,
    low="its mouth is less sharp than its eyes, as lip-sync leaves it", high="its mouth is sharper than its eyes",
)  # fmt: skip
def mouth_sharpness(e: Evidence) -> Measured:
    """Fine detail of the mouth over that of the eyes."""
    return _relative(e, FINE, [_AT["mouth"]], EYES)


@cue(
    "lower_face_sharpness", family="surface", unit="log energy", needs=SURFACE, source=MATERN,
    low="the lower face is softer than the upper", high="the lower face is crisper than the upper",
)  # fmt: skip
def lower_face_sharpness(e: Evidence) -> Measured:
    """Fine detail of chin and mouth over that of forehead and nose."""
    return _relative(e, FINE, [_AT["mouth"], _AT["chin"]], [_AT["forehead"], _AT["nose"]])


@cue(
    "face_sharpness", family="surface", unit="log energy", needs=SURFACE, source=MATERN,
    low="the face is softer than what surrounds it", high="the face is crisper than what surrounds it",
)  # fmt: skip
def face_sharpness(e: Evidence) -> Measured:
    """Fine detail of the skin over that of neck, hair and edges."""
    return _relative(e, FINE, SKIN, AROUND)


@cue(
    "skin_smoothness", family="surface", unit="log energy", needs=SURFACE, source="this project",
    low="the skin is flat beside crisp eyes, as face restoration leaves it", high="the skin is as detailed as the eyes",
)  # fmt: skip
def skin_smoothness(e: Evidence) -> Measured:
    """Fine detail of the skin over that of the eyes."""
    return _relative(e, FINE, SKIN, EYES)


@cue(
    "detail_slope", family="surface", unit="log energy",
    needs=SURFACE, source="Durall et al., Watch your up-convolution, CVPR 2020",
    low="the finest detail is missing", high="the finest detail is stronger than a camera gives it",
)  # fmt: skip
def detail_slope(e: Evidence) -> Measured:
    """Fine over coarser detail in the skin."""
    curve = (e.texture[:, SKIN, FINE] - e.texture[:, SKIN, MIDDLE]).mean(1)
    return Measured(float(np.nanmedian(curve)), {"slope": curve})


@cue(
    "boundary_flicker", family="surface", unit="log energy", needs=SURFACE, source="Zheng et al., FTCN, ICCV 2021",
    low="the face's outline is steadier than its inside", high="the face's outline flickers",
)  # fmt: skip
def boundary_flicker(e: Evidence) -> Measured:
    """Change between frames at the face's edges over that of the skin."""
    return _relative(e, CHANGE, [_AT["right_edge"], _AT["left_edge"]], SKIN)


@cue(
    "mesh_flow_residual", family="surface", unit="log energy",
    needs=SURFACE, source="Amerini et al., Deepfake video detection through optical flow, ICCVW 2019",
    low="the skin moves with the mesh more exactly than filmed skin", high="the skin does not move with the face",
)  # fmt: skip
def mesh_flow_residual(e: Evidence) -> Measured:
    """Change of the aligned skin between frames over its own detail: texture that is fixed to the surface changes
    little."""
    curve = (e.texture[:, SKIN, CHANGE] - e.texture[:, SKIN, MIDDLE]).mean(1)
    return Measured(float(np.nanmedian(curve)), {"residual": curve})


@cue(
    "mouth_stability", family="surface", unit="log energy",
    needs=SURFACE, source="Haliassos et al., Lips Don't Lie, CVPR 2021",
    low="the mouth changes less than the rest of the face", high="the mouth's inside flickers",
)  # fmt: skip
def mouth_stability(e: Evidence) -> Measured:
    """Change between frames in the mouth over that in the skin, each over its own detail."""
    own = e.texture[..., CHANGE] - e.texture[..., MIDDLE]
    curve = own[:, _AT["mouth"]] - own[:, SKIN].mean(1)
    return Measured(float(np.nanmedian(curve)), {"difference": curve})


@cue(
    "eye_stability", family="surface", unit="log energy", needs=SURFACE, source="this project",
    low="the eyes change less than the skin around them", high="the eyes flicker",
)  # fmt: skip
def eye_stability(e: Evidence) -> Measured:
    """Change between frames in the eyes over that in the skin, each over its own detail."""
    own = e.texture[..., CHANGE] - e.texture[..., MIDDLE]
    curve = own[:, EYES].mean(1) - own[:, SKIN].mean(1)
    return Measured(float(np.nanmedian(curve)), {"difference": curve})


@cue(
    "background_stillness", family="surface", unit="log energy", needs=SURFACE, source="this project",
    low="what surrounds the face hardly changes beside it", high="what surrounds the face changes more than it",
)  # fmt: skip
def background_stillness(e: Evidence) -> Measured:
    """Change between frames outside the face over that inside."""
    curve = np.log(e.flow[:, 1] + 0.2) - np.log(e.flow[:, 0] + 0.2)
    return Measured(float(np.nanmedian(curve)), {"difference": curve})


@cue(
    "colour_drift", family="surface", unit="share", needs=Needs(face_px=60, seconds=2.5, fps=5), source=MATERN,
    low="face and neck keep exactly the same colour", high="the face's colour drifts against its neck",
)  # fmt: skip
def colour_drift(e: Evidence) -> Measured:
    """Spread over time of the colour of the cheeks against the neck's, in log chroma."""
    colour = np.log(np.maximum(e.texture[..., COLOURS], 2))
    chroma = colour - colour.mean(-1, keepdims=True)
    cheeks = chroma[:, [_AT["right_cheek"], _AT["left_cheek"]]].mean(1)
    apart = cheeks - chroma[:, _AT["below"]]
    return Measured(float(np.nanstd(apart, axis=0).mean()), {"red": apart[:, 0], "blue": apart[:, 2]})


@cue(
    "pulse_distribution", family="surface", unit="spread", needs=Needs(face_px=100, seconds=6, fps=9),
    source="Ciftci et al., FakeCatcher, 2020; Seibold et al. 2025 (fakes inherit a pulse: only its distribution tells)",
    low="forehead and cheeks beat exactly alike", high="forehead and cheeks do not beat alike",
)  # fmt: skip
def pulse_distribution(e: Evidence) -> Measured | Abstained:
    """How differently the green signal of forehead and cheeks moves in the pulse's band (0.8 to 3 Hz); never whether
    there is a pulse."""
    regions = [_AT["forehead"], _AT["right_cheek"], _AT["left_cheek"]]
    signals = e.texture[:, regions, GREEN] / np.maximum(e.texture[:, regions, COLOURS].mean(-1), 1)
    first, end = max(runs_of(np.isfinite(signals).all(1)), key=lambda run: run[1] - run[0], default=(0, 0))
    if end - first < LEAST_PULSE_S * e.fps:
        return Abstained("the face is not in view long enough without a gap")
    steady = signals[first:end].T
    spectrum = np.fft.rfft((steady - steady.mean(1, keepdims=True)) * np.hanning(end - first))
    frequency = np.fft.rfftfreq(end - first, 1 / e.fps)
    band = spectrum[:, (frequency >= 0.8) & (frequency <= 3.0)]
    power = (np.abs(band) ** 2).sum(1)
    alike = np.abs((band[0] * band[1].conj()).sum()) / np.sqrt(power[0] * power[1] + 1e-12)
    traces = {"forehead": signals[:, 0], "right_cheek": signals[:, 1], "left_cheek": signals[:, 2]}
    return Measured(float(1 - alike), traces)
