"""Performances in a file: npz without pickle, versioned."""

import json
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from facewitness.errors import UnreadableInputError
from facewitness.files import whole_file
from facewitness.generator.performance import Camera, Identity, Performance, Skin

FORMAT = "facewitness.performance/2"
READABLE = (FORMAT, "facewitness.performance/1")
"""What ``load_performance`` takes; the first version knew nothing of covered parts and of the torso."""
ARRAYS = ("pts", "rotation", "translation", "expression", "lids", "gaze", "confidence")
OPTIONAL = ("parts", "illumination", "torso")


def save_performance(performance: Performance, path: Path) -> Path:
    """Write a performance as npz, whole or not at all; returns ``path``."""
    p = performance
    out = {name: getattr(p, name) for name in ARRAYS}
    out |= {name: getattr(p, name) for name in OPTIONAL if getattr(p, name) is not None}
    out |= {
        "format": np.array(FORMAT),
        "time_base": np.array([p.time_base.numerator, p.time_base.denominator]),
        "camera": np.array([p.camera.focal_px, p.camera.width, p.camera.height]),
        "neutral": p.identity.neutral,
        "eyeballs": p.identity.eyeballs,
        "ranges": np.array(json.dumps(p.identity.ranges)),
    }
    if skin := p.identity.skin:
        out |= {"skin": skin.modes, "skin_low": skin.low, "skin_high": skin.high}
    with whole_file(path) as part, part.open("wb") as f:
        np.savez_compressed(f, **out)
    return path


def load_performance(path: Path) -> Performance:
    """Read what ``save_performance`` wrote. Raises UnreadableInputError for anything else."""
    try:
        with path.open("rb") as f, np.load(f, allow_pickle=False) as stored:
            if str(stored["format"]) not in READABLE:
                raise UnreadableInputError(f"{path} was written by another version ({stored['format']}); make it anew.")
            focal, width, height = stored["camera"]
            ranges = json.loads(str(stored["ranges"]))
            skin = None
            if "skin" in stored.files:
                skin = Skin(modes=stored["skin"], low=stored["skin_low"], high=stored["skin_high"])
            return Performance(
                time_base=Fraction(*(int(v) for v in stored["time_base"])),
                identity=Identity(
                    neutral=stored["neutral"],
                    eyeballs=stored["eyeballs"],
                    ranges={str(k): (float(a), float(b)) for k, (a, b) in ranges.items()},
                    skin=skin,
                ),
                camera=Camera(focal_px=float(focal), width=int(width), height=int(height)),
                **{name: stored[name] for name in (*ARRAYS, *OPTIONAL) if name in ARRAYS or name in stored.files},
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        raise UnreadableInputError(f"{path} is not a performance; make one with facewitness track.") from e
