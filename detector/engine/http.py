"""The HTTP interface: submit a clip, follow it, fetch its report. Tokens, sizes, rates and the queue have limits."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Response, UploadFile
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from facewitness import __version__
from facewitness.detector.engine.service import DONE, QueueFullError, ScanService, ServiceSettings
from facewitness.detector.engine.sources import VIDEO_SUFFIXES, text_of
from facewitness.detector.engine.store import DECISIONS

HEARTBEAT_SECONDS = 1.0
NO_TOKEN = "a valid token is needed."
MULTIPART_OVERHEAD = 64 << 10
"""Bytes of a request that are not the file."""


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """Who may ask, for what, how much and how often."""

    service: ServiceSettings
    tokens: tuple[str, ...]
    root: Path | None = None
    """Files below this folder may be scanned by path; None: only uploads."""
    upload_bytes: int = 512 << 20
    requests_per_minute: int = 240
    """Of one token; as many may come at once."""


class Job(BaseModel):
    """One scan somebody asked for."""

    id: str
    name: str
    state: str = Field(description="queued, running or done")
    ahead: int = Field(description="jobs before this one in the queue")
    result: int | None
    submitted_at: str
    finished_at: str | None


class Jobs(BaseModel):
    """The latest jobs of a token."""

    jobs: list[Job]


class Health(BaseModel):
    """Whether the service takes jobs."""

    status: str
    version: str
    waiting: int
    queue: int
    problem: str | None


class Submission(BaseModel):
    """A file on the server."""

    model_config = ConfigDict(extra="forbid")
    path: str = Field(min_length=1, max_length=4096, description="relative to the allowed folder, or below it")


class Decision(BaseModel):
    """An analyst's decision on a result."""

    model_config = ConfigDict(extra="forbid")
    decision: str = Field(pattern=f"^({'|'.join(DECISIONS)})$")
    note: str = Field("", max_length=10_000)
    author: str = Field(min_length=1, max_length=200)


class Problem(BaseModel):
    """What was wrong with a request, in a sentence."""

    detail: str


@dataclass
class _Bucket:
    """Requests a token may still make; it fills up with time."""

    size: float
    left: float = field(init=False)
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.left = self.size

    def take(self) -> float:
        """Seconds to wait; 0 where the request may go on."""
        now = time.monotonic()
        self.left = min(self.size, self.left + (now - self.at) * self.size / 60)
        self.at = now
        if self.left < 1:
            return (1 - self.left) * 60 / self.size
        self.left -= 1
        return 0.0


def make_app(settings: HttpSettings) -> FastAPI:
    """The application; its workers start and stop with it.

    >>> uvicorn.run(make_app(HttpSettings(service=ServiceSettings(out="out"), tokens=("secret",))))  # doctest: +SKIP
    """
    service = ScanService(settings.service)
    buckets: dict[str, _Bucket] = {}

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.stop)

    bearer = HTTPBearer(auto_error=False, description="A token the service was started with.")

    def owner_of(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> str:
        token = (given.credentials if given else "").encode()
        if not _valid(token, settings.tokens):
            raise HTTPException(401, NO_TOKEN, {"WWW-Authenticate": "Bearer"})
        owner = hashlib.sha256(token).hexdigest()
        wait = buckets.setdefault(owner, _Bucket(settings.requests_per_minute)).take()
        if wait:
            raise HTTPException(429, "too many requests; slow down.", {"Retry-After": str(int(wait) + 1)})
        return owner

    app = FastAPI(title="facewitness scans", version=__version__, lifespan=life)
    app.state.service = service
    app.add_middleware(_BodyLimit, limit=settings.upload_bytes + MULTIPART_OVERHEAD)
    app.add_middleware(_Gate, tokens=settings.tokens)
    _routes(app, service, settings, Annotated[str, Depends(owner_of)])
    return app


def _said(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Problem} for code in codes}


JobId = Annotated[str, PathParameter(pattern="^[0-9a-f]{32}$", description="a job's id")]


