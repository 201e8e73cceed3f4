"""Scan one clip: decode once, follow the faces, measure, fuse, and say what was found and what could not be said."""

import time
import warnings
from pathlib import Path
from typing import Any

from facewitness.detector.model import Model, load_model
from facewitness.detector.report import ClipReport, Reason
from facewitness.errors import UnreadableInputError

SHORTEST_CLIP_S = 1.0
"""Below this a clip has no time to look at."""
CHAPTER_S = 60.0
"""A longer clip is judged chapter by chapter: memory does not grow with its length, and a made minute is not lost in
an hour of real ones."""
_models: dict[Path | None, Model] = {}


def scan_file(path: Path, *, model: Model | Path | None = None, provenance: bool = True) -> ClipReport:
    """The verdict on one clip: per face a score, cues with traces, segments and reasons, and what its manifest says.

    A file that cannot be read, has no face or is too short is a report with that ``status`` and verdict
    ``inconclusive``, not an
    error. ``model`` is a loaded one, a model folder, or None for the shipped one, which needs no network access. With
    ``provenance`` the file's manifest is verified too; a trusted manifest that says the clip was generated or edited
    by AI makes
    the verdict ``manipulated``, whatever the pixels say, while ``p_fake`` is of the pixels alone.
    Raises UsageError for a model folder that is none.

    >>> scan_file(Path("clip.mp4")).verdict  # doctest: +SKIP
    'no_evidence'
    """
    begun = time.perf_counter()
    path = Path(path)
    used = model if isinstance(model, Model) else cached_model(model)
    told: dict[str, Any] = {"path": str(path), "sha256": None, "model": {"id": used.id, "sha256": used.sha256}}
    try:
        told |= _look(path, used)
    except UnreadableInputError as e:
        told |= {"status": "unreadable", "error": str(e)}
    if provenance and told["status"] != "unreadable":
        told |= _with_manifest(path, told)
    return ClipReport(**told, seconds=round(time.perf_counter() - begun, 3))


def cached_model(folder: Path | None) -> Model:
    """The model of a folder, loaded once in this process."""
    key = Path(folder) if folder is not None else None
    if key not in _models:
        _models[key] = load_model(key)
    return _models[key]


def _look(path: Path, model: Model) -> dict[str, Any]:
    from facewitness.detector.chapters import Judgement
    from facewitness.detector.measure import measure_chapters, one_cv_thread
    from facewitness.detector.sampling import step_s, stride
    from facewitness.files import sha256_file
    from facewitness.media import VideoReader

    if not path.is_file():
        raise UnreadableInputError(f"there is no file {path}; check the path.")
    reader = VideoReader(path)
    info = reader.info
    fps = float(info.frame_rate)
    reader.step_s = step_s(fps)
    with warnings.catch_warnings(), one_cv_thread():
        warnings.simplefilter("ignore")  # means over no frames are NaN here, and NaN is an abstention
        judged, rate = Judgement(model), fps / stride(fps)
        for chapter in measure_chapters(reader, rate, scorer=model.scorer, chapter_s=CHAPTER_S, thinned=True):
            judged.take(chapter)
    seen_fps = fps or ((reader.count - 1) / reader.span_s if reader.span_s > 0 else 0.0)
    seconds = reader.span_s + (1 / seen_fps if seen_fps else 0.0)  # to the end of the last frame
    told: dict[str, Any] = {
        "sha256": sha256_file(path),
        "duration_s": round(seconds or info.duration_s, 3),
        "fps": round(seen_fps, 3),
        "width": info.width,
        "height": info.height,
    }
    if seconds < SHORTEST_CLIP_S:
        why = f"The clip lasts {seconds:.2f} s; the detector needs {SHORTEST_CLIP_S:g} s."
        return told | {"status": "too_short", "error": why, "reasons": (Reason(cue="limits", text=why),)}
    if not judged.faces:
        why = "No face was found in the clip."
        return told | {"status": "no_face", "error": why, "reasons": (Reason(cue="limits", text=why),)}
    return told | {"status": "ok"} | judged.verdict()


def _with_manifest(path: Path, told: dict[str, Any]) -> dict[str, Any]:
    """The audit of the file's manifest as a row, and what follows from it for the verdict."""
    from facewitness.errors import MissingPieceError
    from facewitness.files import plain

    try:
        from facewitness.provenance import verify_file

        audit = verify_file(path)
    except (ImportError, MissingPieceError):
        return {}
    out: dict[str, Any] = {"provenance": plain(audit)}
    if audit.ai in ("generated", "edited") and audit.state == "trusted":
        text = f"A trusted manifest says that this clip was {audit.ai} by AI."
        out |= {"verdict": "manipulated", "reasons": (Reason(cue="provenance", text=text), *told.get("reasons", ()))}
    return out
