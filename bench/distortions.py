"""What happens to a video on its way through platforms and phones: named distortions with strengths, each ending in
an encode."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Frames = list[NDArray[np.uint8]]
Pixels = NDArray[Any]
"""What OpenCV gives back; its stubs do not say that eight bits stay eight bits."""
Change = Callable[[Frames, float], tuple[Frames, float]]


@dataclass(frozen=True)
class Distortion:
    """``kind`` and ``strength`` name it; ``change`` takes and gives (frames, frames per second); then ``codec`` at
    ``crf``."""

    kind: str
    strength: str
    change: Change
    codec: str = "libx264"
    crf: int = 23

    def __call__(self, frames: Frames, fps: float, folder: Path) -> Path:
        """Write the distorted video into ``folder`` and return its path."""
        frames, fps = self.change(frames, fps)
        return encode(
            frames, folder / f"clip.{'webm' if 'vp' in self.codec else 'mp4'}", fps=fps, codec=self.codec, crf=self.crf
        )


def encode(frames: Frames, path: Path, *, fps: float, codec: str = "libx264", crf: int = 23) -> Path:
    """Encode RGB frames with the encoder's ordinary settings (VP9 in its fast mode)."""
    height, width = (n - n % 2 for n in frames[0].shape[:2])
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf)}
        if codec == "libvpx-vp9":
            stream.bit_rate = 0
            stream.options |= {"b": "0", "deadline": "realtime", "cpu-used": "6"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def _each(function: Callable[[NDArray[np.uint8]], Pixels]) -> Change:
    return lambda frames, fps: ([np.asarray(function(f), np.uint8) for f in frames], fps)


def _scale(factor: float) -> Change:
    return _each(lambda f: cv2.resize(f, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))


def _crop(share: float, *, x: float = 0.5, y: float = 0.5, back: bool = False) -> Change:
    """Keep 1 - share of both sides; ``x`` and ``y`` say where (0.5 is the middle); ``back`` scales to the old size."""

    def one(f: NDArray[np.uint8]) -> Pixels:
        h, w = f.shape[:2]
        kh, kw = round(h * (1 - share)), round(w * (1 - share))
        top, left = round((h - kh) * y), round((w - kw) * x)
        kept = f[top : top + kh, left : left + kw]
        return cv2.resize(kept, (w, h)) if back else kept

    return _each(one)


def _box(top: float, side: float) -> Change:
    def one(f: NDArray[np.uint8]) -> Pixels:
        h, w = f.shape[:2]
        v, u = round(h * top), round(w * side)
        return cv2.copyMakeBorder(f, v, v, u, u, cv2.BORDER_CONSTANT, value=(0, 0, 0))

    return _each(one)


def _caption(f: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = f.copy()
    h, w = f.shape[:2]
    out[int(0.84 * h) : int(0.95 * h), int(0.06 * w) : int(0.94 * w)] = (20, 20, 20)
    cv2.putText(
        out,
        "what they do not tell you",
        (int(0.1 * w), int(0.91 * h)),
        cv2.FONT_HERSHEY_DUPLEX,
        w / 640,
        (255, 255, 255),
        2,
    )
    return out


def _rate(to: float) -> Change:
    def change(frames: Frames, fps: float) -> tuple[Frames, float]:
        count = int(len(frames) / fps * to)
        return [frames[min(len(frames) - 1, int(i * fps / to))] for i in range(count)], to

    return change


def _trim(start_s: float, seconds: float) -> Change:
    return lambda frames, fps: (frames[round(start_s * fps) : round((start_s + seconds) * fps)], fps)


def _levels(gain: float, lift: float) -> Change:
    return _each(
        lambda f: (
            cv2.convertScaleAbs(f, alpha=gain, beta=lift)
            if lift >= 0
            else np.clip(f * gain + lift, 0, 255).astype(np.uint8)
        )
    )


def _saturation(share: float) -> Change:
    def one(f: NDArray[np.uint8]) -> Pixels:
        grey = cv2.cvtColor(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return cv2.addWeighted(f, share, grey, 1 - share, 0)

    return _each(one)


def _noise(sigma: float) -> Change:
    def change(frames: Frames, fps: float) -> tuple[Frames, float]:
        rng = np.random.default_rng(0)
        return [np.clip(f + rng.normal(0, sigma, f.shape), 0, 255).astype(np.uint8) for f in frames], fps

    return change


def _rotate(degrees: float) -> Change:
    def one(f: NDArray[np.uint8]) -> Pixels:
        h, w = f.shape[:2]
        return cv2.warpAffine(
            f, cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0), (w, h), borderMode=cv2.BORDER_REPLICATE
        )

    return _each(one)


def _same(frames: Frames, fps: float) -> tuple[Frames, float]:
    return frames, fps


def _then(*changes: Change) -> Change:
    def change(frames: Frames, fps: float) -> tuple[Frames, float]:
        for one in changes:
            frames, fps = one(frames, fps)
        return frames, fps

    return change


def _grid(kind: str, make: Callable[[float], Change], strengths: tuple[float, ...], unit: str = "") -> list[Distortion]:
    return [Distortion(kind, f"{s:g}{unit}", make(s)) for s in strengths]


DISTORTIONS: tuple[Distortion, ...] = (
    *(Distortion("x264", f"CRF {c}", _same, crf=c) for c in (23, 28, 35, 40)),
    Distortion("x265", "CRF 32", _same, "libx265", 32),
    *(Distortion("VP9", f"CRF {c}", _same, "libvpx-vp9", c) for c in (40, 50)),
    *_grid("scale", _scale, (0.75, 0.5, 0.35), "x"),
    Distortion("scale + x264", "0.5x CRF 35", _scale(0.5), crf=35),
    *(Distortion("crop", f"{s * 100:g} %", _crop(s)) for s in (0.05, 0.1, 0.2)),
    Distortion("crop + x264", "10 % CRF 35", _crop(0.1), crf=35),
    Distortion("crop, off centre", "10 %", _crop(0.1, x=0.1, y=0.9)),
    Distortion("crop, scaled back", "10 %", _crop(0.1, x=0.3, y=0.6, back=True)),
    Distortion("letterbox", "12 %", _box(0.12, 0)),
    Distortion("pillarbox", "25 %", _box(0, 0.25)),
    Distortion("caption", "11 %", _each(_caption)),
    Distortion("mirror", "", _each(lambda f: np.ascontiguousarray(f[:, ::-1]))),
    *_grid("frame rate", _rate, (12, 15, 30), "/s"),
    Distortion("speed", "1.04x", lambda frames, fps: (frames, fps * 1.04)),
    *(Distortion("part", f"{s:g} s", _trim(2.3, s)) for s in (5.0, 3.0)),
    Distortion("contrast", "0.7", _levels(0.7, 30)),
    Distortion("brightness", "+25", _levels(1.0, 25)),
    *_grid("saturation", _saturation, (0.5, 0.0)),
    Distortion("blur", "sigma 2", _each(lambda f: cv2.GaussianBlur(f, (0, 0), 2))),
    *_grid("noise", _noise, (5, 12)),
    *_grid("rotation", _rotate, (1, 2), " deg"),
    Distortion("stretch", "4:3", _each(lambda f: cv2.resize(f, (f.shape[1] * 4 // 3, f.shape[0])))),
    Distortion("platform", "scale, crop, CRF 30", _then(_crop(0.06, back=True), _scale(0.6), _rate(24)), crf=30),
)  # fmt: skip
"""Kinds and strengths of the table; each is encoded afterwards, by x264 at CRF 23 where nothing else is said."""
