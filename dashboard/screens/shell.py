"""What all pages share: the frame around them, their order, the look that Streamlit's own options do not reach."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st
from markupsafe import escape

from facewitness import __version__
from facewitness.dashboard import views
from facewitness.dashboard.server import DEFAULT_RESULTS, RESULTS_VARIABLE
from facewitness.errors import FacewitnessError


def run() -> None:
    """Draw the page that the address asks for."""
    from facewitness.dashboard.screens import benchmark, compare, edit, provenance, scan

    st.set_page_config(page_title="facewitness", page_icon="◉", layout="wide", initial_sidebar_state="collapsed")
    style()
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
    """The folder whose results the pages show."""
    return Path(os.environ.get(RESULTS_VARIABLE) or DEFAULT_RESULTS)


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


def _guarded(page: Callable[[], None]) -> Callable[[], None]:
    """The page, with a user's mistake shown as its one sentence instead of a traceback."""

    def show() -> None:
        try:
            page()
        except FacewitnessError as e:
            st.error(str(e))

    show.__name__ = page.__module__.rpartition(".")[2]
    return show
