"""Clips at addresses: fetched for as long as they are scanned, within limits, and not again where they are known."""

import functools
import http.server
import threading
import time
import xml.sax.saxutils
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import fsspec
import pytest

from facewitness.detector.engine import fetch
from facewitness.detector.engine.fetch import fetched, find_remote
from facewitness.errors import UnreadableInputError


class Web(http.server.BaseHTTPRequestHandler):
    """``/ok.mp4``, and addresses that misbehave."""

    asked: list[str]

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/ok.mp4":
            return self.answer(b"ok over http")
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", unquote(self.path[4:]))
            return self.end_headers()
        if self.path == "/announced.mp4":
            return self.answer(b"", length=5_000_000)
        if self.path == "/endless.mp4":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(1000):
                    self.wfile.write(b"x" * 100_000)
            except OSError:
                pass
            return None
        if self.path == "/cut.mp4":
            return self.answer(b"ok but", length=1000)
        if self.path == "/silent.mp4":
            time.sleep(3)
            return None
        return self.send_error(404)

    def answer(self, body, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)


class Bucket(Web):
    """As much of Amazon's S3 as reading needs: listing, sizes, ranges. Keys are files of ``folder``."""

    folder: Path

    def key(self):
        return unquote(urlsplit(self.path).path).lstrip("/")

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "list-type" in query:
            return self.listing(query.get("prefix", [""])[0])
        return self.object()

    def do_HEAD(self):
        return self.object(head=True)

    def object(self, head=False):
        path = self.folder / self.key()
        if not path.is_file():
            self.send_response(200 if head and path.is_dir() and "/" not in self.key() else 404)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        data, status = path.read_bytes(), 200
        size = len(data)
        if not head:
            self.asked.append(self.key())
        self.send_response(206 if (asked := self.headers.get("Range")) else status)
        if asked:
            start, end = (int(n or size - 1) for n in asked.removeprefix("bytes=").split("-"))
            data = data[start : end + 1]
            self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Last-Modified", "Mon, 01 Jun 2026 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.end_headers()
        if not head:
            self.wfile.write(data)
        return None

    def listing(self, prefix):
        bucket = self.key().strip("/")
        if not (self.folder / bucket).is_dir():
            return self.send_error(404)
        names = sorted(str(p.relative_to(self.folder / bucket)) for p in (self.folder / bucket).rglob("*.*"))
        told = "".join(
            f"<Contents><Key>{xml.sax.saxutils.escape(n)}</Key><LastModified>2026-06-01T00:00:00.000Z</LastModified>"
            f"<Size>{(self.folder / bucket / n).stat().st_size}</Size></Contents>"
            for n in names if n.startswith(prefix)
        )  # fmt: skip
        body = f"<?xml version='1.0'?><ListBucketResult><Name>{bucket}</Name><IsTruncated>false</IsTruncated>{told}"
        return self.answer((body + "</ListBucketResult>").encode())


@pytest.fixture
def served():
    """Starts a server for a handler; gives its address and the list of what was asked for."""
    running = []

    def start(handler, **settings):
        kind = type("Served", (handler,), {"asked": [], **settings})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
        server.daemon_threads = True
        threading.Thread(target=functools.partial(server.serve_forever, 0.05), daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}", kind.asked

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def bucket(served, tmp_path, monkeypatch):
    """A bucket ``films`` on a server that speaks S3; what was fetched from it."""
    folder = tmp_path / "s3" / "films"
    (folder / "day").mkdir(parents=True)
    address, asked = served(Bucket, folder=folder.parent)
    for name, value in {
        "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "x",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    fetch._arrow.cache_clear()
    yield folder, asked
    fetch._arrow.cache_clear()


def test_a_clip_of_a_web_server_is_scanned_and_known_by_its_content(served, scan, clips):
    address, _ = served(Web)
    (row,) = scan(f"{address}/ok.mp4")
    assert (row["status"], row["path"]) == ("ok", f"{address}/ok.mp4")
    folder = clips(local="ok over http")
    assert scan(folder)[0]["reused"], "the same bytes on disk are the same clip"
    assert len(scan.scanned()) == 1


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/none.mp4", "404"), ("/announced.mp4", "larger"), ("/endless.mp4", "larger"), ("/cut.mp4", "6 of 1,000"),
        ("/to?file:///etc/passwd", "redirect"), ("/to?ftp://127.0.0.1/x.mp4", "redirect"), ("/silent.mp4", "timed out"),
        ("/to?/to?/to?/to?/to?/to?/to?/to?/to?/to?/to?/to?/to?/ok.mp4", "redirect"),
    ],
)  # fmt: skip
def test_what_a_web_server_may_not_do_is_one_sentence(served, path, why, monkeypatch):
    monkeypatch.setattr(fetch, "MAX_BYTES", 2_000_000)
    monkeypatch.setattr(fetch, "NET_SECONDS", 0.5)
    address, _ = served(Web)
    before = set(Path(fetch.tempfile.gettempdir()).glob("facewitness-*"))
    with pytest.raises(UnreadableInputError, match=f"(?i){why}") as e, fetched(address + path):
        pass
    assert "\n" not in str(e.value)
    assert set(Path(fetch.tempfile.gettempdir()).glob("facewitness-*")) <= before, "nothing is left on the disk"


def test_a_bucket_is_walked_in_order_scanned_and_not_fetched_again(bucket, scan):
    folder, fetched_keys = bucket
    for name in ("b.mp4", "a.mp4", "day/c d.mp4", "notes.txt"):
        (folder / name).write_text(f"ok {name}")
    (folder / "day" / "bad.mp4").write_text("unreadable")
    rows = scan("s3://films")
    names = [f"s3://films/{n}" for n in ("a.mp4", "b.mp4", "day/bad.mp4", "day/c d.mp4")]
    assert [r["path"] for r in rows] == names
    assert [r["status"] for r in rows] == ["ok", "ok", "unreadable", "ok"]
    fetched_keys.clear()
    again = scan("s3://films")
    assert all(r["reused"] for r in again) and not fetched_keys
    assert [r["path"] for r in scan("s3://films/day/c d.mp4")] == names[3:]


def test_a_bucket_that_is_not_there_is_said(bucket):
    with pytest.raises(UnreadableInputError, match="cannot be listed"):
        list(find_remote("s3://nobody/folder"))


def test_other_file_systems_of_fsspec_are_walked_the_same_way():
    system = fsspec.filesystem("memory")
    for name in ("/films/b.mp4", "/films/a.mp4", "/films/x.txt"):
        system.pipe(name, name.encode())
    found = list(find_remote("memory://films"))
    assert [f.rsplit("/", 1)[1] for f in found] == ["a.mp4", "b.mp4"]
    with fetched(found[0]) as (path, sha256):
        assert path.read_bytes() == b"/films/a.mp4" and len(sha256) == 64
    assert not path.exists()
