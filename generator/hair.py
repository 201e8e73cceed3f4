"""Removing the hair: the face's skin goes on over a skull, and what the hair hid shows the background.

Nobody knows the scalp under a person's hair. What is drawn is a plain one: the shape of a usual skull, this person's
skin under this footage's light, and the background of the clip where no head is left. Ears that are seen stay; hair
that lies on the shoulders or before the neck stays too, for what it hides is not known either.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.actor import Actor
from facewitness.generator.cranium import Drawn, SkinLight, draw, skin_detail
from facewitness.generator.plate import Persons, background, filled, spread
from facewitness.generator.shapes import shapes_of

SKIN_FRAMES = 8
ABOVE_CM, BESIDE_CM, BELOW_CM, FADE_CM = 13.0, 8.0, 3.5, 3.0
"""Hair is looked for so far above and beside the skull, down to so far below the root of the nose, fading."""
NECK_CM, SHOULDER_CM = 6.0, 8.0
"""Further beside the neck, long hair is looked for down to the shoulders."""
EAR_CM = (6.2, 10.0, -4.0, 4.5)
"""Ears lie between so many centimetres beside the middle of the head, and between these heights."""
SEAM_CM = 1.1
"""Width of the band at the top of the face in which skin gives way to scalp."""
OVER_BROWS_CM = 0.35
TEXELS_A_CM = 14.0
PORES_CM = 0.15
"""Detail coarser than this is light and form, not skin."""


class Bald:
    """Takes the hair off frames of one actor."""

    def __init__(self, actor: Actor):
        """Learn background, light and skin from the actor's footage. Raises UsageError where hardly any skin shows."""
        self._persons = Persons()
        width, height = actor.frame_size
        stored = actor.full_frames()
        looked_at = spread(stored, len(actor.performance), height, width)
        stored.close()
        numbers, frames = list(looked_at), list(looked_at.values())
        grow = max(3, round(0.05 * max(width, height))) | 1
        around = [self._persons(f) > 0.1 for f in frames]
        masks = [cv2.dilate(m.astype(np.uint8), np.ones((grow, grow), np.uint8)) > 0 for m in around]
        self.plate, self.known = background(frames, masks)
        shapes = shapes_of(actor.performance)
        self.light, patches, beside = SkinLight(), [], []
        chosen = np.unique(np.linspace(0, len(numbers) - 1, SKIN_FRAMES).astype(int))
        for k in chosen:
            at = numbers[k]
            box, mesh, head = _boxed(shapes.mesh[at], shapes.head[at], width, height)
            away, down = _upright(head, (box[3] - box[1], box[2] - box[0]))
            place = (away > NECK_CM + 1.5) & (away < NECK_CM + 4) & (down > BELOW_CM) & (down < SHOULDER_CM - 1)
            beside.append(float(around[k][box[1] : box[3], box[0] : box[2]][place].mean()) if place.any() else 0.0)
            drawn = draw(mesh, head, box[3] - box[1], box[2] - box[0])
            part = frames[k][box[1] : box[3], box[0] : box[2]].astype(np.float32)
            plain = _plain(mesh, drawn)
            if plain.sum() > 200:
                colours = part[plain]
                usual = np.median(colours, axis=0)
                near = np.abs(colours - usual).sum(1) < 2.5 * np.median(np.abs(colours - usual).sum(1))
                self.light.add(drawn.normals[plain][near], colours[near])
                patches.append(_cheek(part, mesh))
        if not patches:
            raise UsageError(f"hardly any skin is seen in the footage of {actor.name}; hair cannot be removed from it.")
        # a person is seen beside the neck, above the shoulders: that is hair
        self.long = float(np.clip(4 * np.mean(beside) - 1, 0, 1))
        self.light.fit()
        patch = max(patches, key=lambda p: p.shape[0])
        scale = TEXELS_A_CM / max(patch.shape[0] / 2.6, 1e-3)
        patch = np.asarray(cv2.resize(patch, None, fx=scale, fy=scale), np.float32)
        fine = patch - cv2.GaussianBlur(patch, (0, 0), PORES_CM * TEXELS_A_CM)
        self.detail = skin_detail(np.asarray(fine, np.float32))

    def __call__(
        self, frame: NDArray[np.uint8], mesh: NDArray[np.float32], head: NDArray[np.float32], share: float
    ) -> NDArray[np.uint8]:
        """The frame (H, W, 3) RGB without hair, as far as ``share`` (0..1) says; the face lies at ``mesh`` (468, 3),
        and ``head`` (3, 4) brings canonical centimetres to pixels."""
        if share <= 0:
            return frame
        height, width = frame.shape[:2]
        box, mesh, head = _boxed(mesh, head, width, height)
        x0, y0, x1, y1 = box
        drawn = draw(mesh, head, y1 - y0, x1 - x0)
        part = frame[y0:y1, x0:x1].astype(np.float32)
        scale = _scale(head)
        skin = self.light(drawn.normals)
        alike = self._alike(part, skin)
        paint, scalp = self._scalp(part, drawn, skin, alike, scale)
        gone = self._gone(frame, box, drawn, head, part, scale)
        out = part + gone[..., None] * (self.plate[y0:y1, x0:x1] - part)
        out += paint[..., None] * (scalp - out)
        result = frame.copy()
        result[y0:y1, x0:x1] = np.clip(part + share * (out - part) + 0.5, 0, 255).astype(np.uint8)
        return result

    def _alike(self, part: NDArray[np.float32], skin: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w) 1 where a pixel has the colour of this skin in this light, to 0."""
        brightness = cv2.GaussianBlur(part, (0, 0), 1.2)
        lighter = np.log(np.maximum(brightness, 8)) - np.log(np.maximum(skin, 8))
        value, colour = lighter.mean(-1), lighter - lighter.mean(-1, keepdims=True)
        distance = np.hypot(value / 0.35, np.linalg.norm(colour, axis=-1) / 0.14)
        return np.asarray(np.clip(2.0 - distance, 0, 1), np.float32)

    def _scalp(
        self, part: NDArray[np.float32], drawn: Drawn, skin: NDArray[np.float32], alike: NDArray[np.float32],
        scale: float,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
        """(h, w) how far the scalp is painted, and (h, w, 3) its colours."""
        x, y, _ = np.moveaxis(drawn.local, -1, 0)
        top = _edge_distance(drawn, scale)
        seam = np.clip(1.4 - top / SEAM_CM, 0, 1)
        brows = lm.canonical_xyz()[[*lm.RIGHT_BROW, *lm.LEFT_BROW]]
        over = np.clip((brows[:, 1].min() - OVER_BROWS_CM - y) / 0.5, 0, 1)
        beside = np.clip((np.abs(x) - 5.2) / 0.6, 0, 1) * np.clip((1.0 - y) / 1.0, 0, 1)
        beside *= np.clip((np.hypot((np.abs(x) - 3.4) / 2.3, (y + 4.6) / 0.9) - 1) * 3, 0, 1)  # not the brows
        hidden = np.maximum(over, beside) * (1 - cv2.GaussianBlur(alike, (0, 0), 0.12 * scale))
        face = drawn.face * np.maximum(seam * np.maximum(over, beside), np.clip(1.6 * hidden, 0, 1))
        paint = cv2.GaussianBlur(np.maximum(face, drawn.skull.astype(np.float32)), (0, 0), max(0.06 * scale, 0.7))
        # the scalp takes up the colour of the forehead and the temples where they meet it
        sure = drawn.face * alike * np.clip((-1.5 - y) / 1.0, 0, 1) * np.clip((over + beside) * 2, 0, 1)
        sure = cv2.erode(np.asarray(sure, np.float32), np.ones((3, 3)))
        gap = filled((part - skin) * sure[..., None], np.clip(sure, 0, 1).astype(np.float32))
        gap = np.asarray(cv2.GaussianBlur(np.clip(gap, -45, 45), (0, 0), 0.8 * scale), np.float32)
        at = np.mod(drawn.place * TEXELS_A_CM, self.detail.shape[0]).astype(np.float32)
        grain = cv2.remap(self.detail, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        away = np.clip(1 - np.linalg.norm(drawn.local - [0, -8.3, -4.5], axis=-1) / 22, 0.35, 1)[..., None]
        return np.asarray(paint, np.float32), np.asarray(skin + gap * away + grain, np.float32)

    def _gone(
        self, frame: NDArray[np.uint8], box: tuple[int, int, int, int], drawn: Drawn, head: NDArray[np.float32],
        part: NDArray[np.float32], scale: float,
    ) -> NDArray[np.float32]:  # fmt: skip
        """(h, w) where the background is to be shown instead of hair."""
        x0, y0, x1, y1 = box
        person = self._persons(frame)[y0:y1, x0:x1]
        wide = cv2.dilate(np.clip(person * 3, 0, 1), _disc(1.2 * scale))
        person = np.asarray(cv2.GaussianBlur(wide, (0, 0), 0.25 * scale), np.float32)
        away, down = _upright(head, person.shape)
        lowest = BELOW_CM + self.long * (SHOULDER_CM - BELOW_CM) * np.clip((away - NECK_CM) / 1.5, 0, 1)
        low = np.clip((lowest + FADE_CM - down) / FADE_CM, 0, 1)
        solid = cv2.blur((drawn.face | drawn.skull).astype(np.float32), (3, 3))
        near, far, top, bottom = EAR_CM
        ear = (
            np.clip((away - near) * 2, 0, 1) * np.clip((far - away) * 2, 0, 1)
            * np.clip(down - top, 0, 1) * np.clip(bottom - down, 0, 1)
        )  # fmt: skip
        side = filled(self.light(drawn.normals) * drawn.face[..., None], drawn.face.astype(np.float32))
        other = np.clip(np.abs(part - self.plate[y0:y1, x0:x1]).mean(-1) / 12 - 1, 0, 1)  # a wall can be skin-coloured
        alike = cv2.morphologyEx(self._alike(part, side) * other, cv2.MORPH_OPEN, _disc(0.35 * scale))
        ear = ear * cv2.GaussianBlur(cv2.dilate(alike, _disc(0.15 * scale)), (0, 0), 0.1 * scale)
        return np.asarray(person * low * (1 - solid) * (1 - np.clip(1.6 * ear, 0, 1)), np.float32)


def _disc(radius: float) -> NDArray[np.uint8]:
    k = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k)), np.uint8)


def _scale(head: NDArray[np.float32]) -> float:
    return float(np.cbrt(abs(np.linalg.det(head[:, :3].astype(np.float64)))))


def _boxed(
    mesh: NDArray[np.float32], head: NDArray[np.float32], width: int, height: int
) -> tuple[tuple[int, int, int, int], NDArray[np.float32], NDArray[np.float32]]:
    """The part of the frame that may hold hair, x0 y0 x1 y1, and mesh and head in its pixels."""
    scale = _scale(head)
    middle = head[:, :3] @ [0, -4.0, 4.0] + head[:, 3]
    x0 = int(np.clip(middle[0] - (8 + BESIDE_CM) * scale, 0, width - 2))
    x1 = int(np.clip(middle[0] + (8 + BESIDE_CM) * scale, x0 + 2, width))
    y0 = int(np.clip(middle[1] - (8 + ABOVE_CM) * scale, 0, height - 2))
    y1 = int(np.clip(middle[1] + 15 * scale, y0 + 2, height))
    corner = np.array([x0, y0, 0], np.float32)
    moved = head.copy()
    moved[:, 3] -= corner
    return (x0, y0, x1, y1), mesh - corner, moved


def _upright(head: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(h, w) centimetres beside and below the head's middle, in the plane of the picture."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    scale = _scale(head)
    middle = head[:, :3] @ np.array([0, 0, 3.0], np.float32) + head[:, 3]
    up = head[:2, 1] / max(float(np.linalg.norm(head[:2, 1])), 1e-6)
    offset = np.stack([x - middle[0], y - middle[1]], -1) / scale
    return np.abs(offset @ np.array([-up[1], up[0]], np.float32)), offset @ up


def _edge_distance(drawn: Drawn, scale: float) -> NDArray[np.float32]:
    """(h, w) centimetres in the picture from the face's edge inwards."""
    return np.asarray(cv2.distanceTransform(drawn.face.astype(np.uint8), cv2.DIST_L2, 3) / scale, np.float32)


