"""The base picture before any network: warped canvas, mouth and eyes from the moments that fit them, joined without
a seam."""

from copy import copy
from functools import cache, cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.render import interpolate, rasterise
from facewitness.generator.retrieve import Choice, looks_of
from facewitness.generator.shapes import Shapes
from facewitness.generator.torso import REACH
from facewitness.generator.warp import (
    Surround,
    grid,
    pull,
    shells,
    surround_of,
    torso_motion,
    warp_map,
)

REACH_CM = {"mouth": (0.2, 1.7), "right_eye": (0.25, 0.9), "left_eye": (0.25, 0.9)}
"""Distance from lips or lids at which a region begins to give way to the canvas, and at which it is gone."""
FOLD_CM = (0.9, 1.6)
"""The same around an eye that is closed on purpose over an open one, whose fold must not show above the lid."""


STRETCH, DARK = 1.15, 0.8
"""The inside of a mouth may be drawn out by so much; the gap beyond is darkened by this share."""
IRIS_DEAD, IRIS_MOST = 0.02, 0.3
"""In widths of the eye: a smaller misplacement of the iris is noise and left alone; more than so much is never
mended."""
IRIS_HIDDEN = 0.1
"""An eye open by less than this share of its width shows so little of its iris that correcting it fades out."""
SEEN_SIDEWAYS, SEEN_UP_DOWN = 1.4, 1.4
"""Lids hide the iris's edges, so that a tracker of irises sees less of a correction than is made: 0.7 of it sideways,
less up and down (footage of two people, moved by 15 and 10 degrees)."""
LID_EDGE, LASHES, LID_SKIN, LOWER_LID = 0.02, 0.12, 0.3, 0.5
"""In widths of the eye: the iris's correction gives way from so far inside the lids' edges on, over so much where it
goes sideways and so much where it goes up and down; and the share of the latter that the lower lid takes part in."""


@cache
def region_weights() -> dict[str, NDArray[np.float32]]:
    """Per region (468,): 1 on the region, falling to 0 around it, on the canonical face; and with what is around it."""
    seeds = {"mouth": (*lm.OUTER_LIPS, *lm.INNER_LIPS), "right_eye": lm.RIGHT_EYE, "left_eye": lm.LEFT_EYE}
    out = {}
    for region, points in seeds.items():
        gap = lm.gap_cm(points)
        for name, (inner, outer) in ((region, REACH_CM[region]), (f"{region} and fold", FOLD_CM)):
            soft = np.clip((outer - gap) / (outer - inner), 0, 1)
            out[name] = (soft * soft * (3 - 2 * soft)).astype(np.float32)
    return out


