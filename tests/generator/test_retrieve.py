"""Stored frames are chosen so that the picture neither pops nor repeats what it must not."""

import numpy as np

from facewitness.generator.retrieve import choose, faded


def track(cost, jump, looks=None):
    return choose(lambda a, b: cost[a:b], len(cost), jump, looks)


def line(wanted, stored):
    return (np.asarray(wanted, np.float32)[:, None] - np.asarray(stored, np.float32)[None]) ** 2


def test_footage_that_fits_is_played_on():
    stored = np.arange(100.0)
    path = track(line(np.arange(20.0, 60.0), stored), jump=1.0)
    assert (path == np.arange(20, 60)).all()


def test_noise_does_not_make_it_jump_but_a_change_does():
    rng = np.random.default_rng(0)
    stored = np.r_[np.zeros(50), np.full(20, 5.0), np.ones(50)] + rng.normal(0, 0.05, 120)
    wanted = np.r_[np.zeros(30), np.ones(30)]
    path = track(line(wanted, stored), jump=0.5)
    jumps = np.flatnonzero(np.abs(np.diff(path)) > 2)
    assert list(jumps) == [29]
    assert (path[:30] < 50).all() and (path[30:] >= 70).all()


def test_long_clips_are_decided_in_pieces_without_a_seam():
    stored = np.sin(np.arange(400) / 20)
    wanted = np.sin(np.arange(1300) / 20 + 0.3)
    path = track(line(wanted, stored), jump=0.3)
    assert len(path) == 1300
    assert np.abs(stored[path] - wanted).mean() < 0.05


def test_a_jump_goes_to_a_frame_that_looks_alike():
    stored = np.r_[np.zeros(40), np.full(9, 5.0), np.ones(40), np.full(9, 5.0), np.ones(40)]
    looks = np.r_[np.zeros(49), np.full(49, 1.0), np.zeros(40)][:, None].astype(np.float32)
    path = track(line(np.r_[np.zeros(20), np.ones(20)], stored), 0.5, looks)
    assert (path[20:] >= 98).all()


def test_a_fade_is_half_at_the_jump_and_nothing_far_from_it():
    path = np.r_[np.arange(10), np.arange(50, 60)]
    choice = faded(path, 4)
    assert choice.mix.max() <= 0.5
    assert (choice.mix[:6] == 0).all() and (choice.mix[14:] == 0).all()
    assert choice.mix[9] > choice.mix[7] > 0
    assert choice.second[9] == 50 and choice.second[10] == 9


def test_what_does_not_fit_is_not_faded_in():
    path = np.r_[np.arange(10), np.arange(50, 60)]
    choice = faded(path, 4, worse=lambda t, first, second: 100.0)
    assert (choice.mix == 0).all()
