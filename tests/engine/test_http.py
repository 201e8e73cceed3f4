"""The HTTP interface keeps its limits, its promises and its jobs."""

import json
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from facewitness.detector.engine import Budget, Scanner
from facewitness.detector.engine.http import HttpSettings, make_app, tokens_from
from facewitness.detector.engine.service import ServiceSettings

TOKEN = {"Authorization": "Bearer secret"}
OTHER = {"Authorization": "Bearer other"}


@pytest.fixture
def settings(tmp_path, scanner):
    def make(pause_s: float = 0.0, queue: int = 8, grace_s: float = 5, **options) -> HttpSettings:
        slow = Scanner(function=scanner.function, options={"pause_s": pause_s}, model_id="standin")
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        service = ServiceSettings(
            out=tmp_path / "out",
            scanner=slow,
            workers=1,
            budget=Budget(base_s=30, memory_mb=400),
            queue=queue,
            grace_s=grace_s,
        )
        return HttpSettings(service=service, tokens=("secret", "other"), root=root, upload_bytes=10_000, **options)

    return make


@pytest.fixture
def client(settings):
    with TestClient(make_app(settings())) as client:
        yield client


def upload(client, text="ok upload", name="clip.mp4", headers=TOKEN):
    return client.post("/v1/scans", files={"file": (name, text.encode())}, headers=headers)


def finished(client, job, headers=TOKEN, seconds=90):
    for _ in range(int(seconds / 0.05)):
        told = client.get(f"/v1/scans/{job}", headers=headers).json()
        if told["state"] == "done":
            return told
        time.sleep(0.05)
    raise AssertionError(f"{told} after {seconds} s")


def test_an_upload_is_scanned_reported_and_deleted(client, tmp_path):
    job = upload(client)
    assert job.status_code == 202 and job.json()["state"] == "queued"
    finished(client, job.json()["id"])
    report = client.get(f"/v1/scans/{job.json()['id']}/report", headers=TOKEN).json()
    assert (report["path"], report["status"], report["schema"]) == ("clip.mp4", "ok", "facewitness.scan/1")
    assert list((tmp_path / "out" / "uploads").iterdir()) == []


def test_a_file_is_scanned_by_path_only_below_the_allowed_folder(client, tmp_path):
    (tmp_path / "root" / "a.mp4").write_text("ok by path")
    (tmp_path / "secret.mp4").write_text("ok secret")
    (tmp_path / "root" / "link.mp4").symlink_to(tmp_path / "secret.mp4")

    def ask(path):
        return client.post("/v1/scans/path", json={"path": path}, headers=TOKEN)

    assert finished(client, ask("a.mp4").json()["id"])["state"] == "done"
    assert (tmp_path / "root" / "a.mp4").exists()
    for outside in ("../secret.mp4", str(tmp_path / "secret.mp4"), "link.mp4"):
        assert ask(outside).status_code == 403
    for absent in ("nothing.mp4", ".", "a.mp4/b", "\x00", "a" * 4000):
        assert ask(absent).status_code == 404


def test_without_a_valid_token_there_is_nothing_to_see(client):
    job = upload(client).json()["id"]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        assert client.get("/v1/scans", headers=headers).status_code == 401
        assert upload(client, headers=headers).status_code == 401
    assert client.get(f"/v1/scans/{job}", headers=OTHER).status_code == 404
    assert client.get("/v1/scans", headers=OTHER).json() == {"jobs": []}
    assert client.get("/v1/health").json()["status"] == "ok"


def test_what_comes_without_a_token_is_not_even_read(settings):
    import asyncio

    said = []

    async def receive():
        raise AssertionError("the body was read")

    async def send(message):
        said.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/scans", "raw_path": b"/v1/scans", "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x"), (b"authorization", b"Bearer wrong")],
    }  # fmt: skip
    asyncio.run(make_app(settings())(scope, receive, send))
    assert said[0]["status"] == 401 and b"token" in said[1]["body"]


