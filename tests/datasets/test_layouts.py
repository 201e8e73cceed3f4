"""The field's layouts are read as they are published, and a way out and back keeps every label."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from facewitness.datasets.labels import read_labels, write_labels
from facewitness.datasets.layouts import LAYOUTS, detect_layout, export_dataset, import_dataset
from facewitness.datasets.layouts.base import BESIDE
from facewitness.errors import UnreadableInputError, UsageError

from .conftest import write_video


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_out_and_back_keeps_every_label(small_set: Path, tmp_path: Path, layout: str):
    export_dataset(small_set, layout, tmp_path / "out")
    assert detect_layout(tmp_path / "out").name == layout
    before = {c.clip_id: c for c in read_labels(small_set)}
    after = import_dataset(tmp_path / "out")
    assert {c.clip_id for c in after} == set(before)
    for clip in after:
        told = before[clip.clip_id]
        assert (tmp_path / "out" / clip.path).exists()
        assert bool(clip.mask_path) == bool(told.mask_path)
        assert not clip.mask_path or (tmp_path / "out" / clip.mask_path).is_file()
        for name in (
            "label",
            "split",
            "method",
            "target_id",
            "driver_id",
            "degree",
            "taken",
            "segments",
            "rights",
            "sha256",
        ):
            assert getattr(clip, name) == getattr(told, name), name


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_the_layout_alone_keeps_label_and_part(small_set: Path, tmp_path: Path, layout: str):
    written = {c.path: c for c in export_dataset(small_set, layout, tmp_path / "out")}
    (tmp_path / "out" / BESIDE).unlink()
    back = import_dataset(tmp_path / "out", layout)
    assert len(back) == len(written)
    for clip in back:
        told = written[clip.path]
        assert clip.label == told.label
        knows = told.split if told.split in LAYOUTS[layout].splits else "train"
        assert clip.split == knows


def test_faceforensics_with_its_pairs_of_numbers(tmp_path: Path):
    for where in ("original_sequences/youtube/c23/videos/000.mp4", "original_sequences/youtube/c23/videos/003.mp4",
                  "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4",
                  "manipulated_sequences/Face2Face/c40/videos/003_000.mp4",
                  "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4"):  # fmt: skip
        write_video(tmp_path / where, seed=1)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "test.json").write_text('[["000", "003"]]')
    clips = {c.path.split("/")[-1] + c.method: c for c in import_dataset(tmp_path)}
    assert len(clips) == 4
    fake = clips["000_003.mp4Deepfakes"]
    assert (fake.label, fake.target_id, fake.driver_id, fake.crf, fake.split) == (
        "fake",
        "ffpp-000",
        "ffpp-003",
        23,
        "test",
    )
    assert fake.mask_path.endswith("masks/videos/000_003.mp4")
    assert clips["003_000.mp4Face2Face"].crf == 40
    assert clips["000.mp4"].label == "real"


def test_celebdf_where_one_means_real(tmp_path: Path):
    for where in ("Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4", "YouTube-real/00170.mp4"):
        write_video(tmp_path / where, seed=1)
    listing = tmp_path / "List_of_testing_videos.txt"
    listing.write_text("1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n")
    clips = {c.path: c for c in import_dataset(tmp_path)}
    assert clips["YouTube-real/00170.mp4"].label == "real" and clips["YouTube-real/00170.mp4"].split == "test"
    fake = clips["Celeb-synthesis/id0_id1_0000.mp4"]
    assert (fake.label, fake.target_id, fake.driver_id, fake.split) == ("fake", "celebdf-id0", "celebdf-id1", "test")
    assert clips["Celeb-real/id0_0000.mp4"].split == "train"
    listing.write_text("0 YouTube-real/00170.mp4\n")
    with pytest.raises(UnreadableInputError, match="YouTube-real"):
        import_dataset(tmp_path)


def test_an_exported_test_list_says_one_for_real(small_set: Path, tmp_path: Path):
    export_dataset(small_set, "celebdf", tmp_path / "out")
    for line in (tmp_path / "out" / "List_of_testing_videos.txt").read_text().splitlines():
        flag, where = line.split()
        assert (flag == "1") == where.startswith("Celeb-real/")


def test_dfdc_with_its_metadata(tmp_path: Path):
    part = tmp_path / "dfdc_train_part_0"
    for name in ("aaa.mp4", "bbb.mp4"):
        write_video(part / name, seed=1)
    (part / "metadata.json").write_text(
        json.dumps({"aaa.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"},
                    "bbb.mp4": {"label": "REAL", "split": "train", "original": None},
                    "gone.mp4": {"label": "REAL", "split": "train", "original": None}})
    )  # fmt: skip
    clips = {c.source: c for c in import_dataset(tmp_path)}
    assert set(clips) == {"aaa.mp4", "bbb.mp4"}
    assert clips["aaa.mp4"].label == "fake" and clips["aaa.mp4"].target_id == clips["bbb.mp4"].target_id == "dfdc-bbb"
    (part / "metadata.json").write_text('{"aaa.mp4": {"label": "MAYBE"}}')
    with pytest.raises(UnreadableInputError, match="MAYBE"):
        import_dataset(tmp_path)


def test_deeperforensics_with_its_lists(tmp_path: Path):
    write_video(tmp_path / "source_videos/M101/light/neutral.mp4", seed=1)
    write_video(tmp_path / "manipulated_videos/end_to_end/000_M101.mp4", seed=2)
    (tmp_path / "lists/splits").mkdir(parents=True)
    (tmp_path / "lists/splits/val.txt").write_text("000_M101.mp4\n")
    real, fake = sorted(import_dataset(tmp_path), key=lambda c: c.label, reverse=True)
    assert real.target_id == fake.driver_id == "deeperforensics-M101"
    assert (fake.method, fake.split, fake.label) == ("end_to_end", "val", "fake")


@pytest.mark.parametrize("compression", ["c23", ""])
def test_deepfakebench_json_with_and_without_compression(tmp_path: Path, compression: str):
    (tmp_path / "FF/000").mkdir(parents=True)
    (tmp_path / "FF/000_003").mkdir()
    real = {"000": {"label": "FF-real", "frames": ["FF/000/000.png"]}}
    fake = {"000_003": {"label": "FF-DF", "frames": ["FF\\000_003\\000.png"]}}
    nested = [{compression: v} if compression else v for v in (real, fake)]
    tree = {"FaceForensics++": {"FF-real": {"train": nested[0]}, "FF-DF": {"test": nested[1]}}}
    (tmp_path / "FaceForensics++.json").write_text(json.dumps(tree))
    clips = {c.source: c for c in import_dataset(tmp_path)}
    assert clips["000"].label == "real" and clips["000"].split == "train"
    assert clips["000_003"].label == "fake" and clips["000_003"].method == "FF-DF" and clips["000_003"].split == "test"
    assert clips["000"].crf == (23 if compression else -1)


@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_a_deepfakebench_reader_finds_every_frame(small_set: Path, tmp_path: Path, mode: str):
    """As DeepfakeBench's abstract_dataset.py walks the JSON of a set, and looks for masks."""
    import cv2

    shutil.copytree(small_set, tmp_path / "set")
    clips = [replace(c, clip_id=f"{c.clip_id}-frames-dropped") for c in read_labels(small_set)]
    write_labels(tmp_path / "set", clips)
    export_dataset(tmp_path / "set", "deepfakebench", tmp_path / "out")
    lines = (tmp_path / "out/label_dict.yaml").read_text().splitlines()[1:]
    label_dict = {name.strip(): int(number) for name, number in (line.split(": ") for line in lines)}
    info = json.loads((tmp_path / "out/dataset_json/facewitness.json").read_text())
    labels, masks = [], 0
    for label in info["facewitness"]:
        for entry in info["facewitness"][label][mode].values():
            labels.append(label_dict[entry["label"]])
            for frame in entry["frames"]:
                image = cv2.imread(str(tmp_path / "out" / frame))
                assert image is not None
                mask = cv2.imread(str(tmp_path / "out" / frame.replace("frames", "masks")), 0)
                assert mask is None or mask.shape == image.shape[:2]
                masks += mask is not None
    told = [int(c.label == "fake") for c in read_labels(small_set) if c.split == mode]
    frames = sum(min(c.frames, 32) for c in clips if c.mask_path and c.split == mode)
    assert sorted(labels) == sorted(told) and masks == frames > 0


