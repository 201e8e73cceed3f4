"""From wanted shapes to pictures: retrieve, compose, refine, frame by frame, for any length."""

from collections.abc import Callable, Generator, Iterator
from copy import copy
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.faces.ahead import read_ahead
from facewitness.generator.compose import Composer, at
from facewitness.generator.condition import conditioning
from facewitness.generator.render import rasterise
from facewitness.generator.retrieve import REGIONS, Choice, plan
from facewitness.generator.shapes import Shapes
from facewitness.generator.square import Ground
from facewitness.generator.warp import Surround, shell_triangles, warp_map

Refine = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""A trained network as a plain function: pictures (B, S, S, C) uint8 in, (B, S, S, 3) float32 0..255 out."""
Shown = tuple[int, int, float]
Grounding = Callable[[Shown, Shown, NDArray[np.float32], NDArray[np.float32]], Ground]
"""Finds what lies behind a square, from its ``canvas``, ``behind``, ``where`` and ``share`` (see ``Made1``)."""

FOOTAGE = "footage"
"""Beside the regions' choices: the stored frames that pictures stand on where it is not the canvas."""
MEND = 16.0
"""Grey levels by which the network may change edited footage, softly: it mends seams and blur, but asked for what
the footage does not show it may paint over teeth and tongue."""
TORSO_THERE = 12
"""Of 255: what goes with the torso by less is taken to stand still."""
STEADY, STEADY_LEVELS = 0.7, 20.0
"""Share of the picture before, moved along with the face, that a picture takes in where the two are alike; and the
grey levels apart at which little of that is left."""
SMALL_PX = 320
"""In larger squares, how the face moved from frame to frame is drawn at half the size: it is smooth."""
AHEAD = 4
"""Bases that are composed ahead of the network."""


@dataclass(frozen=True, kw_only=True)
class Made1:
    """One synthesised square."""

    picture: NDArray[np.float32]
    """(S, S, 3) 0..255."""
    alpha: NDArray[np.float32]
    """(S, S) 0..1: where the picture differs from the stored frame it stands on."""
    canvas: tuple[int, int, float]
    """The stored frame it is made from, the one that is faded with, and the share of the latter."""
    behind: tuple[int, int, float]
    """The same of the frame it stands on: the canvas, or the footage that is edited."""
    where: NDArray[np.float32]
    """(S, S, 2) where the first of them holds each pixel."""
    share: NDArray[np.float32]
    """(S, S) 0..1 how much of each pixel comes from there: little in the mouth, the eyes and fades."""
    ground: Ground | None = None
    """The whole frame behind it, where that was asked for."""


@dataclass(frozen=True, kw_only=True)
class Finish:
    """What is done to the network's picture before it is shown."""

    strength: float = 1.0
    """Share of the network's change that is used, 0..1, as found best on frames it was not trained on."""
    detail: float = 0.0
    """Gain of the finest detail on the face, that makes up for what warping and averaging took."""


