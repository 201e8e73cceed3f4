"""Sound never tells the label: all clips of a person have it, or none, and silence does not stand beside speech."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from facewitness.datasets.sound import RATE_HZ, cut_sound, sound_of, write_silence
from facewitness.datasets.stretch import Stretch

SECONDS = 2.0
STRETCH = Stretch(first=0, count=50, rate=Fraction(25), run=(0, 50))


def write_tone(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as target:
        stream = target.add_stream("aac", rate=RATE_HZ)
        rng = np.random.default_rng(0)
        for _ in range(round(2 * SECONDS * RATE_HZ / 1024)):
            noise = (0.2 * rng.normal(size=(2, 1024))).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            frame.sample_rate = RATE_HZ
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


@dataclass
class Person:
    """An actor and their footage, as far as sound goes."""

    path: Path
    audio: bool
    performance: "Frames"
    card: dict = field(default_factory=lambda: {"frame": {"rate": "25"}})


class Frames(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.pts)


@pytest.fixture
def people(tmp_path: Path) -> dict[str, Person]:
    write_tone(tmp_path / "loud.mp4")
    write_silence(tmp_path / "silent.mp4", 2 * SECONDS)
    frames = Frames(times_s=np.arange(50) / 25, pts=np.arange(50), time_base=Fraction(1, 25))
    return {
        name: Person(path=tmp_path / f"{'silent' if name == 'silent' else 'loud'}.mp4", audio=name != "deaf",
                     performance=frames)
        for name in ("loud", "other", "silent", "deaf")
    }  # fmt: skip


def size(people: dict[str, Person], target: str, driver: str, take: tuple[str, ...]) -> int | None:
    """Bytes of the sound of a clip of ``target`` driven by ``driver``."""
    who = people[target]
    studio = SimpleNamespace(spec=SimpleNamespace(audio=True, seconds=SECONDS), take=who, actor=who)
    job = SimpleNamespace(person=target, driver=driver, take=take, stretch=0, of=1)
    with ExitStack() as stack:
        sound = sound_of(job, studio, STRETCH, {n: (p, p) for n, p in people.items()}, stack)
        return None if sound is None else sound.stat().st_size


@pytest.mark.parametrize("take", [("expression",), ("gaze",)])
@pytest.mark.parametrize("target", ["loud", "silent", "deaf"])
def test_whoever_drives_a_clip_has_as_much_sound_as_the_real_one(people, target, take):
    real = size(people, target, target, ())
    for driver in people:
        found = size(people, target, driver, take)
        assert (found is None) == (real is None) == (target == "deaf")
        assert real is None or abs(found - real) < 0.1 * real + 200


def test_silence_is_where_no_sound_can_be_cut(people, tmp_path):
    assert not cut_sound(people["loud"].path, tmp_path / "x.m4a", 100.0, 1.0)
    assert cut_sound(people["loud"].path, tmp_path / "y.m4a", 1.0, 1.0)
