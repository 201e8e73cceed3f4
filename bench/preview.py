"""From a moved slider to its picture, in a real browser: ``python -m bench.preview [--results DIR] [--moves N]``."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from bench.screenshots import FLAGS, dashboard

from facewitness.errors import EXIT_MISSING

SLIDERS = {
    "Eyes": "Close left eye",
    "Head": "Turn, degrees",
    "Expression": "Smile, strength",
    "Face shape": "Jaw width",
}
"""One slider of each kind, by its tab; one that this generator lacks is left out."""


def main() -> int:
    """Move sliders, wait for the picture of each, print the milliseconds; returns an exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("out/demo"))
    parser.add_argument("--moves", type=int, default=25, help="moves of each slider")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    chromium = os.environ.get("FACEWITNESS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium or not given.results.is_dir():
        print("this needs a Chromium (FACEWITNESS_CHROMIUM) and the results of facewitness demo", file=sys.stderr)
        return EXIT_MISSING
    from playwright.sync_api import sync_playwright

    figures = {}
    with (
        dashboard(given.results) as url,
        sync_playwright() as p,
        p.chromium.launch(executable_path=chromium, args=list(FLAGS)) as browser,
    ):
        page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{url}/edit")
        page.wait_for_selector(".ed[data-shown]")
        for tab, name in SLIDERS.items():
            page.get_by_role("tab", name=tab).click()
            slider = page.get_by_role("slider", name=name)
            if slider.count():
                told = [_move(page, slider, i) for i in range(given.moves + 2)][2:]  # the first ones warm up
                figures[name] = {k: [round(t[k], 1) for t in told] for k in ("took", "made")}
    print(f"{'slider':<18}{'median':>8}{'p95':>8}{'worst':>8}   ms from the slider to its picture, {given.moves} moves")
    for name, figure in figures.items():
        took = np.array(figure["took"])
        made = f"(of these in the server {np.median(figure['made']):.0f})"
        print(f"{name:<18}{np.median(took):>8.0f}{np.percentile(took, 95):>8.0f}{took.max():>8.0f}   {made}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def _move(page, slider, i: int) -> dict[str, float]:
    """Move the slider once, as input events do, and wait for the picture that belongs to it."""
    before = page.locator(".ed").get_attribute("data-shown")
    slider.evaluate(
        """(s, part) => { s.value = +s.min + part * (s.max - s.min);
             s.dispatchEvent(new Event('input', { bubbles: true })); }""",
        0.3 + 0.1 * (i % 7),
    )
    page.wait_for_function(
        """(was) => [...document.querySelectorAll('*')].some((e) => e.shadowRoot?.querySelector('.ed')
             && e.shadowRoot.querySelector('.ed').dataset.shown !== was)""",
        arg=before,
    )
    told = page.locator(".ed")
    return {"took": float(told.get_attribute("data-took")), "made": float(told.get_attribute("data-made"))}


if __name__ == "__main__":
    sys.exit(main())
