"""A process that reads manifests and may be killed: requests come as JSON lines on stdin, audits go as JSON lines to stdout.

Started by ``pool`` as ``python -P -m facewitness.provenance.worker``: ``-P`` keeps the current folder, which may hold hostile
files named like modules, off the import path.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path


def main() -> None:
    """Serve requests until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", newline="\n")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from facewitness.files import to_json
    from facewitness.provenance.policy import Policy
    from facewitness.provenance.reading import examine
    from facewitness.provenance.settings import library_context, library_settings

    policy = Policy.from_wire(json.loads(sys.stdin.readline()))
    context = library_context(library_settings(policy.anchors, allowed_pem=policy.allowed_pem, online=policy.online))
    _limit_memory(policy.memory_budget_mb)
    for line in sys.stdin:
        request = json.loads(line)
        sidecar = Path(request["sidecar"]) if request.get("sidecar") else None
        try:
            row = to_json(examine(Path(request["path"]), policy, context, sidecar=sidecar))
        except MemoryError:
            os._exit(MEMORY_EXIT)
        answers.write(row + "\n")
        answers.flush()


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
