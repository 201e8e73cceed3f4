"""Scans that others ask for: a bounded queue of jobs that outlives the process, and the thread that works it off."""

import contextlib
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facewitness.detector.engine.pool import Budget, WorkerPool, default_workers
from facewitness.detector.engine.prints import NearLinker
from facewitness.detector.engine.scan import Clip, Run
from facewitness.detector.engine.scanner import Scanner, default_scanner
from facewitness.detector.engine.sources import signature_of, text_of
from facewitness.detector.engine.store import now, open_store
from facewitness.detector.engine.tables import jobs
from facewitness.errors import FacewitnessError

QUEUED, RUNNING, DONE = "queued", "running", "done"
IDLE_SECONDS = 0.5
"""How long the thread sleeps when there is nothing to do, unless a job wakes it."""


class QueueFullError(FacewitnessError):
    """As many jobs wait as may wait."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What a service scans with, and how much it takes on."""

    out: Path | str
    scanner: Scanner = field(default_factory=default_scanner)
    workers: int = field(default_factory=default_workers)
    budget: Budget = field(default_factory=Budget)
    queue: int = 64
    grace_s: float = 30.0
    """Seconds that running scans get to finish when the service stops; later they are queued for the next start."""


@dataclass
class _Work:
    job: str
    uploaded: bool
    clip: Clip


class ScanService:
    """Jobs in, rows out: ``submit``, ``job``, ``report``; ``start`` before and ``stop`` after."""

    def __init__(self, settings: ServiceSettings):
        self.settings = settings
        self.store = open_store(settings.out)
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="scan-service", daemon=True)
        self._submitting = threading.Lock()
        self.problem: str | None = None
        """Why nothing is scanned any more, where that is so."""

    def start(self) -> None:
        """Take up what an earlier process left, and begin."""
        self.store.write(jobs.update().where(jobs.c.state == RUNNING).values(state=QUEUED))
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether no more jobs are taken."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Take no more jobs, let running ones finish for ``grace_s``, leave the rest queued for the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(self.settings.grace_s + 5)
        self.store.close()

    @property
    def uploads(self) -> Path:
        """The folder that keeps uploads until they are scanned: beside the results, where these are a file."""
        return (self.store.path.parent if self.store.path else Path.cwd()) / "uploads"

    def submit(self, path: Path, *, name: str, owner: str, uploaded: bool) -> dict[str, Any]:
        """Queue a file. Raises QueueFullError when as many wait as may wait."""
        job = secrets.token_hex(16)
        with self._submitting:
            if self.waiting() >= self.settings.queue:
                raise QueueFullError("the queue is full; try again in a while.")
            self.store.write(jobs.insert().values(
                id=job, path=str(path).encode("utf-8", "surrogateescape"), name=name, owner=owner, uploaded=uploaded,
                state=QUEUED, submitted_at=now(),
            ))  # fmt: skip
        self._wake.set()
        found = self.job(job, owner)
        assert found is not None
        return found

    def waiting(self) -> int:
        """Number of jobs that are not done."""
        chosen = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.state != DONE)
        return int(self.store.read(chosen)[0][0])

    def job(self, job: str, owner: str) -> dict[str, Any] | None:
        """One job of an owner: ``id, name, state, ahead, result, submitted_at, finished_at``."""
        found = self.store.read(sa.select(jobs).where(jobs.c.id == job, jobs.c.owner == owner))
        return self._told(found[0]) if found else None

    def jobs_of(self, owner: str, limit: int = 100) -> list[dict[str, Any]]:
        """The latest jobs of an owner."""
        chosen = sa.select(jobs).where(jobs.c.owner == owner).order_by(jobs.c.submitted_at.desc()).limit(limit)
        return [self._told(r) for r in self.store.read(chosen)]

    def _told(self, r: Any) -> dict[str, Any]:
        ahead = 0
        if r.state == QUEUED:
            before = sa.select(sa.func.count()).select_from(jobs)
            ahead = self.store.read(before.where(jobs.c.state != DONE, jobs.c.submitted_at < r.submitted_at))[0][0]
        return {
            "id": r.id, "name": r.name, "state": r.state, "ahead": ahead, "result": r.result,
            "submitted_at": r.submitted_at, "finished_at": r.finished_at,
        }  # fmt: skip

    def report(self, job: dict[str, Any]) -> dict[str, Any] | None:
        """The row of a finished job, with the reviews of its result."""
        row = self.store.row(job["result"]) if job["result"] else None
        return {**row, "path": job["name"], "reviews": self.store.reviews_of(job["result"])} if row else None

    # the thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        settings = self.settings
        pool = WorkerPool(settings.scanner, settings.workers, settings.budget)
        run = Run(self.store, settings.scanner, pool, resume=True, retry=False)
        working: dict[int, Clip] = {}
        held: list[_Work] = []
        try:
            pool.start()
            while not self.stopping:
                self._take(run, working, held, pool.free)
                if not working:
                    self._settle(held)
                    self._wake.wait(IDLE_SECONDS)
                    self._wake.clear()
                    continue
                self._turn(run, pool, working, held)
            end = threading.Event()
            timer = threading.Timer(settings.grace_s, end.set)
            timer.start()
            while working and not end.is_set():
                self._turn(run, pool, working, held)
            timer.cancel()
        except FacewitnessError as e:
            self.problem = str(e)
        finally:
            with contextlib.suppress(FacewitnessError):
                for work in held:
                    self.store.write(jobs.update().where(jobs.c.id == work.job).values(state=QUEUED))
            pool.close()

    def _take(self, run: Run, working: dict[int, Clip], held: list[_Work], free: int) -> None:
        """Start as many queued jobs as there are idle workers."""
        if free <= 0:
            return
        queued = sa.select(jobs).where(jobs.c.state == QUEUED).order_by(jobs.c.submitted_at, jobs.c.id).limit(free)
        for r in self.store.read(queued):
            path = Path(bytes(r.path).decode("utf-8", "surrogateescape"))
            self._seq = getattr(self, "_seq", 0) + 1
            clip = Clip(self._seq, path, signature_of(path), shown=text_of(r.name))
            held.append(_Work(r.id, r.uploaded, clip))
            self.store.write(jobs.update().where(jobs.c.id == r.id).values(state=RUNNING))
            run.identify(clip)
            run.decide(clip, working)

    def _turn(self, run: Run, pool: WorkerPool, working: dict[int, Clip], held: list[_Work]) -> None:
        for task, row in pool.wait():
            run.settle(working.pop(task.seq), row)
        self._settle(held)
        if run.printed:
            self._linker = getattr(self, "_linker", None) or NearLinker(self.store)
            self._linker.link(run.printed)
            run.printed.clear()

    def _settle(self, held: list[_Work]) -> None:
        """Mark the jobs done whose clips have rows; what was uploaded for them is deleted."""
        for work in [w for w in held if w.clip.row is not None]:
            held.remove(work)
            row = work.clip.row or {}
            number = row.get("result")
            if number is None:  # a clip that changed while it was read has a row of its own that no content keys
                number = self.store.add_loose(row, key=f"job-{work.job}")
            done = jobs.update().where(jobs.c.id == work.job)
            self.store.write(done.values(state=DONE, result=number, finished_at=now()))
            if work.uploaded:
                work.clip.path.unlink(missing_ok=True)
