"""A scan: find clips, know them by content, skip what is done, hand the rest to an engine, yield rows in order."""

import hashlib
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from facewitness.detector.engine.fetch import name_of, remote_signature
from facewitness.detector.engine.pool import Budget, Task, WorkerPool, default_workers, failed_row
from facewitness.detector.engine.prints import NearLinker, taken
from facewitness.detector.engine.scanner import Scanner, default_scanner
from facewitness.detector.engine.sources import Signature, find_clips, signature_of, text_of
from facewitness.detector.engine.store import Store, now, open_store
from facewitness.detector.report import SCHEMA
from facewitness.errors import UsageError
from facewitness.files import sha256_file

BATCH = 256
"""Files looked up together."""
HASH_THREADS = 2
FRESH_NS = 2_000_000_000
"""A file changed within so many nanoseconds before it was hashed is hashed again next time: clocks are that coarse."""


class Engine(Protocol):
    """What scans tasks: local processes or a cluster."""

    window: int
    """Rows that may wait for an earlier one."""

    @property
    def free(self) -> int:
        """How many tasks may be submitted now."""

    def submit(self, task: Task) -> None:
        """Take a task."""

    def wait(self) -> list[tuple[Task, dict[str, Any]]]:
        """Rows that are ready, in any order; may be empty after a moment."""

    def close(self) -> None:
        """Stop everything now."""


@dataclass
class Clip:
    """One clip on its way: where it is, what its content is, and its row once there is one."""

    seq: int
    path: Path
    signature: Signature | None
    uri: str | None = None
    """Where it is fetched from; the path is then only its name."""
    sha256: str | None = None
    problem: str = ""
    key: str = ""
    shown: str = ""
    """The name its rows carry, where that is not its path."""
    row: dict[str, Any] | None = None
    reused: bool = False


@dataclass
class Counts:
    """What a scan did, for its last line and the log."""

    clips: int = 0
    scanned: int = 0
    reused: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    by_verdict: dict[str, int] = field(default_factory=dict)
    by_kind: dict[str, int] = field(default_factory=dict)
    """Verdicts of the clips that have one, states of the others."""

    def take(self, row: dict[str, Any], reused: bool) -> None:
        """Count one row."""
        self.clips += 1
        self.reused += reused
        self.scanned += not reused
        kind = row["verdict"] if row["status"] == "ok" else row["status"]
        for table, word in ((self.by_status, row["status"]), (self.by_verdict, row["verdict"]), (self.by_kind, kind)):
            table[word] = table.get(word, 0) + 1


def scan_paths(
    paths: Iterable[Path | str],
    *,
    out: Path | str,
    engine: str = "local",
    workers: int | None = None,
    model: Path | None = None,
    scanner: Scanner | None = None,
    budget: Budget | None = None,
    resume: bool = True,
    retry: bool = False,
    ray_address: str | None = None,
    ray_gpus: float = 0.0,
    counts: Counts | None = None,
) -> Iterator[dict[str, Any]]:
    """Scan files and folders; yield one row (``facewitness.scan/1``) a clip, in the order of the clips.

    ``out`` is the folder (or PostgreSQL URL) of the results: what is there under the same content, model and
    configuration is not scanned again (``resume``), unless it failed and ``retry`` is set. A row is stored when it is
    ready and yielded when its turn comes, with ``reused`` and its ``result`` number. ``workers`` defaults to what the
    machine holds; ``ray_gpus`` is the share of a GPU that each actor of a cluster takes. Of a clip only its name and
    key stay in memory, some hundred bytes.
    Raises UsageError where results cannot be written, MissingPieceError where the detector cannot be loaded.

    >>> for row in scan_paths(["clips/"], out="results"):  # doctest: +SKIP
    ...     print(row["path"], row["verdict"], row["p_fake"])
    """
    scanner = scanner or default_scanner(model)
    counts = counts if counts is not None else Counts()
    runner = _engine(engine, scanner, workers, budget or Budget(), ray_address, ray_gpus)
    try:
        with open_store(out) as store:
            store.note("scan started", model=_model(scanner), configuration=scanner.configuration, engine=engine)
            run = Run(store, scanner, runner, resume=resume, retry=retry)
            try:
                for clip in run.rows(find_clips(paths)):
                    assert clip.row is not None
                    counts.take(clip.row, clip.reused)
                    yield clip.row
            except (KeyboardInterrupt, GeneratorExit):
                store.note("scan interrupted", clips=counts.clips, scanned=counts.scanned, reused=counts.reused)
                raise
            if run.printed:
                NearLinker(store).link(run.printed)
            store.note("scan finished", clips=counts.clips, scanned=counts.scanned, reused=counts.reused)
    finally:
        runner.close()


