"""Pictures of every page of the dashboard, light and dark: ``python -m bench.screenshots [--results DIR]``."""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facewitness.errors import EXIT_MISSING

PAGES = {
    "compare": "",
    "scan": "scan",
    "clip": "scan?clip={clip}",
    "provenance": "provenance?file={sha256}",
    "edit": "edit",
    "benchmark": "benchmark",
}


def _overlays(page) -> None:
    """Gaze over the pictures, and the heat of the frame they stand on."""
    page.locator(".fw").focus()
    for key in ("2", "5"):
        page.keyboard.press(key)
    page.wait_for_function(
        """() => [...document.querySelectorAll('*')]
             .flatMap((e) => e.shadowRoot ? [...e.shadowRoot.querySelectorAll('.picture .note')] : [])
             .every((n) => n.textContent.includes('log odds'))"""
    )
    page.evaluate("document.activeElement.blur()")


def _edited(page) -> None:
    """A turned head with one eye closed."""
    page.wait_for_selector(".ed[data-shown]")
    page.get_by_label("Preset").select_option("Turn the head")
    page.get_by_role("tab", name="Eyes").click()
    page.get_by_role("slider", name="Close left eye").evaluate(
        "(s) => { s.value = 1; s.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    page.wait_for_function(
        """() => [...document.querySelectorAll('*')]
             .some((e) => e.shadowRoot?.querySelector('.ed')?.dataset.shown.includes('close_left_eye'))"""
    )


def _compared(page) -> None:
    """A file beside the first thing it was made from."""
    page.get_by_role("button", name="compare").first.click()
    page.locator(".beside").wait_for()


DONE: dict[str, Callable] = {"compare": _overlays, "edit": _edited, "provenance": _compared}
"""What a visitor did on a page before its picture is taken."""
WIDTH, HEIGHT = 1440, 900
TALLEST = 2600
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def main() -> int:
    """Start a dashboard on the results, visit its pages and the report, write the pictures; returns an exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("out/demo"))
    parser.add_argument("--out", type=Path, default=Path("out/screenshots"))
    parser.add_argument("--at", type=float, default=2.0, help="second at which the players stand")
    parser.add_argument("pages", nargs="*", help=f"of {', '.join(PAGES)}, report; all where none is named")
    given = parser.parse_args()
    chromium = os.environ.get("FACEWITNESS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        print(
            "screenshots need a Chromium: apt-get install chromium, or name one in FACEWITNESS_CHROMIUM",
            file=sys.stderr,
        )
        return EXIT_MISSING
    if not given.results.is_dir():
        print(f"there are no results in {given.results}; run facewitness demo first", file=sys.stderr)
        return EXIT_MISSING
    from playwright.sync_api import sync_playwright

    given.out.mkdir(parents=True, exist_ok=True)
    with (
        dashboard(given.results) as url,
        sync_playwright() as p,
        p.chromium.launch(executable_path=chromium, args=list(FLAGS)) as browser,
    ):
        for scheme in ("light", "dark"):
            page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme).new_page()
            page.set_default_timeout(120_000)
            for name, path in PAGES.items():
                if not given.pages or name in given.pages:
                    clip, sha256 = last_clip(given.results)
                    shoot(
                        page,
                        f"{url}/{path.format(clip=clip, sha256=sha256)}",
                        given.out / f"{name}-{scheme}.png",
                        given.at,
                        DONE.get(name),
                    )
            report = given.results / "report.html"
            if report.is_file() and (not given.pages or "report" in given.pages):
                page.goto(report.absolute().as_uri())
                page.screenshot(path=given.out / f"report-{scheme}.png", full_page=True)
                print(given.out / f"report-{scheme}.png")
    return 0


@contextmanager
def dashboard(results: Path) -> Iterator[str]:
    """A dashboard on a free port, stopped at the end."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "facewitness", "dashboard", "--results", str(results), "--port", str(port)]
    server = subprocess.Popen([*command, "--no-browser"], stdout=subprocess.DEVNULL)
    url = f"http://localhost:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).read()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def last_clip(results: Path) -> tuple[int, str]:
    """The number of the newest result and the hash of its clip: in a demo, the reenactment."""
    from facewitness.dashboard.results import store_of

    store = store_of(results)
    return (number := store.last_number()), str((store.row(number) or {}).get("sha256"))


def shoot(page, url: str, out: Path, at_s: float, do: Callable | None = None) -> None:
    """Open a page, let its players stand at a time, ``do`` something, make the window as tall as the page, take the
    picture."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(url)
    page.wait_for_selector(".fw-foot")
    page.wait_for_timeout(2500)
    if page.locator(".fw").count():
        page.evaluate("(t) => window.dispatchEvent(new CustomEvent('facewitness-seek', {detail: {t, e: 0}}))", at_s)
    if do is not None:
        do(page)
        page.wait_for_timeout(1500)
        page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    height = page.evaluate("document.querySelector('.stMain').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": min(height + 10, TALLEST)})
    page.wait_for_timeout(2000)
    page.screenshot(path=out)
    print(out)


if __name__ == "__main__":
    sys.exit(main())
