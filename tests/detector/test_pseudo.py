"""Pseudo-fakes and shared handling, on the sample actor."""

import numpy as np
import pytest
import torch

from facewitness.detector import augment as au
from facewitness.detector.autoencoder import Autoencoder, reconstruct
from facewitness.detector.crops import atlas, cut_chip, face_size, face_square
from facewitness.detector.distortions import LEVELS, distort
from facewitness.detector.material import Clip, bursts_of, load_burst, save_burst
from facewitness.detector.painters import Painting, lessons, load_painter, paint, save_painter, train_painter
from facewitness.detector.pseudo import PseudoFakes
from facewitness.errors import UsageError


@pytest.fixture(scope="module")
def burst(sample):
    return bursts_of(Clip(path=sample, label="real", person="one", name="one"), max_seconds=2.0)[0]


@pytest.fixture(scope="module")
def painters(burst, tmp_path_factory):
    """One painter of each part, of a few steps; they paint badly, which is as good here."""
    path = tmp_path_factory.mktemp("painters") / "v_one_000.npz"
    save_burst(burst, path)
    out = []
    for part in ("mouth", "face", "head"):
        painting = Painting(part=part, side=64, up="nearest", width=8)
        shown, filmed = lessons(painting, [path], each=4)
        out.append(train_painter(painting, shown, filmed, steps=12, batch=2, say=lambda line: None))
    return out


@pytest.mark.parametrize("kind", PseudoFakes.KINDS)
def test_a_pseudo_fake_changes_what_its_mask_says_and_little_else(burst, painters, kind):
    images, meshes = burst.images[:9], burst.meshes[:9]
    fakes = PseudoFakes([Autoencoder(halvings=2)], painters)
    made, moved, masks = fakes.make(images, meshes, np.random.default_rng(5), kind)[1]
    assert made.shape == images.shape and made.dtype == np.uint8
    assert moved.shape == meshes.shape and masks.shape == images.shape[:3]
    change = np.abs(made.astype(int) - images).mean(-1)
    assert change[masks > 0.6 * masks.max()].mean() > 0.3  # a blend may be a quarter of the copy
    untouched = masks == 0
    # the target, too, may be what was changed; then the mask is what stayed, and the seam is what counts
    if kind != "blended" and untouched.any():
        assert change[untouched].mean() < 0.01


def test_a_painter_learns_to_paint_the_mouth_it_does_not_see(burst, tmp_path):
    path = tmp_path / "v_one_000.npz"
    save_burst(burst, path)
    painting = Painting(part="mouth", side=64, up="shuffle", width=16)
    shown, filmed = lessons(painting, [path], each=32)
    assert shown.shape[1:] == (64, 64, 7) and not shown[:, 40:, :, :3].any()  # the lower half is taken away
    once, twice = (train_painter(painting, shown, filmed, steps=60, batch=4, seed=3, say=print) for _ in range(2))
    with torch.inference_mode():
        painted = once(torch.from_numpy(shown).permute(0, 3, 1, 2) / 255).permute(0, 2, 3, 1).numpy() * 255
    below = filmed[:, 40:].astype(float)
    off, flat = np.abs(painted[:, 40:] - below).mean(), np.abs(below - below.mean((0, 1, 2))).mean()
    assert off < 0.6 * flat  # better than the best single colour
    save_painter(once, tmp_path / "painter.safetensors")
    rng = [np.random.default_rng(2) for _ in range(2)]
    again = load_painter(tmp_path / "painter.safetensors")
    a, b = (paint(p, burst.images[:3], burst.meshes[:3], r)[0] for p, r in zip((again, twice), rng, strict=True))
    assert np.abs(a.astype(int) - b).max() <= 2  # the same seed, and half precision on disk


def test_painters_that_are_not_there_are_not_asked(burst):
    kinds = {PseudoFakes([]).make(burst.images[:3], burst.meshes[:3], np.random.default_rng(k))[0] for k in range(25)}
    assert kinds and not any(k.startswith("painted") for k in kinds)


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
    a, b = (PairMaker([tmp_path / "v_one_000.npz"], PseudoFakes([]), seed=1).make(7) for _ in range(2))
    assert np.array_equal(a.squares, b.squares) and a.kind == b.kind and a.person == "one"
    assert not np.array_equal(*a.squares)


