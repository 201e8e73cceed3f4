"""The sound of a clip: cut from the footage of whoever's mouth is seen."""

import tempfile
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from facewitness.datasets.footage import Take
from facewitness.datasets.plan import Job
from facewitness.datasets.rendering import Studio
from facewitness.datasets.stretch import Stretch, find_stretch
from facewitness.generator.actor import Actor

RATE_HZ, AAC_FRAME = 48_000, 1024
"""Samples a second, and in one packet of AAC."""
SILENT_BYTES_A_S = 2000
"""Sound takes some 16,000 bytes a second here, silence 300."""


def sound_of(
    job: Job, studio: Studio, stretch: Stretch, drivers: dict[str, tuple[Actor, Take]], stack: ExitStack
) -> Path | None:
    """The stretch's sound in a file of its own: the person's, or the driver's where the mouth is theirs.

    All clips of one person have sound, or none has: it would tell the label. For the same reason the person's own
    sound stays where it or the driver's is silence, which takes no bits.
    """
    if not studio.spec.audio or not studio.take.audio:
        return None
    seconds = stretch.count / float(stretch.rate)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    own = folder / "own.m4a"
    start = float(studio.actor.performance.times_s[stretch.first])
    if not cut_sound(studio.take.path, own, start, seconds):
        write_silence(own, seconds)
    if job.driver == job.person or not {"expression", "mouth"} & set(job.take) or _silent(own, seconds):
        return own
    actor, take = drivers[job.driver]
    if not take.audio:
        return own
    rate = Fraction(actor.card["frame"]["rate"])
    theirs = find_stretch(actor.performance, rate, studio.spec.seconds, job.stretch, job.of)
    said = folder / "driver.m4a"
    heard = cut_sound(take.path, said, float(actor.performance.times_s[theirs.first]), seconds)
    return said if heard and not _silent(said, seconds) else own


def _silent(sound: Path, seconds: float) -> bool:
    return sound.stat().st_size < SILENT_BYTES_A_S * seconds


def cut_sound(video: Path, out: Path, start_s: float, seconds: float) -> bool:
    """Write ``seconds`` of a video's sound from ``start_s`` as AAC; False where it has none there."""
    import av

    written = False
    with av.open(str(video)) as source, av.open(str(out), "w", format="mp4") as target:
        stream = target.add_stream("aac", rate=RATE_HZ)
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE_HZ)
        source.seek(max(int((start_s - 0.5) * 1e6), 0))
        for frame in source.decode(audio=0):
            time = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else 0.0
            if time + frame.samples / frame.sample_rate <= start_s:
                continue
            if time >= start_s + seconds:
                break
            frame.pts = None
            for part in resampler.resample(frame):
                target.mux(stream.encode(part))
                written = True
        target.mux(stream.encode(None))
    return written


def write_silence(out: Path, seconds: float) -> None:
    """Write ``seconds`` of silence as AAC."""
    import av
    import numpy as np

    with av.open(str(out), "w", format="mp4") as target:
        stream = target.add_stream("aac", rate=RATE_HZ)
        for _ in range(max(1, round(seconds * RATE_HZ / AAC_FRAME))):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, AAC_FRAME), np.float32), format="fltp", layout="stereo")
            frame.sample_rate = RATE_HZ
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
