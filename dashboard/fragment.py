"""Pieces of the report inside Streamlit pages: the same templates and styles, in a component of their own."""

from functools import cache
from typing import Any

from facewitness.dashboard import views
from facewitness.dashboard.palette import DARK, LIGHT, variables


def part(macro: str, *args: object, key: str | None = None, classes: str = "") -> Any:
    """Draw one macro of ``parts.html`` with ``args`` in the running page; ``classes`` are ours, never from a file.

    Times (``data-t``) seek the players of the page. Returns the component's result, whose ``go`` holds the value of a
    pressed button with ``data-go``.
    """
    module = views.environment().get_template("parts.html").module
    html = f'<div class="{classes}">{getattr(module, macro)(*args)}</div>'
    return _component()(key=key, data={"html": html}, height="content", on_go_change=lambda: None)


@cache
def _component() -> Any:
    from streamlit.components.v2 import component

    own = (
        f".part{{{variables(LIGHT, 'light')};font:14px/1.5 var(--st-font,sans-serif);color:var(--ink);"
        f"font-variant-numeric:tabular-nums}}.part.dark{{{variables(DARK, 'dark')}}}"
    )
    css = own + views.asset("parts.css") + views.asset("part.css")
    return component("facewitness_part", html='<div class="part"></div>', css=css, js=views.asset("part.js"))
