"""Opening a file that may be anything: a container and its first video stream, or one sentence on what is wrong."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from facewitness.errors import UnreadableInputError
from facewitness.media.limits import MAX_PIXELS, READABLE_FORMATS, threads_allowed

STILL_CODECS = {"png", "mjpeg", "jpeg2000", "bmp", "tiff", "webp"}


def shown(path: Path) -> str:
    """The file's name as it can be printed on one line: control characters and bytes that are no text are escaped."""
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Yield the container of ``path`` and its first real video stream (cover art is passed over), ready to decode.

    Raises UnreadableInputError where the file is missing, empty, cut short, no video or too large.
    Only local files are opened, and nothing they point to.
    """
    path = Path(path)
    container = _open(path)
    try:
        stream = _first_video(container, path)
        context: Any = stream.codec_context
        if context.width * context.height > MAX_PIXELS:
            raise UnreadableInputError(
                f"{shown(path)} announces pictures of {context.width}x{context.height}; "
                f"the limit is {MAX_PIXELS // 1_000_000} million pixels (8K): make a smaller copy first."
            )
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_type = "AUTO"
        context.thread_count = threads_allowed()
        yield container, stream
    finally:
        container.close()


def _open(path: Path) -> InputContainer:
    try:
        if not path.exists():
            raise UnreadableInputError(f"{shown(path)} is not there; check the path.")
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise UnreadableInputError(f"{shown(path)} is {kind}; give a video file.")
        if path.stat().st_size == 0:
            raise UnreadableInputError(f"{shown(path)} is empty; fetch or copy it again.")
        return av.open(
            "file:" + os.fspath(path.absolute()),
            mode="r",
            metadata_errors="replace",
            container_options={"format_whitelist": READABLE_FORMATS, "protocol_whitelist": "file"},
            options={"max_pixels": str(MAX_PIXELS)},
        )
    except (OSError, av.error.FFmpegError, ValueError) as e:
        raise UnreadableInputError(_why_not_opened(path, e)) from e


def _why_not_opened(path: Path, error: Exception) -> str:
    name = shown(path)
    if isinstance(error, PermissionError):
        return f"{name} may not be read by this user; change its permissions."
    with contextlib.suppress(OSError):
        with path.open("rb") as f:
            start = f.read(12)
        if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
            return f"{name} is an MP4 or MOV without a usable index: it is cut short or damaged; fetch the whole file."
        if start[:3] == b"\xff\xd8\xff" or start[:8] == b"\x89PNG\r\n\x1a\n":
            return f"{name} is a still picture, not a video; give a video file."
    return f"{name} is not a video that can be read here (or its beginning is damaged); convert it to MP4 or WebM."


def _first_video(container: InputContainer, path: Path) -> VideoStream:
    videos = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not videos:
        what = "sound but no picture" if container.streams.audio else "no video stream"
        raise UnreadableInputError(f"{shown(path)} holds {what}; give a video file.")
    stream = videos[0]
    if stream.codec_context is None or not stream.codec_context.is_decoder:
        raise UnreadableInputError(
            f"{shown(path)} is compressed in a way that cannot be decoded here; convert it to H.264."
        )
    return stream
