"""Pseudo-fakes and shared handling, on the sample actor."""

import numpy as np
import pytest

from facewitness.detector import augment as au
from facewitness.detector.autoencoder import Autoencoder, reconstruct
from facewitness.detector.crops import atlas, cut_chip, face_size
from facewitness.detector.distortions import LEVELS, distort
from facewitness.detector.material import Clip, bursts_of, load_burst, save_burst
from facewitness.detector.pseudo import PseudoFakes
from facewitness.errors import UsageError


@pytest.fixture(scope="module")
def burst(sample):
    return bursts_of(Clip(path=sample, label="real", person="one", name="one"), max_seconds=2.0)[0]


@pytest.mark.parametrize("kind", PseudoFakes.KINDS)
def test_a_pseudo_fake_changes_what_its_mask_says_and_little_else(burst, kind):
    images, meshes = burst.images[:9], burst.meshes[:9]
    made, moved, masks = PseudoFakes([Autoencoder(halvings=2)]).make(images, meshes, np.random.default_rng(5), kind)[1]
    assert made.shape == images.shape and made.dtype == np.uint8
    assert moved.shape == meshes.shape and masks.shape == images.shape[:3]
    change = np.abs(made.astype(int) - images).mean(-1)
    assert change[masks > 0.5].mean() > 0.3
    untouched = masks == 0
    # the target, too, may be what was changed; then the mask is what stayed, and the seam is what counts
    if kind != "blended" and untouched.any():
        assert change[untouched].mean() < 0.01


def test_both_classes_are_handled_alike(burst):
    history = au.draw_handling(np.random.default_rng(2))
    once, twice = (au.handle(burst.images[:5], burst.meshes[:5], history) for _ in range(2))
    assert np.array_equal(once, twice)


def test_a_higher_crf_loses_more(burst):
    images = burst.images[:6]
    loss = [np.abs(au.recode(images, crf).astype(int) - images).mean() for crf in (18, 40)]
    assert loss[1] > 2 * loss[0]


def test_the_same_number_makes_the_same_pair(burst, tmp_path):
    from facewitness.detector.training import PairMaker

    save_burst(burst, tmp_path / "v_one_000.npz")
    a, b = (PairMaker([tmp_path / "v_one_000.npz"], [], seed=1).make(7) for _ in range(2))
    assert np.array_equal(a.fake, b.fake) and a.kind == b.kind and a.person == "one"
    assert not np.array_equal(a.real, a.fake)


def test_a_burst_comes_back_from_disk(burst, tmp_path):
    save_burst(burst, tmp_path / "b.npz")
    again = load_burst(tmp_path / "b.npz")
    assert np.array_equal(again.meshes, burst.meshes) and again.person == burst.person
    assert np.abs(again.images.astype(int) - burst.images).mean() < 3


def test_an_atlas_shows_the_same_face_at_any_size_and_place(burst):
    import cv2

    image, mesh = burst.images[0], burst.meshes[0]
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    a, b = atlas(image, mesh), atlas(half, (mesh + 0.5) * 0.5 - 0.5)
    assert np.abs(a.astype(int) - b).mean() < 6


def test_a_chip_is_never_enlarged_and_keeps_its_landmarks(burst):
    image, mesh = burst.images[0], burst.meshes[0]
    chip = cut_chip(image, mesh, face_px=64)
    assert face_size(chip.mesh) == pytest.approx(64, abs=1)
    assert cut_chip(image, mesh, face_px=10_000).scale == 1


def test_reconstruction_keeps_size_and_rough_colour(burst):
    out = reconstruct(Autoencoder(halvings=3), burst.images[:2, :-3, :-5])
    assert out.shape == burst.images[:2, :-3, :-5].shape
    assert np.abs(out.astype(float).mean((1, 2)) - burst.images[:2].astype(float).mean((1, 2))).max() < 12


@pytest.mark.parametrize("kind", LEVELS)
def test_distortions_grow_with_their_level(sample, kind):
    from facewitness.media import read_frames

    frames = list(read_frames(sample, end_s=0.3))
    change = []
    for level in (1, 5):
        made = list(distort(frames, kind, level))
        assert [f.pts for f in made] == [f.pts for f in frames]
        change.append(
            np.mean([np.abs(a.image.astype(int) - b.image).mean() for a, b in zip(made, frames, strict=True)])
        )
    assert change[1] > change[0] > 0


def test_an_unknown_distortion_is_refused():
    with pytest.raises(UsageError, match="no distortion"):
        list(distort([], "rain", 1))
