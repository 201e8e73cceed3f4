"""A fitted detector as a folder: ``model.json`` (fusion, calibration, limits, card), ``surface.safetensors``,
``network.safetensors``."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facewitness.detector.calibration import Calibration
from facewitness.detector.eyes_model import EyeMixture
from facewitness.detector.fusion import Fusion
from facewitness.detector.surface_model import SurfaceModel
from facewitness.errors import UsageError
from facewitness.files import sha256_file, to_json, whole_file

SHIPPED = Path(__file__).parent / "weights"
FORMAT = "facewitness.model/1"
NETWORK, SURFACE, CARD = "network.safetensors", "surface.safetensors", "MODEL_CARD.md"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the detector was fitted on; a face outside these limits is ``inconclusive``, and the report says why."""

    face_px: float = 48.0
    seconds: float = 1.0
    fps: float = 5.0
    darkest: float = 30.0
    """Mean grey level of the face, 0..255."""
    brightest: float = 235.0
    yaw_deg: float = 45.0
    """Median turn of the head from which a face counts as a profile."""
    strangeness: float = 12.0
    """How many spreads from the reals' surface statistics a face may be (root mean square); drawn faces are further."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """Everything a scan needs; made by ``load_model`` or ``detector fit``."""

    id: str
    columns: tuple[str, ...]
    """What the fusion takes, in order: ``network``, ``surface``, ``eyes``, then cues by name."""
    fusion: Fusion
    calibration: Calibration
    surface: SurfaceModel | None
    network: Path | None
    """The network's weights; None where it is not trained, and the network's cue then abstains."""
    eyes: EyeMixture | None = None
    """What the cues of the eyes say together; None in models fitted before there was one."""
    limits: Limits = field(default_factory=Limits)
    usual: dict[str, list[float]] = field(default_factory=dict)
    """``centre`` and ``spread`` of the surface statistics of real clips, for telling what is unlike any footage."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Data, command, seeds and results, as the model card tells them."""
    sha256: str = ""

    @cached_property
    def scorer(self) -> Any:
        """The network ready to run, or None."""
        if self.network is None:
            return None
        from facewitness.detector.network import Scorer

        return Scorer(self.network)


def save_model(model: Model, folder: Path) -> None:
    """Write a model folder; the network's weights are copied in. ``model.json`` comes last."""
    import shutil
    from dataclasses import asdict

    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    if model.network is not None and model.network.resolve() != (folder / NETWORK).resolve():
        with whole_file(folder / NETWORK) as part:
            shutil.copyfile(model.network, part)
    if model.surface is not None:
        with whole_file(folder / SURFACE) as part:
            save_file({k: np.ascontiguousarray(v) for k, v in model.surface.arrays_.items()}, part)
            part.chmod(0o644)  # safetensors writes for the owner alone
    stored = {
        "format": FORMAT,
        "id": model.id,
        "columns": list(model.columns),
        "fusion": model.fusion.to_dict(),
        "calibration": model.calibration.to_dict(),
        "eyes": model.eyes.to_dict() if model.eyes is not None else None,
        "limits": asdict(model.limits),
        "usual": model.usual,
        "notes": model.notes,
        "surface_depth": model.surface.depth if model.surface is not None else None,
        "files": {n: sha256_file(folder / n) for n in (NETWORK, SURFACE) if (folder / n).is_file()},
    }
    with whole_file(folder / "model.json") as part:
        part.write_text(to_json(stored, indent=1), encoding="utf-8")


def load_model(path: Path | None = None) -> Model:
    """The model in a folder made by ``detector fit``, or the shipped one. Needs no network access.

    Raises UsageError where the folder holds no model, or a file of it is not the one the model was saved with.
    """
    folder = Path(path) if path is not None else SHIPPED
    card = folder / "model.json"
    if not card.is_file():
        raise UsageError(
            f"there is no model in {folder}; make one with `facewitness detector fit DATASET -o {folder}`."
        )
    text = card.read_bytes()
    try:
        stored = json.loads(text)
        if stored["format"] != FORMAT:
            raise UsageError(f"{card} is of the format {stored['format']}, this version reads {FORMAT}; fit it again.")
        for name, digest in stored["files"].items():
            if sha256_file(folder / name) != digest:
                raise UsageError(
                    f"{folder / name} is not the file {card} was saved with; fetch or fit the model again."
                )
        surface = None
        if SURFACE in stored["files"]:
            from safetensors.numpy import load_file

            surface = SurfaceModel.from_arrays(load_file(folder / SURFACE), depth=stored["surface_depth"])
        return Model(
            id=stored["id"],
            columns=tuple(stored["columns"]),
            fusion=Fusion.from_dict(stored["fusion"]),
            calibration=Calibration.from_dict(stored["calibration"]),
            surface=surface,
            eyes=EyeMixture.from_dict(stored["eyes"]) if stored.get("eyes") else None,
            network=folder / NETWORK if NETWORK in stored["files"] else None,
            limits=Limits(**stored["limits"]),
            usual=stored["usual"],
            notes=stored["notes"],
            sha256=hashlib.sha256(text).hexdigest(),
        )
    except (json.JSONDecodeError, KeyError, TypeError, OSError) as e:
        raise UsageError(f"{card} cannot be read as a model ({e}); fetch or fit it again.") from e
