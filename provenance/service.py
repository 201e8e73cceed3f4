"""The C2PA Soft Binding Resolution API over a ledger: a watermark, a fingerprint or a video in, manifest identifiers
out.

    app = create_app(Ledger())                    # a FastAPI application; `facewitness ledger serve` runs it

Everything a request can make us do has a limit. Nothing in a request names a file: identifiers are looked up in the
ledger by equality, uploads get a name of our own in a private folder that is removed, and they are decoded in a
process that can be killed. References (``byReference``) are refused: this service fetches nothing.
"""

import asyncio
import base64
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from facewitness.errors import UsageError
from facewitness.provenance import bindings
from facewitness.provenance import fingerprint as fp
from facewitness.provenance import watermark as wm
from facewitness.provenance.ledger import Ledger, LedgerError
from facewitness.provenance.recover import by_fingerprint

MANIFEST_TYPE = "application/c2pa"
UPLOAD_TYPES = ("video/", "application/octet-stream", "application/mp4")
UPLOAD_NAME = "upload"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may cost."""

    upload_bytes: int = 256 << 20
    """Largest video that ``byContent`` takes."""
    binding_bytes: int = 64 << 10
    """Largest body of a ``byBinding`` request."""
    upload_s: float = 60.0
    """A body must have arrived in this time."""
    analysis_s: float = 60.0
    """A video must have been read in this time, else its process is killed."""
    watched_s: float = 60.0
    """Seconds of a video that are looked at."""
    at_once: int = 2
    """Videos read at the same time; further ones are told to come back."""
    results: int = 50
    """Most matches in an answer."""
    identifier: int = 256
    """Longest manifest identifier and algorithm name."""


class _RefusedError(Exception):
    """A request we do not serve: its status and one sentence."""

    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status, self.why = status, why


def create_app(ledger: Ledger, *, key: bytes | None = None, limits: Limits | None = None) -> FastAPI:
    """The service over ``ledger``; ``key`` is the installation's watermark key by default."""
    limits = limits or Limits()
    service = _Service(ledger, key or wm.installation_key(), limits)
    app = FastAPI(title="facewitness soft binding resolution", docs_url=None, redoc_url=None)

    @app.exception_handler(_RefusedError)
    async def refused(_request: Request, error: _RefusedError) -> JSONResponse:
        headers = {"Retry-After": "10"} if error.status == 503 else None
        return JSONResponse({"error": error.why}, status_code=error.status, headers=headers)

    @app.exception_handler(UsageError)
    async def wrong(_request: Request, error: UsageError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        where = ", ".join(str(e["loc"][-1]) for e in error.errors()[:5])
        return JSONResponse({"error": f"missing or out of range: {where}"}, status_code=400)

    @app.exception_handler(LedgerError)
    async def broken(_request: Request, _error: LedgerError) -> JSONResponse:
        return JSONResponse({"error": "the ledger cannot be read at the moment"}, status_code=503)

    @app.middleware("http")
    async def headers(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    _add_routes(app, service, limits)
    return app


def _add_routes(app: FastAPI, service: "_Service", limits: Limits) -> None:
    alg_limit = Query(max_length=limits.identifier)
    any_alg = Query(None, max_length=limits.identifier)
    count = Query(10, ge=1, le=limits.results)

    @app.get("/services/supportedAlgorithms")
    async def supported() -> dict[str, Any]:
        return {"watermarks": [{"alg": wm.ALGORITHM}], "fingerprints": [{"alg": fp.ALGORITHM}]}

    @app.get("/matches/byBinding")
    async def by_binding(
        alg: str = alg_limit,
        value: str = Query(max_length=bindings.LONGEST_VALUE),
        maxResults: int = count,
    ) -> dict[str, Any]:
        return await service.by_binding(alg, value, maxResults)

    @app.post("/matches/byBinding")
    async def by_binding_body(request: Request, maxResults: int = count) -> dict[str, Any]:
        return await service.by_binding_body(request, maxResults)

    @app.post("/matches/byContent")
    async def by_content(request: Request, alg: str | None = any_alg, maxResults: int = count) -> dict[str, Any]:
        return await service.by_content(request, alg, maxResults)

    @app.post("/matches/byReference")
    async def by_reference() -> None:
        raise _RefusedError(501, "this service fetches nothing; send the content to /matches/byContent")

    @app.get("/manifests/{manifest_id}")
    async def manifest(manifest_id: str) -> Response:
        return await service.manifest(manifest_id)


class _Service:
    """The answers, apart from their routes."""

    def __init__(self, ledger: Ledger, key: bytes, limits: Limits):
        self.ledger, self.key, self.limits = ledger, key, limits
        self._slots = asyncio.Semaphore(limits.at_once)

    async def by_binding(self, alg: str, value: str, most: int) -> dict[str, Any]:
        """Manifests of a watermark payload or of a fingerprint."""
        if alg == wm.ALGORITHM:
            return await run_in_threadpool(self._of_payload, bindings.payload_of(value), 0.0)
        if alg == fp.ALGORITHM:
            return await run_in_threadpool(self._of_fingerprint, bindings.fingerprint_of(value), most)
        raise _RefusedError(400, "unknown algorithm; see /services/supportedAlgorithms")

    async def by_binding_body(self, request: Request, most: int) -> dict[str, Any]:
        """The same, asked in a JSON body ``{alg, value}``."""
        body = b"".join([block async for block in self._body(request, self.limits.binding_bytes)])
        try:
            asked = json.loads(body)
            alg, value = asked["alg"], asked["value"]
        except (ValueError, KeyError, TypeError, RecursionError):
            alg = value = None
        if not isinstance(alg, str) or not isinstance(value, str):
            raise _RefusedError(400, "the body is a JSON object with the texts alg and value")
        return await self.by_binding(alg, value, most)

    async def by_content(self, request: Request, alg: str | None, most: int) -> dict[str, Any]:
        """Manifests a video may belong to: the one its watermark names, else those its fingerprint comes near."""
        if alg not in (None, wm.ALGORITHM, fp.ALGORITHM):
            raise _RefusedError(400, "unknown algorithm; see /services/supportedAlgorithms")
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if not kind.startswith(UPLOAD_TYPES):
            raise _RefusedError(415, "send a video as the body, with its media type")
        if self._slots.locked():
            raise _RefusedError(503, "busy; try again in a moment")
        async with self._slots:
            with tempfile.TemporaryDirectory(prefix="facewitness-") as folder:
                path = Path(folder) / UPLOAD_NAME
                with path.open("wb") as f:
                    async for block in self._body(request, self.limits.upload_bytes):
                        await run_in_threadpool(f.write, block)
                found = await self._analyse(path, alg)
        if found.get("error"):
            raise _RefusedError(422, str(found["error"]))
        return await run_in_threadpool(self._of_content, found, most)

    async def manifest(self, manifest_id: str) -> Response:
        """The manifest store of an identifier."""
        store = None
        if len(manifest_id) <= self.limits.identifier:
            store = await run_in_threadpool(self.ledger.manifest, manifest_id)
        if store is None:
            raise _RefusedError(404, "no such manifest")
        return Response(store, media_type=MANIFEST_TYPE)

    def _of_payload(self, payload: bytes, distance: float) -> dict[str, Any]:
        entry = self.ledger.find_by_watermark(payload)
        return _matches([(entry.manifest_id, 1 - 2 * distance)] if entry else [])

    def _of_fingerprint(self, query: fp.Fingerprint | fp.Sketch, most: int) -> dict[str, Any]:
        found = by_fingerprint(query, self.ledger, limit=most)
        return _matches([(r.entry.manifest_id, 1 - r.distance) for r in found])

    def _of_content(self, found: dict[str, Any], most: int) -> dict[str, Any]:
        if mark := found["watermark"]:
            named = self._of_payload(bytes.fromhex(mark["payload"]), mark["distance"])
            if named["matches"]:
                return named
        if not found["sketch"]:
            return _matches([])
        luma = np.frombuffer(base64.b64decode(found["sketch"]), np.float16).reshape(-1, fp.SIDE, fp.SIDE)
        return self._of_fingerprint(fp.Sketch(luma=luma.astype(np.float32), start_s=found["start_s"]), most)

    async def _body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """The blocks of a body within its limits of size and time."""
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > most:
            raise _RefusedError(413, f"at most {most} bytes")
        size = 0
        stream = aiter(request.stream())
        end = asyncio.get_running_loop().time() + self.limits.upload_s
        while True:
            try:
                async with asyncio.timeout_at(end):
                    block = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise _RefusedError(408, f"the body did not arrive within {self.limits.upload_s:g} s") from None
            size += len(block)
            if size > most:
                raise _RefusedError(413, f"at most {most} bytes")
            yield block

    async def _analyse(self, path: Path, alg: str | None) -> dict[str, Any]:
        """Read the video in a process of its own, killed when its time is over or the client has gone."""
        asked = {
            "path": str(path), "key": self.key.hex(), "seconds": self.limits.watched_s, "cpu_s": round(4 *
            self.limits.analysis_s), "watermark": alg != fp.ALGORITHM, "fingerprint": alg != wm.ALGORITHM,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "facewitness.provenance.content_worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self.limits.analysis_s):
                out, _ = await process.communicate(json.dumps(asked).encode() + b"\n")
            return dict(json.loads(out))
        except TimeoutError:
            raise _RefusedError(422, f"the content was not read within {self.limits.analysis_s:g} s") from None
        except ValueError:
            raise _RefusedError(422, "the content cannot be read as a video") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def _matches(found: list[tuple[str, float]]) -> dict[str, Any]:
    """The answer of the specification: identifiers and a similarity of 0 to 100; a match is possible, not proven."""
    return {"matches": [{"manifestId": i, "similarityScore": max(0, min(100, round(100 * s)))} for i, s in found]}
