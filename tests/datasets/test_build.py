"""A recipe becomes a dataset that its own check proves, that resumes, and that the check sees through when it is
tampered with."""

import errno
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from facewitness.datasets.build import build_dataset
from facewitness.datasets.check import check_dataset
from facewitness.datasets.labels import digest, read_labels, write_labels
from facewitness.datasets.recipe import load_recipe
from facewitness.errors import UsageError
from facewitness.media import probe, read_frames

from .conftest import write_video

pytestmark = pytest.mark.timeout(900)  # a shared machine may be slow


def kinds(folder: Path, **options) -> set[str]:
    return {f.kind for f in check_dataset(folder, **options).findings}


def test_a_built_set_proves_itself(built: Path):
    result = check_dataset(built)
    assert result.ok, result.findings
    clips = read_labels(built)
    assert result.manifests == {"trusted": len(clips)}
    assert {c.label for c in clips} == {"real", "fake"}
    assert {c.method for c in clips} == {
        "", "reenactment", "self_reenactment", "baseline_warp", "smile", "gaze_frozen", "frames_repeated",
    }  # fmt: skip
    for clip in clips:
        info = probe(built / clip.path)
        assert (info.width, info.height, info.frames, float(info.frame_rate)) == (128, 128, clip.frames, clip.fps)
        assert clip.rights and clip.sha256 and clip.manifest_sha256


def test_a_fake_differs_from_the_real_clip_where_its_mask_is_white(built: Path):
    clips = {c.clip_id: c for c in read_labels(built)}
    fake = next(c for c in clips.values() if c.method == "self_reenactment" and c.segments[0][0] > 0)
    real = next(c for c in clips.values() if c.label == "real" and c.pair_id == fake.pair_id)
    first, last = (round(t * fake.fps) for t in fake.segments[0])
    for n, (a, b, mask) in enumerate(
        zip(*(read_frames(built / p) for p in (real.path, fake.path, fake.mask_path)), strict=True)
    ):
        inside = first <= n < last
        assert (mask.image.mean() > 20) == inside
        if not inside:  # untouched but for its own watermark and encode
            assert np.abs(a.image.astype(int) - b.image).mean() < 4


def test_repeated_frames_are_the_same_picture(built: Path):
    clip = next(c for c in read_labels(built) if c.method == "frames_repeated")
    frames = [f.image.astype(int) for f in read_frames(built / clip.path)]
    steps = np.array([np.abs(b - a).mean() for a, b in pairwise(frames)])
    assert (steps < 0.25 * np.median(np.sort(steps)[-8:])).sum() >= 5


def test_parameters_hold_driver_target_and_result(built: Path):
    clip = next(c for c in read_labels(built) if c.method == "gaze_frozen")
    with np.load(built / clip.parameters_path, allow_pickle=False) as stored:
        assert np.ptp(stored["result/gaze"], axis=0).max() < 1e-5 < np.ptp(stored["target/gaze"], axis=0).max()
        assert np.array_equal(stored["result/lids"], stored["target/lids"])
        assert len(stored["driver/pts"]) == clip.frames


def test_it_resumes_without_redoing_or_losing_a_clip(built: Path):
    recipe = load_recipe(built.parent / "recipe.toml")
    before = {c.clip_id: c for c in read_labels(built)}
    whole = digest(list(before.values()))
    gone = sorted(before)[0]
    (built / before[gone].path).unlink()
    (built / "labels.parquet").unlink()
    half = built / "clips" / f".{gone}.0123.part.mp4"
    half.write_bytes(b"what a kill left")
    again = build_dataset(recipe, built, workers=1)
    assert (again.made, again.clips, again.labels_sha256) == (1, len(before), whole)
    assert not half.exists()
    after = {c.clip_id: c for c in read_labels(built)}
    assert all(after[k].sha256 == c.sha256 for k, c in before.items() if k != gone)


def test_the_check_sees_through_tampering(built: Path):
    clips = read_labels(built)
    fake = next(c for c in clips if c.method == "reenactment")
    real = next(c for c in clips if c.label == "real")
    quick = {"manifests": False, "footage": False}
    # a fake that is called real: the labels agree with themselves, the manifest does not
    renamed = replace(fake, label="real", method="", taken=(), factor="", segments=())
    write_labels(built, [renamed if c is fake else c for c in clips])
    assert "manifest" in kinds(built, footage=False)
    # a person in two parts
    write_labels(built, [replace(c, split="test") if c is real else c for c in clips])
    assert "split" in kinds(built, **quick)
    write_labels(built, clips)
    # an altered, a missing and an unlisted file; tables that disagree
    data = bytearray((built / real.path).read_bytes())
    data[-2000] ^= 0xFF
    (built / real.path).write_bytes(bytes(data))
    (built / fake.path).rename(built / "clips" / "stray.mp4")
    (built / "labels.csv").write_text((built / "labels.csv").read_text().replace("fake", "real"))
    assert {"altered", "missing", "unlisted"} <= kinds(built, **quick)


