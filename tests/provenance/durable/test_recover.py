"""A file that lost its manifest is found again, and what is found is called a possible match."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest
from c2pa import Reader

from facewitness.errors import UsageError
from facewitness.files import sha256_file
from facewitness.provenance import bindings
from facewitness.provenance import fingerprint as fp
from facewitness.provenance import watermark as wm
from facewitness.provenance.ledger import Ledger, LedgerEntry, Record
from facewitness.provenance.manifest import ManifestSpec
from facewitness.provenance.recover import recover
from facewitness.provenance.sign import Signed, sign_file

from .conftest import Frames, encode, mark, moving_head


@dataclass(frozen=True)
class Story:
    plain: Frames
    marked: Frames
    path: Path
    signed: Signed
    entry: LedgerEntry
    ledger: Ledger
    payload: bytes


@pytest.fixture(scope="module")
def story(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A video made as the generator makes them: marked, encoded, fingerprinted, signed, written down among others."""
    folder = tmp_path_factory.mktemp("story")
    payload, key = wm.new_payload(), wm.installation_key()
    plain = moving_head(seed=51, seconds=12, side=256)
    marked = mark(plain, key=key, payload=payload)
    encoded = encode(marked, folder / "encoded.mp4", crf=17)
    print_ = fp.of_video(encoded)
    spec = ManifestSpec(
        kind="ai-generated",
        label={"rights": "sample"},
        soft_bindings=bindings.soft_bindings(watermark=payload, fingerprint=print_),
    )
    signed = sign_file(encoded, folder / "made.mp4", manifest=spec)
    ledger = Ledger(folder / "ledger.sqlite", witness=folder / "witness.json")
    for seed in (60, 61, 62):
        other = fp.of_video(moving_head(seed=seed, seconds=8, side=64))
        ledger.append(
            Record(kind="signed", name="other", sha256="0" * 64, manifest_id=f"urn:{seed}", fingerprint=other)
        )
    entry = ledger.append(
        Record(
            kind="made", name="made.mp4", sha256=sha256_file(folder / "made.mp4"), manifest_id=signed.manifest_id,
            manifest=signed.manifest, label={"rights": "sample"}, watermark=payload, fingerprint=print_,
        )
    )  # fmt: skip
    return Story(plain, marked, folder / "made.mp4", signed, entry, ledger, payload)


def test_a_stripped_and_coarsely_encoded_file_is_found_by_its_watermark(story: Story, tmp_path: Path):
    found = recover(encode(story.marked, tmp_path / "stripped.mp4", crf=31), story.ledger)
    assert found is not None
    assert (found["match"], found["manifest"], found["entry"]) == (
        "watermark",
        story.signed.manifest_id,
        story.entry.seq,
    )
    assert found["distance"] < 0.25 and "possible match" in found["status"]


def test_without_its_watermark_it_is_found_by_its_fingerprint_in_part(story: Story, tmp_path: Path):
    part = [cv2.resize(f[8:-8, 8:-8], (200, 200)) for f in story.plain[50:250]]
    found = recover(encode(part, tmp_path / "part.mp4", crf=28), story.ledger)
    assert found is not None and found["match"] == "fingerprint" and found["manifest"] == story.signed.manifest_id
    assert found["offset_s"] == pytest.approx(2.0, abs=0.25)


def test_the_watermark_is_not_needed_to_be_in_this_ledger(story: Story, tmp_path: Path):
    """A mark of this key that the ledger does not know names nothing, and the fingerprint is asked."""
    with Ledger(tmp_path / "empty.sqlite") as empty:
        assert recover(story.path, empty) is None


def test_what_was_never_here_is_not_found(story: Story, tmp_path: Path):
    other = encode(moving_head(seed=99, seconds=6, side=200), tmp_path / "other.mp4")
    assert recover(other, story.ledger) is None


def test_what_is_no_video_is_not_found_and_no_crash(story: Story, tmp_path: Path):
    (tmp_path / "text.mp4").write_text("no video")
    assert recover(tmp_path / "text.mp4", story.ledger) is None


def test_the_soft_bindings_are_read_back_by_the_c2pa_reader(story: Story):
    with story.path.open("rb") as f, Reader("video/mp4", f) as reader:
        store = json.loads(reader.json())
        found = [
            a["data"]
            for a in store["manifests"][store["active_manifest"]]["assertions"]
            if a["label"].startswith("c2pa.soft-binding")
        ]
    by_alg = {d["alg"]: d["blocks"][0]["value"] for d in found}
    assert set(by_alg) == {"org.facewitness.watermark.1", "org.facewitness.fingerprint.1"}
    assert bindings.payload_of(by_alg[wm.ALGORITHM]) == story.payload
    print_ = bindings.fingerprint_of(by_alg[fp.ALGORITHM])
    assert [m.seq for m in story.ledger.find_by_fingerprint(print_)] == [story.entry.seq]


def test_verify_recover_says_absent_and_what_it_may_be(story: Story, home: Path, tmp_path: Path):
    stripped = encode(story.marked, tmp_path / "stripped.mp4", crf=28)
    environment = {**os.environ, "FACEWITNESS_LEDGER": story.ledger.url.removeprefix("sqlite:///")}
    command = [sys.executable, "-m", "facewitness", "verify", str(stripped), "--recover", "--json"]
    said = subprocess.run(command, capture_output=True, text=True, env=environment)
    answer = json.loads(said.stdout)
    row = answer["files"][0] if "files" in answer else answer
    assert row["state"] == "absent" and row["ai"] == "unknown"
    assert row["recovered"]["match"] == "watermark" and row["recovered"]["manifest"] == story.signed.manifest_id
    assert said.returncode == 4


@pytest.mark.parametrize("value", ["", "!!", "AAAA", "A" * 40_000, "ZndmMQAAAAAAAAAAAAAA"])
def test_a_value_that_is_none_is_refused(value: str):
    for read in (bindings.payload_of, bindings.fingerprint_of):
        with pytest.raises(UsageError):
            read(value)


def test_a_long_video_says_which_part_its_assertion_covers():
    import numpy as np

    long = fp.Fingerprint(vectors=np.ones((300, fp.DIMENSIONS), np.int8), starts_s=np.arange(300.0), duration_s=301)
    (binding,) = bindings.soft_bindings(fingerprint=long)
    assert binding.scope == {"timespan": {"start": 0, "end": 120_000}}
    assert len(bindings.fingerprint_of(binding.value)) == 120
