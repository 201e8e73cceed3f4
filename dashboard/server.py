"""The dashboard's server: Streamlit's pages and the few files they show, on this machine only unless told otherwise."""

import logging
import os
from pathlib import Path
from typing import Any

from facewitness.dashboard.palette import DARK, LIGHT
from facewitness.errors import MissingPieceError, UsageError

RESULTS_VARIABLE = "FACEWITNESS_RESULTS"
LOCAL_VARIABLE = "FACEWITNESS_DASHBOARD_LOCAL"
"""Set to 1 for the pages where nobody but this machine reaches them."""
DEFAULT_RESULTS = Path("out/demo")
DEFAULT_PORT = 8501
MAX_UPLOAD_MB = 2048
LOCAL = ("127.0.0.1", "localhost")


def serve(*, results: Path | None = None, port: int = DEFAULT_PORT, address: str = LOCAL[0]) -> None:
    """Serve the dashboard on the results in ``results`` (default ``out/demo``) until interrupted.

    Bound to this machine unless ``address`` says otherwise; no usage statistics, no file watching, nothing fetched from
    outside. Raises UsageError where the port is taken, MissingPieceError where Streamlit is missing or too old.
    """
    _free(address, port)
    os.environ[RESULTS_VARIABLE] = str((results or DEFAULT_RESULTS).absolute())
    os.environ[LOCAL_VARIABLE] = "1" if address in LOCAL else "0"
    os.environ["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] = "false"  # before Streamlit reads its configuration
    make_app(address).run(config=options(port=port, address=address))


def make_app(address: str = LOCAL[0]) -> Any:
    """The ASGI application; on a local address it answers for local host names only (against DNS rebinding)."""
    try:
        import streamlit as st
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        if not hasattr(st, "App") or not hasattr(st.App, "run"):
            raise MissingPieceError("this Streamlit is too old for the dashboard; install streamlit 1.67 or later.")
    except ImportError as e:
        raise MissingPieceError(f"the dashboard needs Streamlit ({e}); install it with: pip install streamlit") from e
    from facewitness.dashboard import served

    guard = [Middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL))] if address in LOCAL else []
    logging.getLogger("streamlit.web.bootstrap").setLevel(logging.WARNING)
    return st.App(Path(__file__).with_name("app.py"), routes=served.routes(), middleware=guard)


def options(*, port: int, address: str) -> dict[str, Any]:
    """Streamlit's configuration: where it listens, what it may do, and how it looks."""
    return {
        "server.port": port,
        "server.address": address,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.maxUploadSize": MAX_UPLOAD_MB,
        "server.allowedHosts": list(LOCAL) if address in LOCAL else [],
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "viewer",
        "client.showErrorLinks": False,
        "client.showSidebarNavigation": False,
        "theme.baseRadius": "6px",
        "theme.baseFontSize": 15,
        "theme.headingFontWeights": [650, 650, 600, 600, 600, 600],
        "theme.headingFontSizes": ["1.9rem", "1.4rem", "1.1rem", "1rem", "0.9rem", "0.85rem"],
        "theme.showWidgetBorder": True,
        **_theme("light", LIGHT),
        **_theme("dark", DARK),
    }


def _theme(scheme: str, c: dict[str, str]) -> dict[str, Any]:
    return {
        f"theme.{scheme}.primaryColor": c["accent"],
        f"theme.{scheme}.backgroundColor": c["bg"],
        f"theme.{scheme}.secondaryBackgroundColor": c["ground"],
        f"theme.{scheme}.textColor": c["ink"],
        f"theme.{scheme}.linkColor": c["trusted"],
        f"theme.{scheme}.borderColor": c["line"],
        f"theme.{scheme}.dataframeBorderColor": c["line"],
        f"theme.{scheme}.chartCategoricalColors": [
            c["target"],
            c["driver"],
            c["result"],
            c["inconclusive"],
            c["plain"],
        ],
    }


def _free(address: str, port: int) -> None:
    import socket

    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((address, port))
        except OSError as e:
            raise UsageError(
                f"port {port} of {address} cannot be used ({e.strerror}); choose another with --port."
            ) from e