def test_the_check_sees_what_lies_beside_a_clip(built: Path):
    clips = read_labels(built)
    frozen = next(c for c in clips if c.method == "gaze_frozen")
    partly = next(c for c in clips if c.method == "self_reenactment" and c.segments[0][0] > 0)

    def said(changed, **more) -> str:
        write_labels(built, [replace(c, **more) if c is changed else c for c in clips])
        found = check_dataset(built, manifests=False, footage=False).findings
        return " ".join(f.text for f in found if f.clip == changed.clip_id)

    assert said(frozen) == ""
    assert "does not give the parameters it has in gaze" in said(frozen, degree=0.5)
    assert "does not give" in said(frozen, factor="blinks_removed")
    assert "white" in said(partly, segments=((0.0, 0.2),))
    (built / partly.mask_path).write_bytes((built / frozen.mask_path).read_bytes())
    (built / frozen.parameters_path).write_bytes(b"PK nothing")
    assert "mask" in said(partly) and "was changed" in said(partly)
    assert "was changed" in said(frozen) and "cannot be read" in said(frozen)


def test_reals_and_fakes_declare_the_same_marks(built: Path):
    """An outside watermark on fakes alone, or none on reals, would tell the label to whoever looks for it."""
    from facewitness.provenance import verify_many

    counts = {}
    for audit in verify_many([built / c.path for c in read_labels(built)]):
        declared = [a for a in audit.claims["assertions"] if a == "c2pa.soft-binding"]
        counts[Path(audit.path).name] = len(declared)
    assert set(counts.values()) == {2}, counts  # our watermark and the fingerprint


def test_fakes_take_the_bits_of_their_real_clip(built: Path):
    from facewitness.datasets.leak import ATTRIBUTES, attributes

    at = ATTRIBUTES.index("bits_per_second")
    clips = read_labels(built)
    real = {c.pair_id: attributes(c, built)[at] for c in clips if c.label == "real"}
    for clip in clips:
        assert abs(attributes(clip, built)[at] / real[clip.pair_id] - 1) < 0.12, clip.clip_id


def test_a_killed_build_goes_on_where_it_was(built: Path):
    recipe = built.parent / "recipe.toml"
    before = {c.clip_id: c for c in read_labels(built)}
    gone = sorted(before)[:4]
    for name in gone:
        (built / before[name].path).unlink()
    rows = {name: built / ".build" / "rows" / f"{name}.json" for name in gone}
    for row in rows.values():
        row.unlink()
    command = [sys.executable, "-m", "facewitness", "dataset", "build", str(recipe), "-o", str(built), "--workers", "1"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while not any(r.exists() for r in rows.values()) and killed.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    there = {n for n, r in rows.items() if r.exists()}
    assert there
    stamps = {n: (built / before[n].path).stat().st_mtime_ns for n in there}
    time.sleep(1)  # its worker sees that the build is gone, and goes
    again = build_dataset(load_recipe(recipe), built, workers=1)
    assert again.clips == len(before) and again.made <= len(gone) - len(there)
    assert again.labels_sha256 == digest(list(before.values()))
    assert all((built / before[n].path).stat().st_mtime_ns == at for n, at in stamps.items())
    assert check_dataset(built, footage=False).ok


def test_a_full_disk_is_a_sentence_and_what_was_made_stays(built: Path, monkeypatch: pytest.MonkeyPatch):
    from facewitness.datasets import build

    clips = read_labels(built)
    (built / clips[0].path).unlink()

    class Full(ThreadPoolExecutor):
        def __init__(self, workers, **_):
            super().__init__(workers)

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build, "ProcessPoolExecutor", Full)
    monkeypatch.setattr(build, "_make_chunk", no_room)
    monkeypatch.setattr(build, "_make_actors", lambda recipe, plan, *_: (dict.fromkeys(plan.actors, built), []))
    with pytest.raises(UsageError, match="disk is full"):
        build_dataset(load_recipe(built.parent / "recipe.toml"), built)
    assert {c.clip_id for c in read_labels(built)} == {c.clip_id for c in clips[1:]}
    assert check_dataset(built, manifests=False, footage=False).ok