def _routes(app: FastAPI, service: ScanService, settings: HttpSettings, Owner: Any) -> None:
    def queue(path: Path, name: str, owner: str, uploaded: bool) -> dict[str, Any]:
        if service.stopping or service.problem:
            raise HTTPException(503, service.problem or "the service is stopping.", {"Retry-After": "30"})
        try:
            return service.submit(path, name=name, owner=owner, uploaded=uploaded)
        except QueueFullError as e:
            raise HTTPException(429, str(e), {"Retry-After": "10"}) from e

    def own(job: str, owner: str) -> dict[str, Any]:
        found = service.job(job, owner)
        if found is None:
            raise HTTPException(404, "there is no such job.")
        return found

    @app.get("/v1/health", summary="Whether jobs are taken")
    def health() -> Health:
        status = "stopping" if service.stopping else "broken" if service.problem else "ok"
        return Health(
            status=status, version=__version__, waiting=service.waiting(), queue=settings.service.queue,
            problem=service.problem,
        )  # fmt: skip

    @app.post("/v1/scans", status_code=202, responses=_said(400, 401, 413, 429, 503), summary="Upload a clip")
    def upload(file: UploadFile, owner: Owner) -> Job:
        if service.waiting() >= settings.service.queue:
            raise HTTPException(429, "the queue is full; try again in a while.", {"Retry-After": "10"})
        kept = _kept(file, service.uploads, settings.upload_bytes)
        return Job(**queue(kept, text_of(file.filename or "upload")[:255], owner, True))

    @app.post("/v1/scans/path", status_code=202, responses=_said(401, 403, 404, 429, 503), summary="Scan a file here")
    def by_path(submission: Submission, owner: Owner) -> Job:
        path = _allowed(submission.path, settings.root)
        return Job(**queue(path, text_of(path), owner, False))

    @app.get("/v1/scans", responses=_said(401, 429), summary="The latest jobs")
    def listing(owner: Owner) -> Jobs:
        return Jobs(jobs=[Job(**j) for j in service.jobs_of(owner)])

    @app.get("/v1/scans/{job}", responses=_said(401, 404, 429), summary="One job")
    def one(job: JobId, owner: Owner) -> Job:
        return Job(**own(job, owner))

    @app.get("/v1/scans/{job}/report", responses=_said(401, 404, 409, 429), summary="The row of a finished job")
    def report(job: JobId, owner: Owner) -> dict[str, Any]:
        found = service.report(own(job, owner))
        if found is None:
            raise HTTPException(409, "the scan is not done yet.")
        return found

    @app.get(
        "/v1/scans/{job}/events", summary="Progress as server-sent events", response_class=StreamingResponse,
        responses={**_said(401, 404, 429), 200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )  # fmt: skip
    def events(job: JobId, owner: Owner) -> StreamingResponse:
        own(job, owner)
        return StreamingResponse(_followed(service, job, owner), media_type="text/event-stream")

    @app.post("/v1/scans/{job}/reviews", status_code=201, responses=_said(401, 404, 409, 429), summary="Decide")
    def decide(job: JobId, decision: Decision, owner: Owner) -> dict[str, Any]:
        found = own(job, owner)
        if not found["result"]:
            raise HTTPException(409, "the scan is not done yet.")
        if decision.decision == "note" and not decision.note.strip():
            raise HTTPException(409, "a note needs its text.")
        return service.store.review(found["result"], decision.decision, note=decision.note, author=decision.author)


def _kept(file: UploadFile, folder: Path, most_bytes: int) -> Path:
    """Write an upload to a file of its own; it is deleted when the job is done."""
    suffix = Path(file.filename or "").suffix.lower()
    path = folder / f"{secrets.token_hex(16)}{suffix if suffix in VIDEO_SUFFIXES else '.mp4'}"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    size = 0
    try:
        with path.open("xb") as out:
            while block := file.file.read(1 << 20):
                size += len(block)
                if size > most_bytes:
                    raise HTTPException(413, f"a clip may have {most_bytes} bytes at most.")
                out.write(block)
    except BaseException as e:
        path.unlink(missing_ok=True)
        if isinstance(e, OSError):
            raise HTTPException(503, f"the clip cannot be stored ({e.strerror}).") from e
        raise
    return path


def _allowed(given: str, root: Path | None) -> Path:
    """The file a path stands for, links followed, if it lies below the allowed folder."""
    if root is None:
        raise HTTPException(403, "this service takes uploads only.")
    try:
        path = (root / given).resolve()
        inside = path.is_relative_to(root.resolve())
        there = inside and path.is_file()
    except (OSError, ValueError, RuntimeError):
        inside, there = True, False
    if not inside:
        raise HTTPException(403, "the path is outside the allowed folder.")
    if not there:
        raise HTTPException(404, "there is no such file.")
    return path


async def _followed(service: ScanService, job: str, owner: str) -> AsyncIterator[str]:
    """One event for each change of state, a comment as a heartbeat, until the job is done or the service stops."""
    last, start = "", time.monotonic()
    while True:
        found = await asyncio.to_thread(service.job, job, owner)
        if found is None:
            return
        told = json.dumps(found)
        if told != last:
            last = told
            yield f"event: {found['state']}\ndata: {told}\n\n"
        else:
            yield f": {time.monotonic() - start:.0f} s\n\n"
        if found["state"] == DONE or service.stopping:
            return
        await asyncio.sleep(HEARTBEAT_SECONDS)


def _valid(token: bytes, tokens: tuple[str, ...]) -> bool:
    return sum(hmac.compare_digest(token, t.encode()) for t in tokens) > 0


class _Gate:
    """Refuses a request without a valid token before its body is read: FastAPI keeps the body first and asks later."""

    def __init__(self, app: Any, tokens: tuple[str, ...]):
        self.app, self.tokens = app, tokens

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass the request on where it has a token or needs none."""
        if scope["type"] == "http" and scope["path"].startswith("/v1/scans"):
            given = dict(scope["headers"]).get(b"authorization", b"")
            kind, _, token = given.partition(b" ")
            if kind.lower() != b"bearer" or not _valid(token.strip(), self.tokens):
                refusal = JSONResponse({"detail": NO_TOKEN}, 401, {"WWW-Authenticate": "Bearer"})
                return await refusal(scope, receive, send)
        return await self.app(scope, receive, send)


class _BodyLimit:
    """Refuses a request whose body is larger than a service takes, by its announced length or as it comes."""

    def __init__(self, app: Any, limit: int):
        self.app, self.limit = app, limit

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass the request on while it is small enough."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        refusal: Response = JSONResponse({"detail": f"a request may have {self.limit} bytes at most."}, 413)
        if announced.isdigit() and int(announced) > self.limit:
            return await refusal(scope, receive, send)
        seen, started = 0, False

        async def counted() -> Any:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit:
                raise _TooLargeError
            return message

        async def noted(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except _TooLargeError:
            if not started:
                await refusal(scope, receive, send)
        return None


class _TooLargeError(Exception):
    pass


def tokens_from(text: str) -> tuple[str, ...]:
    """Tokens of a file or variable, one a line or word; lines that begin with # are left out."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return tuple(dict.fromkeys(word for line in lines for word in line.split()))


def new_token() -> str:
    """A token nobody can guess."""
    return secrets.token_urlsafe(24)
