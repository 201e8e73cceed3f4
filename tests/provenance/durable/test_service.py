"""The soft-binding resolution service: right answers, and nothing worse than a refusal for hostile requests."""

import asyncio
import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from facewitness.provenance import bindings, service
from facewitness.provenance import fingerprint as fp
from facewitness.provenance import watermark as wm
from facewitness.provenance.ledger import Ledger, Record

from .conftest import KEY, PAYLOAD, Clip, encode

MANIFEST_ID = "urn:c2pa:1b2c-story"
LIMITS = service.Limits(upload_bytes=4 << 20, upload_s=2, analysis_s=40)


@pytest.fixture(scope="module")
def book(small_clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    folder = tmp_path_factory.mktemp("book")
    ledger = Ledger(folder / "ledger.sqlite", witness=folder / "witness.json")
    ledger.append(
        Record(kind="made", name="made.mp4", sha256="a" * 64, manifest_id=MANIFEST_ID, manifest=b"\x00jumbf",
        watermark=PAYLOAD,
               fingerprint=fp.of_video(small_clip.marked))
    )  # fmt: skip
    return ledger


@pytest.fixture(scope="module")
def client(book: Ledger) -> Iterator[TestClient]:
    with TestClient(service.create_app(book, key=KEY, limits=LIMITS), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def upload(small_clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encode(small_clip.marked, tmp_path_factory.mktemp("upload") / "clip.mp4", crf=30).read_bytes()


def ids(response) -> list[str]:
    assert response.status_code == 200, response.text
    return [m["manifestId"] for m in response.json()["matches"]]


def test_it_says_which_algorithms_it_knows(client: TestClient):
    assert client.get("/services/supportedAlgorithms").json() == {
        "watermarks": [{"alg": "org.facewitness.watermark.1"}],
        "fingerprints": [{"alg": "org.facewitness.fingerprint.1"}],
    }


def test_a_watermark_names_its_manifest_and_the_manifest_is_served(client: TestClient):
    value = bindings.watermark_value(PAYLOAD)
    for response in (
        client.get("/matches/byBinding", params={"alg": wm.ALGORITHM, "value": value}),
        client.post("/matches/byBinding", json={"alg": wm.ALGORITHM, "value": value}),
    ):
        assert response.json() == {"matches": [{"manifestId": MANIFEST_ID, "similarityScore": 100}]}
    served = client.get(f"/manifests/{MANIFEST_ID}")
    assert served.content == b"\x00jumbf" and served.headers["content-type"] == "application/c2pa"
    assert served.headers["x-content-type-options"] == "nosniff"


def test_a_fingerprint_names_its_manifest(client: TestClient, small_clip: Clip):
    value = bindings.fingerprint_value(fp.of_video(small_clip.plain[25:]))
    assert ids(client.post("/matches/byBinding", json={"alg": fp.ALGORITHM, "value": value})) == [MANIFEST_ID]


def test_content_is_matched_by_either(client: TestClient, upload: bytes):
    for alg in (None, wm.ALGORITHM, fp.ALGORITHM):
        parameters = {"alg": alg} if alg else {}
        response = client.post(
            "/matches/byContent", params=parameters, content=upload, headers={"Content-Type": "video/mp4"}
        )
        assert ids(response) == [MANIFEST_ID]


def test_what_is_unknown_has_no_match(client: TestClient):
    assert (
        ids(
            client.get("/matches/byBinding", params={"alg": wm.ALGORITHM, "value": base64.b64encode(bytes(8)).decode()})
        )
        == []
    )
    assert client.get("/manifests/urn:c2pa:other").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status"),
    [
        ("GET", "/matches/byBinding", {"params": {"alg": "com.example", "value": "AA=="}}, 400),
        ("GET", "/matches/byBinding", {"params": {"alg": wm.ALGORITHM, "value": "AA=="}}, 400),
        ("GET", "/matches/byBinding", {"params": {"alg": wm.ALGORITHM}}, 400),
        ("GET", "/matches/byBinding", {"params": {"alg": "a" * 5000, "value": "AA=="}}, 400),
        ("GET", "/matches/byBinding", {"params": {"alg": wm.ALGORITHM, "value": "A" * 33_000}}, 400),
        ("GET", "/matches/byBinding", {"params": {"alg": wm.ALGORITHM, "value": "AA==", "maxResults": 10**9}}, 400),
        ("POST", "/matches/byBinding", {"content": b"[" * 50_000}, 400),
        ("POST", "/matches/byBinding", {"content": b'{"alg": 1, "value": {}}'}, 400),
        ("POST", "/matches/byBinding", {"content": b"\xff\xfe"}, 400),
        ("POST", "/matches/byBinding", {"content": b"x" * 70_000}, 413),
        ("POST", "/matches/byContent", {"content": b"<html>", "headers": {"Content-Type": "text/html"}}, 415),
        ("POST", "/matches/byContent", {"content": b"no video", "headers": {"Content-Type": "video/mp4"}}, 422),
        ("POST", "/matches/byContent", {"content": b"", "headers": {"Content-Type": "video/mp4"}}, 422),
        ("POST", "/matches/byContent", {"content": b"x" * (5 << 20), "headers": {"Content-Type": "video/mp4"}}, 413),
        ("POST", "/matches/byReference", {"json": {"referenceUrl": "http://169.254.169.254/"}}, 501),
        ("GET", "/manifests/..%2f..%2f..%2fetc%2fpasswd", {}, 404),
        ("GET", "/manifests/%2e%2e%2fledger.sqlite", {}, 404),
        ("GET", "/manifests/" + "a" * 5000, {}, 404),
        ("GET", "/manifests/' OR 1=1 --", {}, 404),
        ("GET", "/manifests/a%00b", {}, 404),
        ("DELETE", f"/manifests/{MANIFEST_ID}", {}, 405),
        ("GET", "/docs", {}, 404),
    ],
)
def test_a_hostile_request_is_refused_in_a_sentence(
    client: TestClient, method: str, path: str, arguments: dict, status: int
):
    response = client.request(method, path, **arguments)
    assert response.status_code == status
    assert "Traceback" not in response.text and "sqlite" not in response.text and len(response.text) < 300


def test_a_body_without_a_length_is_counted_as_it_comes(client: TestClient):
    blocks = (b"x" * 65536 for _ in range(200))
    assert client.post("/matches/byContent", content=blocks, headers={"Content-Type": "video/mp4"}).status_code == 413


def test_an_upload_leaves_nothing_behind(
    client: TestClient, upload: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    headers = {"Content-Type": "video/mp4", "Content-Disposition": 'attachment; filename="../../evil"'}
    for content in (upload, b"no video"):
        client.post("/matches/byContent", content=content, headers=headers)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_takes_too_long_costs_one_process(book: Ledger, upload: bytes):
    app = service.create_app(book, key=KEY, limits=replace(LIMITS, analysis_s=0.2))
    with TestClient(app) as client:
        start = time.monotonic()
        response = client.post("/matches/byContent", content=upload, headers={"Content-Type": "video/mp4"})
    assert response.status_code == 422 and "0.2 s" in response.text and time.monotonic() - start < 10


def test_a_body_that_trickles_in_is_given_up(book: Ledger):
    """Straight to the application: a client that sends one byte and then nothing."""

    async def slow() -> int:
        app = service.create_app(book, key=KEY, limits=replace(LIMITS, upload_s=0.3))
        first = True

        async def receive() -> dict:
            nonlocal first
            if not first:
                await asyncio.sleep(3600)
            first = False
            return {"type": "http.request", "body": b"x", "more_body": True}

        status = []

        async def send(message: dict) -> None:
            status.append(message.get("status"))

        scope = {
            "type": "http", "method": "POST", "path": "/matches/byContent", "raw_path": b"/matches/byContent",
            "query_string": b"", "headers": [(b"content-type", b"video/mp4")], "http_version": "1.1", "scheme":
            "http", "client": ("x", 1), "server": ("x", 1), "root_path": "", "asgi": {"version": "3.0"},
        }  # fmt: skip
        await asyncio.wait_for(app(scope, receive, send), 10)
        return next(s for s in status if s)

    assert asyncio.run(slow()) == 408


def test_only_so_many_are_read_at_once(book: Ledger, upload: bytes):
    import httpx

    async def crowd() -> list[int]:
        app = service.create_app(book, key=KEY, limits=replace(LIMITS, at_once=1, analysis_s=0.5))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            asked = [
                client.post("/matches/byContent", content=upload, headers={"Content-Type": "video/mp4"})
                for _ in range(4)
            ]
            return [r.status_code for r in await asyncio.gather(*asked)]

    first, *others = sorted(asyncio.run(crowd()))
    assert first in (200, 422), "read in half a second or given up, as fast as the machine is"
    assert others == [503, 503, 503]


def test_a_random_fingerprint_is_no_match(client: TestClient):
    rng = np.random.default_rng(0)
    for _ in range(20):
        print_ = fp.Fingerprint(
            vectors=rng.integers(-127, 127, (9, fp.DIMENSIONS), dtype=np.int8), starts_s=np.arange(9.0), duration_s=10
        )
        value = bindings.fingerprint_value(print_)
        assert ids(client.post("/matches/byBinding", json={"alg": fp.ALGORITHM, "value": value})) == []