def _engine(
    name: str, scanner: Scanner, workers: int | None, budget: Budget, address: str | None, gpus: float
) -> Engine:
    if name == "local":
        return WorkerPool(scanner, workers or default_workers(), budget)
    if name == "ray":
        from facewitness.detector.engine.cluster import RayEngine

        return RayEngine(scanner, workers=workers, budget=budget, address=address, gpus=gpus)
    raise UsageError(f"there is no engine {name!r}; choose local or ray.")


def _model(scanner: Scanner) -> str:
    return scanner.model_sha256 or scanner.model_id or "none"


class Run:
    """One pass over the clips."""

    def __init__(self, store: Store, scanner: Scanner, engine: Engine, *, resume: bool, retry: bool):
        self.store, self.scanner, self.engine = store, scanner, engine
        self.resume, self.retry = resume, retry
        self.model = _model(scanner)
        self.before = store.last_number()
        self.printed: list[str] = []
        """Keys whose fingerprints are new and not linked yet."""
        self.twins: dict[str, list[Clip]] = {}
        """Clips that wait for another of the same content, by key."""

    def rows(self, paths: Iterator[Path | str]) -> Iterator[Clip]:
        """Every clip with its row, in order."""
        with ThreadPoolExecutor(HASH_THREADS) as hashing:
            coming = self._identified(paths, hashing)
            waiting: deque[Clip] = deque()  # in order; the first may still be without a row
            working: dict[int, Clip] = {}
            more = True
            while more or waiting:
                while more and len(waiting) < self.engine.window and (self.engine.free > 0 or not working):
                    clip = next(coming, None)
                    if clip is None:
                        more = False
                        break
                    waiting.append(clip)
                    self.decide(clip, working)
                    if clip.row is not None and len(waiting) == 1:
                        break
                while waiting and waiting[0].row is not None:
                    yield waiting.popleft()
                if working:
                    for task, row in self.engine.wait():
                        self.settle(working.pop(task.seq), row)

    def _identified(self, paths: Iterator[Path | str], hashing: ThreadPoolExecutor) -> Iterator[Clip]:
        """Clips with the hash of their content; files that have not changed since they were hashed are not read."""
        seq = 0
        while batch := list(islice(paths, BATCH)):
            clips = [_clip(seq + i, path) for i, path in enumerate(batch)]
            seq += len(batch)
            remembered = self.store.hashes(_place(c) for c in clips) if self.resume else {}
            hashes: deque[Future[Any] | None] = deque()
            for clip in clips:
                signature, sha = remembered.get(_place(clip), ("", ""))
                if signature and signature == _signature(clip):
                    clip.sha256 = sha
                hashes.append(None if clip.sha256 or not clip.signature else hashing.submit(_hash, clip))
            fresh: list[dict[str, Any]] = []
            known: dict[str, dict[str, Any]] = {}
            if self.resume:
                known = self._known(c.sha256 for c in clips if c.sha256)
            for clip, future in zip(clips, hashes, strict=True):
                if future is not None:
                    fresh += future.result()
                    if self.resume and clip.sha256:
                        known |= self._known([clip.sha256])
                self._name(clip, known)
                yield clip
            self.store.remember(fresh)

    def identify(self, clip: Clip) -> None:
        """Hash one clip's file and give it the row it has already, if any."""
        if clip.signature is not None:
            _hash(clip)
        self._name(clip, self._known([clip.sha256]) if self.resume and clip.sha256 else {})

    def _name(self, clip: Clip, known: dict[str, dict[str, Any]]) -> None:
        clip.key = clip.sha256 or "path-" + hashlib.sha256(_place(clip)).hexdigest()
        if clip.key in known:
            clip.row, clip.reused = self._adopted(clip, known[clip.key]), True

    def _known(self, keys: Iterable[str | None]) -> dict[str, dict[str, Any]]:
        return self.store.known([k for k in keys if k], self.model, self.scanner.configuration, retry=self.retry)

    def decide(self, clip: Clip, working: dict[int, Clip]) -> None:
        """Give a clip its row, let it wait for its twin, or hand it to the engine."""
        if clip.row is not None:
            return
        if (clip.signature is None and clip.uri is None) or clip.problem:
            row = failed_row("unreadable", clip.problem or _why_none(clip.path))
            before = self._known([clip.key]).get(clip.key) if self.resume else None
            if before and before["error"] == row["error"]:
                clip.row, clip.reused = self._adopted(clip, before), True
            else:
                self._finish(clip, row, store=True)
        elif clip.key in self.twins:
            self.twins[clip.key].append(clip)
        elif twin := self.store.known([clip.key], self.model, self.scanner.configuration, after=self.before):
            clip.row, clip.reused = self._adopted(clip, twin[clip.key]), True
        else:
            self.twins[clip.key] = []
            working[clip.seq] = clip
            size = clip.signature.size if clip.signature else 0
            self.engine.submit(Task(clip.seq, clip.path, clip.key, size, clip.uri))

    def settle(self, clip: Clip, row: dict[str, Any]) -> None:
        """Take the row of a clip from the engine: store it, and give it to the twins."""
        print_ = taken(row)
        self._settle(clip, row)
        if print_ and clip.sha256 and not clip.reused:
            self.store.add_fingerprint(clip.key, print_)
            self.printed.append(clip.key)

    def _settle(self, clip: Clip, row: dict[str, Any]) -> None:
        if clip.uri and row.get("sha256") and not clip.sha256:
            self._arrived(clip, row)
            return
        changed = clip.uri is None and signature_of(clip.path) != clip.signature
        if changed:
            row = failed_row(
                "error", f"{text_of(clip.path.name)} changed while it was read; scan it again when it is whole"
            )
            clip.sha256 = None
        self._finish(clip, row, store=not changed)
        for twin in self.twins.pop(clip.key, []):
            if changed:  # what it was is not known; the twin stands for itself next time
                assert clip.row is not None
                twin.row = {**clip.row, "path": _shown(twin)}
            else:
                assert clip.row is not None
                twin.row, twin.reused = self._adopted(twin, clip.row), True

    def _arrived(self, clip: Clip, row: dict[str, Any]) -> None:
        """Take the row of a clip whose content is known only now that it was fetched."""
        twins = self.twins.pop(clip.key, [])
        clip.sha256 = clip.key = row["sha256"]
        if signature := _signature(clip):
            self.store.remember([{"name": _place(clip), "signature": signature, "sha256": clip.sha256}])
        if known := self._known([clip.key]):
            clip.row, clip.reused = self._adopted(clip, known[clip.key]), True
        else:
            self._finish(clip, row, store=True)
        for twin in twins:
            assert clip.row is not None
            twin.row, twin.reused = self._adopted(twin, clip.row), True

    def _finish(self, clip: Clip, row: dict[str, Any], *, store: bool) -> None:
        row = {
            **row,
            "schema": SCHEMA,
            "path": _shown(clip),
            "sha256": clip.sha256,
            "verdict": row.get("verdict") or "inconclusive",
            "p_fake": row.get("p_fake"),
            "error": row.get("error"),
            "model": row.get("model") or {"id": self.scanner.model_id, "sha256": self.scanner.model_sha256},
            "scanned_at": now(),
        }
        if store:
            self.store.add(
                row, key=clip.key, model=self.model, configuration=self.scanner.configuration,
                retry=self.retry or not self.resume or clip.sha256 is None,
            )  # fmt: skip
        clip.row = {
            **row,
            "result": self.store.number_of(clip.key, self.model, self.scanner.configuration),
            "reused": False,
        }

    def _adopted(self, clip: Clip, row: dict[str, Any]) -> dict[str, Any]:
        """A row that was made for the same content, at this clip's own path."""
        return {**row, "path": _shown(clip), "reused": True}


