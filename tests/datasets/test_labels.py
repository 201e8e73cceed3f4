"""Labels are the same in both tables, in any order of making, and lose nothing on the way through a file."""

from pathlib import Path

import pytest

from facewitness.datasets.labels import COLUMNS, CSV, PARQUET, Clip, digest, read_labels, write_labels
from facewitness.errors import UnreadableInputError

from .conftest import some_clips

DESIGNED = (
    "clip_id path label method target_id driver_id taken edits split mask_path parameters_path segments fps frames "
    "width height codec crf seed actor_sha256 manifest_sha256 sha256 rights generator_version"
)


def test_the_columns_are_those_of_the_design_and_in_its_order():
    assert list(COLUMNS[:24]) == DESIGNED.split()


@pytest.mark.parametrize("only", [PARQUET, CSV])
def test_either_table_alone_gives_every_clip_back(tmp_path: Path, only: str):
    clips = some_clips()
    write_labels(tmp_path, clips)
    for name in {PARQUET, CSV} - {only}:
        (tmp_path / name).unlink()
    assert read_labels(tmp_path) == sorted(clips, key=lambda c: c.clip_id)


def test_the_order_of_making_does_not_show(tmp_path: Path):
    clips = some_clips()
    write_labels(tmp_path / "a", clips)
    write_labels(tmp_path / "b", clips[::-1])
    for name in (PARQUET, CSV):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_hashes_of_signed_files_do_not_change_the_digest():
    clips = some_clips()
    signed = [Clip(**{**c.__dict__, "sha256": "f" * 64, "manifest_sha256": "e" * 64}) for c in clips]
    assert digest(clips) == digest(signed)
    assert digest(clips) != digest(clips[1:])


def test_a_folder_without_labels_or_with_damaged_ones_is_a_sentence(tmp_path: Path):
    with pytest.raises(UnreadableInputError, match="no dataset"):
        read_labels(tmp_path)
    (tmp_path / PARQUET).write_bytes(b"not parquet")
    with pytest.raises(UnreadableInputError, match="cannot be read"):
        read_labels(tmp_path)