def test_shards_come_back_as_pairs_of_real_and_fake(burst, tmp_path):
    from facewitness.detector.training import SHARD_PAIRS, PairMaker, Pool, write_shard

    save_burst(burst, tmp_path / "v_one_000.npz")
    write_shard(PairMaker([tmp_path / "v_one_000.npz"], PseudoFakes([]), seed=1), 0, tmp_path)
    pool = Pool(tmp_path)
    assert pool.refresh() == SHARD_PAIRS
    x, y, cells = pool.draw(np.random.default_rng(0), 5, 2)
    assert x.shape == (20, 6, 224, 224) and cells.shape == (20, 196)
    assert y.sum() == 10 and cells[y == 0].max() == 0 and cells[y == 1].max(1).min() > 0.1
    features, labels, persons = pool.surface()
    assert np.isfinite(features).all() and labels.sum() * 2 == len(labels) == len(persons) == len(features)


def test_pseudo_fakes_do_not_give_themselves_away_by_blur(burst):
    """A made face has about as much fine detail as the real one, so that blur is not what is learned."""
    rng = np.random.default_rng(8)
    images, meshes = burst.images[:3], burst.meshes[:3]
    ratios = []
    for k in range(12):
        made, _, masks = PseudoFakes([]).make(images, meshes, rng, ("one_shot", "reconstructed", "lip_sync")[k % 3])[1]
        inside = masks > 0.5
        ratios.append(au.detail(made)[inside].std() / au.detail(images)[inside].std())
    assert 0.6 < np.median(ratios) < 1.5 and max(ratios) > 1


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


def test_the_network_sees_the_same_face_at_any_size_and_place(burst):
    import cv2

    image, mesh = burst.images[0], burst.meshes[0]
    turned = cv2.warpAffine(image, np.array([[0.8, -0.2, 40], [0.2, 0.8, 5]]), image.shape[1::-1])
    there = mesh[:, :2] @ np.array([[0.8, 0.2], [-0.2, 0.8]]) + [40, 5]
    a, b = face_square(image, mesh), face_square(turned, there)
    assert a.shape == (224, 224, 3) and np.abs(a.astype(int) - b)[20:-20, 20:-20].mean() < 6


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


def test_a_reframed_clip_has_the_protocol_s_size_and_its_face_where_it_says(burst):
    images, meshes = burst.images[:4], burst.meshes[:4]
    out, scale, offset = au.reframe(images, meshes, au.Reframing(margin=1.6, size=512, crf=23))
    assert out.shape == (4, 512, 512, 3)
    before, after = face_square(images[0], meshes[0]), face_square(out[0], meshes[0, :, :2] * scale + offset)
    inner = slice(40, 120)  # the cut leaves less around the face than the square shows
    assert np.abs(before[inner, inner].astype(int) - after[inner, inner]).mean() < 8


def test_a_pair_drawn_again_is_changed_alike_in_both_halves(burst):
    from facewitness.detector.redraw import changed_alike

    square = face_square(burst.images[0], burst.meshes[0])
    share = np.zeros((10, 10), np.float32)
    for seed in range(8):
        both, _ = changed_alike(np.stack([square] * 4), share, np.random.default_rng(seed))
        assert np.array_equal(both[:2], both[2:])  # the same picture in both halves stays the same picture
        assert not np.array_equal(both[0], square)


def test_the_map_of_change_moves_with_the_picture():
    from facewitness.detector.redraw import changed_alike

    square = np.full((224, 224, 3), 60, np.uint8)
    square[32:64, 96:144] = 220
    share = (square[::16, ::16, 0] > 100).astype(np.float32)
    for seed in range(8):
        both, moved = changed_alike(np.stack([square] * 4), share, np.random.default_rng(seed))
        bright = both[0].mean(-1).reshape(14, 16, 14, 16).mean((1, 3))
        assert np.corrcoef(bright.ravel(), moved.ravel())[0, 1] > 0.9


def test_blends_made_anew_stay_within_their_mask(burst):
    from facewitness.detector.redraw import blended_anew

    real = np.stack([face_square(i, m) for i, m in zip(burst.images[:2], burst.meshes[:2], strict=True)])
    for seed in range(6):
        made, masks = blended_anew(real, np.random.default_rng(seed))
        change = np.abs(made.astype(int) - real).mean(-1)
        assert change[masks > 0.5 * masks.max()].mean() > 0.3
        assert masks.shape == real.shape[:3] and 0 < masks.max() <= 1


def test_a_made_clip_stands_beside_the_real_one_of_the_same_moment(burst, tmp_path):
    from dataclasses import replace

    from facewitness.detector.training import PairMaker

    real, made = tmp_path / "v_real_000.npz", tmp_path / "v_made_000.npz"
    save_burst(burst, real)
    save_burst(replace(burst, images=au.soften(burst.images, 2)), made)
    maker = PairMaker([real], PseudoFakes([]), seed=1, made={made: real})
    pair = next(p for n in range(40) if (p := maker.make(n)).kind == "made")
    sharp, soft = (np.abs(np.diff(s.astype(int), axis=2)).mean() for s in pair.squares)
    assert soft < sharp and pair.cells.max() > 200
