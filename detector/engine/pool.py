"""Worker processes with budgets: a clip that hangs, eats memory or kills its worker costs one row, never the run."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewitness.detector.engine.scanner import Scanner
from facewitness.detector.engine.worker import FAILED, READY
from facewitness.errors import FacewitnessError, MissingPieceError, UsageError

MEGABYTE = 1 << 20
THREADS = "FACEWITNESS_THREADS"
"""Threads of each worker, where set; else the cores shared out."""
THREAD_SETTINGS = (
    THREADS, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)  # fmt: skip
"""What tells FFmpeg, torch, NumPy, numba and OpenCV how many threads to take. Each of them takes every core otherwise,
and OpenCV's wait for each other busily: on two busy cores a clip took three times as long."""
START_SECONDS = 120.0
"""A worker may take this long to load the detector on a busy machine; it does not count against a clip."""
START_ATTEMPTS = 3
"""Workers in a row that may die before they are ready; then something else than a clip is wrong."""
WATCH_SECONDS = 0.2
"""How often the memory of the workers is looked at."""
SLOWEST_BITS_PER_SECOND = 16_000
"""A file cannot hold more seconds of video than its size at this rate: announced durations beyond it are lies."""
MEMORY_PER_WORKER_MB = 1500
"""Memory a worker takes with the shipped model on 1080p video, with room to spare; sets how many are started."""
MAX_ANSWER_BYTES = 256 * MEGABYTE


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one clip may cost: ``base_s`` + ``per_second`` x seconds of video, and ``memory_mb`` of resident memory."""

    base_s: float = 120.0
    per_second: float = 10.0
    memory_mb: int = 4096

    def seconds(self, video_s: float, size_bytes: int) -> float:
        """Seconds for a clip that announces ``video_s`` seconds in ``size_bytes`` bytes."""
        return self.base_s + self.per_second * min(video_s, size_bytes * 8 / SLOWEST_BITS_PER_SECOND)


@dataclass(frozen=True)
class Task:
    """One clip to scan: its place in the order of results, its path, and the key of its content."""

    seq: int
    path: Path
    key: str
    size: int = 0
    uri: str | None = None
    """Where the clip is fetched from, when it is not on this machine."""


def default_workers() -> int:
    """Workers that fit this machine: its cores, as far as its free memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError, AttributeError):
        free_mb = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEGABYTE
        return max(1, min(cores, free_mb // MEMORY_PER_WORKER_MB))
    return max(1, cores)


def failed_row(status: str, error: str) -> dict[str, Any]:
    """The row of a clip that has no report."""
    return {"status": status, "error": error, "verdict": "inconclusive", "p_fake": None}


class WorkerProcess:
    """One worker and what it is busy with."""

    def __init__(self, scanner: Scanner, threads: int):
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        env = os.environ | {"FACEWITNESS_WORKER_PARENT": str(os.getpid())}
        if threading.current_thread() is threading.main_thread():
            env["FACEWITNESS_WORKER_PDEATHSIG"] = "1"
        env |= dict.fromkeys(THREAD_SETTINGS, str(threads))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "facewitness.detector.engine.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=env, bufsize=0,
        )  # fmt: skip
        assert self.process.stdin and self.process.stdout
        self.fd = self.process.stdout.fileno()
        self.task: Task | None = None
        self.ready = self.begun = False
        self.buffer = bytearray()
        self.deadline = time.monotonic() + START_SECONDS
        self.send(scanner.to_wire())

    def send(self, words: dict[str, Any]) -> None:
        """Write one line; a worker that is gone is noticed on the reading side."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(words).encode() + b"\n")

    def give(self, task: Task, budget: Budget) -> None:
        """Start on a clip."""
        self.task, self.begun = task, False
        self.deadline = time.monotonic() + budget.seconds(0, task.size)
        self.send({"path": os.fsencode(task.path.absolute()).hex(), "uri": task.uri})

    def memory_mb(self) -> float:
        """Resident memory in megabytes; 0 where the system does not say."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE

    def lines(self) -> list[dict[str, Any]] | None:
        """What it said since last asked; None when it is gone."""
        block = os.read(self.fd, MEGABYTE)
        self.buffer += block
        if not block or len(self.buffer) > MAX_ANSWER_BYTES:
            return None
        *whole, rest = self.buffer.split(b"\n")
        self.buffer = bytearray(rest)
        return [json.loads(line) for line in whole]

    def kill(self) -> int:
        """End it now; returns its exit status."""
        self.process.kill()
        status = self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        return status

    def last_words(self) -> str:
        """The last line it wrote to stderr."""
        with contextlib.suppress(OSError, ValueError):
            self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - 2000))
            lines = self.log.read().decode("utf-8", "replace").split("\n")
            return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")
        return ""


