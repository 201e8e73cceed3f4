"""What the dashboard's server hands out besides its pages: videos, overlays and answers that a page asked for.

A page registers a file (or a question) and gets an address with an unguessable token; only what is registered is
reachable, whatever a request asks for, and neither name nor folder of a file appears in its address.
"""

import hashlib
import hmac
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from facewitness.errors import FacewitnessError

PREFIX = "/facewitness"
MAX_BLOBS = 64
MAX_FILES = 20_000
MAX_ANSWERS = 256
MAX_QUESTION_BYTES = 64 << 10
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
    "Referrer-Policy": "no-referrer",
}

_secret = secrets.token_bytes(32)
_lock = threading.Lock()
_files: OrderedDict[str, tuple[Path, str]] = OrderedDict()
_blobs: OrderedDict[str, bytes] = OrderedDict()

Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes a question's JSON object and gives one back; may raise a FacewitnessError, whose sentence the page shows."""
_answers: OrderedDict[str, Answer] = OrderedDict()


def _token(*parts: str | bytes) -> str:
    digest = hmac.new(_secret, digestmod=hashlib.sha256)
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:40]


Thing = TypeVar("Thing")


def _keep(shelf: OrderedDict[str, Thing], token: str, thing: Thing, most: int) -> None:
    """Put a thing on its shelf as the newest; the oldest go when there are more than ``most``."""
    with _lock:
        shelf[token] = thing
        shelf.move_to_end(token)
        while len(shelf) > most:
            shelf.popitem(last=False)


def file_address(path: Path, media_type: str = "video/mp4") -> str:
    """Register a file and return the address it is served under, with byte ranges, while this server runs."""
    path = path.resolve()
    changed = path.stat().st_mtime_ns if path.exists() else 0
    token = _token("file", str(path), media_type, str(changed))
    _keep(_files, token, (path, media_type), MAX_FILES)
    return f"{PREFIX}/file/{token}"


def bytes_address(data: bytes) -> str:
    """Register bytes (an overlay) and return their address; the oldest go when there are more than MAX_BLOBS."""
    token = _token("bytes", data)
    _keep(_blobs, token, data, MAX_BLOBS)
    return f"{PREFIX}/bytes/{token}"


def answer_address(name: str, answer: Answer) -> str:
    """Register a function that a running part asks without a rerun of its page; ``name`` tells it from others.

    It is called in a thread, with one JSON object of at most MAX_QUESTION_BYTES.
    """
    token = _token("answer", name)
    _keep(_answers, token, answer, MAX_ANSWERS)
    return f"{PREFIX}/ask/{token}"


async def _ask(request: Request) -> Response:
    answer = _answers.get(request.path_params["token"])
    if answer is None:
        return PlainTextResponse("not here", status_code=404)
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > MAX_QUESTION_BYTES:
            return PlainTextResponse("too long", status_code=413)
    try:
        question = json.loads(body)
        if not isinstance(question, dict):
            raise ValueError("no object")
    except ValueError:
        return PlainTextResponse("no JSON object", status_code=400)
    try:
        return JSONResponse(await run_in_threadpool(answer, question), headers={**HEADERS, "Cache-Control": "no-store"})
    except (FacewitnessError, KeyError, TypeError, ValueError) as e:
        # an answer is shown as text; what is wrong with a question itself needs no more than its kind
        said = str(e) if isinstance(e, FacewitnessError) else f"The question makes no sense ({type(e).__name__})."
        return JSONResponse({"error": said}, status_code=422, headers=HEADERS)


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
    return [
        Route(f"{PREFIX}/file/{{token}}", _file),
        Route(f"{PREFIX}/bytes/{{token}}", _bytes),
        Route(f"{PREFIX}/ask/{{token}}", _ask, methods=["POST"]),
    ]
