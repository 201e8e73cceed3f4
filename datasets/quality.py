"""At what quality a fake is encoded, so that its bit rate tells nothing.

Rendered frames are noisier over time than filmed ones, or smoother where a baseline averages: at one x264 quality
they took up to twice, or half, the bits of the real clip, and the bit rate told the label.
"""

import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CRF_A_DOUBLING = 6.0
"""Steps of quality that halve or double the bits, about (x264)."""
CRF_REACH = 9.0
"""A fake may be encoded so much finer or coarser than its real clip."""
NEAR = 0.02
"""A bit rate this near to the real clip's is near enough."""
TRIES = 3


def matched_crf(frames: Sequence[NDArray[np.uint8]], rate: Fraction, *, crf: float, wanted: int) -> float:
    """The quality, in hundredths, at which ``frames`` take ``wanted`` bytes; ``crf`` is where the search begins."""
    tried: list[tuple[float, float]] = []
    at = crf
    for _ in range(TRIES):
        ratio = float(np.log2(max(encoded_bytes(frames, rate, at), 1) / max(wanted, 1)))
        tried.append((at, ratio))
        if abs(ratio) < np.log2(1 + NEAR):
            break
        slope = -1 / CRF_A_DOUBLING
        if len(tried) > 1 and abs(tried[-1][0] - tried[-2][0]) > 0.2:
            slope = (tried[-1][1] - tried[-2][1]) / (tried[-1][0] - tried[-2][0])
        step = -ratio / min(slope, -0.05)
        at = round(float(np.clip(at + step, max(crf - CRF_REACH, 0), min(crf + CRF_REACH, 51))), 2)
    return at


def encoded_bytes(frames: Iterable[NDArray[np.uint8]], rate: Fraction, crf: float) -> int:
    """Bytes that a video of ``frames`` (HxWx3 RGB uint8), marked and encoded as it will be, takes at a quality."""
    from facewitness.generator.publishing import PRESET
    from facewitness.media import VideoWriter
    from facewitness.provenance.watermark import Embedder, installation_key

    stream = iter(frames)
    first = next(stream)
    height, width = first.shape[:2]
    mark = Embedder(bytes(8), installation_key(), width=width, height=height, frame_rate=rate)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "probe.mp4"
        with VideoWriter(path, width=width, height=height, frame_rate=rate, crf=crf, preset=PRESET) as video:
            video.write(mark.embed(first))
            for image in stream:
                video.write(mark.embed(image))
        return path.stat().st_size