def test_a_large_upload_is_refused_with_and_without_its_length(client, tmp_path):
    assert upload(client, "x" * 20_000).status_code == 413
    assert upload(client, "x" * 200_000).status_code == 413

    def endless():
        for _ in range(1000):
            yield b"x" * 1000

    headers = {**TOKEN, "content-type": "multipart/form-data; boundary=x"}
    assert client.post("/v1/scans", content=endless(), headers=headers).status_code in (400, 413)
    assert not list((tmp_path / "out").glob("uploads/*"))


def test_a_full_queue_answers_429_and_takes_jobs_again_later(settings):
    with TestClient(make_app(settings(pause_s=0.3, queue=2))) as client:
        answers = [upload(client, f"ok {i}") for i in range(5)]
        codes = [a.status_code for a in answers]
        assert codes[:2] == [202, 202] and 429 in codes
        refused = answers[codes.index(429)]
        assert int(refused.headers["retry-after"]) > 0
        for answer in answers:
            if answer.status_code == 202:
                finished(client, answer.json()["id"])
        assert upload(client, "ok later").status_code == 202


def test_too_many_requests_of_one_token_are_answered_429(settings):
    with TestClient(make_app(settings(requests_per_minute=5))) as client:
        codes = [client.get("/v1/scans", headers=TOKEN).status_code for _ in range(8)]
        assert codes[:5] == [200] * 5 and codes[-1] == 429
        assert client.get("/v1/scans", headers=OTHER).status_code == 200


def test_progress_is_streamed_until_the_job_is_done(settings):
    with TestClient(make_app(settings(pause_s=0.5))) as client:
        job = upload(client).json()["id"]
        with client.stream("GET", f"/v1/scans/{job}/events", headers=TOKEN) as stream:
            lines = list(stream.iter_lines())
    states = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert states[-1] == "done" and set(states) <= {"queued", "running", "done"}
    assert json.loads([line for line in lines if line.startswith("data: ")][-1][6:])["result"]


def test_a_report_that_is_not_ready_and_a_review(settings):
    with TestClient(make_app(settings(pause_s=0.5))) as client:
        job = upload(client).json()["id"]
        assert client.get(f"/v1/scans/{job}/report", headers=TOKEN).status_code == 409
        finished(client, job)
        decision = {"decision": "confirm", "note": "lids do not move", "author": "ana"}
        assert client.post(f"/v1/scans/{job}/reviews", json=decision, headers=TOKEN).status_code == 201
        assert client.post(f"/v1/scans/{job}/reviews", json={"decision": "x"}, headers=TOKEN).status_code == 422
        report = client.get(f"/v1/scans/{job}/report", headers=TOKEN).json()
        assert [(r["decision"], r["author"]) for r in report["reviews"]] == [("confirm", "ana")]


def test_a_bad_clip_is_a_report_not_a_failure(client):
    for text, status in (("die", "error"), ("unreadable", "unreadable"), ("raise", "error")):
        job = upload(client, text).json()["id"]
        finished(client, job)
        assert client.get(f"/v1/scans/{job}/report", headers=TOKEN).json()["status"] == status


def test_jobs_left_when_the_service_stops_are_done_after_its_next_start(settings):
    with TestClient(make_app(settings(pause_s=1.0, grace_s=0.1))) as client:
        kept = [upload(client, f"ok {i}").json()["id"] for i in range(3)]
        time.sleep(0.3)
    with TestClient(make_app(settings())) as client:
        for job in kept:
            finished(client, job)
            assert client.get(f"/v1/scans/{job}/report", headers=TOKEN).json()["status"] == "ok"


def test_names_of_uploads_are_only_names(client, tmp_path):
    for name in ("../../evil.mp4", "/etc/passwd", "a\nb.mp4", "x.exe", "é" * 200):
        job = upload(client, f"ok {name}", name=name)
        assert job.status_code == 202
        finished(client, job.json()["id"])
    assert not (tmp_path / "evil.mp4").exists()
    assert {p.parent for p in Path(tmp_path).rglob("*.mp4")} <= {tmp_path / "root", tmp_path / "out" / "uploads"}


def test_tokens_are_read_from_lines_and_words():
    assert tokens_from("# team\nabc def\n\nabc\n") == ("abc", "def")
