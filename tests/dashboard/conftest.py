"""A demo folder drawn by hand: three cartoon clips with known blinks and gaze, their rows, audits and traces."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from facewitness.dashboard.traces import Traces, save_traces
from facewitness.files import sha256_file, to_json

FPS, SECONDS = 25, 4
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def draw_face(i: int, *, skin: tuple[int, int, int], closed: float, gaze: float, mouth: float) -> np.ndarray:
    """A 320x240 RGB cartoon: a frame counter as a bar at the bottom makes every frame tell its number."""
    image = np.full((240, 320, 3), 70, np.uint8)
    cv2.ellipse(image, (160, 115), (70, 92), 0, 0, 360, skin, -1, cv2.LINE_AA)
    for x in (132, 188):
        cv2.ellipse(
            image, (x, 100), (18, max(1, round(11 * (1 - closed)))), 0, 0, 360, (245, 245, 245), -1, cv2.LINE_AA
        )
        if closed < 0.6:
            cv2.circle(image, (round(x + 9 * gaze), 100), 7, (60, 90, 60), -1, cv2.LINE_AA)
    cv2.ellipse(image, (160, 160), (24, max(2, round(14 * mouth))), 0, 0, 360, (150, 60, 70), -1, cv2.LINE_AA)
    image[232:, : round(320 * (i + 1) / (FPS * SECONDS))] = (230, 230, 230)
    return image


def curves(phase: float) -> Traces:
    t = np.arange(FPS * SECONDS) / FPS
    closed = np.clip(1 - np.abs(((t - phase) % 2) - 0.3) / 0.12, 0, 1)
    gaze = np.sin(2 * np.pi * (t / 3 + phase)) * 15
    middle = np.array([[132, 100], [188, 100]], np.float32)
    ends = middle[None] + np.stack([gaze[:, None].repeat(2, 1), 0 * gaze[:, None].repeat(2, 1)], -1)
    ring = np.stack([np.cos(np.linspace(0, 6.28, 20)), np.sin(np.linspace(0, 6.28, 20))], -1) * (70, 92) + (160, 115)
    return Traces(
        t_s=t,
        lids=np.stack([closed, closed], 1).astype(np.float32),
        gaze_yaw_deg=gaze.astype(np.float32),
        gaze_pitch_deg=(gaze / 4).astype(np.float32),
        mouth=np.abs(np.sin(4 * t + phase)).astype(np.float32) * 0.3,
        head_yaw_deg=(8 * np.sin(t)).astype(np.float32),
        outline=np.broadcast_to(ring, (len(t), 20, 2)).astype(np.float32),
        gaze_rays=np.stack([np.broadcast_to(middle, ends.shape), ends], 2).astype(np.float32),
        paths=(20,),
    )


def scan_row(path: Path, *, p: float, verdict: str, text: str = "The eyes stop moving while the head turns.") -> dict:
    t = [i / FPS for i in range(FPS * SECONDS)]
    score = [min(1.0, max(0.0, p + 0.25 * np.sin(3 * s))) for s in t]
    fake = verdict == "manipulated"
    segments = [{"start_s": 1.0, "end_s": 2.4, "score": 0.91, "cue": "gaze"}] if fake else []
    cues = {
        "blink_rate": {
            "value": 14.0,
            "unit": "per minute",
            "likelihood_ratio": 0.8,
            "used": True,
            "why_not": None,
            "trace": {"t_s": t, "closure": [abs(np.sin(s)) for s in t]},
        },
        "gaze": {
            "value": 3.1,
            "unit": "degrees",
            "likelihood_ratio": 6.2 if fake else 0.4,
            "used": True,
            "why_not": None,
            "trace": {"t_s": t, "yaw": score},
        },
        "iris_shape": {
            "value": None,
            "unit": "",
            "likelihood_ratio": None,
            "used": False,
            "why_not": "The irises are 6.0 px across and this cue needs 12.",
            "trace": None,
        },
    }
    return {
        "schema": "facewitness.scan/1",
        "path": str(path),
        "sha256": sha256_file(path),
        "status": "ok",
        "error": None,
        "duration_s": float(SECONDS),
        "fps": float(FPS),
        "width": 320,
        "height": 240,
        "verdict": verdict,
        "p_fake": p,
        "reasons": [{"cue": "gaze", "text": text, "start_s": 1.0, "end_s": 2.4}] if fake else [],
        "faces": [
            {
                "track": 0,
                "p_fake": p,
                "verdict": verdict,
                "iris_px": 6.0,
                "timeline": {"t_s": t, "score": score},
                "cues": cues,
                "segments": segments,
            }
        ],
        "provenance": None,
        "model": {"id": "test-1", "sha256": "0" * 64},
        "seconds": 0.7,
    }


def audit_row(path: Path, state: str, *, title: str = "driver.mp4") -> dict:
    signed = state in ("trusted", "untrusted", "invalid")
    codes = [
        {
            "code": "claimSignature.validated",
            "url": "self#jumbf",
            "explanation": "The signature is intact.",
            "success": True,
        },
        {
            "code": "signingCredential.trusted",
            "url": "self#jumbf",
            "explanation": "The signer is on the list.",
            "success": state == "trusted",
        },
    ]
    return {
        "schema": "facewitness.verify/1",
        "path": str(path),
        "sha256": sha256_file(path),
        "state": state,
        "ai": "generated" if signed else "unknown",
        "signer": {"common_name": "Test signer", "issuer": "Test authority", "serial": "01"} if signed else None,
        "signed_at": "2026-01-02T03:04:05Z" if signed else None,
        "trust_list": "development list of 2026-01-01" if signed else None,
        "codes": codes if signed else [],
        "missing": ["time_stamp", "revocation"] if signed else [],
        "ingredients": [
            {
                "title": title,
                "relationship": "inputTo",
                "format": "video/mp4",
                "ingredients": [{"title": "an older take", "relationship": "parentOf"}],
            }
        ]
        if signed
        else [],
        "extra_boxes": [],
        "recovered": None,
        "second_opinion": None,
        "label": None,
        "error": None,
        "validated_at": "2026-01-02T03:05:00Z",
    }


MANY = 20_000


def make_many(folder: Path) -> Path:
    """A folder of results with MANY rows."""
    from facewitness.detector.engine.store import open_store
    from facewitness.detector.engine.tables import results

    names = ("no_evidence", "inconclusive", "manipulated")
    with open_store(folder) as store:
        row = {"path": "/clips/clip-00000.mp4", "status": "ok", "verdict": "no_evidence", "p_fake": 0.0, "faces": []}
        store.add({**row, "duration_s": 5.0, "width": 640, "height": 360}, key="0", model="m", configuration="c")
        first = {k: v for k, v in store.read(results.select())[0]._mapping.items() if k != "id"}
        rows = [
            {**first, "key": str(i), "path": f"/clips/clip-{i:05d}.mp4", "p_fake": i % 1000 / 1000,
             "verdict": names[min(i % 1000 // 400, 2)]}
            for i in range(1, MANY)
        ]  # fmt: skip
        store.write(*(results.insert().values(rows[k : k + 400]) for k in range(0, len(rows), 400)))
    return folder


def make_demo(folder: Path) -> Path:
    """Write the three clips, demo.json, scan.jsonl, verify.jsonl and traces.npz into ``folder``."""
    from facewitness.media import VideoWriter

    folder.mkdir(parents=True, exist_ok=True)
    looks = {"target": ((214, 168, 140), 0.0), "driver": ((160, 120, 95), 0.6), "reenactment": ((214, 168, 140), 0.6)}
    traces = {}
    for role, (skin, phase) in looks.items():
        traces[role] = c = curves(phase)
        with VideoWriter(folder / f"{role}.mp4", width=320, height=240, frame_rate=Fraction(FPS)) as writer:
            for i in range(FPS * SECONDS):
                writer.write(
                    draw_face(
                        i,
                        skin=skin,
                        closed=float(c.lids[i, 0]),
                        gaze=float(c.gaze_yaw_deg[i] / 15),
                        mouth=float(c.mouth[i] * 2),
                    )
                )
    save_traces(traces, folder / "traces.npz")
    rows = [
        scan_row(folder / "target.mp4", p=0.12, verdict="no_evidence"),
        scan_row(folder / "driver.mp4", p=0.44, verdict="inconclusive"),
        scan_row(folder / "reenactment.mp4", p=0.93, verdict="manipulated", text=f"The eyes stop {HOSTILE}"),
    ]
    audits = [
        audit_row(folder / "target.mp4", "absent"),
        audit_row(folder / "driver.mp4", "untrusted"),
        audit_row(folder / "reenactment.mp4", "trusted", title=HOSTILE),
    ]
    (folder / "scan.jsonl").write_text("".join(to_json(r) + "\n" for r in rows))
    (folder / "verify.jsonl").write_text("".join(to_json(a) + "\n" for a in audits))
    label = {
        "method": "reenactment",
        "target_id": "sample-a",
        "driver_id": "sample-b",
        "rights": "sample footage",
        "taken": ["head", "expression", "gaze", "lids"],
        "seed": 0,
    }
    (folder / "reenactment.mp4.label.json").write_text(json.dumps(label))
    demo = {
        "target": "target.mp4",
        "driver": "driver.mp4",
        "reenactment": "reenactment.mp4",
        "rows": rows,
        "audits": audits,
        "traces": "traces.npz",
        "actor": {"name": "sample-a", "rights": "sample footage", "size": 256},
    }
    (folder / "demo.json").write_text(to_json(demo, indent=1))
    return folder


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo(tmp_path_factory.mktemp("dashboard") / "demo")


@pytest.fixture(scope="session")
def many_folder(demo_folder: Path) -> Path:
    """Results of a large scan, beside the demo."""
    return make_many(demo_folder.parent / "many")


@pytest.fixture(scope="session")
def set_folder(demo_folder: Path) -> Path:
    """Results of two models on a labelled set, beside the demo."""
    return make_set(demo_folder.parent / "scored")


def make_set(folder: Path) -> Path:
    """A folder of results with scores of two models, and beside them a set of 160 labelled clips of 10 people; no
    video is there, and nobody looks for one."""
    from facewitness.datasets.labels import Clip, write_labels
    from facewitness.detector.engine.store import open_store

    chance = np.random.default_rng(5)
    clips = []
    with open_store(folder) as store:
        for i in range(160):
            fake, person = i % 2 == 1, f"p{i % 10}"
            method = ("gaze_frozen", "blinks_regular", "reenactment")[i // 2 % 3] if fake else ""
            degree = (i // 6 % 4 + 1) / 4 if method in ("gaze_frozen", "blinks_regular") else 0.0
            sha = f"{i + 1:064x}"
            clips.append(
                Clip(
                    clip_id=f"c{i:03d}", path=f"clips/c{i:03d}.mp4", label="fake" if fake else "real", method=method,
                    target_id=person, driver_id=person, split="train" if i % 10 < 6 else "test", fps=25, frames=125,
                    width=384, height=384, codec="h264", crf=(18, 28, 40)[i // 10 % 3], sha256=sha,
                    rights="sample footage", factor=method if degree else "", degree=degree,
                )
            )  # fmt: skip
            for model, skill in (("one", 0.35), ("two", 0.15)):
                p = float(np.clip(0.3 + (skill * (0.4 + degree) if fake else 0) + chance.normal(0, 0.12), 0.01, 0.99))
                verdict = "manipulated" if p > 0.8 else "inconclusive" if p > 0.5 else "no_evidence"
                row = {"path": f"c{i:03d}.mp4", "sha256": sha, "status": "ok", "verdict": verdict, "p_fake": p}
                store.add(row, key=sha, model=model, configuration="c")
    write_labels(folder / "set", clips)
    return folder


@pytest.fixture(scope="session")
def hostile() -> str:
    """A text that would run as a script wherever it is not escaped."""
    return HOSTILE


CHROMIUM_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Visit:
    """One page in a real browser, with everything it complained about and every host it asked."""

    def __init__(self, page, base: str):
        self.page, self.base, self.complaints, self.hosts = page, base, [], set()
        page.set_default_timeout(90_000)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc or urlsplit(request.url).scheme))

    def _said(self, message) -> None:
        # Streamlit itself asks for its health below every page's address first; the answer there is 404
        if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
            self.complaints.append(message.text)

    def open(self, path: str = "", *, wait: str = ".fw-foot"):
        self.page.goto(f"{self.base}/{path}")
        self.page.wait_for_selector(wait)
        return self.page

    def upload(self, path: Path) -> None:
        """Choose a file in the page's first uploader and wait, as a person does, until it has arrived."""
        from playwright.sync_api import TimeoutError as TimedOut

        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
        uploader = self.page.locator("input[type=file] >> nth=0")
        for last in (False, True):  # on a busy machine a choice falls into a rerun and is lost; a person chooses again
            try:
                with self.page.expect_response(
                    lambda r: "upload_file" in r.url and r.request.method == "PUT", timeout=30_000
                ):
                    uploader.set_input_files(str(path))
                break
            except TimedOut:
                if last:
                    raise
        self.page.get_by_text(path.name).first.wait_for()
        self.page.wait_for_timeout(500)

    def playing(self):
        """The players of the page, once every video can be played."""
        self.page.wait_for_function(
            """() => { const all = [...document.querySelectorAll('*')].flatMap((e) => e.shadowRoot
                 ? [...e.shadowRoot.querySelectorAll('video')] : []);
                 return all.length && all.every((v) => v.readyState >= 2 && !v.seeking); }"""
        )
        return self.page.locator(".fw")

    def times(self) -> list[float]:
        """What each video shows now, in one look."""
        return self.page.evaluate(
            """[...document.querySelectorAll('*')].flatMap((e) => e.shadowRoot
                 ? [...e.shadowRoot.querySelectorAll('video')].map((v) => v.currentTime) : [])"""
        )

    def changed(self, picture, was: str) -> None:
        """Wait until a picture shows something else than it did."""
        self._until(lambda: picture.get_attribute("src") != was)

    def becomes(self, picture, wanted: str) -> None:
        """Wait until a picture shows what it should."""
        self._until(lambda: picture.get_attribute("src") == wanted)

    def _until(self, true) -> None:
        for _ in range(400):
            if true():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError("the picture did not come")

    def settled(self, seconds: float) -> None:
        """Wait until every video stands within a frame of ``seconds``."""
        self.page.wait_for_function(
            """([t, frame]) => { const all = [...document.querySelectorAll('*')].flatMap((e) => e.shadowRoot
                 ? [...e.shadowRoot.querySelectorAll('video')] : []);
                 return all.length && all.every((v) => !v.seeking && Math.abs(v.currentTime - t) <= frame); }""",
            arg=[seconds, 1.01 / FPS],
        )


