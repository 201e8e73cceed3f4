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


def sound_of(
    job: Job, studio: Studio, stretch: Stretch, drivers: dict[str, tuple[Actor, Take]], stack: ExitStack
) -> Path | None:
    """The stretch's sound in a file of its own: the person's, or the driver's where the mouth is theirs and they have
    one.

    All clips of one person have sound, or none has: it would tell the label. For the same reason a driver without
    sound leaves the person's own; silence takes no bits.
    """
    if not studio.spec.audio or not studio.take.audio:
        return None
    take, start = studio.take, float(studio.actor.performance.times_s[stretch.first])
    speaks = drivers[job.driver][1].audio and {"expression", "mouth"} & set(job.take)
    if job.driver != job.person and speaks:
        actor, take = drivers[job.driver]
        rate = Fraction(actor.card["frame"]["rate"])
        theirs = find_stretch(actor.performance, rate, studio.spec.seconds, job.stretch, job.of)
        start = float(actor.performance.times_s[theirs.first])
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sound.m4a"
    seconds = stretch.count / float(stretch.rate)
    if not cut_sound(take.path, path, start, seconds):
        write_silence(path, seconds)
    return path


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