@dataclass
class WorkerPool:
    """Several workers: ``submit`` while ``free`` is above 0, ``wait`` for what is done (in any order), ``close``."""

    scanner: Scanner
    workers: int = field(default_factory=default_workers)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError("a scan needs at least one worker.")
        self._busy: dict[int, WorkerProcess] = {}
        self._idle: list[WorkerProcess] = []
        self._selector = selectors.DefaultSelector()
        self._stillborn = 0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = int(os.environ.get(THREADS) or max(1, cores // self.workers))

    window = 512
    """Rows that may wait for a slower one before them."""

    @property
    def free(self) -> int:
        """How many clips may be submitted now."""
        return self.workers - len(self._busy)

    def start(self) -> None:
        """Start every worker now, so that they load while clips are still being looked for."""
        while len(self._idle) + len(self._busy) < self.workers:
            self._idle.append(self._spawn())

    def submit(self, task: Task) -> None:
        """Give a clip to a worker."""
        worker = self._idle.pop() if self._idle else self._spawn()
        self._busy[worker.fd] = worker
        self._selector.register(worker.fd, selectors.EVENT_READ)
        if worker.ready:
            worker.give(task, self.budget)
        else:
            worker.task = task

    def wait(self, timeout_s: float = WATCH_SECONDS) -> list[tuple[Task, dict[str, Any]]]:
        """Rows that became ready within ``timeout_s`` seconds, maybe none. Raises what keeps workers from starting."""
        done: list[tuple[Task, dict[str, Any]]] = []
        if not self._busy:
            return done
        for key, _ in self._selector.select(timeout_s):
            worker = self._busy[key.fd]
            lines = worker.lines()
            if lines is None:
                done += self._bury(worker, "", "")
            else:
                done += self._hear(worker, lines)
        now = time.monotonic()
        for worker in list(self._busy.values()):
            if now > worker.deadline:
                done += self._bury(worker, "timeout", "the scan took longer than its time budget and was stopped")
            elif worker.memory_mb() > self.budget.memory_mb:
                limit = f"{self.budget.memory_mb / 1024:.1f} GB"
                done += self._bury(worker, "error", f"the scan took more than {limit} of memory and was stopped")
        return done

    def _hear(self, worker: WorkerProcess, lines: list[dict[str, Any]]) -> list[tuple[Task, dict[str, Any]]]:
        done = []
        for words in lines:
            if words.get("state") == FAILED:
                kind = MissingPieceError if words["exit_code"] == MissingPieceError.exit_code else UsageError
                raise kind(words["error"])
            if words.get("state") == READY:
                worker.ready, self._stillborn = True, 0
                if worker.task:
                    worker.give(worker.task, self.budget)
            elif "begun" in words:
                worker.begun = True
            elif "started" in words and worker.task:
                extra = self.budget.seconds(words["started"], words["size"]) - self.budget.base_s
                worker.deadline += extra
            elif "row" in words and worker.task:
                done.append((worker.task, words["row"]))
                self._retire(worker)
                worker.task = None
                self._idle.append(worker)
        return done

    def _bury(self, worker: WorkerProcess, status: str, error: str) -> list[tuple[Task, dict[str, Any]]]:
        self._retire(worker)
        code, words = worker.kill(), worker.last_words()
        worker.log.close()
        if not worker.begun and status != "timeout":  # it died with no clip in its hands: the clip goes to another
            self._stillborn += 1
            if self._stillborn >= START_ATTEMPTS:
                raise FacewitnessError(
                    f"the detector does not start ({words or f'exit {code}'}); see `facewitness doctor`."
                )
            if worker.task:
                self.submit(worker.task)
            return []
        if not status:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            status, error = "error", f"the worker that scanned it ended {how}" + (f" ({words})" if words else "")
        return [(worker.task, failed_row(status, error))] if worker.task else []

    def _retire(self, worker: WorkerProcess) -> None:
        self._selector.unregister(worker.fd)
        del self._busy[worker.fd]

    def _spawn(self) -> WorkerProcess:
        return WorkerProcess(self.scanner, self._threads)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [w.process.pid for w in (*self._busy.values(), *self._idle)]

    def close(self) -> None:
        """End every worker now."""
        for worker in (*self._busy.values(), *self._idle):
            worker.kill()
            worker.log.close()
        self._busy.clear()
        self._idle.clear()
        self._selector.close()
