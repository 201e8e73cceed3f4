"""Carrying the sound of a file into another: packets as they are where a browser plays them in an MP4, else as AAC."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.resampler import AudioResampler

from facewitness.media.limits import READABLE_FORMATS
from facewitness.media.reading import CLOCK_FROM_ANYWHERE

CARRIED = frozenset({"aac", "mp3", "opus", "flac"})
"""Codecs that are copied packet by packet: an MP4 holds them and browsers play them there. Others become AAC."""

AAC_BITS_PER_SECOND = 192_000


class SoundCarrier:
    """Feeds the first audio stream of a file into an open output, in step with the picture."""

    def __init__(self, source: Path, output: Any, *, start_s: float = 0.0):
        """Open ``source`` and add its sound to ``output``; a file without sound (or not readable) adds nothing."""
        self._output, self._start_s = output, start_s
        self._input: Any = None
        self._pending: Any = None
        self._stream: Any = None
        try:
            self._input = av.open(
                "file:" + str(Path(source).absolute()),
                metadata_errors="replace",
                container_options={"format_whitelist": READABLE_FORMATS, "protocol_whitelist": "file"},
            )
            if not self._input.streams.audio:
                return
            self._source = self._input.streams.audio[0]
            self._origin_s = start_s + self._clock_start()
            if start_s > 0:
                self._input.seek(int(self._origin_s * av.time_base), backward=True)
        except (av.error.FFmpegError, OSError, ValueError):
            return
        codec = self._source.codec_context
        self.copied = codec.codec.canonical_name in CARRIED
        if self.copied:
            self._stream = output.add_stream_from_template(self._source)
        else:
            self._stream = output.add_stream("aac", rate=codec.sample_rate)
            self._stream.codec_context.layout = "mono" if codec.channels == 1 else "stereo"
            self._stream.codec_context.bit_rate = AAC_BITS_PER_SECOND
        self._packets = self._copies() if self.copied else self._encodings()

    def _clock_start(self) -> float:
        if self._input.format.name in CLOCK_FROM_ANYWHERE and self._input.start_time:
            return self._input.start_time / av.time_base
        return 0.0

    def carry_until(self, end_s: float) -> None:
        """Write the packets that start before ``end_s`` seconds of the output's time."""
        if self._stream is None:
            return
        while self._pending is not None or self._advance():
            packet, start_s = self._pending
            if start_s >= end_s:
                return
            self._output.mux(packet)
            self._pending = None

    def finish(self) -> None:
        """Nothing more comes: later sound is left out."""
        self._pending = None
        self._stream = None

    def close(self) -> None:
        """Close the source."""
        if self._input is not None:
            self._input.close()

    def _advance(self) -> bool:
        try:
            self._pending = next(self._packets, None)
        except (av.error.FFmpegError, OSError, ValueError):
            self._pending = None
        return self._pending is not None

    def _copies(self) -> Iterator[tuple[Any, float]]:
        last: int | None = None
        for packet in self._input.demux(self._source):
            if packet.dts is None or packet.pts is None or packet.size == 0:
                continue
            offset = round(self._origin_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
            early = self._start_s > 0 and packet.pts < 0
            if early or (last is not None and packet.dts <= last):
                continue
            last = packet.dts
            seconds = float(packet.pts * packet.time_base)
            packet.stream = self._stream
            yield packet, seconds

    def _encodings(self) -> Iterator[tuple[Any, float]]:
        encoder = self._stream.codec_context
        resampler = AudioResampler(format="fltp", layout=encoder.layout, rate=encoder.sample_rate)
        base = Fraction(1, encoder.sample_rate)
        for frame in self._decoded():
            if self._start_s > 0 and (frame.time or 0.0) < 0:
                continue
            for piece in resampler.resample(frame):
                yield from self._timed(encoder.encode(piece), base)
        rest: list[Any] = [*resampler.resample(None), None]
        for piece in rest:
            yield from self._timed(encoder.encode(piece), base)

    def _decoded(self) -> Iterator[Any]:
        for packet in self._input.demux(self._source):
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                continue
            for frame in frames:
                if frame.pts is not None:
                    frame.pts -= round(self._origin_s / frame.time_base)
                yield frame

    def _timed(self, packets: list[Any], base: Fraction) -> Iterator[tuple[Any, float]]:
        for packet in packets:
            packet.stream = self._stream
            yield packet, float((packet.pts or 0) * (packet.time_base or base))
