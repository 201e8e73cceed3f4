"""Footage is looked at before anything is learnt from it: how many people, how many shots, how much they do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.generator.footage import _range_notes, the_face, usable

from .test_recombine import performance
from .test_reconstruct import as_track, known  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def track(known):  # noqa: F811
    return as_track(known)


def test_a_second_face_that_stays_is_refused_and_one_that_passes_is_not(track):
    passing = replace(track, mesh=track.mesh.copy(), confidence=track.confidence.copy())
    passing.mesh[len(track.pts) // 10 :] = np.nan
    passing.confidence[len(track.pts) // 10 :] = 0
    assert the_face([track, passing], Path("a.mp4")) is track
    with pytest.raises(UsageError, match=r"a\.mp4 shows several faces"):
        the_face([track, track], Path("a.mp4"))
    with pytest.raises(UnreadableInputError, match="no face"):
        the_face([], Path("a.mp4"))


def test_of_footage_with_a_cut_the_longer_shot_is_used_and_that_is_said(track):
    count = len(track.pts)
    cut = count // 3
    moved = replace(track, mesh=track.mesh.copy())
    moved.mesh[cut:, :, 0] += 2 * float(np.ptp(track.mesh[0, :, 0]))
    kept, notes = usable(moved)
    assert kept.tolist() == list(range(cut, count))
    assert "2 shots; only the longest one" in notes[0]
    assert usable(track)[1] == []


def test_what_the_footage_does_not_show_is_said_before_it_is_missed():
    still = performance(1, 50, 0.0)
    still = replace(still, rotation=still.rotation * 0, lids=still.lids * 0,
                    identity=replace(still.identity, ranges={"mouth": (0.0, 0.1)}))  # fmt: skip
    said = " ".join(_range_notes(still))
    assert "hardly turns" in said and "no blink" in said and "mouth hardly opens" in said
