"""Reading a video once, from front to back: its probe, and its frames upright in RGB with exact presentation times."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from facewitness.errors import UnreadableInputError
from facewitness.media.limits import MAX_DAMAGED_PACKETS
from facewitness.media.opening import STILL_CODECS, opened, shown
from facewitness.media.picture import Orientation, aspect_of, orientation_of, square_size, to_rgb
from facewitness.media.types import Frame, VideoInfo

SEEKABLE = ("mov", "matroska")
"""Containers whose index is trusted to find a time; others are decoded from their beginning."""

CLOCK_FROM_ANYWHERE = ("mpeg", "mpegts")
"""Containers whose clock starts at an arbitrary time, which is taken off, as players do."""

MISSING_FRAMES_NOTED = 3
"""A file that ends this many frames before its announced end is said to be cut short."""


OFF_BEAT = 0.1
"""Shares of a frame by which a stamp may be off the even beat for its frame to be known as one that is not wanted."""

_watchers: list[Callable[[Frame], None]] = []


@contextlib.contextmanager
def watched(watcher: Callable[[Frame], None]) -> Iterator[None]:
    """While inside, show ``watcher`` every frame that anybody reads in this process: a clip is decoded only once.

    For processes that read one clip at a time.
    """
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


class Pace:
    """Says of frames by their times which are ``step_s`` apart, a quarter early at most, so that a variable rate is
    thinned evenly; 0 is every frame."""

    def __init__(self, step_s: float):
        self._least_s = 0.75 * step_s
        self._last: float | None = None

    def due(self, time_s: float) -> bool:
        """Whether the frame at this time, later than those asked about before, is to be looked at."""
        if self._last is not None and time_s - self._last < self._least_s:
            return False
        self._last = time_s
        return True


@dataclass(frozen=True)
class _Waiting:
    """A decoded frame whose picture is not made yet."""

    index: int
    pts: int
    base: Fraction
    raw: av.VideoFrame
    size: tuple[int, int]
    orientation: Orientation
    exact: bool

    @property
    def time_s(self) -> float:
        return float(self.pts * self.base)

    def frame(self) -> Frame:
        image = self.orientation.upright(to_rgb(self.raw, *self.size, exact=self.exact))
        return Frame(index=self.index, pts=self.pts, time_base=self.base, image=image)


class DamagedVideoWarning(UserWarning):
    """Part of a video could not be decoded; what could be was."""


class VideoReader:
    """One pass over a video: ``for frame in VideoReader(path): ...``; then ``reader.notes`` says what was wrong.

    ``info`` is known from the start; ``notes`` (sentences on damage), ``count`` (frames decoded) and ``span_s`` (from
    the first of them to the last) when the pass is over. Set ``step_s``, and frames that come much less than that after
    the one given before are neither made into a picture nor given; and where nothing else in the file needs them, they
    are not even decoded (``count`` and ``Frame.index`` leave those out). A watcher is shown all.
    """

    def __init__(self, path: Path, *, start_s: float = 0.0, end_s: float | None = None, exact_colour: bool = False):
        self.path = Path(path)
        self.notes: list[str] = []
        self.info = probe(self.path)
        self.step_s = 0.0
        self.count, self.span_s = 0, 0.0
        self._start_s, self._end_s, self._exact = start_s, end_s, exact_colour

    def __iter__(self) -> Iterator[Frame]:
        """Decode from the beginning; frames that start before ``start_s`` or at ``end_s`` and later are left out."""
        given = Pace(self.step_s)
        first: float | None = None
        self.count = 0
        for waiting in self._from(self._start_s):
            first = waiting.time_s if first is None else first
            self.count, self.span_s = self.count + 1, waiting.time_s - first
            due = given.due(waiting.time_s)
            if not (due or _watchers):
                continue
            frame = waiting.frame()
            for watcher in _watchers:
                watcher(frame)
            if due:
                yield frame

    def _from(self, seek_s: float) -> Iterator["_Waiting"]:
        with opened(self.path) as (container, stream):
            base, origin = _base(stream), _origin(container, stream)
            sought = seek_s > 0 and container.format.name.split(",")[0] in SEEKABLE and _seek(container, stream, seek_s)
            size = square_size(stream.codec_context.width, stream.codec_context.height, aspect_of(stream))
            orientation: Orientation | None = None
            index, last = 0, None
            for raw, pts in timed(self._decoded(container, stream), origin, base, self.info.frame_rate):
                if sought and last is None and float(pts * base) > seek_s:  # the index lied: begin again without it
                    break
                last = pts
                if float(pts * base) < self._start_s:
                    continue
                if self._end_s is not None and float(pts * base) >= self._end_s:
                    return
                orientation = orientation or orientation_of(raw)
                yield _Waiting(index, pts, base, raw, size, orientation, self._exact)
                index += 1
            else:
                self._note_missing(last, base)
                return
        yield from self._from(0.0)

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        damaged = in_a_row = 0
        needed = None if _watchers else self._needed(_origin(container, stream), _base(stream))
        try:
            for packet in container.demux(stream):
                if needed is not None:
                    stream.codec_context.skip_frame = "DEFAULT" if needed(packet.pts) else "NONREF"
                try:
                    frames = packet.decode()
                    in_a_row = 0
                except (av.error.FFmpegError, ValueError, MemoryError):
                    damaged, in_a_row = damaged + 1, in_a_row + 1
                    if in_a_row >= MAX_DAMAGED_PACKETS:
                        break
                    continue
                yield from frames
        except (av.error.FFmpegError, OSError, IndexError) as e:  # IndexError: a stream that appears in mid-file
            self.notes.append(f"reading stopped before the end of the file ({type(e).__name__})")
        if damaged:
            self.notes.append(f"{damaged} damaged packets were passed over")

    def _needed(self, origin: int, base: Fraction) -> Callable[[int | None], bool] | None:
        """Which frames, by their stamp, a pass at ``step_s`` gives; None where all may be, or the rate is not steady.

        The decoder passes over the others where no frame is predicted from them. The last second is decoded whole.
        """
        rate = self.info.frame_rate
        stride = round(self.step_s * rate) if rate else 0
        if stride < 2:
            return None
        end = (self.info.duration_s - 1) * rate

        def needed(stamp: int | None) -> bool:
            if stamp is None:
                return True
            number = (stamp - origin) * base * rate
            nearest = round(number)
            return nearest % stride == 0 or abs(number - nearest) > OFF_BEAT or number > end

        return needed

    def _note_missing(self, last: int | None, base: Fraction) -> None:
        info = self.info
        if last is None or not info.frame_rate or not info.duration_s:
            return
        missing_s = info.duration_s - float(last * base) - 1 / float(info.frame_rate)
        if missing_s * float(info.frame_rate) > MISSING_FRAMES_NOTED and missing_s > 0.01 * info.duration_s:
            end_s = float(last * base)
            self.notes.append(f"the picture ends at {end_s:.2f} s, but {info.duration_s:.2f} s are announced")


def read_frames(
    path: Path, *, start_s: float = 0.0, end_s: float | None = None, exact_colour: bool = False
) -> Iterator[Frame]:
    """Stream the frames of a video: upright RGB in square pixels, with the presentation times of the file.

    ``start_s`` and ``end_s`` (seconds, end excluded) cut out a part; ``index`` then counts from the first frame given.
    ``exact_colour`` converts without rounding bias, for pictures that are encoded again. A damaged or truncated file
    gives what can be decoded and a DamagedVideoWarning at the end; the memory taken does not depend on the length.
    Raises UnreadableInputError (one sentence) where not a single frame can be had.

    >>> for frame in read_frames(Path("clip.mp4"), end_s=1.0):  # doctest: +SKIP
    ...     print(frame.time_s, frame.image.shape)
    """
    reader = VideoReader(path, start_s=start_s, end_s=end_s, exact_colour=exact_colour)
    yield from reader
    for note in reader.notes:
        warnings.warn(f"{shown(reader.path)}: {note}", DamagedVideoWarning, stacklevel=2)


def probe(path: Path) -> VideoInfo:
    """Say what a video is, after decoding its first frame (so that what is probed can also be read).

    Raises UnreadableInputError (one sentence) where the file is missing, empty, no video, too large or does not decode.
    """
    path = Path(path)
    with opened(path) as (container, stream):
        context = stream.codec_context
        context.thread_count = 1
        first = _first_frame(container, stream)
        if first is None:
            raise UnreadableInputError(
                f"{shown(path)} has a video's header but no picture that decodes; fetch it again."
            )
        if context.name in STILL_CODECS and stream.frames <= 1 and _is_still(container):
            raise UnreadableInputError(f"{shown(path)} is a still picture, not a video; give a video file.")
        orientation = orientation_of(first)
        width, height = square_size(context.width, context.height, aspect_of(stream))
        if orientation.turn_deg in (90, 270):
            width, height = height, width
        audio = container.streams.audio[0].codec_context if container.streams.audio else None
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            frame_rate=Fraction(stream.average_rate or stream.guessed_rate or 0),
            time_base=_base(stream),
            duration_s=_duration(container, stream),
            frames=max(0, stream.frames),
            codec=context.codec.canonical_name,
            pixel_format=first.format.name,
            bit_depth=max((c.bits for c in first.format.components), default=8),
            rotation_deg=orientation.turn_deg,
            audio_codec=audio.codec.canonical_name if audio else None,
            container=container.format.name,
        )


def timed(
    frames: Iterator[av.VideoFrame], origin: int, base: Fraction, rate: Fraction
) -> Iterator[tuple[av.VideoFrame, int]]:
    """Pair each frame with its presentation time: the file's, or where it has none the next in step.

    Times strictly increase: of two frames at one time the later moves by a tick.
    """
    step = max(1, round(1 / (rate * base))) if rate else 1
    last: int | None = None
    for frame in frames:
        stamp = frame.pts if frame.pts is not None else frame.dts
        pts = stamp - origin if stamp is not None else (0 if last is None else last + step)
        last = pts if last is None or pts > last else last + 1
        yield frame, last


def _first_frame(container: InputContainer, stream: VideoStream) -> av.VideoFrame | None:
    failed = 0
    try:
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    return frame
            except (av.error.FFmpegError, ValueError, MemoryError):
                failed += 1
                if failed >= MAX_DAMAGED_PACKETS:
                    return None
    except (av.error.FFmpegError, OSError, IndexError):
        return None
    return None


def _is_still(container: InputContainer) -> bool:
    return container.format.name.endswith("_pipe") or container.format.name in ("image2", "webp")


def _base(stream: VideoStream) -> Fraction:
    return Fraction(stream.time_base) if stream.time_base else Fraction(1, 90_000)


def _origin(container: InputContainer, stream: VideoStream) -> int:
    """Ticks of the stream's time base at which the file's clock starts."""
    if container.format.name in CLOCK_FROM_ANYWHERE and container.start_time:
        return round(Fraction(container.start_time, av.time_base) / _base(stream))
    return 0


def _duration(container: InputContainer, stream: VideoStream) -> float:
    seconds = 0.0
    if stream.duration and stream.duration > 0:
        seconds = float(stream.duration * _base(stream))
    elif container.duration and container.duration > 0:
        seconds = container.duration / av.time_base
    return seconds


def _seek(container: InputContainer, stream: VideoStream, seek_s: float) -> bool:
    try:
        container.seek(int(seek_s / _base(stream)), stream=stream, backward=True)
    except (av.error.FFmpegError, OSError, OverflowError):
        return False
    return True
