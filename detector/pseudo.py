"""Temporal pseudo-fakes: what reenactment, lip-sync and whole-head synthesis do to a clip, made from the real clip
itself.

They need no generator, so the detector cannot learn one generator's signature: one picture warped by the clip's own
motion
(one-shot talking heads), a lower face decoded anew from other moments (lip-sync), eyes held still, a face region that
repeats,
and reconstructions through small autoencoders at the resolutions generators work at.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from facewitness.detector import augment as au
from facewitness.detector.autoencoder import Autoencoder, reconstruct
from facewitness.detector.crops import face_size
from facewitness.detector.painters import Painter, paint
from facewitness.detector.warps import back_and_forth, pose_to_pose, smoothed, warp

Made = tuple[au.Images, NDArray, NDArray[np.float32]]


class PseudoFakes:
    """All kinds of pseudo-fake, drawn at random; ``autoencoders`` give the decoder's traces, ``painters`` a
    generator's."""

    KINDS = (
        "blended", "reconstructed", "one_shot", "lip_sync", "eyes_held", "restored", "flicker",
        "painted_mouth", "painted_face", "painted_head",
    )  # fmt: skip
    SHARES = (0.20, 0.08, 0.12, 0.10, 0.05, 0.06, 0.05, 0.16, 0.08, 0.10)

    def __init__(self, autoencoders: Sequence[Autoencoder], painters: Sequence[Painter] = ()):
        self._decoders = list(autoencoders)
        self._painters = {part: [p for p in painters if p.painting.part == part] for part in ("mouth", "face", "head")}

    def draw(self, kinds: Sequence[str], shares: ArrayLike, rng: au.Rng) -> str:
        """One of ``kinds`` with these shares, of those it can make: what is painted needs a painter."""
        can = [not k.startswith("painted") or bool(self._painters[k[8:]]) for k in kinds]
        shares = np.asarray(shares) * can
        return str(rng.choice(kinds, p=shares / shares.sum()))

    def make(self, images: au.Images, meshes: NDArray, rng: au.Rng, kind: str | None = None) -> tuple[str, Made]:
        """One pseudo-fake of a burst: its kind, then images, meshes and mask of what was changed."""
        shares = np.array(self.SHARES)
        if len(images) < 3:  # a photograph has no time
            shares = shares * [k in ("blended", "reconstructed", "restored", "painted_face") for k in self.KINDS]
        kind = kind or self.draw(self.KINDS, shares, rng)
        if kind == "blended":
            made, moved, masks = au.self_blended(images, meshes, rng)
        elif kind.startswith("painted"):
            made, moved, masks = self._painted(kind[8:], images, meshes, rng)
        else:
            made, moved, masks = getattr(self, kind)(images, meshes, rng)
        if kind != "blended" and rng.random() < 0.7:
            made = au.match_detail(made, images, masks, float(rng.uniform(0.75, 1.4)))
        return kind, (made, moved, masks)

    def _painted(self, part: str, images: au.Images, meshes: NDArray, rng: au.Rng) -> Made:
        """By one of the small generators; now and then a restorer goes over it, as over theirs."""
        painters = self._painters[part]
        made, moved, masks = paint(painters[int(rng.integers(len(painters)))], images, meshes, rng)
        if rng.random() < 0.2:
            made = au.paste(made, au.smooth_skin(made, rng), masks)
        return made, moved, masks

    def decoded(self, images: au.Images, meshes: NDArray, rng: au.Rng) -> au.Images:
        """The burst decoded anew at a generator's resolution (face of 110 to 256 pixels), then enlarged.

        A part of what the decoder lost is given back, none to nearly all, so that good decoders are taught too.
        """
        face = face_size(meshes[0])
        factor = max(face / float(np.exp(rng.uniform(np.log(110), np.log(256)))), 1.0)
        height, width = images.shape[1:3]
        if factor > 1:
            size = (round(width / factor), round(height / factor))
            images = np.stack([cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in images])
        if self._decoders:
            new = reconstruct(self._decoders[int(rng.integers(len(self._decoders)))], images)
            kept = float(rng.uniform(0, 0.85))
            images = np.stack([cv2.addWeighted(a, 1 - kept, b, kept, 0) for a, b in zip(new, images, strict=True)])
        if factor > 1:
            how = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
            images = np.stack([cv2.resize(i, (width, height), interpolation=how) for i in images])
        return images

    def reconstructed(self, images: au.Images, meshes: NDArray, rng: au.Rng) -> Made:
        """The whole picture, or the face region, through an autoencoder."""
        new = self.decoded(images, meshes, rng)
        if rng.random() < 0.5:
            return new, meshes, np.ones(images.shape[:3], np.float32)
        masks = au.region_masks(meshes, images.shape[1:3], str(rng.choice(["face", "inner", "lower"])), rng)
        return au.paste(images, new, masks), meshes, masks

    def one_shot(self, images: au.Images, meshes: NDArray, rng: au.Rng) -> Made:
        """One frame moved by the clip's (smoothed) motion; the mouth may come from the clip, decoded anew."""
        moved = smoothed(meshes, float(rng.uniform(0, 2)))
        pick = int(rng.integers(len(images)))
        new = np.stack([warp(images[pick], meshes[pick], m) for m in moved])
        if rng.random() < 0.6:
            masks = au.region_masks(meshes, images.shape[1:3], "mouth", rng)
            new = au.paste(new, images, masks)
        if rng.random() < 0.75:
            new = self.decoded(new, moved, rng)
        changed = np.ones(images.shape[:3], np.float32)
        if rng.random() < 0.25:
            changed = au.region_masks(moved, images.shape[1:3], "face", rng)
            new = au.paste(images, new, changed)
        return new, moved, changed

    def lip_sync(self, images: au.Images, meshes: NDArray, rng: au.Rng) -> Made:
        """The lower face of other moments of the clip, brought to each frame's pose and decoded anew."""
        count = len(images)
        donors = back_and_forth((np.arange(count) * rng.uniform(0.5, 1.5) + rng.integers(count)).astype(int), count)
        height, width = images.shape[1:3]
        lower = np.empty_like(images)
        for t, d in enumerate(donors):
            m = pose_to_pose(meshes[d], meshes[t])
            lower[t] = cv2.warpAffine(images[d], m, (width, height), borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < 0.85:
            lower = self.decoded(lower, meshes, rng)
        if rng.random() < 0.5:
            lower = au.colour_jitter(lower, rng, strength=0.4)
        masks = au.region_masks(meshes, images.shape[1:3], str(rng.choice(["lower", "lower", "mouth", "box"])), rng)
        return au.paste(images, lower, masks), meshes, masks

    def eyes_held(self, images: au.Images, meshes: NDArray, rng: au.Rng) -> Made:
        """The eyes of one moment carried through the clip: gaze and lids stop."""
        pick = int(rng.integers(len(images)))
        masks = au.region_masks(meshes, images.shape[1:3], "eyes", rng)
        still = np.stack([warp(images[pick], meshes[pick], m) for m in meshes])
        if rng.random() < 0.5:
            still = self.decoded(still, meshes, rng)
        return au.paste(images, still, masks), meshes, masks

    def restored(self, images: au.Images, meshes: NDArray, rng: au.Rng) -> Made:
        """Face restoration over a decoded picture: crisp edges, flat skin."""
        new = self.decoded(images, meshes, rng) if rng.random() < 0.7 else images
        new = au.smooth_skin(new, rng)
        if rng.random() < 0.3:
            return new, meshes, np.ones(images.shape[:3], np.float32)
        masks = au.region_masks(meshes, images.shape[1:3], str(rng.choice(["face", "lower", "inner"])), rng)
        return au.paste(images, new, masks), meshes, masks

    def flicker(self, images: au.Images, meshes: NDArray, rng: au.Rng) -> Made:
        """A face made frame by frame: small changes of place, sharpness and colour that do not hang together in
        time."""
        masks = au.region_masks(meshes, images.shape[1:3], str(rng.choice(["face", "inner", "lower"])), rng)
        new = images.copy()
        steps = rng.normal(0, 0.006 * face_size(meshes[0]), (len(images), 2))
        for t, (dx, dy) in enumerate(steps):
            m = np.array([[1, 0, dx], [0, 1, dy]])
            new[t] = cv2.warpAffine(images[t], m, images.shape[2:0:-1], borderMode=cv2.BORDER_REPLICATE)
        new = au.colour_jitter(new, rng, strength=0.2, steady=0.0)
        if rng.random() < 0.5:
            new = self.decoded(new, meshes, rng)
        return au.paste(images, new, masks), meshes, masks
