"""Writing a video that every browser plays: H.264 4:2:0 with its index in front, tagged BT.709, sound carried over."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.files import whole_file
from facewitness.media.limits import MAX_PIXELS, threads_allowed
from facewitness.media.picture import EXACT
from facewitness.media.sound import SoundCarrier

KEYFRAME_SECONDS = 2.0
"""A player can seek to within this; shorter costs bits."""

MAX_FRAME_RATE = Fraction(1000)


class VideoWriter:
    """Writes frames to an MP4 that appears under its name only when it is whole.

    >>> with VideoWriter(Path("out.mp4"), width=512, height=512, frame_rate=Fraction(25)) as video:  # doctest: +SKIP
    ...     video.write(image)
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        frame_rate: Fraction,
        time_base: Fraction | None = None,
        crf: float = 16,
        preset: str = "medium",
        audio_from: Path | None = None,
        audio_start_s: float = 0.0,
        overwrite: bool = True,
    ):
        """Prepare to write ``path`` (.mp4 or .mov).

        ``width`` and ``height`` are those of the frames; an odd side is filled up by repeating its last line, as
        4:2:0 has no odd sizes. ``time_base`` is the unit of the ``pts`` given to ``write`` (default: one frame).
        ``crf`` 0 (best) to 51, fractions too, ``preset`` as x264 names them. The sound of ``audio_from`` is carried
        over from its second ``audio_start_s`` on: packet by packet where a browser plays its codec in an MP4, else as
        AAC; it ends with the picture.
        Raises UsageError for sizes, rates or names that cannot be written.
        """
        if path.suffix.lower() not in (".mp4", ".mov", ".m4v"):
            raise UsageError(
                f"{path.name} cannot be written: video is written as MP4, so give a name that ends in .mp4."
            )
        if not (0 < width * height <= MAX_PIXELS):
            raise UsageError(f"a video of {width}x{height} cannot be written; the limit is {MAX_PIXELS} pixels.")
        if not 0 < frame_rate <= MAX_FRAME_RATE:
            raise UsageError(f"a frame rate of {frame_rate} cannot be written; give one from 0 to {MAX_FRAME_RATE}.")
        self.path, self.size = Path(path), (height, width)
        self.coded_width, self.coded_height = width + width % 2, height + height % 2
        self._rate, self._base = Fraction(frame_rate), Fraction(time_base or 1 / Fraction(frame_rate))
        self._crf, self._preset = crf, preset
        self._audio_from, self._audio_start_s, self._overwrite = audio_from, audio_start_s, overwrite
        self._last: int | None = None
        self._before_last: int | None = None
        self.frames = 0

    def __enter__(self) -> "VideoWriter":
        """Open the encoder and the hidden file it writes to."""
        self._whole = whole_file(self.path, overwrite=self._overwrite)
        part = self._whole.__enter__()
        try:
            self._container: Any = av.open(
                "file:" + str(part.absolute()), "w", format="mp4", options={"movflags": "+faststart"}
            )
            self._stream = self._video_stream()
            self._reformatter = VideoReformatter()
            self._sound = (
                SoundCarrier(self._audio_from, self._container, start_s=self._audio_start_s)
                if self._audio_from
                else None
            )
        except BaseException as e:
            self._close_quietly()
            self._whole.__exit__(type(e), e, e.__traceback__)
            raise
        return self

    def _video_stream(self) -> Any:
        stream = self._container.add_stream("libx264", rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = self.coded_width, self.coded_height, "yuv420p"
        context = stream.codec_context
        # ticks of 1/denominator, so that the MP4 holds every time stamp as it is
        context.time_base = stream.time_base = Fraction(1, self._base.denominator)
        context.thread_count = threads_allowed()
        context.gop_size = max(1, round(self._rate * Fraction(KEYFRAME_SECONDS)))
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        stream.options = {"crf": str(self._crf), "preset": self._preset}
        return stream

    def write(self, image: NDArray[np.uint8], pts: int | None = None) -> None:
        """Add one HxWx3 RGB uint8 frame, at ``pts`` ticks of the time base (default: one frame after the last).

        Raises ValueError for a frame of another size or type, or a time that does not come after the last.
        """
        if image.shape != (*self.size, 3) or image.dtype != np.uint8:
            raise ValueError(f"a frame is {image.dtype} {image.shape}, not uint8 {(*self.size, 3)}")
        if pts is None:
            step = max(1, round(1 / (self._rate * self._base)))
            pts = 0 if self._last is None else self._last + step
        if self._last is not None and pts <= self._last:
            raise ValueError(f"frame at {pts} ticks does not come after the last at {self._last}")
        pad = (self.coded_height - image.shape[0], self.coded_width - image.shape[1])
        if any(pad):
            image = np.pad(image, ((0, pad[0]), (0, pad[1]), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = self._reformatter.reformat(
            rgb, format="yuv420p", interpolation=EXACT, src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG,
            dst_color_primaries=ColorPrimaries.BT709, dst_color_trc=ColorTrc.BT709, threads=1,
        )  # fmt: skip
        frame.pts, frame.time_base = pts * self._base.numerator, Fraction(1, self._base.denominator)
        self._container.mux(self._stream.encode(frame))
        self._before_last, self._last, self.frames = self._last, pts, self.frames + 1
        if self._sound:
            self._sound.carry_until(float(pts * self._base))

    @property
    def duration_s(self) -> float:
        """Seconds from zero to the end of the last frame, which is shown as long as the one before it."""
        if self._last is None:
            return 0.0
        step = self._last - self._before_last if self._before_last is not None else 1 / (self._rate * self._base)
        return float((self._last + step) * self._base)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file and give it its name; after an error, or without a single frame, remove it."""
        try:
            if kind is None:
                self._finish()
        except BaseException as e:
            self._close_quietly()
            self._whole.__exit__(type(e), e, e.__traceback__)
            raise
        self._close_quietly()
        self._whole.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if not self.frames:
            raise UsageError(f"{self.path.name} was not written: it would not have a single frame.")
        self._container.mux(self._stream.encode(None))
        if self._sound:
            self._sound.carry_until(self.duration_s)
            self._sound.finish()
        self._container.close()

    def _close_quietly(self) -> None:
        for thing in (getattr(self, "_sound", None), getattr(self, "_container", None)):
            if thing is not None:
                try:
                    thing.close()
                except (av.error.FFmpegError, OSError, ValueError):
                    continue
