"""What all pages share: the frame around them, their order, the look that Streamlit's own options do not reach."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from markupsafe import escape

from facewitness import __version__
from facewitness.dashboard import making, views
from facewitness.dashboard.server import DEFAULT_RESULTS, LOCAL_VARIABLE, RESULTS_VARIABLE
from facewitness.errors import FacewitnessError


def run() -> None:
    """Draw the page that the address asks for."""
    from facewitness.dashboard.screens import benchmark, compare, edit, provenance, scan

    st.set_page_config(page_title="facewitness", page_icon="◉", layout="wide", initial_sidebar_state="collapsed")
    style()
    asked = st.query_params.get("results", "")
    if asked and may_choose() and Path(asked).is_dir():
        st.session_state["results"] = asked
    pages = [
        st.Page(_guarded(compare.show), title="Compare", url_path="compare", default=True),
        st.Page(_guarded(scan.show), title="Scan", url_path="scan"),
        st.Page(_guarded(provenance.show), title="Provenance", url_path="provenance"),
        st.Page(_guarded(edit.show), title="Edit", url_path="edit"),
        st.Page(_guarded(benchmark.show), title="Benchmark", url_path="benchmark"),
    ]
    st.session_state["pages"] = {p.url_path or "compare": p for p in pages}
    st.navigation(pages, position="top").run()
    st.html(f'<p class="fw-foot">facewitness {escape(__version__)} · results in {escape(results_folder())}</p>')


def page(name: str) -> Any:
    """A page of this app, to link to: ``compare, scan, provenance, edit`` or ``benchmark``."""
    return st.session_state["pages"][name]


def results_folder() -> Path:
    """The folder whose results the pages show: the visitor's choice, else the server's."""
    return Path(st.session_state.get("results") or os.environ.get(RESULTS_VARIABLE) or DEFAULT_RESULTS)


def may_choose() -> bool:
    """Whether visitors may name folders of this machine: only where nobody but this machine can reach the pages."""
    return os.environ.get(LOCAL_VARIABLE) == "1"


def choose_folder() -> None:
    """A line to open another folder of results."""
    if not may_choose():
        return
    with st.popover("Open a results folder"):
        st.caption("What `facewitness scan --out`, `verify`, `demo` or `dataset build` wrote.")
        typed = st.text_input("Folder", value=str(results_folder()), key="results-folder")
        if st.button("Open", key="open-results") and typed:
            if not Path(typed).is_dir():
                st.error("There is no such folder.")
            else:
                st.session_state["results"] = str(Path(typed).absolute())
                st.query_params.clear()
                st.rerun()


def permalink(**query: str) -> str:
    """The address of the page as it is shown, to send to others who use this server."""
    base = str(st.context.url or "").split("?")[0]
    if st.session_state.get("results"):
        query["results"] = str(results_folder())
    return base + "?" + urlencode(query)


def style() -> None:
    """A calmer frame than Streamlit's."""
    st.html(f"<style>{views.asset('screen.css')}</style>")


def heading(title: str, text: str = "") -> None:
    """The first lines of a page; both texts are ours, but are escaped all the same."""
    st.html(f'<div class="fw-heading"><h1>{escape(title)}</h1><p>{escape(text)}</p></div>')


def nothing_yet(what: str, command: str) -> None:
    """Say what is missing and the command that makes it."""
    st.info(what)
    st.code(command, language="shell")


def offer_demo(what: str) -> None:
    """Say what is missing, and make the demo where asked to, with what it says as it goes."""
    folder = results_folder()
    if making.of(folder) is None:
        st.info(what)
        if st.button(
            "Make the demo", type="primary", help="Sample footage of nobody, an actor, a reenactment, its proof"
        ):
            making.begin(folder)
            st.rerun()
        st.caption("It takes some three minutes, and is the same as:")
        st.code(f"facewitness demo --out {folder}", language="shell")
        return
    _watch(folder)


@st.fragment(run_every=1.0)
def _watch(folder: Path) -> None:
    """The demo at work; the page is drawn again when it is done."""
    run = making.of(folder)
    if run is None:
        return
    if not run.running and run.process.returncode == 0:
        st.rerun()
    said = "\n".join(run.lines()) or "beginning"
    if run.running:
        st.info(f"The demo is being made, for {run.seconds:.0f} s so far. You may look at other pages meanwhile.")
    else:
        st.error("The demo could not be made; its last words are below.")
    st.code(said, language=None)


def _guarded(page: Callable[[], None]) -> Callable[[], None]:
    """The page, with a user's mistake shown as its one sentence instead of a traceback."""

    def show() -> None:
        try:
            page()
        except FacewitnessError as e:
            st.error(str(e))

    show.__name__ = page.__module__.rpartition(".")[2]
    return show