def _clip(seq: int, where: Path | str) -> Clip:
    if isinstance(where, str):
        return Clip(seq, Path(name_of(where)), None, uri=where)
    return Clip(seq, where, signature_of(where))


def _shown(clip: Clip) -> str:
    return clip.shown or clip.uri or text_of(clip.path)


def _place(clip: Clip) -> bytes:
    """What a clip is remembered by."""
    return clip.uri.encode() if clip.uri else os.fsencode(clip.path.absolute())


def _signature(clip: Clip) -> str:
    if clip.uri:
        return remote_signature(clip.uri) or ""
    return clip.signature.encode() if clip.signature else ""


def _hash(clip: Clip) -> list[dict[str, Any]]:
    """Hash a clip's file; the entry to remember, unless it changed meanwhile or a moment ago."""
    try:
        clip.sha256 = sha256_file(clip.path)
    except OSError as e:
        clip.problem = f"{text_of(clip.path.name)} cannot be read ({e.strerror}); check the disk and its permissions."
        return []
    after = signature_of(clip.path)
    if after is None or after != clip.signature:
        clip.problem = f"{text_of(clip.path.name)} changed while it was read; scan it again when it is whole."
        clip.sha256 = None
        return []
    if time.time_ns() - max(after.mtime_ns, after.ctime_ns) < FRESH_NS:
        return []
    name = os.fsencode(clip.path.absolute())
    return [{"name": name, "signature": after.encode(), "sha256": clip.sha256}]


def _why_none(path: Path) -> str:
    name = text_of(path.name)
    try:
        if path.is_dir():
            return f"the folder {name} may not be read; change its permissions."
        if path.exists():
            return f"{name} is not a regular file; give a video file."
    except OSError as e:
        return f"{name} cannot be read ({e.strerror})."
    return f"{name} is not there; check the path."