@contextmanager
def serving(home: Path, *options: str):
    """A dashboard of its own, started as a user starts it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environment = {**os.environ, "FACEWITNESS_HOME": str(home), "FACEWITNESS_CACHE": str(home / "cache")}
    environment.pop("FACEWITNESS_RESULTS", None)
    command = [sys.executable, "-m", "facewitness", "dashboard", "--port", str(port), "--no-browser", *options]
    with (home / "log.txt").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=home)
        url = f"http://localhost:{port}"
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).read()
                    break
                except OSError:
                    assert server.poll() is None, (home / "log.txt").read_text()
                    time.sleep(0.1)
            yield url
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture(scope="session")
def dashboard_url(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    """A dashboard on the cartoon demo."""
    with serving(tmp_path_factory.mktemp("home"), "--results", str(demo_folder)) as url:
        yield url


@pytest.fixture(scope="module")
def empty_dashboard(tmp_path_factory: pytest.TempPathFactory):
    """A dashboard with nothing configured, started where there is nothing: its default folder and a visitor."""
    home, contexts = tmp_path_factory.mktemp("empty"), []
    with serving(home) as url:

        def visitor(browser):
            contexts.append(browser.new_context())
            return home / "out" / "demo", Visit(contexts[-1].new_page(), url)

        yield visitor
        for context in contexts:
            context.close()


@pytest.fixture(scope="module")
def browser():
    """Debian's (or any other) Chromium that plays H.264; the tests that need it skip where there is none.

    Not for the session: Playwright's loop would go on running in the main thread, where other rooms run theirs.
    """
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("FACEWITNESS_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.skip("no Chromium is installed (apt-get install chromium, or name one in FACEWITNESS_CHROMIUM)")
    playwright = pytest.importorskip("playwright.sync_api")
    with (
        playwright.sync_playwright() as p,
        p.chromium.launch(executable_path=found, args=list(CHROMIUM_FLAGS)) as chromium,
    ):
        yield chromium


@pytest.fixture
def visit(browser, dashboard_url: str):
    """A fresh visitor of the dashboard."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    visitor = Visit(context.new_page(), dashboard_url)
    yield visitor
    context.close()
    assert {h.split(":")[0] for h in visitor.hosts} <= {"localhost", "data", "blob"}, "nothing is fetched from outside"


