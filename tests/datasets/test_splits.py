"""No person, pair, file or near-duplicate footage is ever in two parts."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facewitness.datasets.labels import Clip
from facewitness.datasets.splits import assign, leaks, near_duplicates

from .conftest import some_clips

people = st.sampled_from([f"p{n}" for n in range(12)])
clips_of = st.lists(st.tuples(people, people), min_size=1, max_size=40).map(
    lambda pairs: [
        Clip(clip_id=f"c{n}", path=f"{n}.mp4", label="fake" if a != b else "real", target_id=a, driver_id=b)
        for n, (a, b) in enumerate(pairs)
    ]
)


@settings(max_examples=60, deadline=None)
@given(clips_of, st.integers(0, 5))
def test_identities_and_both_directions_of_a_pair_stay_together(clips: list[Clip], seed: int):
    done = assign(clips, seed=seed)
    assert leaks(done) == []
    part = {}
    for clip in done:
        assert clip.split in ("train", "val", "test")
        for person in (clip.target_id, clip.driver_id):
            assert part.setdefault(person, clip.split) == clip.split


def test_many_groups_come_near_the_shares_and_the_seed_decides():
    clips = [Clip(clip_id=f"c{n}-{k}", path="", label="real", target_id=f"p{n}", driver_id=f"p{n}")
             for n in range(60) for k in range(1 + n % 3)]  # fmt: skip
    done = assign(clips, seed=1)
    shares = {s: sum(c.split == s for c in done) / len(done) for s in ("train", "val", "test")}
    assert abs(shares["train"] - 0.7) < 0.05 and abs(shares["val"] - 0.15) < 0.05
    assert assign(clips, seed=1) == done
    assert assign(clips, seed=2) != done


def test_near_duplicate_footage_stays_together():
    clips = [Clip(clip_id=f"c{n}", path="", label="real", target_id=f"p{n}", driver_id=f"p{n}") for n in range(9)]
    done = {c.clip_id: c.split for c in assign(clips, duplicates=[{"c1", "c7"}, {"c7", "c4"}])}
    assert done["c1"] == done["c7"] == done["c4"]


def test_a_person_in_two_parts_is_named():
    clips = [replace(c, split="test") if c.clip_id == "p1-re" else c for c in some_clips()]
    said = leaks(clips)
    assert any("person p1" in text and "test and train" in text for text in said)


def test_fingerprints_find_the_same_footage_encoded_again(tmp_path):
    from facewitness.datasets import make_sample
    from facewitness.provenance import fingerprint

    prints = {}
    for name, sample, crf in (("a", "amber", 17), ("a again", "amber", 32), ("b", "birch", 17)):
        path = make_sample(sample, tmp_path / f"{name}.mp4", seconds=5, seed=2, size=128, crf=crf)
        prints[name] = fingerprint.of_video(path)
    assert near_duplicates(prints) == [{"a", "a again"}]
    assert near_duplicates({}) == []
    assert np.isfinite(prints["a"].vectors).all()
