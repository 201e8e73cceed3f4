"""An invisible 64-bit watermark for video, keyed per installation, that survives re-encoding, scaling and cropping.

    embedder = Embedder(payload, key, width=512, height=512, frame_rate=Fraction(25))
    marked = embedder.embed(frame_rgb)            # once per frame, in order; or embed(frame_rgb, time_s)
    match = detect(path, key)                     # WatermarkMatch | None

How it works. A keyed pattern is added to the blue-yellow difference (Cb) of every frame; brightness stays as it is.
The pattern is a sum of plane waves of 4 to 12 cycles per shorter side, in two parts that take turns once a second
(cosine and sine), so that a detector can tell it from the picture: what does not oscillate at 1 Hz cancels. A quarter
of the waves are known from the key alone and find position and scale; the others carry 64 payload bits and a 24-bit
keyed check through a convolutional code of rate 1/3. All frames vote. Spread spectrum after Cox et al., "Secure
Spread Spectrum Watermarking for Multimedia" (1997); synchronisation by a known template after Pereira and Pun (2000).

False readings: about one unmarked window in 500 has a position where the known waves stand out by chance, and such a
position then passes the keyed check once in 2^24 readings: some 10^-10 a window.

What it does not survive: conversion to grey, rotation by more than a degree or two, less than about two seconds of
video. Who holds the key can remove it; who averages many videos marked with one key can estimate the pattern.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.files import home_dir
from facewitness.provenance import convolution

ALGORITHM = "org.facewitness.watermark.1"
"""Name of this scheme in soft-binding assertions and in the ledger."""

PAYLOAD_BYTES = 8
CHECK_BYTES = 3
KEY_BYTES = 32
TILE = 128
"""Samples of the pattern's period, which spans the shorter side of the picture."""
BAND = (4.0, 12.0)
"""Cycles per shorter side: lower drowns in the picture, higher does not survive a coarse encoder."""
PERIOD_S = 1.0
"""The two parts of the pattern take turns once in this time."""
SYNC_EVERY = 4
"""One wave in so many is known from the key alone."""
STRENGTHS = ((256, 2.0), (512, 1.5))
"""Root mean square of the change in Cb, in grey levels, by the shorter side in pixels: a coarse encoder takes more
from small pictures. This is for lively, bright places and never below 42 dB PSNR over RGB; flat and dark places get
less."""
PEAK = 2.2
"""Peaks of the pattern are cut at so many times its root mean square."""
QUIET = 0.7
"""Share of the strength that a flat place gets, and again a black one: the eye sees colour best where nothing else
is."""
LIVELY_LEVELS = 6.0
"""Local standard deviation (grey levels, 20 pixels) at which half of what flat places go without is back."""
BRIGHT_LEVELS = 80.0
"""From this brightness on a place counts as bright."""
MASK_STEP = 4
"""The mask is computed at a quarter of the size."""
CB_TO_RGB = (0.0, -0.344136, 1.772)
"""What one level of Cb is in red, green, blue (BT.601, full range)."""


@dataclass(frozen=True, kw_only=True)
class WatermarkMatch:
    """A watermark that was found and passed its keyed check."""

    payload: bytes
    """8 bytes."""
    distance: float
    """Share of coded bits that arrived wrong, 0..0.5."""
    strength: float
    """Power of the known waves over what chance gives (mean 1); what was not marked stays below 20."""
    scale: tuple[float, float]
    """Height and width of the pattern relative to an untouched video."""
    mirrored: bool
    start_s: float
    end_s: float
    """The stretch of the video it was read from."""


def new_payload() -> bytes:
    """8 random bytes that name one made video; the ledger refuses a second use."""
    return secrets.token_bytes(PAYLOAD_BYTES)