@pytest.fixture(scope="session")
def signed_clip(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with a real manifest whose title is a script and turns the direction of text."""
    from facewitness.provenance import ManifestSpec, ensure_signer, sign_file

    folder = tmp_path_factory.mktemp("signed")
    spec = ManifestSpec(kind="ai-generated", title=f"{HOSTILE} \u202e turned")
    sign_file(demo_folder / "driver.mp4", folder / "signed.mp4", manifest=spec, signer=ensure_signer(folder / "home"))
    return folder / "signed.mp4"


@pytest.fixture(scope="session")
def made_from(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A made clip and the made clip that its manifest names as its driver, with a picture of each."""
    from facewitness.generator.label import Label
    from facewitness.generator.publishing import publish
    from facewitness.media import read_frames
    from facewitness.provenance import Ingredient

    folder = tmp_path_factory.mktemp("made")
    label = Label(method="reenactment", target_id="a", driver_id="b", rights="sample footage")

    def make(role: str, name: str, *ingredients: Ingredient) -> Path:
        frames = (f.image for f in read_frames(demo_folder / f"{role}.mp4"))
        return publish(
            frames, folder / name, frame_rate=Fraction(FPS), label=label, ingredients=ingredients
        ).path  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEWITNESS_HOME", str(folder / "home"))  # keys and ledger of its own
        parent = make("driver", "parent.mp4")
        child = make("target", "made.mp4", Ingredient(path=parent, title="the driver", relationship="inputTo"))
    return child, parent


@pytest.fixture(scope="session")
def sample_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of a sample actor: a drawn person, but a face to every part of the detector."""
    from facewitness.datasets import SAMPLES, make_sample

    return make_sample(SAMPLES[0], tmp_path_factory.mktemp("footage") / "sample.mp4", seconds=5.2, seed=3)


@pytest.fixture(scope="session")
def actor_folder(demo_folder: Path, sample_clip: Path) -> Path:
    """An actor made in seconds from sample footage, where the dashboard finds it: good enough to move under sliders."""
    from facewitness.generator import train_actor

    train_actor(sample_clip, demo_folder / "actor", rights="sample footage", minutes=0.02, size=128, progress=False)
    return demo_folder / "actor"
