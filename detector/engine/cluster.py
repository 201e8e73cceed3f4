"""Scanning on Ray: one row a clip, a pool of actors, each with a worker process of its own that may die.

Ray Data streams the clips through ``map_batches`` and does again what a lost node or actor had in its hands; what comes
twice is counted once, and what does not come at all is asked for again.
"""

import json
import logging
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facewitness.detector.engine.pool import Budget, Task, WorkerPool, failed_row
from facewitness.detector.engine.scanner import Scanner
from facewitness.errors import FacewitnessError, MissingPieceError
from facewitness.files import to_json

ROUNDS = 3
"""How often clips are asked for that a cluster has not answered."""
CLIPS_PER_ROUND = 10_000
"""Clips given to the cluster together: Ray keeps a few kilobytes of each in its head."""
CLIPS_PER_BLOCK, BLOCKS_PER_ACTOR = 4, 8
"""A piece of work is so many clips, or fewer where each actor would get fewer pieces: handing one out costs a cluster
some hundredths of a second, what is lost with a node is a piece for each of its actors, and rows come by the piece."""
OBJECT_STORE_BYTES = 256 << 20
"""Rows are kilobytes; a cluster that is started here needs no more."""


class ScanActor:
    """Scans the clips of a batch in a process of its own; a clip that kills it costs one row and not the actor."""

    def __init__(self, scanner: dict[str, Any], budget: dict[str, Any]):
        self._pool = WorkerPool(Scanner(**scanner), 1, Budget(**budget))
        self._pool.start()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Rows for the ``seq`` and ``task`` columns of a batch, as compressed JSON."""
        packed = []
        for text in batch["task"]:
            told = json.loads(text)
            task = Task(told["seq"], Path(os.fsdecode(bytes.fromhex(told["path"]))), "", told["size"], told["uri"])
            self._pool.submit(task)
            done: list[tuple[Task, dict[str, Any]]] = []
            while not done:
                done = self._pool.wait()
            packed.append(zlib.compress(to_json(done[0][1]).encode()))
        return {"seq": batch["seq"], "row": packed}


class RayEngine:
    """The engine of ``--engine ray``: joins the cluster at ``address``, or starts one on this machine."""

    window = CLIPS_PER_ROUND

    def __init__(
        self, scanner: Scanner, *, workers: int | None, budget: Budget, address: str | None = None, gpus: float = 0.0
    ):
        """Prepare. ``workers`` is the number of actors (default: the cluster's cores), ``gpus`` each one's share."""
        try:
            import ray
            import ray.data
        except ImportError as e:
            raise MissingPieceError("--engine ray needs one more package: pip install 'facewitness[ray]'.") from e
        for handler in logging.getLogger("ray.data").handlers:  # its files keep the whole story
            if isinstance(handler, logging.StreamHandler):
                handler.setLevel(logging.ERROR)
        self._ray, self._scanner, self._budget, self._gpus = ray, scanner, budget, gpus
        self._started_here = not ray.is_initialized()
        if self._started_here:
            self._join(address or os.environ.get("RAY_ADDRESS"))
        self._workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._batch: list[Task] = []
        self._rows: Iterator[tuple[int, dict[str, Any]]] | None = None
        self._missing: dict[int, Task] = {}
        self._round = 0

    def _join(self, address: str | None) -> None:
        quiet: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        try:
            self._ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, **({} if address else quiet)
            )
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as e:
            raise FacewitnessError(f"the Ray cluster cannot be joined or started ({str(e).splitlines()[0]}).") from e

    @property
    def free(self) -> int:
        """How many clips the next round still takes; 0 while one runs."""
        return 0 if self._rows is not None else CLIPS_PER_ROUND - len(self._batch)

    def submit(self, task: Task) -> None:
        """Put a clip into the next round."""
        self._batch.append(task)

    def wait(self) -> list[tuple[Task, dict[str, Any]]]:
        """The next rows of the running round, in any order; a new round begins when one is over."""
        if self._rows is None:
            if not self._batch:
                return []
            self._missing = {t.seq: t for t in self._batch}
            self._batch, self._round = [], 0
            self._rows = self._run(list(self._missing.values()))
        for seq, row in self._rows:
            if seq in self._missing:  # what a lost node had done already may come a second time
                return [(self._missing.pop(seq), row)]
        self._rows, self._round = None, self._round + 1
        if self._missing and self._round < ROUNDS:
            self._rows = self._run(list(self._missing.values()))
            return []
        lost = [
            (task, failed_row("error", "the cluster lost this clip in every attempt"))
            for task in self._missing.values()
        ]
        self._missing = {}
        return lost

    def _run(self, tasks: list[Task]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Stream tasks through the cluster; yield (seq, row) as they come. A cluster that fails ends the round."""
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        items = [{"seq": t.seq, "task": _packed(t)} for t in tasks]
        blocks = min(len(items), max(self._workers * BLOCKS_PER_ACTOR, len(items) // CLIPS_PER_BLOCK))
        told = {
            "scanner": {
                "function": self._scanner.function, "options": self._scanner.to_wire()["options"],
                "model_id": self._scanner.model_id, "model_sha256": self._scanner.model_sha256,
            },
            "budget": {name: getattr(self._budget, name) for name in ("base_s", "per_second", "memory_mb")},
        }  # fmt: skip
        resources: dict[str, Any] = {"num_gpus": self._gpus} if self._gpus else {}
        actors = min(self._workers, len(items))
        rows = self._ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            ScanActor, fn_constructor_kwargs=told, batch_size=1, num_cpus=1,
            # all begin at once; one is enough to go on with when nodes are lost
            compute=ActorPoolStrategy(min_size=1, initial_size=actors, max_size=actors), **resources,
        )  # fmt: skip
        try:
            for batch in rows.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy"):
                for seq, data in zip(batch["seq"], batch["row"], strict=True):
                    yield int(seq), json.loads(zlib.decompress(bytes(data)))
        except self._ray.exceptions.RayError:
            return

    def close(self) -> None:
        """Stop what runs; leave a cluster that was there before."""
        rows, self._rows = self._rows, None
        if rows is not None:
            rows.close()  # type: ignore[attr-defined]
        if self._started_here:
            self._ray.shutdown()


def _packed(task: Task) -> str:
    return to_json(
        {"seq": task.seq, "path": os.fsencode(task.path.absolute()).hex(), "size": task.size, "uri": task.uri}
    )
