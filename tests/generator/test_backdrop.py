"""Behind a person who is driven, a background that moves goes on in its own time."""

import dataclasses
import shutil
from fractions import Fraction

import numpy as np
import pytest

from facewitness.generator.bank import BankWriter, read_all
from facewitness.generator.reconstruct.model import pick
from facewitness.generator.reenactment import render
from facewitness.generator.square import FaceSquare
from facewitness.generator.warp import grid

FRAMES, STEP, TALL = 40, 5, 10


@pytest.fixture(scope="module")
def before_a_moving_bar(actor, tmp_path_factory):
    """The sample actor, along the top of whose footage a white bar goes to the right."""
    folder = tmp_path_factory.mktemp("moving") / "actor"
    shutil.copytree(actor.path, folder)
    width, height = actor.frame_size
    with BankWriter(folder / "frames.mp4", width=width, height=height, frame_rate=Fraction(25), crf=8,
                    full_colour=False) as bank:  # fmt: skip
        for k, frame in enumerate(read_all(actor.path / "frames.mp4", width=width, height=height)):
            moved = frame.copy()
            moved[:TALL] = 0
            moved[:TALL, (k * STEP) % width : (k * STEP) % width + 12] = 255
            bank.write(moved)
    return dataclasses.replace(actor, path=folder, card={**actor.card, "background_moves": True})


def test_it_goes_forwards_while_the_person_goes_backwards(before_a_moving_bar, actor):
    backwards = pick(actor.performance, np.arange(FRAMES)[::-1])
    width = actor.frame_size[0]
    plain = list(render(actor, backwards))
    seen = []
    for k, frame in enumerate(render(before_a_moving_bar, backwards)):
        bright = frame[2 : TALL - 2].mean((0, 2))
        seen.append((np.flatnonzero(bright > 128).mean() - k * STEP) % width)
        middle = slice(frame.shape[0] // 3, 2 * frame.shape[0] // 3), slice(width // 3, 2 * width // 3)
        assert np.abs(frame[middle].astype(int) - plain[k][middle].astype(int)).mean() < 8, "the person is there"
    assert np.std(seen) < 4


def test_the_persons_outline_is_bent_with_the_frame():
    from facewitness.generator.backdrop import bent

    person = np.zeros((80, 100), np.float32)
    person[30:50, 40:60] = 1
    square = FaceSquare(x=10, y=10, side=64, size=32)
    still, moved = bent(person, square, grid(32, 32)), bent(person, square, grid(32, 32) + np.float32([3, 0]))
    np.testing.assert_allclose(still, person, atol=0.01)
    assert moved[40, 36] == pytest.approx(1) and moved[40, 56] == pytest.approx(0)