def test_hugging_face_metadata_names_every_file(small_set: Path, tmp_path: Path):
    export_dataset(small_set, "huggingface", tmp_path / "out")
    seen = 0
    for split in ("train", "validation", "test"):
        with (tmp_path / "out/data" / split / "metadata.csv").open() as f:
            for row in csv.DictReader(f):
                assert (tmp_path / "out/data" / split / row["file_name"]).exists()
                assert row["is_fake"] == str(int(row["label"] == "fake"))
                seen += 1
    assert seen == len(read_labels(small_set))


def test_a_plain_folder(tmp_path: Path):
    write_video(tmp_path / "train/real/a.mp4", seed=1)
    write_video(tmp_path / "test/Fake/wav2lip/b.mp4", seed=2)
    clips = {c.source: c for c in import_dataset(tmp_path, "folder")}
    assert clips["a.mp4"].label == "real" and clips["a.mp4"].split == "train"
    assert clips["b.mp4"].label == "fake" and clips["b.mp4"].method == "wav2lip"


def test_what_is_no_layout_or_not_empty_is_a_sentence(small_set: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="no layout"):
        export_dataset(small_set, "ffp", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UsageError, match="not empty"):
        export_dataset(small_set, "ffpp", tmp_path / "full")
    with pytest.raises(UnreadableInputError, match="none of the layouts"):
        import_dataset(tmp_path / "full")


def test_a_foreign_benchmark_becomes_a_dataset_of_ours(tmp_path: Path):
    from facewitness.datasets.adopt import adopt
    from facewitness.datasets.check import check_dataset

    for n in range(4):
        write_video(tmp_path / f"in/real/a{n}.mp4", seed=n)
        write_video(tmp_path / f"in/fake/b{n}.mp4", seed=9 + n)
    (tmp_path / "in/fake/broken.mp4").write_bytes(b"nothing")
    clips = adopt(tmp_path / "in", tmp_path / "out", rights="for tests")
    assert len(clips) == 8 and all(c.sha256 and c.split and c.frames == 6 for c in clips)
    result = check_dataset(tmp_path / "out", manifests=False, footage=False)
    assert {f.kind for f in result.findings} <= {"split"}
    with pytest.raises(UsageError, match="--rights"):
        adopt(tmp_path / "in", tmp_path / "again", rights=" ")
