"""A made face is found again when everything around it was replaced."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facewitness.faces.types import FaceTrack
from facewitness.provenance import fingerprint as fp
from facewitness.provenance.face_fingerprint import of_face, regions, sketch_of_face
from facewitness.provenance.ledger import Ledger, Record
from facewitness.provenance.recover import recover

from .conftest import Frames, encode, moving_head

SIDE = 200


def track_of(frames: Frames, *, x: int, y: int, side: int, jitter: float = 1.5, gaps: int = 0) -> FaceTrack:
    """A track as the tracker gives one: a box that trembles, with gaps."""
    count, rng = len(frames), np.random.default_rng(0)
    box = np.array([x, y, x + side, y + side]) + rng.normal(0, jitter, (count, 4))
    confidence = np.ones(count, np.float32)
    confidence[10 : 10 + gaps] = 0
    box[confidence == 0] = np.nan
    nothing = np.full((count, 1), np.nan, np.float32)
    return FaceTrack(
        face_id=0, tracker="mesh", width=frames[0].shape[1], height=frames[0].shape[0], time_base=Fraction(1, 25),
        pts=np.arange(count), boxes=box.astype(np.float32), mesh=nothing, eyes=nothing, irises=nothing,
        confidence=confidence,
    )  # fmt: skip


@pytest.fixture(scope="module")
def talk() -> Frames:
    return moving_head(seed=7, seconds=10, side=SIDE)


def elsewhere(frames: Frames) -> Frames:
    """The face alone, in a wider picture of something else."""
    room = moving_head(seed=8, seconds=0.1, side=320)[0]
    out = []
    for frame in frames:
        picture = room.copy()
        picture[60:190, 120:250] = frame[40:170, 35:165]
        out.append(picture)
    return out


def test_a_face_in_other_surroundings_is_found_by_its_region_and_by_nothing_else(
    talk: Frames, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = encode(talk, tmp_path / "made.mp4")
    face = of_face(path, track_of(talk, x=55, y=60, side=90))
    for n, kept in enumerate((None, face)):
        ledger.append(
            Record(kind="made", name="made.mp4", sha256=f"{n:064x}", manifest_id=f"urn:{n}", face_fingerprint=kept,
                   fingerprint=fp.of_video(talk))
        )  # fmt: skip
    part = elsewhere(talk[50:230])
    copy = encode(part, tmp_path / "copy.mp4", crf=28)
    assert ledger.find_by_fingerprint(fp.sketch_of(copy)) == []
    monkeypatch.setattr(
        "facewitness.faces.track_video", lambda *_, **__: [track_of(part, x=140, y=80, side=90, gaps=6)]
    )
    found = recover(copy, ledger)
    assert found is not None and (found["match"], found["region"], found["entry"]) == ("fingerprint", "face", 2)
    assert found["offset_s"] == pytest.approx(2.0, abs=0.3)


def test_the_region_bridges_gaps_and_does_not_tremble(talk: Frames):
    region = regions(track_of(talk, x=55, y=60, side=90, jitter=3, gaps=20))
    assert np.isfinite(region).all() and np.abs(np.diff(region[:, 0])).max() < 1
    assert region[:, 0].mean() == pytest.approx(100, abs=1)


def test_where_no_face_is_there_is_no_fingerprint(talk: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = encode(talk[:30], tmp_path / "clip.mp4")
    monkeypatch.setattr("facewitness.faces.track_video", lambda *_, **__: [])
    assert of_face(path) is None and sketch_of_face(path) is None
