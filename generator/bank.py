"""The frames an actor remembers: the whole picture and the face's square, compressed, with quick access to any of
them."""

import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UnreadableInputError
from facewitness.files import whole_file

KEYFRAMES_EVERY = 12
"""Frames between key frames: a jump decodes at most this many."""
IN_MEMORY_BYTES = 512 << 20
"""Above this, decoded squares live in a temporary file that the system pages in and out."""


class BankWriter:
    """Writes frames nearly without loss (4:4:4 for squares); the file appears when it is whole."""

    def __init__(self, path: Path, *, width: int, height: int, frame_rate: Fraction, crf: int, full_colour: bool):
        self._whole = whole_file(path)
        part = self._whole.__enter__()
        self._file = av.open(str(part), "w")
        options = {"crf": str(crf), "preset": "veryfast", "g": str(KEYFRAMES_EVERY), "bf": "0"}
        self._stream = self._file.add_stream("libx264", rate=frame_rate, options=options)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv444p" if full_colour else "yuv420p"
        self._stream.codec_context.thread_count = 2

    def write(self, image: NDArray[np.uint8]) -> None:
        """Add one HxWx3 RGB frame."""
        odd = ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.pad(image, odd, mode="edge")), format="rgb24")
        self._file.mux(self._stream.encode(frame))

    def __enter__(self) -> "BankWriter":
        """Begin."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish the file, or leave nothing after an error."""
        if kind is None:
            self._file.mux(self._stream.encode())
        self._file.close()
        self._whole.__exit__(kind, error, trace)


def read_all(path: Path, *, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """Yield every stored frame, (height, width, 3) RGB."""
    try:
        with av.open(str(path)) as file:
            file.streams.video[0].thread_type = "AUTO"
            for frame in file.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="rgb24")[:height, :width], np.uint8)
    except (av.error.FFmpegError, OSError) as e:
        raise UnreadableInputError(f"the actor's frames in {path.name} cannot be read ({e}); train it again.") from e


def load_squares(path: Path, *, frames: int, size: int) -> NDArray[np.uint8]:
    """(frames, size, size, 3) all squares, in memory, or in a temporary file when there are very many."""
    shape = (frames, size, size, 3)
    if np.prod(shape) > IN_MEMORY_BYTES:
        out: NDArray[np.uint8] = np.memmap(tempfile.TemporaryFile(), np.uint8, "w+", shape=shape)  # noqa: SIM115
    else:
        out = np.empty(shape, np.uint8)
    count = 0
    for image in read_all(path, width=size, height=size):
        if count < frames:
            out[count] = image
        count += 1
    if count != frames:
        raise UnreadableInputError(f"{path.name} holds {count} frames instead of {frames}; train the actor again.")
    return out


class FullFrames:
    """Any whole frame by its number; playing on is quick, a jump decodes from the key frame before it."""

    def __init__(self, path: Path, *, width: int, height: int, keep: int = 32):
        self._path, self._width, self._height, self._keep = path, width, height, keep
        self._recent: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._file: av.container.InputContainer | None = None
        self._at = -1

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """(height, width, 3) RGB of frame ``index``; do not write into it."""
        if index in self._recent:
            self._recent.move_to_end(index)
            return self._recent[index]
        if self._file is None:
            self._open()
        if not self._at < index <= self._at + KEYFRAMES_EVERY:
            self._seek(index)
        for frame in self._frames:
            at = round(float((frame.pts or 0) * self._base * self._rate))
            self._at = at
            if at >= index - 2:
                self._recent[at] = np.asarray(frame.to_ndarray(format="rgb24")[: self._height, : self._width], np.uint8)
                if len(self._recent) > self._keep:
                    self._recent.popitem(last=False)
            if at >= index:
                break
        if index not in self._recent:
            raise UnreadableInputError(f"frame {index} of {self._path.name} is missing; train the actor again.")
        return self._recent[index]

    def _open(self) -> None:
        self._file = av.open(str(self._path))
        self._stream = self._file.streams.video[0]
        self._rate = self._stream.average_rate or Fraction(25)
        self._base = self._stream.time_base or 1 / self._rate
        self._frames = self._file.decode(self._stream)

    def _seek(self, index: int) -> None:
        assert self._file is not None
        ticks = int(Fraction(index) / self._rate / self._base)
        self._file.seek(ticks, stream=self._stream, backward=True)
        self._frames = self._file.decode(self._stream)
        self._at = index

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
