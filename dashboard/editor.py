"""The editor's sliders and pictures: a Streamlit component and the data it is given."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from facewitness.dashboard import preview, views
from facewitness.generator.editing import Keys


def show(shown: preview.Preview, address: str, *, settings: Mapping[str, Keys], key: str) -> dict[str, Keys] | None:
    """Mount the editor in the running Streamlit page; ``address`` answers for ``shown`` (see ``Preview.answer``).

    ``settings`` are what it begins with. Returns what is set now, None until something was.
    """
    width, height = shown.actor.frame_size
    steps = np.diff(shown.times_s)
    data = {
        "edits": preview.table(),
        "presets": preview.presets(),
        "ask": address,
        "duration": shown.seconds,
        "fps": float(1 / np.median(steps)) if len(steps) else 25.0,
        "moment": round(shown.seconds / 4, 2),
        "shape": round(width / height, 5),
        "settings": dict(settings),
    }
    result: Any = _component()(key=key, data=data, height="content", on_settings_change=lambda: None)
    told = getattr(result, "settings", None)
    return None if told is None else preview.read_settings(told)


@cache
def _component() -> Any:
    from streamlit.components.v2 import component

    return component(
        "facewitness_editor",
        html=views.asset("editor.html"),
        css=views.asset("editor.css"),
        js=views.asset("editor.js"),
    )