class Composer:
    """Makes base pictures from stored frames, their shapes and the choices of ``retrieve.plan``."""

    def __init__(
        self, frames: NDArray[np.uint8], shapes: Shapes, follow: NDArray[np.float32] | None = None,
        parts: NDArray[np.uint8] | None = None,
    ):  # fmt: skip
        """``frames`` (N, S, S, 3) RGB with their ``shapes`` in the same pixels; ``follow`` says how hair and neck go
        with the head (``surround.learn_follow``), ``parts`` what goes with the torso (``surround.learn_parts``)."""
        self.frames, self.shapes = frames, shapes
        self.surround = surround_of(shapes, follow)
        self.shells = shells(shapes, self.surround)
        self.size = frames.shape[1]
        self.folds = False
        self.parts, self._anchor = parts if shapes.torso is not None else None, anchor_of(shapes)

    @cached_property
    def looks(self) -> NDArray[np.float32]:
        """What surrounds the face in each stored frame, see ``retrieve.looks_of``."""
        return looks_of(self.frames, self.shapes)

    def within(self, stored: Surround, wanted: Surround) -> "Composer":
        """The same with other surroundings of the stored faces and the wanted ones, see ``border``, where eyes that are
        closed bring their lid's fold along."""
        _ = self.looks  # looked at once for all copies
        other = copy(self)
        other.folds = True
        other.surround, other.shells = wanted, shells(self.shapes, stored)
        return other

    def compose(
        self, mesh: NDArray[np.float32], irises: NDArray[np.float32], choice: dict[str, tuple[int, int, float]],
        torso: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """(S, S, 3) float32 0..255: the face with ``mesh`` (468, 3) and ``irises`` (2, 2), each region from its
        choice, the torso at ``torso`` (3,), or where the canvas has it."""
        return self.composed(mesh, irises, choice, torso)[0]

    def composed(
        self, mesh: NDArray[np.float32], irises: NDArray[np.float32], choice: dict[str, tuple[int, int, float]],
        torso: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
        """The same picture, where the canvas's first frame holds each pixel (S, S, 2), the share of it (S, S; 0..1),
        and the share of any other frame (S, S; 0..1), which is less where a region is of the canvas's frame too."""
        target = self.shell_of(mesh, irises)
        first, second, mix = choice["canvas"]
        where = self.map(target, first, torso)
        out = pull(self.frames[first], where).astype(np.float32)
        share = np.full(out.shape[:2], 1 - mix if first != second else 1.0, np.float32)
        other = 1 - share
        if mix > 0 and first != second:
            out += mix * (pull(self.frames[second], self.map(target, second, torso)).astype(np.float32) - out)
        boxed = self._regions(target, irises, choice)
        for region, (box, weight, picture) in boxed.items():
            x0, y0, x1, y1 = box
            canvas = out[y0:y1, x0:x1]
            picture = picture + _light_gap(canvas, picture, weight)
            out[y0:y1, x0:x1] = canvas + weight[..., None] * (picture - canvas)
            share[y0:y1, x0:x1] *= 1 - weight
            held, more, mixed = choice[region]
            new = np.float32(held != first) if more == held else (1 - mixed) * (held != first) + mixed * (more != first)
            other[y0:y1, x0:x1] += weight * (new - other[y0:y1, x0:x1])
        return out, where, share, other

    def shell_of(self, mesh: NDArray[np.float32], irises: NDArray[np.float32]) -> NDArray[np.float32]:
        """(468 + R, 3) the shell of one mesh."""
        return shells(Shapes(mesh=mesh[None], irises=irises[None]), self.surround)[0]

    def map(
        self, target: NDArray[np.float32], index: int, torso: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """(S, S, 2) where stored frame ``index`` holds each pixel of the target shell, with the torso at ``torso``
        (3,), or as it is there."""
        where, size = np.asarray(warp_map(target, self.shells[index], self.size, self.size), np.float32), self.size
        if torso is None or self.parts is None or self.shapes.torso is None:
            return where
        shift = np.array([[1, 0, torso[0]], [0, 1, torso[1]]], np.float32)
        moved_parts = cv2.warpAffine(self.parts, shift, (size, size), borderMode=cv2.BORDER_REPLICATE)
        parts = np.asarray(moved_parts, np.float32) * np.float32(1 / 255)
        face = rasterise(target[: lm.POINTS], lm.triangles(), size, size).covered.astype(np.float32)
        face = np.asarray(cv2.GaussianBlur(face, (0, 0), 1.5), np.float32)
        with_head, with_torso = np.maximum(parts[..., 0], face), parts[..., 1] * (1 - face)
        moved = torso_motion(size, self._anchor, torso, self.shapes.torso[index])
        still = grid(size, size)
        by_head = cv2.multiply(cv2.subtract(where, still), cv2.merge([with_head] * 2))
        by_torso = cv2.multiply(moved, cv2.merge([with_torso] * 2))
        return np.asarray(cv2.add(cv2.add(still, by_head), by_torso), np.float32)

    def _regions(
        self, target: NDArray[np.float32], irises: NDArray[np.float32], choice: dict[str, tuple[int, int, float]]
    ) -> dict[str, tuple[tuple[int, int, int, int], NDArray[np.float32], NDArray[np.float32]]]:
        out = {}
        for region in REACH_CM:
            side = {"right_eye": 0, "left_eye": 1}.get(region)
            weights = region_weights()[region]
            if side is not None and self.folds:
                shut = _closing(target, self.shells[choice["canvas"][0]], side)
                weights = weights + shut * (region_weights()[f"{region} and fold"] - weights)
            points = target[: lm.POINTS][weights > 0, :2]
            x0, y0 = np.maximum(np.floor(points.min(0)).astype(int) - 1, 0)
            x1, y1 = np.minimum(np.ceil(points.max(0)).astype(int) + 2, self.size)
            if x1 - x0 < 2 or y1 - y0 < 2:
                continue
            first, second, mix = choice[region]
            local = target[: lm.POINTS] - np.array([x0, y0, 0], np.float32)
            raster = rasterise(local, lm.triangles(), y1 - y0, x1 - x0)
            sources = [first] if mix == 0 or first == second else [first, second]
            values = [weights[:, None]] + [self.shells[i, : lm.POINTS, :2] - target[: lm.POINTS, :2] for i in sources]
            drawn = interpolate(raster, lm.triangles(), np.concatenate(values, axis=1))
            here = grid(y1 - y0, x1 - x0) + np.array([x0, y0], np.float32)
            pictures = []
            for k, i in enumerate(sources):
                where = here + drawn[..., 1 + 2 * k : 3 + 2 * k]
                if side is not None:
                    where = where + _iris_shift(here, where, target, irises[side], self.shapes.irises[i, side], side)
                    pictures.append(pull(self.frames[i], where).astype(np.float32))
                    continue
                held, shade = _held_teeth(local, self.shells[i, : lm.POINTS, :2], y1 - y0, x1 - x0)
                picture = pull(self.frames[i], where + held).astype(np.float32)
                pictures.append(picture * shade[..., None])
            picture = pictures[0] if len(pictures) == 1 else pictures[0] + mix * (pictures[1] - pictures[0])
            out[region] = (int(x0), int(y0), int(x1), int(y1)), drawn[..., 0], picture
        return out


def _lid_gaps(mesh: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """(n,) pixels between the upper and the lower lid of an eye, from corner to corner."""
    apart = mesh[list(lm.LIDS_UPPER[side]), :2] - mesh[list(lm.LIDS_LOWER[side]), :2]
    return np.asarray(np.linalg.norm(apart, axis=1), np.float32)


def _closing(wanted: NDArray[np.float32], had: NDArray[np.float32], side: int) -> float:
    """How far an eye that is open in ``had`` is closed in ``wanted`` (468 or more, 3): 0 by half or less, 1 wholly."""
    opened, was = (float(_lid_gaps(m, side).max()) for m in (wanted, had))
    return float(np.clip(1 - 2 * opened / max(was, 1.0), 0, 1))


def anchor_of(shapes: Shapes) -> NDArray[np.float32]:
    """(2,) the pixel whose place ``Shapes.torso`` tells: below the chin, as it mostly is."""
    tall = float(np.median(np.ptp(shapes.mesh[..., 1], axis=1)))
    x, y = np.median(shapes.mesh[:, lm.CHIN, :2], axis=0)
    return np.array([x, y + REACH * tall], np.float32)


def _iris_shift(
    here: NDArray[np.float32], where: NDArray[np.float32], target: NDArray[np.float32], iris: NDArray[np.float32],
    source_iris: NDArray[np.float32], side: int,
) -> NDArray[np.float32]:  # fmt: skip
    """(h, w, 2) correction of a warp inside one eye, so that the source's iris lands where the target's is wanted.

    Full on the iris, falling to nothing at the corners. Sideways the lids stay; up and down they go along with the
    eye, the upper one nearly wholly, the lower one by half (Becker and Fuchs, J. Neurophysiology 1988).
    """
    outline = target[list(lm.EYES[side]), :2]
    outer, inner = target[list(lm.EYE_CORNERS[side]), :2]
    axis = inner - outer
    length = float(np.linalg.norm(axis))
    axis = axis / max(length, 1e-6)
    normal = np.array([-axis[1], axis[0]], np.float32)
    offset = here - iris
    along, across = offset @ axis, offset @ normal
    radius = 0.2 * length
    start, end = float((outer - iris) @ axis), float((inner - iris) @ axis)
    reach = np.where(along < 0, max(-start, radius * 1.5), max(end, radius * 1.5))
    horizontal = np.clip((reach - np.abs(along)) / np.maximum(reach - radius, 1e-3), 0, 1)
    heights = (outline - iris) @ normal
    above, below = max(-heights.min(), radius), max(heights.max(), radius)
    outside = (np.abs(across) - np.where(across < 0, above, below)) / length
    sideways, up_down = (np.clip(1 - (outside + LID_EDGE) / reach, 0, 1) for reach in (LASHES, LID_SKIN))
    up_down *= np.where(across < 0, 1, 1 - (1 - LOWER_LID) * np.clip(across / below, 0, 1))
    x, y = iris - here[0, 0]
    row, column = (int(np.clip(round(float(v)), 0, n - 1)) for v, n in ((y, here.shape[0]), (x, here.shape[1])))
    # the map at the iris itself, not at the pixel it is nearest to: half a pixel is two degrees of gaze
    shift = source_iris - (where[row, column] + iris - here[row, column])
    size = float(np.linalg.norm(shift))
    dead = IRIS_DEAD * length
    wanted = min(size * float(np.clip((size - dead) / dead, 0, 1)), IRIS_MOST * length)
    gap = _lid_gaps(target, side)[2:-2]
    wanted *= float(np.clip(gap.mean() / (IRIS_HIDDEN * length), 0, 1))  # closed lids are not dragged along
    shift = shift * (wanted / max(size, 1e-6))
    x, y = SEEN_SIDEWAYS * float(shift @ axis), SEEN_UP_DOWN * float(shift @ normal)
    across_axis = sideways[..., None] * x * axis + up_down[..., None] * y * normal
    return np.asarray(horizontal[..., None] * across_axis, np.float32)


def _held_teeth(
    target: NDArray[np.float32], source: NDArray[np.float32], height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(h, w, 2) correction of a warp inside a mouth that opens further than its source, and (h, w) shade there, 0..1.

    Teeth are not elastic: what the source shows stays at its size, its upper half with the upper lip, its lower half
    with the lower one; the gap that opens between them is dark. ``target`` (468, 3) and ``source`` (468, 2) pixels.
    """
    upper, lower = list(lm.LIPS_INNER_UPPER), list(lm.LIPS_INNER_LOWER)
    wide, had = target[lower, :2] - target[upper, :2], source[lower] - source[upper]
    tall = np.linalg.norm(wide, axis=1)
    grown = tall / np.maximum(STRETCH * np.linalg.norm(had, axis=1), 0.25)
    if grown[1:-1].max() <= 1 or tall.max() < 2:
        return np.zeros((height, width, 2), np.float32), np.ones((height, width), np.float32)
    values = np.zeros((lm.POINTS, 5), np.float32)
    for points, share in ((upper, 0.0), (lower, 1.0)):
        values[points] = np.column_stack([np.full(len(points), share), np.maximum(grown, 1), had, tall])
    values[[upper[0], upper[-1]], 0] = 0.5
    inside = rasterise(target, _mouth_triangles(), height, width)
    drawn = interpolate(inside, _mouth_triangles(), values)
    down, growth, gap, px = drawn[..., 0], np.maximum(drawn[..., 1], 1), drawn[..., 2:4], drawn[..., 4]
    edge = np.minimum(down, 1 - down)
    kept = np.minimum(growth * edge, 0.5)
    fraction = np.where(down < 0.5, kept, 1 - kept)
    deep = np.clip((edge - 0.5 / growth) * px / (0.04 * width), 0, 1) * inside.covered
    held = (fraction - down)[..., None] * gap * inside.covered[..., None]
    return np.asarray(held, np.float32), np.asarray(1 - DARK * cv2.GaussianBlur(deep, (0, 0), 1.0), np.float32)


@cache
def _mouth_triangles() -> NDArray[np.int32]:
    """(n, 3) the triangles that span the mouth's opening."""
    return lm.triangles()[np.isin(lm.triangles(), lm.INNER_LIPS).all(1)]


def _light_gap(
    canvas: NDArray[np.float32], picture: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(h, w, 3) slow difference in light between canvas and region, measured where they meet and spread inside."""
    rim = weight * (1 - weight) * 4
    rim[weight <= 0] = 0
    sigma = max(2.0, 0.18 * max(weight.shape))
    total = cv2.GaussianBlur(rim, (0, 0), sigma)[..., None]
    gap = cv2.GaussianBlur((canvas - picture) * rim[..., None], (0, 0), sigma) / np.maximum(total, 1e-4)
    return np.asarray(gap, np.float32)


def at(choices: dict[str, Choice], t: int) -> dict[str, tuple[int, int, float]]:
    """The choice of every region at frame ``t``."""
    return {r: (int(c.first[t]), int(c.second[t]), float(c.mix[t])) for r, c in choices.items()}
