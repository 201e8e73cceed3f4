"""Files that visitors drop: kept by content in a private folder that nothing is served from by name."""

import hashlib
from pathlib import Path
from typing import BinaryIO

from facewitness.errors import UsageError
from facewitness.files import cache_dir, whole_file

VIDEO = ("mp4", "mov", "m4v", "webm", "mkv", "avi", "mpg", "mpeg", "gif", "ts", "wmv", "flv", "3gp")
MEDIA = (*VIDEO, "jpg", "jpeg", "png", "webp", "tif", "tiff", "heic", "avif", "wav", "mp3", "m4a", "c2pa")
BLOCK = 1 << 20
NAME_LENGTH = 80


def keep(name: str, data: BinaryIO) -> Path:
    """Store an upload in a folder named by its content; returns its path, whose last part is a tame form of ``name``.

    The file is readable by its owner alone. Raises UsageError where it is empty or cannot be stored.
    """
    data.seek(0)
    digest, size = hashlib.sha256(), 0
    while block := data.read(BLOCK):
        digest.update(block)
        size += len(block)
    if not size:
        raise UsageError(f"{tame(name)} is empty; choose another file.")
    out = cache_dir() / "uploads" / digest.hexdigest()[:32] / tame(name)
    if out.is_file():
        return out
    out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    data.seek(0)
    with whole_file(out) as part:
        part.touch(mode=0o600)
        with part.open("wb") as f:
            while block := data.read(BLOCK):
                f.write(block)
    return out


def tame(name: str) -> str:
    """A file name without folders, controls or a leading dot, cut to NAME_LENGTH, its ending kept."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in last).strip(". ") or "file"
    stem, dot, suffix = shown.rpartition(".")
    return f"{stem[:NAME_LENGTH]}{dot}{suffix[:10]}" if dot else shown[:NAME_LENGTH]