def _plain(mesh: NDArray[np.float32], drawn: Drawn) -> NDArray[np.bool_]:
    """(h, w) skin of forehead, nose and cheeks: no eyes, brows, lips, beard or edges."""
    x, y, _ = np.moveaxis(drawn.local, -1, 0)
    out = (drawn.face & (np.abs(x) < 6.0) & (y > -7.2) & (y < 2.8)).astype(np.uint8)
    for points in (*lm.EYES, lm.RIGHT_BROW, lm.LEFT_BROW):
        hull = cv2.convexHull(mesh[list(points), :2].astype(np.int32))
        hole = cv2.fillConvexPoly(np.zeros_like(out), hull, 1)
        k = max(3, round(0.12 * float(np.ptp(mesh[:, 0]) / 2))) | 1
        out[cv2.dilate(hole, np.ones((k, k), np.uint8)) > 0] = 0
    return out > 0


def _cheek(part: NDArray[np.float32], mesh: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, n, 3) plain skin, about 2.6 cm wide: from the cheek that is seen more squarely."""
    right, left, nose = mesh[lm.RIGHT_EAR], mesh[lm.LEFT_EAR], mesh[lm.NOSE_TIP]
    side = lm.RIGHT_EYE if abs(nose[0] - right[0]) > abs(left[0] - nose[0]) else lm.LEFT_EYE
    unit = float(np.linalg.norm(np.ptp(mesh[list(lm.FACE_OVAL), :2], axis=0))) / 22
    x, y = mesh[list(side), :2].mean(0)
    y += 3.2 * unit
    n = max(8, round(2.6 * unit))
    x0 = int(np.clip(x - n / 2, 0, part.shape[1] - n))
    y0 = int(np.clip(y - n / 2, 0, part.shape[0] - n))
    return part[y0 : y0 + n, x0 : x0 + n]
