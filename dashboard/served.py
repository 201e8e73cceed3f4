"""What the dashboard's server hands out besides its pages: videos and overlays that a page asked for, nothing else.

A page registers a file and gets an address with an unguessable token; only registered files are reachable, whatever
a request asks for, and neither name nor folder of a file appears in its address.
"""

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

PREFIX = "/facewitness"
MAX_BLOBS = 64
MAX_FILES = 20_000
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
    "Referrer-Policy": "no-referrer",
}

_secret = secrets.token_bytes(32)
_lock = threading.Lock()
_files: OrderedDict[str, tuple[Path, str]] = OrderedDict()
_blobs: OrderedDict[str, bytes] = OrderedDict()


def _token(*parts: str | bytes) -> str:
    digest = hmac.new(_secret, digestmod=hashlib.sha256)
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:40]


def file_address(path: Path, media_type: str = "video/mp4") -> str:
    """Register a file and return the address it is served under, with byte ranges, while this server runs."""
    path = path.resolve()
    changed = path.stat().st_mtime_ns if path.exists() else 0
    token = _token("file", str(path), media_type, str(changed))
    with _lock:
        _files[token] = (path, media_type)
        _files.move_to_end(token)
        while len(_files) > MAX_FILES:
            _files.popitem(last=False)
    return f"{PREFIX}/file/{token}"


def bytes_address(data: bytes) -> str:
    """Register bytes (an overlay) and return their address; the oldest go when there are more than MAX_BLOBS."""
    token = _token("bytes", data)
    with _lock:
        _blobs[token] = data
        _blobs.move_to_end(token)
        while len(_blobs) > MAX_BLOBS:
            _blobs.popitem(last=False)
    return f"{PREFIX}/bytes/{token}"


async def _file(request: Request) -> Response:
    found = _files.get(request.path_params["token"])
    if found is None or not found[0].is_file():
        return PlainTextResponse("not here", status_code=404)
    return FileResponse(found[0], media_type=found[1], headers=HEADERS)


async def _bytes(request: Request) -> Response:
    data = _blobs.get(request.path_params["token"])
    if data is None:
        return PlainTextResponse("not here", status_code=404)
    return Response(data, media_type="application/octet-stream", headers=HEADERS)


def routes() -> list[Route]:
    """The routes to mount beside Streamlit's."""
    return [Route(f"{PREFIX}/file/{{token}}", _file), Route(f"{PREFIX}/bytes/{{token}}", _bytes)]