def installation_key(home: Path | None = None) -> bytes:
    """The 32-byte key of this installation, made on first use in ``home``/watermark.key and readable by its owner
    alone.

    Raises UsageError where the file is there but is no key.
    """
    path = (home or home_dir()) / "watermark.key"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
                f.write(secrets.token_hex(KEY_BYTES))
                f.flush()
                os.fsync(f.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise UsageError(
            f"{path} is no watermark key; restore it from a backup, or move it away and a new one is made."
        )
    return key


def check_of(payload: bytes, key: bytes) -> bytes:
    """The 3 keyed bytes that travel with a payload and tell a reading from noise and one installation from another."""
    return hmac.digest(key, b"facewitness watermark check" + payload, "sha256")[:CHECK_BYTES]


@dataclass(frozen=True)
class Waves:
    """Where the pattern's plane waves are and which of them say what: depends on the key alone."""

    fy: NDArray[np.intp]
    fx: NDArray[np.intp]
    """(N,) cycles per tile, both signs."""
    phase: NDArray[np.complex64]
    """(N,) unit complex numbers from the key."""
    bit: NDArray[np.intp]
    """(N,) index of the coded bit a wave carries, -1 for a known wave."""

    @property
    def ring(self) -> NDArray[np.intp]:
        """(N,) whole cycles per tile, whatever the direction."""
        return np.hypot(self.fy, self.fx).astype(np.intp)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) true for the waves that serve synchronisation."""
        return self.bit < 0


def waves_of(key: bytes) -> Waves:
    """Draw the waves of a key; deterministic across platforms and versions (SHA-256 in counter mode)."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a watermark key has {KEY_BYTES} bytes, not {len(key)}")
    edge = int(np.ceil(BAND[1]))
    fy, fx = (a.ravel() for a in np.mgrid[-edge : edge + 1, -edge : edge + 1])
    radius = np.hypot(fy, fx)
    inside = (radius >= BAND[0]) & (radius < BAND[1])
    fy, fx = fy[inside], fx[inside]
    words = np.frombuffer(
        b"".join(
            hashlib.sha256(b"facewitness waves" + key + i.to_bytes(4, "big")).digest()
            for i in range(-(-len(fy) * 8 // 32))
        ),
        ">u4",
    )[: 2 * len(fy)].reshape(2, -1)
    order = np.argsort(words[0], kind="stable")
    bit = np.empty(len(fy), np.intp)
    rank = np.arange(len(fy))
    coded = convolution.coded_length(8 * (PAYLOAD_BYTES + CHECK_BYTES))
    carried = rank % SYNC_EVERY != 0
    bit[order] = np.where(carried, (np.cumsum(carried) - 1) % coded, -1)
    phase = np.exp(2j * np.pi * words[1] / 2.0**32).astype(np.complex64)
    return Waves(fy, fx, phase, bit)


def tile_of(payload: bytes, key: bytes) -> NDArray[np.complex64]:
    """The pattern: (128, 128) complex, real part shown with the cosine and imaginary with minus the sine; unit mean
    square each."""
    if len(payload) != PAYLOAD_BYTES:
        raise ValueError(f"a watermark payload has {PAYLOAD_BYTES} bytes, not {len(payload)}")
    waves = waves_of(key)
    coded = convolution.encode(np.unpackbits(np.frombuffer(payload + check_of(payload, key), np.uint8)))
    sign = np.where(waves.known, 1.0, 1.0 - 2.0 * coded[waves.bit])
    spectrum = np.zeros((TILE, TILE), np.complex64)
    spectrum[waves.fy, waves.fx] = waves.phase * sign
    tile = np.fft.ifft2(spectrum)
    tile /= np.sqrt((np.abs(tile) ** 2).mean() / 2)
    return (np.clip(tile.real, -PEAK, PEAK) + 1j * np.clip(tile.imag, -PEAK, PEAK)).astype(np.complex64)


class Embedder:
    """Adds one payload to the frames of one video, in a stream.

    ``payload`` 8 bytes, ``key`` 32 bytes, ``width`` and ``height`` in pixels, ``frame_rate`` in frames per second
    (used where ``embed`` is given no time). ``strength`` is the root mean square change of Cb in grey levels.
    """

    def __init__(
        self,
        payload: bytes,
        key: bytes,
        *,
        width: int,
        height: int,
        frame_rate: Fraction | float = 25,
        strength: float | None = None,
    ):
        self._size = height, width
        self._step_s = 1.0 / float(frame_rate)
        self._index = 0
        side = min(width, height)
        if strength is None:
            strength = float(np.interp(side, [s for s, _ in STRENGTHS], [level for _, level in STRENGTHS]))
        tile = tile_of(payload, key) * np.float32(strength)
        rows, columns = _positions(height, side), _positions(width, side)
        grid_x, grid_y = np.meshgrid(columns, rows)
        padded = np.pad(tile, 2, mode="wrap")
        self._parts = tuple(
            cv2.remap(np.ascontiguousarray(p), grid_x + 2, grid_y + 2, cv2.INTER_CUBIC)
            for p in (padded.real, -padded.imag)
        )

    def embed(self, frame: NDArray[np.uint8], time_s: float | None = None) -> NDArray[np.uint8]:
        """The marked copy of an HxWx3 RGB frame shown at ``time_s`` seconds (the next frame's time where it is not
        given).

        Raises ValueError where the frame has another size than the video.
        """
        if frame.shape != (*self._size, 3) or frame.dtype != np.uint8:
            raise ValueError(f"expected uint8 RGB of {self._size[0]}x{self._size[1]}, got {frame.dtype} {frame.shape}")
        if time_s is None:
            time_s = self._index * self._step_s
        self._index += 1
        angle = 2 * np.pi * time_s / PERIOD_S
        red, green, blue = cv2.split(frame)
        change = cv2.addWeighted(self._parts[0], np.cos(angle), self._parts[1], np.sin(angle), 0.0)
        change = cv2.multiply(change, mask_of(frame[..., 1]))
        green = cv2.add(green, change * np.float32(CB_TO_RGB[1]), dtype=cv2.CV_8U)
        blue = cv2.add(blue, change * np.float32(CB_TO_RGB[2]), dtype=cv2.CV_8U)
        return np.asarray(cv2.merge((red, green, blue)), np.uint8)


def mask_of(green: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) share of the strength, 0.49 to 1, from the HxW green plane: less where the picture is flat, less where
    it is dark."""
    height, width = green.shape
    size = max(1, width // MASK_STEP), max(1, height // MASK_STEP)
    small = np.asarray(cv2.resize(green, size, interpolation=cv2.INTER_AREA), np.float32)
    mean = np.asarray(cv2.blur(small, (5, 5)), np.float32)
    spread = np.sqrt(np.maximum(cv2.blur(small * small, (5, 5)) - mean * mean, 0.0))
    lively = QUIET + (1 - QUIET) * spread / (spread + LIVELY_LEVELS)
    bright = QUIET + (1 - QUIET) * np.minimum(mean / BRIGHT_LEVELS, 1.0)
    mask = (lively * bright).astype(np.float32)
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _positions(length: int, side: int) -> NDArray[np.float32]:
    """Where the centres of ``length`` pixels lie in the tile, whose period spans ``side`` pixels."""
    return (((np.arange(length) + 0.5) * TILE / side - 0.5) % TILE).astype(np.float32)


def detect(
    source: Path | str | Iterable[NDArray[np.uint8]],
    key: bytes,
    *,
    frame_rate: Fraction | float = 25,
    seconds: float = 60.0,
) -> WatermarkMatch | None:
    """Look for a watermark of ``key`` in a video file, or in RGB frames of ``frame_rate``; None where there is none.

    The first ``seconds`` are looked at, in windows of about ten. Raises UnreadableInputError for a file that cannot
    be decoded.
    """
    from facewitness.provenance.watermark_search import search

    return search(source, key, frame_rate=float(frame_rate), seconds=seconds)
