"""A process that reads manifests and may be killed: requests and audits go as JSON lines over stdin and stdout.

``pool`` starts it as ``python -P -m facewitness.provenance.worker``: ``-P`` keeps the current folder, which may hold
hostile files named like modules, off the import path.
"""

import importlib
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve requests until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even inside the library, if nobody else does
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii", newline="\n")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from facewitness.provenance.policy import Policy

    importlib.import_module("facewitness.provenance.reading")  # before memory is limited
    from facewitness.provenance.settings import library_context, library_settings

    policy = Policy.from_wire(json.loads(sys.stdin.readline()))
    context = library_context(library_settings(policy.anchors, online=policy.online))
    _limit_memory(policy.memory_budget_mb)
    answers.write(READY + "\n")
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["budget_s"] + ORPHAN_GRACE_S)
        try:
            answer = _answer(request, policy, context)
        except MemoryError:
            os._exit(MEMORY_EXIT)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(request: dict[str, Any], policy: Any, context: Any) -> Any:
    from facewitness.provenance.inert import bounded
    from facewitness.provenance.reading import examine
    from facewitness.provenance.second import opinion

    path = Path(request["path"])
    sidecar = Path(request["sidecar"]) if request.get("sidecar") else None
    if request["task"] == "second":
        return bounded(opinion(path, request["media_type"], policy, sidecar))
    return bounded(examine(path, policy, context, sidecar=sidecar))


READY = "ready"
"""The first line of a worker: from here on its time counts against the file."""
ORPHAN_GRACE_S = 30.0
"""A worker whose parent was killed ends by itself this long after its budget."""
MEMORY_EXIT = 12
"""Exit status of a worker that ran out of its memory budget (ENOMEM)."""


def _limit_memory(megabytes: int) -> None:
    """Let the process grow by so much beyond what its modules needed."""
    with Path("/proc/self/statm").open() as f:
        used = int(f.read().split()[0]) * resource.getpagesize()
    limit = used + megabytes * (1 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
