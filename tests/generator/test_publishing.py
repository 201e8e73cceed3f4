"""There is no way out of the generator without a label, a mark and a signature."""

from fractions import Fraction

import numpy as np
import pytest

from facewitness.errors import FacewitnessError, UsageError
from facewitness.generator import Label, publish

LABEL = Label(method="reenactment", target_id="a", driver_id="b", rights="sample footage")
FRAMES = [np.full((64, 96, 3), 40 + k, np.uint8) for k in range(30)]


def test_no_rights_no_video(tmp_path):
    label = Label(method="reenactment", target_id="a", driver_id="b", rights=" - ")
    with pytest.raises(UsageError, match="--rights"):
        publish(iter(FRAMES), tmp_path / "x.mp4", frame_rate=Fraction(25), label=label)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "part", ["sign.sign_file", "fingerprint.of_video", "ledger.Ledger.append", "watermark.Embedder.embed"]
)
def test_when_any_part_of_the_proof_fails_nothing_is_written(tmp_path, monkeypatch, part):
    def fail(*args, **options):
        raise FacewitnessError("broken on purpose")

    monkeypatch.setattr(f"facewitness.provenance.{part}", fail)
    with pytest.raises(FacewitnessError, match="on purpose"):
        publish(iter(FRAMES), tmp_path / "x.mp4", frame_rate=Fraction(25), label=LABEL)
    assert list(tmp_path.iterdir()) == []


def test_frames_that_fail_half_way_leave_nothing(tmp_path):
    def frames():
        yield from FRAMES[:10]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(frames(), tmp_path / "x.mp4", frame_rate=Fraction(25), label=LABEL)
    assert list(tmp_path.iterdir()) == []


def test_no_frames_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no frame"):
        publish(iter(()), tmp_path / "x.mp4", frame_rate=Fraction(25), label=LABEL)


def test_nothing_else_in_the_room_writes_made_video():
    """Only publishing.py may use the writer of videos; the bank stores footage, not made frames."""
    from pathlib import Path

    import facewitness.generator as room

    users = [p.name for p in Path(room.__path__[0]).rglob("*.py") if "VideoWriter" in p.read_text()]
    assert users == ["publishing.py"]


def test_footage_beside_fakes_carries_the_same_marks(tmp_path, monkeypatch):
    """The reals of a data set: the same watermark, an outside one too, where fakes have it; nothing called made."""
    from facewitness.generator.publishing import publish_footage
    from facewitness.provenance import trustmark, verify_file
    from facewitness.provenance.manifest import Ingredient

    class Coder:
        pictures = 0

        def encode(self, in_cover_image, string_secret, MODE="text"):
            self.pictures += 1
            return in_cover_image

    coder = Coder()
    monkeypatch.setattr(trustmark, "load", lambda: coder)
    monkeypatch.setenv(trustmark.CHOICE, trustmark.NAME)
    made = publish(iter(FRAMES), tmp_path / "fake.mp4", frame_rate=Fraction(25), label=LABEL)
    assert coder.pictures == len(FRAMES)
    real = publish_footage(
        iter(FRAMES), tmp_path / "real.mp4", frame_rate=Fraction(25),
        footage=Ingredient(path=made.path, relationship="parentOf"),
    )  # fmt: skip
    assert coder.pictures == 2 * len(FRAMES)
    marks = {}
    for path in (made.path, real.path):
        claims = verify_file(path).claims
        marks[path] = [a for a in claims["assertions"] if a == "c2pa.soft-binding"]
    assert len(marks[made.path]) == len(marks[real.path]) == 3
    assert not (tmp_path / "real.mp4.label.json").exists()
