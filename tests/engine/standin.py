"""A detector for tests: obeys the word a file begins with, and gives a row. Worker processes load it by name."""

import os
import signal
import time
from pathlib import Path

from facewitness.errors import MissingPieceError, UnreadableInputError


def scan(path: Path, *, pause_s: float = 0.0, mark: str = "", model: Path | None = None) -> dict:
    """The file's text is a command: what goes wrong, or else a score; every scan leaves a mark in SCANNED."""
    if mark := mark or os.environ.get("STANDIN_SCANNED", ""):
        with open(mark, "a") as f:  # noqa: PTH123
            f.write(f"{os.getpid()} {path.name!r}\n")
    time.sleep(pause_s)
    words = path.read_bytes()[:100].decode("utf-8", "replace").split()
    command = words[0] if words else ""
    if command == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if command == "abort":
        os.abort()
    if command == "hang":
        time.sleep(1000)
    if command == "spin":
        while True:
            pass
    if command == "eat":
        hoard = []
        while True:
            hoard.append(b"x" * 10_000_000)
    if command == "raise":
        raise ValueError("two\nlines")
    if command == "chatter":
        print("{'not': 'a row'}")
        os.write(1, b"noise on stdout\n")
    if command == "grow":
        with path.open("ab") as f:
            f.write(b"more")
    if command == "unreadable":
        raise UnreadableInputError(f"{path.name} is not a video.")
    score = (len(path.read_bytes()) % 100) / 100
    return {
        "path": str(path), "sha256": None, "status": "ok", "error": None, "duration_s": 1.0, "fps": 25.0, "width": 64,
        "height": 64, "verdict": "manipulated" if score > 0.5 else "no_evidence", "p_fake": score,
        "reasons": [{"cue": "length", "text": "It is as long as it is.", "start_s": None, "end_s": None}], "faces": [],
        "provenance": None, "model": {"id": "standin", "sha256": "0" * 64}, "seconds": 0.01,
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }  # fmt: skip


def missing(path: Path) -> dict:
    raise MissingPieceError("a piece is missing; fetch it.")


def decode(path: Path) -> dict:
    """Decode a real video and count its frames."""
    from facewitness.media import VideoReader

    reader = VideoReader(path)
    frames = sum(1 for _ in reader)
    return {
        "status": "ok", "verdict": "no_evidence", "p_fake": None, "duration_s": reader.info.duration_s,
        "frames": frames, "notes": reader.notes,
    }  # fmt: skip


def threads(path: Path) -> dict:
    """How many threads the libraries of this worker take."""
    import cv2
    import numba
    import torch

    from facewitness.media.limits import threads_allowed

    told = [threads_allowed(), cv2.getNumThreads(), torch.get_num_threads(), numba.get_num_threads()]
    return {"status": "ok", "verdict": "no_evidence", "p_fake": None, "threads": told}
