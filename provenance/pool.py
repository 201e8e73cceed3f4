"""Killable workers: each file is read in a process with a time and a memory budget; a hostile file costs one worker."""

import atexit
import contextlib
import datetime
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from facewitness.errors import MissingPieceError
from facewitness.files import to_json
from facewitness.provenance.audit import Audit
from facewitness.provenance.policy import Policy
from facewitness.provenance.second import with_opinion
from facewitness.provenance.worker import MEMORY_EXIT, READY

START_BUDGET_S = 60.0
"""A worker may take this long to import the library on a busy machine; it does not count against the file."""
WINDOW = 64
"""Audits that may wait for a slower one before them: memory stays flat in the number of files."""
MAX_ANSWER_BYTES = 64 << 20
_READY_LINE = READY.encode() + b"\n"


class _Worker:
    """One process and the file it is busy with."""

    def __init__(self, policy: Policy):
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "facewitness.provenance.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.job: _Job | None = None
        self.deadline = 0.0
        self.buffer = bytearray()
        self.budget_s = 0.0
        self.ready = False
        self._send(to_json(policy.to_wire()))

    def give(self, job: "_Job", budget_s: float) -> None:
        self.job = job
        self.budget_s = budget_s
        self.deadline = time.monotonic() + (budget_s if self.ready else START_BUDGET_S)
        media_type = job.audit.media_type if job.audit else None
        sidecar = str(job.sidecar) if job.sidecar else None
        task = "second" if job.audit else "examine"
        request = {"task": task, "path": str(job.path), "sidecar": sidecar, "media_type": media_type}
        self._send(json.dumps({**request, "budget_s": budget_s}))

    def _send(self, line: str) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(line.encode("utf-8", "surrogateescape") + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the reading side notices that the worker is gone

    def kill(self) -> int:
        self.process.kill()
        status = self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        return status


@dataclass(eq=False)
class _Job:
    """A file on its way: first examined, then, where the policy asks for it, seen by the second validator."""

    path: Path
    sidecar: Path | None = None
    audit: Audit | None = None
    done: bool = False


@dataclass
class VerifierPool:
    """Workers for one policy: ``with VerifierPool(policy) as pool: for audit in pool.verify(paths): ...``."""

    policy: Policy
    workers: int = field(default_factory=lambda: (os.cpu_count() or 1) + 1)
    """One more than there are cores: while an answer is on its way, no core waits."""
    _idle: list[_Worker] = field(default_factory=list, init=False)

    def __enter__(self) -> "VerifierPool":
        """Workers start when the first file comes."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Kill every worker."""
        self.close()

    def close(self) -> None:
        """Kill every worker."""
        while self._idle:
            self._idle.pop().kill()

    def verify(self, paths: Iterable[Path | tuple[Path, Path | None]]) -> Iterator[Audit]:
        """Audit each path (or pair of path and sidecar) in the order given; a hostile file is a row, never the end."""
        source = iter(paths)
        waiting: deque[_Job] = deque()
        busy: dict[int, _Worker] = {}
        exhausted = False
        selector = selectors.DefaultSelector()
        try:
            while True:
                while not exhausted and len(busy) < self.workers and len(waiting) < WINDOW:
                    item = next(source, None)
                    if item is None:
                        exhausted = True
                        break
                    path, sidecar = item if isinstance(item, tuple) else (item, None)
                    job = _Job(Path(path), sidecar)
                    waiting.append(job)
                    self._start(job, busy, selector)
                while waiting and waiting[0].done:
                    yield waiting.popleft().audit  # type: ignore[misc]
                if exhausted and not waiting:
                    return
                if busy:
                    self._wait(busy, selector)
        finally:
            for worker in busy.values():
                worker.kill()
            selector.close()

    def _start(self, job: _Job, busy: dict[int, _Worker], selector: selectors.BaseSelector) -> None:
        try:
            size = job.path.stat().st_size
        except OSError:
            size = 0
        worker = self._idle.pop() if self._idle else _Worker(self.policy)
        worker.give(job, self.policy.budget_s(size))
        assert worker.process.stdout
        fd = worker.process.stdout.fileno()
        busy[fd] = worker
        selector.register(fd, selectors.EVENT_READ, worker)

    def _wait(self, busy: dict[int, _Worker], selector: selectors.BaseSelector) -> None:
        nearest = min(w.deadline for w in busy.values())
        for key, _ in selector.select(max(0.0, nearest - time.monotonic())):
            self._read(key.fd, busy, selector)
        now = time.monotonic()
        for fd in [fd for fd, w in busy.items() if w.deadline <= now]:
            worker = self._retire(fd, busy, selector)
            worker.kill()
            if not worker.ready:
                raise MissingPieceError(
                    f"the verifier did not start within {START_BUDGET_S:.0f} s; is the machine busy?"
                )
            self._settle(worker, "timeout", "the file was not read within its time budget")

    def _read(self, fd: int, busy: dict[int, _Worker], selector: selectors.BaseSelector) -> None:
        worker = busy[fd]
        block = os.read(fd, 1 << 20)
        worker.buffer += block
        if not block or len(worker.buffer) > MAX_ANSWER_BYTES:
            self._retire(fd, busy, selector)
            status = worker.kill()
            if not worker.ready:
                raise MissingPieceError(f"the verifier could not start ({status}); see `facewitness doctor`.")
            said = (
                "needed more memory than its budget"
                if status in (MEMORY_EXIT, -6)
                else f"made the reader fail ({status})"
            )
            self._settle(worker, "unreadable", f"the file {said}")
            return
        if not worker.ready and worker.buffer.startswith(_READY_LINE):
            del worker.buffer[: len(_READY_LINE)]
            worker.ready, worker.deadline = True, time.monotonic() + worker.budget_s
        if not worker.buffer.endswith(b"\n"):
            return
        self._retire(fd, busy, selector)
        assert worker.job
        job, answer = worker.job, json.loads(worker.buffer)
        worker.job = None
        worker.buffer.clear()
        self._idle.append(worker)
        if job.audit is not None:
            job.audit, job.done = with_opinion(job.audit, answer), True
            return
        job.audit = replace(Audit.from_row(answer), path=str(job.path))
        if self.policy.second_opinion and job.audit.media_type:
            self._start(job, busy, selector)
        else:
            job.done = True

    @staticmethod
    def _retire(fd: int, busy: dict[int, _Worker], selector: selectors.BaseSelector) -> _Worker:
        selector.unregister(fd)
        return busy.pop(fd)

    def _settle(self, worker: _Worker, state: str, error: str) -> None:
        job = worker.job
        assert job
        job.done = True
        if job.audit is not None:
            said = {"validator": "encypher-c2pa", "state": state, "failures": [], "why": error}
            job.audit = with_opinion(job.audit, said)
            return
        at = self.policy.at or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        job.audit = Audit(path=str(job.path), sha256=None, state=state, error=error, validated_at=at)


_shared: dict[Policy, VerifierPool] = {}
_sharing = threading.Lock()


def audit_one(policy: Policy, path: Path, sidecar: Path | None) -> Audit:
    """Audit one file in a worker that stays for the life of the process; threads take turns."""
    with _sharing:
        if policy not in _shared:
            _close_shared()
            _shared[policy] = VerifierPool(policy, workers=1)
        return next(_shared[policy].verify([(path, sidecar)]))


@atexit.register
def _close_shared() -> None:
    while _shared:
        _shared.popitem()[1].close()


def _forget_shared() -> None:
    """In a forked process: the workers are the parent's, and so is whoever held the lock."""
    global _sharing
    _shared.clear()
    _sharing = threading.Lock()


os.register_at_fork(after_in_child=_forget_shared)
