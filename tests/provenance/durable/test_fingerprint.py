"""What the fingerprint recognises, where it says a part begins, and what it keeps apart."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewitness.provenance import fingerprint as fp
from facewitness.provenance.fingerprint_search import FingerprintIndex, compare, score_of

from .conftest import Frames, encode, moving_head

SCENE = 40


@pytest.fixture(scope="module")
def original() -> Frames:
    """Thirty seconds, small: a fingerprint looks at 32 x 32 pixels."""
    return moving_head(seed=11, seconds=30, side=160, scene=SCENE)


@pytest.fixture(scope="module")
def print_(original: Frames) -> fp.Fingerprint:
    return fp.of_video(original)


def captioned(frame: np.ndarray) -> np.ndarray:
    out = frame.copy()
    side = len(out)
    out[int(0.84 * side) : int(0.95 * side), int(0.05 * side) : int(0.95 * side)] = 20
    cv2.putText(out, "BREAKING", (side // 8, int(0.93 * side)), cv2.FONT_HERSHEY_DUPLEX, side / 240, (255, 255, 255))
    return out


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "scaled": lambda f: cv2.resize(f, (96, 96), interpolation=cv2.INTER_AREA),
    "stretched": lambda f: cv2.resize(f, (220, 160)),
    "cropped by 5 %": lambda f: f[4:156, 4:156],
    "cropped by 10 % in a corner": lambda f: f[16:, :144],
    "cropped by 18 %": lambda f: f[14:145, 14:145],
    "letterboxed": lambda f: cv2.copyMakeBorder(f, 22, 22, 0, 0, cv2.BORDER_CONSTANT),
    "captioned": captioned,
    "mirrored": lambda f: f[:, ::-1],
    "brighter": lambda f: cv2.convertScaleAbs(f, alpha=0.8, beta=40),
    "grey": lambda f: cv2.cvtColor(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
    "blurred": lambda f: cv2.GaussianBlur(f, (0, 0), 1.5),
}


@pytest.mark.parametrize("name", CHANGES)
def test_ten_seconds_of_it_are_found_with_their_place_when(name: str, original: Frames, print_: fp.Fingerprint):
    part = [CHANGES[name](f) for f in original[8 * 25 + 7 : 18 * 25 + 7]]
    match = compare(fp.sketch_of(part), print_)
    assert match is not None
    assert match.offset_s == pytest.approx(8.28, abs=0.31)
    assert match.mirrored == (name == "mirrored")


def test_a_coarse_encode_at_another_rate_is_found(original: Frames, print_: fp.Fingerprint, tmp_path: Path):
    path = encode([original[int(n * 25 / 15)] for n in range(15 * 15)], tmp_path / "clip.mp4", crf=38, fps=15)
    match = compare(fp.sketch_of(path), print_)
    assert match is not None and abs(match.offset_s) < 0.21 and match.distance < 0.2


def test_another_take_in_the_same_scene_is_not_the_same_video(print_: fp.Fingerprint):
    """Two reenactments of one actor look alike and move differently."""
    for seed in range(20, 26):
        assert compare(fp.sketch_of(moving_head(seed=seed, seconds=10, side=96, scene=SCENE)), print_) is None


def test_other_scenes_are_not_found(print_: fp.Fingerprint):
    for seed in range(30, 40):
        assert compare(fp.sketch_of(moving_head(seed=seed, seconds=8, side=96)), print_) is None


def test_one_in_many_is_found_and_no_other(original: Frames):
    index = FingerprintIndex()
    rng = np.random.default_rng(0)
    for seq in range(1, 41):
        noise = fp.quantise(fp.unit(rng.standard_normal((60, fp.DIMENSIONS))))
        index.add(seq, np.arange(60) * 1000, noise)
    mine = fp.of_video(original)
    index.add(77, np.rint(mine.starts_s * 1000).astype(int), mine.vectors)
    found = index.find(fp.sketch_of(original[200:450]))
    assert [m.seq for m in found] == [77]


def test_a_large_index_finds_what_a_small_one_does(original: Frames):
    mine, rng = fp.of_video(original), np.random.default_rng(1)
    index = FingerprintIndex()
    index.add(1, np.rint(mine.starts_s * 1000).astype(int), mine.vectors)
    for seq in range(2, 42):
        index.add(seq, np.arange(1000) * 1000, fp.quantise(fp.unit(rng.standard_normal((1000, fp.DIMENSIONS)))))
    assert len(index) > 30_000
    assert [m.seq for m in index.find(fp.sketch_of([CHANGES["captioned"](f) for f in original[300:550]]))] == [1]


def test_a_bare_fingerprint_is_found_too(print_: fp.Fingerprint):
    index = FingerprintIndex()
    index.add(5, np.rint(print_.starts_s * 1000).astype(int), print_.vectors)
    part = fp.Fingerprint(vectors=print_.vectors[6:16], starts_s=print_.starts_s[6:16], duration_s=11)
    match = index.find(part)[0]
    assert (match.seq, match.offset_s) == (5, 6.0) and match.distance < 0.01


def test_a_still_picture_needs_to_be_the_same_picture():
    still, other = (moving_head(seed=s, seconds=0.1, side=96)[0] for s in (1, 2))
    stored = fp.of_video([still] * 150)
    assert compare(fp.sketch_of([cv2.GaussianBlur(still, (0, 0), 1)] * 150), stored) is not None
    assert compare(fp.sketch_of([other] * 150), stored) is None


def test_the_score_is_the_weaker_of_picture_and_change():
    rng = np.random.default_rng(0)
    rows = fp.unit(rng.standard_normal((8, fp.DIMENSIONS)))
    assert score_of(rows, rows)[0] == pytest.approx(1)
    other = rows.copy()
    other[:, fp.SPATIAL :] = rng.standard_normal((8, fp.DIMENSIONS - fp.SPATIAL))
    assert score_of(rows, fp.unit(other))[0] < 0.3


def test_nothing_and_too_little_have_no_rows():
    assert len(fp.of_video([])) == 0
    assert len(fp.of_video([np.zeros((32, 32, 3), np.uint8)] * 5)) == 0
    index = FingerprintIndex()
    assert index.find(fp.sketch_of([])) == []
    index.add(1, np.array([0]), np.ones((1, fp.DIMENSIONS), np.int8))
    assert index.find(fp.sketch_of([])) == []


def test_black_video_is_no_crash_and_no_match(print_: fp.Fingerprint):
    assert compare(fp.sketch_of([np.zeros((64, 64, 3), np.uint8)] * 200), print_) is None