def test_the_command_exits_1_with_a_list(built: Path):
    clip = read_labels(built)[0]
    (built / clip.path).unlink()
    done = subprocess.run(
        [sys.executable, "-m", "facewitness", "dataset", "check", str(built), "--json", "--no-manifests",
        "--no-footage"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert not said["ok"] and any(clip.path in f["text"] for f in said["findings"])


def test_the_card_is_valid_croissant_and_names_rights_and_limits(built: Path):
    import mlcroissant

    card = mlcroissant.Dataset(jsonld=built / "croissant.json")
    assert not card.metadata.ctx.issues.errors
    rows = list(card.records("clips-table"))
    assert len(rows) == len(read_labels(built))
    text = (built / "README.md").read_text()
    assert "Known limits" in text and "no real person" in text


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, built: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with pytest.raises(UsageError, match="holds something else"):
        build_dataset(load_recipe(built.parent / "recipe.toml"), tmp_path / "mine")


def rightless(folder: Path) -> str:
    """Why a video in a list, of which neither list nor recipe says who allowed it, is left out."""
    from facewitness.datasets.footage import Take, gather
    from facewitness.datasets.recipe import FootageSpec, Recipe

    write_video(folder / "in" / "p5.mp4", seed=1, frames=5)
    (folder / "five.csv").write_text("file,person_id,rights\np5.mp4,p5, \n")
    spec = FootageSpec(folder="in", list="five.csv")
    takes, problems = gather(Recipe(name="x", footage=(spec,), home=folder), folder / "work")
    assert not [t for t in takes if isinstance(t, Take)]
    return problems[0].reason


def test_unfit_footage_is_a_row_with_its_reason(tmp_path: Path):
    from facewitness.datasets.build import _train
    from facewitness.datasets.footage import gather
    from facewitness.errors import FacewitnessError

    write_video(tmp_path / "in" / "p1_noface.mp4", seed=1, frames=150, size=128)
    (tmp_path / "in" / "p2_broken.mp4").write_bytes(b"\0" * 5000)
    (tmp_path / "in" / "p3_empty.mp4").touch()
    (tmp_path / "list.csv").write_text(
        "file,person_id,rights\np1_noface.mp4,p1,mine\np2_broken.mp4,p2,mine\np3_empty.mp4,p3,\np4_gone.mp4,p4,mine"
    )
    text = 'name = "x"\n[[footage]]\nfolder = "in"\nlist = "list.csv"\nrights = "made here"\n'
    (tmp_path / "r.toml").write_text(text)
    recipe = load_recipe(tmp_path / "r.toml")
    takes, problems = gather(recipe, tmp_path / "work")
    assert [t.person for t in takes] == ["p1"]
    assert sorted(Path(p.what).name for p in problems) == ["p2_broken.mp4", "p3_empty.mp4", "p4_gone.mp4"]
    assert "not there" in next(p.reason for p in problems if p.what == "p4_gone.mp4")
    assert "rights" in rightless(tmp_path)
    with pytest.raises(FacewitnessError, match="no face"):
        _train(takes[0], tmp_path / "actor", recipe.actors, 0)


def test_what_was_made_before_an_interruption_is_a_dataset(built: Path, monkeypatch: pytest.MonkeyPatch):
    from facewitness.datasets import build

    before = read_labels(built)
    (built / before[0].path).unlink()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "_make_clips", interrupted)
    monkeypatch.setattr(build, "_make_actors", lambda recipe, plan, jobs, *_: ({j.person: built for j in jobs}, []))
    with pytest.raises(KeyboardInterrupt):
        build_dataset(load_recipe(built.parent / "recipe.toml"), built)
    assert {c.clip_id for c in read_labels(built)} == {c.clip_id for c in before[1:]}
    assert check_dataset(built, manifests=False, footage=False).ok


def test_two_builds_do_not_share_a_folder(built: Path):
    from filelock import FileLock

    with FileLock(built / ".build" / "lock"), pytest.raises(UsageError, match="another build"):
        build_dataset(load_recipe(built.parent / "recipe.toml"), built)


def test_the_leak_classifier_finds_what_gives_the_label_away(built: Path):
    from facewitness.datasets.leak import ATTRIBUTES, attribute_leak

    rng = np.random.default_rng(0)
    clips = [replace(read_labels(built)[0], clip_id=str(n), label="fake" if n % 2 else "real", target_id=f"p{n // 4}")
             for n in range(120)]  # fmt: skip
    same = rng.normal(size=(120, len(ATTRIBUTES)))
    assert not attribute_leak(clips, same).auc > 0.65
    told = same.copy()
    told[:, 4] += [3.0 * (c.label == "fake") for c in clips]
    leak = attribute_leak(clips, told)
    assert leak.auc > 0.9 and leak.leaks
    assert np.isnan(attribute_leak(clips[:6], told[:6]).auc)  # too few to say