class Synthesiser:
    """Makes squares from shapes, with the stored frames of one actor."""

    looks_back = 3
    """So many frames before one that is made by itself must be made too, for it to be what it is in the video."""

    def __init__(
        self, frames: NDArray[np.uint8], shapes: Shapes, texture: NDArray[np.float32], *,
        refine: Refine | None = None, finish: Finish | None = None, follow: NDArray[np.float32] | None = None,
        parts: NDArray[np.uint8] | None = None,
    ):  # fmt: skip
        self.composer = Composer(frames, shapes, follow, parts)
        self.texture, self.refine, self.finish = texture, refine, finish or Finish()
        self.size = frames.shape[1]

    def within(self, stored: Surround, wanted: Surround) -> "Synthesiser":
        """The same with other surroundings of the stored faces and the wanted ones, see ``border``."""
        other = copy(self)
        other.composer = self.composer.within(stored, wanted)
        return other

    def plan(
        self, wanted: Shapes, *, allowed: NDArray[np.bool_] | None = None, canvas_for: Shapes | None = None,
        footage: NDArray[np.int64] | None = None,
    ) -> dict[str, Choice]:  # fmt: skip
        """The stored frames to be shown for ``wanted``; the canvas is chosen for ``canvas_for`` where it is given.

        With ``footage`` (T,), the pictures will stand on those stored frames instead of the canvas.
        """
        stored, looks = self.composer.shapes, self.composer.looks
        if canvas_for is None:
            return plan(wanted, stored, allowed=allowed, looks=looks)
        rest = plan(wanted, stored, allowed=allowed, regions=REGIONS[1:])
        rest |= plan(canvas_for, stored, allowed=allowed, looks=looks, regions=REGIONS[:1], footage=footage)
        if footage is not None:
            rest[FOOTAGE] = Choice(first=footage, second=footage, mix=np.zeros(len(footage), np.float32))
        return rest

    def frames(
        self, wanted: Shapes, choices: dict[str, Choice] | None = None, *, allowed: NDArray[np.bool_] | None = None,
        faithful: bool = False, earlier: Shapes | None = None, grounding: Grounding | None = None,
    ) -> Generator[Made1, None, None]:  # fmt: skip
        """Yield a square for every frame of ``wanted`` (in the square's pixels).

        ``earlier`` are the shapes before the first, for a network that looks back on them; this one does not.
        ``grounding`` is called on the thread that composes, ahead of the network, so that both processors have work.

        With ``faithful``, ``alpha`` is 0 wherever the base is the frame it stands on, so that footage stays footage;
        the network mends only what was fetched from other frames.
        That frame is the canvas, or what a further choice of the name ``FOOTAGE`` says. Without it, each picture takes
        in of the one before what has only moved (see ``steadied``).
        """
        del earlier
        choices = choices or self.plan(wanted, allowed=allowed)
        before: NDArray[np.uint8] | None = None
        last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        ready = read_ahead(self._bases(wanted, choices, grounding), AHEAD)
        for mesh, irises, choice, (base, where, share, other), condition, ground in ready:
            picture, rounded = base, np.asarray(np.clip(base + 0.5, 0, 255), np.uint8)
            if self.refine is not None and self.finish.strength > 0:
                refined = self.refine(network_input(rounded, condition, before)[None])[0]
                picture = refined if self.finish.strength == 1 else base + self.finish.strength * (refined - base)
            before = rounded
            shell = self.composer.shell_of(mesh, irises)
            if not faithful:
                if last is not None:
                    picture = steadied(picture, last[0], motion_map(shell, last[1], self.size))
                last = picture, shell
            canvas = choice["canvas"]
            behind = choice.get(FOOTAGE, canvas)
            alpha = self.alpha(shell)
            shown = self._detailed(picture, condition)
            if faithful:
                alpha = alpha * self._changed(base, behind)
                # what only moved needs no network
                share = _wider(other, self.size)[..., None] if canvas[0] == behind[0] else np.float32(1)
                shown = np.clip(base + share * MEND * np.tanh((shown - base) / MEND), 0, 255)
            yield Made1(
                picture=shown, alpha=alpha, canvas=canvas, behind=behind, where=where, share=share, ground=ground
            )

    def _bases(self, wanted: Shapes, choices: dict[str, Choice], grounding: Grounding | None) -> Iterator[tuple]:
        """What the network is given, frame by frame; runs ahead of it on a thread of its own."""
        for t in range(len(wanted)):
            mesh, irises, choice = wanted.mesh[t], wanted.irises[t], at(choices, t)
            torso = None if wanted.torso is None else wanted.torso[t]
            base, where, share, other = self.composer.composed(mesh, irises, choice, torso)
            condition = conditioning(mesh, irises, self.texture, self.size)
            canvas = choice["canvas"]
            ground = None if grounding is None else grounding(canvas, choice.get(FOOTAGE, canvas), where, share)
            yield mesh, irises, choice, (base, where, share, other), condition, ground

    def alpha(self, shell: NDArray[np.float32]) -> NDArray[np.float32]:
        """(S, S) 1 where the head with this shell and its torso are, falling to 0 where warps end."""
        small = self.size // 2
        shell = shell * np.array([0.5, 0.5, 1], np.float32)
        covered = rasterise(shell, shell_triangles(), small, small).covered.astype(np.float32)
        if self.composer.parts is not None:
            torso = cv2.resize(self.composer.parts[..., 1], (small, small), interpolation=cv2.INTER_AREA)
            covered = np.maximum(covered, (torso > TORSO_THERE).astype(np.float32))
        k = max(3, small // 16)
        soft = cv2.blur(cv2.erode(covered, np.ones((k, k)), borderValue=1), (k, k), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.resize(soft, (self.size, self.size)), np.float32)

    def _changed(self, base: NDArray[np.float32], behind: tuple[int, int, float]) -> NDArray[np.float32]:
        """(S, S) 0 where the base is the stored frame, to 1 where it differs by a few grey levels or near there."""
        first, second, mix = behind
        stored = self.composer.frames[first].astype(np.float32)
        if mix > 0 and second != first:
            stored += mix * (self.composer.frames[second].astype(np.float32) - stored)
        k = max(3, self.size // 24)
        gap = cv2.GaussianBlur(most(base - stored), (0, 0), 1.0)
        wide = cv2.dilate(np.clip((gap - 0.5) / 2, 0, 1), np.ones((k, k), np.uint8))
        return np.asarray(cv2.blur(wide, (k, k)), np.float32)

    def _detailed(self, picture: NDArray[np.float32], condition: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.finish.detail:
            face = cv2.blur(condition[..., 5], (7, 7)).astype(np.float32) * np.float32(self.finish.detail / 255)
            picture = picture + face[..., None] * (picture - cv2.GaussianBlur(picture, (0, 0), 1.0))
        return np.clip(picture, 0, 255)


def _wider(other: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(S, S) 1 where a good part comes from other frames, falling to 0 a little beyond."""
    k = max(3, size // 48)
    return np.asarray(cv2.blur(cv2.dilate(np.clip(2 * other, 0, 1), np.ones((k, k), np.uint8)), (k, k)), np.float32)


def motion_map(here: NDArray[np.float32], before: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(s, s, 2) where a picture with the shell ``before`` holds each pixel of one with the shell ``here``; s is
    ``size``, or half of it where that is large: then everything is in half pixels, as ``steadied`` wants it."""
    if size <= SMALL_PX:
        return warp_map(here, before, size, size)
    half, at_half = size // 2, np.float32(0.5)
    return warp_map(here * at_half, before * at_half, half, half, smooth_px=2.0)


def steadied(
    picture: NDArray[np.float32], before: NDArray[np.float32], where: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The picture (S, S, 3; 0..255) with what the one ``before``, moved by ``where`` (s, s, 2), shows alike.

    Noise and flicker are averaged over time, what changes is not (recursive motion-compensated filter; Dubois and
    Sabri, IEEE Trans. Communications 1984). With s below S only what s pixels can show is averaged.
    """
    size, small = len(picture), len(where)
    now: NDArray = picture
    if small < size:
        now = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        before = np.asarray(cv2.resize(before, (small, small), interpolation=cv2.INTER_AREA), np.float32)
    moved = cv2.remap(before, where[..., 0], where[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    step = np.asarray(cv2.subtract(moved, now), np.float32)
    apart = cv2.GaussianBlur(most(step), (0, 0), 1.5)
    share = np.float32(STEADY) * np.exp(-np.square(apart / np.float32(STEADY_LEVELS)))
    taken = cv2.multiply(step, cv2.merge([share] * 3))
    return np.asarray(cv2.add(picture, taken if small == size else cv2.resize(taken, (size, size))), np.float32)


def most(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S) greatest size of the three channels of (S, S, 3); NumPy takes four times as long along a short axis."""
    a, b, c = cv2.split(np.abs(change))
    return np.asarray(cv2.max(cv2.max(a, b), c), np.float32)


def network_input(
    base: NDArray[np.uint8], condition: NDArray[np.uint8], before: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """(S, S, 15) uint8: base, conditioning, and the base of the frame before (the same one at the start)."""
    planes = [base, condition, base if before is None else before]
    depth = sum(p.shape[2] for p in planes)
    out = np.empty((*base.shape[:2], depth), np.uint8)
    cv2.mixChannels(planes, [out], list(np.arange(depth).repeat(2)))  # a third of what NumPy takes along the last axis
    return out


def face_mask(mesh: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    """(S, S) where the face's mesh is."""
    return rasterise(mesh, lm.triangles(), size, size).covered
