"""The process that scans one clip after another and may die: requests and rows go as JSON lines over stdin and stdout.

``pool`` starts it as ``python -P -m facewitness.detector.engine.worker`` (``-P`` keeps the current folder, which may
hold hostile files named like modules, off the import path). It ends when its parent does.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from facewitness.errors import FacewitnessError, MissingPieceError, UnreadableInputError
from facewitness.files import plain

READY, FAILED = "ready", "failed"
PR_SET_PDEATHSIG = 1
"""Linux: the signal a process gets when the thread that started it ends."""


def main() -> None:
    """Serve requests until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    os.dup2(2, 1)  # what libraries print does not mix with the rows
    _end_with_the_parent()

    def say(**words: Any) -> None:
        answers.write(json.dumps(plain(words)) + "\n")
        answers.flush()

    try:
        scan = _load(json.loads(sys.stdin.readline()))
    except FacewitnessError as e:
        say(state=FAILED, error=str(e), exit_code=e.exit_code)
        return
    except Exception as e:
        say(state=FAILED, error=f"the detector cannot be loaded ({type(e).__name__}: {e})", exit_code=2)
        return
    say(state=READY)
    for line in sys.stdin:
        request = json.loads(line)
        path = Path(os.fsdecode(bytes.fromhex(request["path"])))
        say(begun=True)
        try:
            row = _remote_row(scan, request["uri"], say) if request["uri"] else _row(scan, path, say)
        except MissingPieceError as e:  # every other clip would fail in the same way
            say(state=FAILED, error=str(e), exit_code=e.exit_code)
            return
        say(row=row)


def _load(wire: dict[str, Any]) -> Any:
    from facewitness.detector.engine.scanner import load

    function, options = load(wire["function"]), dict(wire["options"])
    if "model" in options:
        options["model"] = Path(options["model"])
    return lambda path: function(path, **options)


def _row(scan: Any, path: Path, say: Any) -> dict[str, Any]:
    say(started=_announced_seconds(path), size=path.stat().st_size if path.exists() else 0)
    return row_of(scan, path)


def _remote_row(scan: Any, uri: str, say: Any) -> dict[str, Any]:
    """Fetch a clip, scan it, and forget it; the row carries the hash of what was fetched."""
    from facewitness.detector.engine.fetch import fetched

    try:
        with fetched(uri) as (path, sha256):
            return {**_row(scan, path, say), "sha256": sha256}
    except UnreadableInputError as e:
        return {"status": "unreadable", "error": str(e)}


def row_of(scan: Any, path: Path) -> dict[str, Any]:
    """Scan one clip; whatever is wrong with it becomes the row's status and one sentence.

    Raises MissingPieceError, which is not the clip's fault.
    """
    start = time.perf_counter()
    try:
        row = _printed(scan, path)
    except UnreadableInputError as e:
        row = {"status": "unreadable", "error": str(e)}
    except MissingPieceError:
        raise
    except MemoryError:
        row = {"status": "error", "error": "the clip needs more memory than there is"}
    except Exception as e:
        row = {"status": "error", "error": f"the scan failed ({type(e).__name__}: {e})".replace("\n", " ")[:500]}
    row["seconds"] = row.get("seconds") or round(time.perf_counter() - start, 3)
    return row


def _printed(scan: Any, path: Path) -> dict[str, Any]:
    """Scan a clip and take its fingerprint from the frames that the scan decodes."""
    from facewitness.detector.engine.prints import FrameSketcher
    from facewitness.media.reading import watched

    sketcher = FrameSketcher()
    with watched(sketcher):
        row: dict[str, Any] = plain(scan(path))
    with contextlib.suppress(Exception):  # a row without a fingerprint is still a row
        row["fingerprint"] = sketcher.packed()
    return row


def _announced_seconds(path: Path) -> float:
    """Seconds of video the file announces, for its time budget; 0 where it does not."""
    from facewitness.media.opening import opened

    with contextlib.suppress(Exception), opened(path) as (container, stream):
        if stream.duration and stream.time_base:
            return max(0.0, float(stream.duration * stream.time_base))
        return max(0.0, (container.duration or 0) / 1e6)
    return 0.0


def _end_with_the_parent() -> None:
    """End when the parent is gone (looked at once a second); let the kernel take this one first for memory."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    parent = int(os.environ.get("FACEWITNESS_WORKER_PARENT", os.getppid()))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if os.environ.get("FACEWITNESS_WORKER_PDEATHSIG"):  # surer, but bound to the thread that started us
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
