"""Fixtures: a small labelled set without people in it, and one real build of a tiny recipe."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facewitness.datasets.labels import Clip, write_labels
from facewitness.files import sha256_file
from facewitness.media import VideoWriter

RECIPE = """
name = "tiny"
seed = 3
[[footage]]
samples = ["amber", "birch"]
seconds = 5.2
size = 256
[actors]
minutes = 0.02
size = 128
[clips]
seconds = 1.0
each = 1
size = 128
crf = [23]
[[methods]]
name = "reenactment"
[[methods]]
name = "self_reenactment"
segment = 0.5
[[methods]]
name = "baseline_warp"
[[edits]]
name = "smile"
set = { smile = 0.5 }
[[factors]]
name = "gaze_frozen"
degrees = [1.0]
[[factors]]
name = "frames_repeated"
degrees = [0.5]
"""


def write_video(path: Path, *, seed: int, frames: int = 6, size: int = 64) -> Path:
    """A few frames of a moving pattern that differs by seed."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (8, 8, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, width=size, height=size, frame_rate=Fraction(25), preset="ultrafast") as video:
        for n in range(frames):
            video.write(np.kron(np.roll(base, n, 0), np.ones((size // 8, size // 8, 1), np.uint8)))
    return path


def some_clips() -> list[Clip]:
    """Rows of six people in three parts: a real stretch each, and fakes that take from the other of the same part."""
    clips = []
    for n, (person, other, split) in enumerate(
        [("p1", "p2", "train"), ("p2", "p1", "train"), ("p3", "p4", "val"), ("p4", "p3", "val"), ("p5", "p6", "test"),
         ("p6", "p5", "test")]
    ):  # fmt: skip
        common = Clip(
            clip_id="", path="", label="real", target_id=person, driver_id=person, split=split, fps=25.0, frames=6,
            width=64,
            height=64, codec="h264", crf=23, seed=n, rights="made here", pair_id=f"{person}-s0", source=f"{person}.mp4",
            source_sha256=f"{n:064x}", generator_version="0",
        )  # fmt: skip
        clips += [
            replace(common, clip_id=f"{person}-real"),
            replace(common, clip_id=f"{person}-re", label="fake", method="reenactment", driver_id=other,
                    taken=("head", "gaze"), segments=((0.0, 0.24),), mask_path=f"masks/{person}-re.mp4"),
            replace(common, clip_id=f"{person}-frozen", label="fake", method="gaze_frozen", factor="gaze_frozen",
                    degree=1.0, edits={"gaze_frozen": 1.0}, segments=((0.0, 0.24),)),
        ]  # fmt: skip
    return [replace(c, path=f"clips/{c.clip_id}.mp4") for c in clips]


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keys, ledger and watermark key of these tests; never those of whoever runs them."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEWITNESS_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder of 18 clips with files, hashes and masks, and no manifests."""
    folder = tmp_path_factory.mktemp("small") / "set"
    clips = []
    for n, clip in enumerate(some_clips()):
        path = write_video(folder / clip.path, seed=n)
        if clip.mask_path:
            write_video(folder / clip.mask_path, seed=0)
        clips.append(replace(clip, sha256=sha256_file(path)))
    write_labels(folder, clips)
    return folder


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny recipe, built for real; tests copy it before they change anything."""
    from facewitness.datasets.build import build_dataset
    from facewitness.datasets.recipe import load_recipe

    folder = tmp_path_factory.mktemp("built")
    (folder / "recipe.toml").write_text(RECIPE)
    build_dataset(load_recipe(folder / "recipe.toml"), folder / "set", workers=2)
    return folder


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    """A copy of the built set."""
    shutil.copytree(built_once / "set", tmp_path / "set")
    shutil.copy(built_once / "recipe.toml", tmp_path / "recipe.toml")
    return tmp_path / "set"
