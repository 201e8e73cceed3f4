"""What a hostile manifest or a hostile name may not do: run, steer, reorder, flood, or hide."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from facewitness.provenance import cose
from facewitness.provenance.audit import Audit
from facewitness.provenance.inert import MAX_TEXT, bounded, visible
from facewitness.provenance.manifest import Ingredient, ManifestSpec
from facewitness.provenance.policy import default_policy
from facewitness.provenance.report import Csv, JsonLines, JsonObject, Page, write_reports
from facewitness.provenance.sign import sign_file
from facewitness.provenance.text import Lines
from facewitness.provenance.verify import verify_file

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n"
REORDER = "invoice\u202efdp.exe\u2066\u200b\ufeff"
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture(scope="module")
def hostile(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """An audit whose every text was written by somebody hostile, who even is a trusted signer."""
    folder = tmp_path_factory.mktemp("hostile")
    text = SCRIPT + ESCAPES + REORDER
    spec = ManifestSpec(
        kind="ai-edited", title=FORMULA + text, description=text,
        label={text: text, "deep": _nested(40), "long": "x" * 900_000, "many": list(range(5000))},
        ingredients=(Ingredient(path=video, title=text),),
    )  # fmt: skip
    out = sign_file(video, folder / "a.mp4", manifest=spec).path
    audit = verify_file(out)
    assert audit.state == "trusted", audit
    return replace(audit, path=f"{FORMULA}{text}.mp4")


def _nested(depth: int) -> dict:
    return {"in": _nested(depth - 1)} if depth else {}


def steering(text: str) -> list[str]:
    """Characters that would steer a terminal or reorder a line."""
    return [c for c in text if c != "\n" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u200b\ufeff")]


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_no_text_of_a_manifest_runs_in_the_page(hostile: Audit) -> None:
    out = io.StringIO()
    write_reports([hostile], [Page(out, default_policy())])
    page = out.getvalue()
    elements = Elements()
    elements.feed(page)
    assert not elements.tags & {"script", "img", "iframe", "object", "embed", "link", "svg", "a", "form"}
    assert not any(a.startswith("on") or a in ("href", "src", "action") for a in elements.attributes)
    assert "&lt;script&gt;" in page and "default-src 'none'" in page
    assert not steering(page) and len(page) < 200_000


def test_no_text_of_a_manifest_steers_the_terminal(hostile: Audit) -> None:
    said: list[str] = []
    write_reports([hostile], [Lines(said.append, full=True, verbose=True)])
    text = "".join(said)
    assert not steering(text) and "\\u202e" in text and "\\u001b" in text and len(text) < 20_000


def test_json_is_plain_ascii_and_bounded(hostile: Audit) -> None:
    for sink in (JsonLines, lambda write: JsonObject(write, default_policy(), single=True)):
        said: list[str] = []
        write_reports([hostile], [sink(said.append)])
        text = "".join(said)
        assert text.isascii() and not steering(text) and len(text) < 1_000_000
        assert json.loads(text)["path"] == hostile.path


def test_no_cell_of_the_table_is_computed(hostile: Audit) -> None:
    out = io.StringIO()
    write_reports([hostile], [Csv(out)])
    header, row = csv.reader(io.StringIO(out.getvalue()))
    assert len(header) == len(row) and not any(cell[:1] in ("=", "+", "-", "@") for cell in row)
    assert not steering("".join(row))


def test_megabytes_of_text_are_cut(hostile: Audit) -> None:
    assert hostile.label and len(hostile.label["long"]) < MAX_TEXT + 60 and "more characters" in hostile.label["long"]
    assert len(hostile.label["many"]) < 600
    assert len(json.dumps(bounded({"x": ["y" * 10_000] * 10_000}))) < 1_000_000
    assert visible("a\u202eb\x1b[0m") == "a\\u202eb\\u001b[0m"


def test_a_folder_of_traps_is_verified_from_inside_it(video: Path, tmp_path: Path) -> None:
    for module in ("json", "c2pa", "struct", "facewitness"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('hijacked')")
    name = os.fsdecode(b"caf\xe9 \x1b[31m.mp4")
    (tmp_path / name).write_bytes(video.read_bytes())
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe.mp4")
    program = Path(sys.executable).with_name("facewitness")
    done = subprocess.run([program, "verify", ".", "--jsonl"], cwd=tmp_path, capture_output=True, timeout=60)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {r["state"] for r in rows} == {"absent", "unreadable"} and len(rows) == 2, done.stderr


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x9f", b"\x5f\x41", b"\x81" * 5000, b"\x9b" + b"\xff" * 8, b"\xbf\x01", b"\xf8",
        b"\x5b" + b"\xff" * 8, b"\xa5\x80", b"\xc1" * 100,
    ],
)  # fmt: skip
def test_malformed_cbor_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        cose.decode(data)


def test_random_mutations_are_never_trusted_with_altered_media() -> None:
    """A share of what ``bench.provenance`` runs ten thousand times."""
    command = [sys.executable, "-m", "bench.provenance", "--only", "mutations", "--mutations", "600", "--json"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=250)
    found = json.loads(done.stdout)["mutations"]
    assert done.returncode == 0 and found["wrong"] == [] and found["ok"], found
    assert {"invalid", "unreadable"} <= set(found["states"])
