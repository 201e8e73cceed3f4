"""Small generators of faces, fitted with an adversary to the taught persons: their pictures are fakes as generators
make them.

They paint the same moment that was filmed, so that a fake and its original differ in the painting alone ("aligned"
pairs; Rajan et al., 2024). A mouth is painted into a face whose lower half was taken away, from another moment's look
and a
drawing of lips and jaw (Wav2Lip, Prajwal et al., 2020, and its like); a face is decoded from a narrow code (autoencoder
face swaps); a head is painted over one picture that was warped to the moment (one-shot reenactment).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facewitness.detector import augment as au
from facewitness.detector.autoencoder import coloured_as
from facewitness.detector.crops import Patch, patch_matrix, similarity
from facewitness.detector.material import load_burst
from facewitness.detector.warps import back_and_forth, pose_to_pose, smoothed, warp
from facewitness.devices import computes_in_half
from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.files import whole_file

FACE_CM = 19.0
"""Side of the square around a face in which mouths and faces are painted, in centimetres of the canonical face."""
TAKEN_FROM = 0.46
"""Share of that square, from the top, above which a mouth's painter sees the frame it paints into."""


@dataclass(frozen=True, kw_only=True)
class Painting:
    """What a painter paints, and how its network enlarges."""

    part: str
    """``mouth``, ``face`` or ``head``."""
    side: int
    """Pixels along the square it works in."""
    up: str
    """``nearest``, ``bilinear`` or ``shuffle``."""
    width: int = 24
    """Channels at full size."""

    @property
    def inputs(self) -> int:
        """Channels it is shown."""
        return 3 if self.part == "face" else 7


PAINTINGS = (
    Painting(part="mouth", side=96, up="nearest", width=32),
    Painting(part="mouth", side=192, up="shuffle"),
    Painting(part="face", side=128, up="shuffle"),
    Painting(part="face", side=224, up="nearest"),
    Painting(part="head", side=192, up="bilinear"),
    Painting(part="head", side=256, up="nearest"),
)
"""Sizes and enlargements of the field: 96 pixels (Wav2Lip), 128 to 224 (face swaps), 256 (one-shot heads)."""


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1), nn.GroupNorm(8, outputs), nn.SiLU())


class Painter(nn.Module):
    """A U-Net (B, inputs, S, S) in 0..1 -> (B, 3, S, S) about 0..1; a face's has no way round its code."""

    def __init__(self, painting: Painting):
        super().__init__()
        self.painting = painting
        self.skips = painting.part != "face"
        widths = [painting.width * k for k in ((1, 2, 4, 6, 8) if self.skips else (1, 2, 4, 6))]
        self.stem = _block(painting.inputs, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.GroupNorm(8, b), nn.SiLU(), _block(b, b))
            for a, b in pairwise(widths)
        )
        code = nn.Identity() if self.skips else nn.Sequential(nn.Conv2d(widths[-1], 16, 1), _block(16, widths[-1]))
        self.middle = nn.Sequential(_block(widths[-1], widths[-1]), code)
        self.up = nn.ModuleList(_Up(b, a, painting.up) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.mix = nn.ModuleList(_block(a * (2 if self.skips else 1), a) for a in widths[-2::-1])
        self.last = nn.Conv2d(widths[0], 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.stem(x * 2 - 1)
        kept = [x]
        for down in self.down:
            x = down(x)
            kept.append(x)
        x = self.middle(x)
        for up, mix, beside in zip(self.up, self.mix, kept[-2::-1], strict=True):
            x = up(x)
            x = mix(torch.cat([x, beside], 1) if self.skips else x)
        return self.last(x) / 2 + 0.5


class _Up(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, how: str):
        if how == "shuffle":
            super().__init__(nn.Conv2d(inputs, 4 * outputs, 3, 1, 1), nn.PixelShuffle(2))
        else:
            super().__init__(nn.Upsample(scale_factor=2, mode=how), nn.Conv2d(inputs, outputs, 3, 1, 1))


class _Critic(nn.Module):
    """Patches of (B, 3, S, S): real or painted (Isola et al., CVPR 2017), and the maps it saw on the way."""

    def __init__(self, width: int = 48):
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        sizes = (3, width, 2 * width, 4 * width)
        self.layers = nn.ModuleList(norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(sizes))
        self.last = norm(nn.Conv2d(sizes[-1], 1, 3, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        seen = []
        x = x * 2 - 1
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), 0.2)
            seen.append(x)
        return self.last(x), seen


def _square(painting: Painting, mesh: NDArray, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(2, 3) affine from pixels of the painter's square to pixels of a picture of ``shape``."""
    side = painting.side
    if painting.part == "head":
        height, width = shape[:2]
        return np.array([[width / side, 0, (width / side - 1) / 2], [0, height / side, (height / side - 1) / 2]])
    return patch_matrix(Patch(0, 0, side, side, (), side / FACE_CM), mesh, similarity(mesh))


def _cut(image: NDArray, matrix: NDArray, side: int) -> NDArray[np.uint8]:
    step = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if step > 1.3:  # no aliasing
        image = cv2.GaussianBlur(image, (0, 0), 0.45 * step)
    return np.asarray(
        cv2.warpAffine(
            image, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )


@cache
def _lines(part: str) -> tuple[tuple[tuple[int, ...], bool], ...]:
    jaw = lm.FACE_OVAL[7:-7] if part == "mouth" else lm.FACE_OVAL
    lines = [(lm.OUTER_LIPS, True), (lm.INNER_LIPS, True), (tuple(jaw), part != "mouth")]
    if part == "head":
        lines += [(e, True) for e in lm.EYES]
        lines += [(line, False) for line in (lm.RIGHT_BROW, lm.LEFT_BROW, lm.NOSE_BRIDGE)]
    return tuple(lines)


def _drawing(painting: Painting, mesh: NDArray, matrix: NDArray) -> NDArray[np.uint8]:
    """(S, S) the lines of the face that is to be painted."""
    back = cv2.invertAffineTransform(matrix)
    at = mesh[:, :2] @ back[:, :2].T + back[:, 2]
    out = np.zeros((painting.side, painting.side), np.uint8)
    for line, closed in _lines(painting.part):
        points = np.round(at[list(line)] * 8).astype(np.int32)
        cv2.polylines(out, [points], closed, 255, 1, cv2.LINE_AA, shift=3)
    return out


def _shown(
    painting: Painting, image: NDArray, mesh: NDArray, wanted: NDArray, other: NDArray, other_mesh: NDArray
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What the painter is shown (S, S, C) of the frame ``image`` that is to show ``wanted``, and its square's matrix.

    ``other`` is the moment whose looks it is given.
    """
    matrix = _square(painting, mesh, image.shape)
    side = painting.side
    if painting.part == "face":
        return _cut(image, matrix, side), matrix
    lines = _drawing(painting, wanted, matrix)[..., None]
    if painting.part == "head":
        moved = warp(other, other_mesh, wanted)
        return np.concatenate([_cut(moved, matrix, side), _cut(other, matrix, side), lines], -1), matrix
    beside = _cut(other, _square(painting, other_mesh, other.shape), side)
    above = _cut(image, matrix, side).copy()
    above[round(side * TAKEN_FROM) :] = 0
    return np.concatenate([above, beside, lines], -1), matrix


def lessons(
    painting: Painting, bursts: Sequence[Path], *, each: int, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """``each`` examples of every burst: what the painter is shown (N, S, S, C), and what was filmed (N, S, S, 3)."""
    x, y = [], []
    for number, path in enumerate(sorted(bursts)):
        burst = load_burst(path)
        if len(burst) < 3 and painting.part != "face":
            continue
        rng = np.random.default_rng((seed, number))
        for t in rng.integers(0, len(burst), min(each, 4 * len(burst))):
            r = int(rng.integers(len(burst)))
            image, mesh = burst.images[t], burst.meshes[t]
            shown, matrix = _shown(painting, image, mesh, mesh, burst.images[r], burst.meshes[r])
            x.append(shown)
            y.append(_cut(image, matrix, painting.side))
    if not x:
        raise UsageError("there is no footage to learn painting from.")
    return np.stack(x), np.stack(y)


def train_painter(
    painting: Painting, shown: NDArray[np.uint8], filmed: NDArray[np.uint8], *, steps: int, batch: int = 24,
    device: str = "cpu", seed: int = 0, say: Callable[[str], None] = print,
) -> Painter:  # fmt: skip
    """Fit a painter to ``lessons`` by L1, a critic's maps and the critic itself, which joins after a sixth of the time.

    Everything is drawn from ``seed``.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng((seed, 5))
    place = torch.device(device)
    painter, critic = Painter(painting).to(place), _Critic().to(place)
    opt_p = torch.optim.AdamW(painter.parameters(), lr=6e-4, betas=(0.5, 0.99), weight_decay=1e-4)
    opt_c = torch.optim.AdamW(critic.parameters(), lr=4e-4, betas=(0.0, 0.99), weight_decay=1e-4)
    most = torch.optim.lr_scheduler.OneCycleLR
    plan_p = most(opt_p, max_lr=6e-4, total_steps=steps, pct_start=0.05)
    plan_c = most(opt_c, max_lr=4e-4, total_steps=steps, pct_start=0.05)
    half = computes_in_half(place)
    x_all, y_all = torch.from_numpy(shown), torch.from_numpy(filmed)
    if place.type != "cpu":
        x_all, y_all = x_all.to(place), y_all.to(place)

    def floats(t: Tensor) -> Tensor:
        return (t.permute(0, 3, 1, 2).to(place).float() / 255).contiguous(memory_format=torch.channels_last)

    for step in range(steps):
        at = torch.from_numpy(rng.integers(0, len(x_all), batch)).to(x_all.device)
        x, y = floats(x_all[at]), floats(y_all[at])
        if rng.random() < 0.5:
            x, y = x.flip(3), y.flip(3)
        with torch.autocast(place.type, torch.bfloat16, enabled=half):
            made = painter(x)
        made = made.float()
        loss = 10 * (made - y).abs().mean()
        for k in (2, 4):
            loss = loss + 5 * nn.functional.avg_pool2d(made - y, k).abs().mean()
        if judged := step > steps // 6:
            with torch.autocast(place.type, torch.bfloat16, enabled=half):
                real, _ = critic(y)
                fake, _ = critic(made.detach())
                against = (1 - real.float()).relu().mean() + (1 + fake.float()).relu().mean()
            opt_c.zero_grad()
            against.backward()
            opt_c.step()
            with torch.autocast(place.type, torch.bfloat16, enabled=half):
                word, maps = critic(made)
                with torch.no_grad():
                    wanted = critic(y)[1]
                alike = sum(
                    ((a - b).abs().mean() for a, b in zip(maps, wanted, strict=True)), torch.zeros(()).to(place)
                )
            loss = loss + 5 * alike.float() - 0.5 * word.float().mean()
        opt_p.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(painter.parameters(), 5.0)
        opt_p.step()
        plan_p.step()
        if judged:
            plan_c.step()
        if (step + 1) % max(steps // 4, 1) == 0:
            off = float((made.detach() - y).abs().mean()) * 255
            critic_says = f", critic {float(against.detach()):.2f}" if judged else ""
            say(f"{painting.part} {painting.side}: step {step + 1}, off by {off:.1f} grey levels{critic_says}")
    return painter.cpu().eval()


def paint(
    painter: Painter, images: au.Images, meshes: NDArray, rng: au.Rng
) -> tuple[au.Images, NDArray, NDArray[np.float32]]:
    """A burst (T, H, W, 3) painted anew: pictures, their meshes (T, 468, 2 or 3) and (T, H, W) shares of change."""
    painting = painter.painting
    count, side = len(images), painting.side
    shape = images.shape[1:3]
    wanted = smoothed(meshes, float(rng.uniform(0, 2))) if painting.part == "head" else meshes
    drawn = wanted
    if painting.part == "mouth" and rng.random() < 0.6:
        drawn = _as_at_other_moments(meshes, rng)
    middle = np.abs(meshes[..., :2] - np.median(meshes[..., :2], 0)).mean((1, 2))
    r = int(middle.argmin()) if rng.random() < 0.5 else int(rng.integers(count))
    shown, matrices = [], []
    for t in range(count):
        x, m = _shown(painting, images[t], wanted[t], drawn[t], images[r], meshes[r])
        shown.append(x)
        matrices.append(m)
    looks = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        y = torch.cat([painter(part) for part in looks.split(8)])
        if rng.random() < 0.5 and painting.part != "head":  # good generators have the right colours
            seen = np.stack([_cut(i, m, side) for i, m in zip(images, matrices, strict=True)])
            y = coloured_as(torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255, y, coarse=16)
    painted = (y.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    how = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    new = np.empty_like(images)
    for t, (square, m) in enumerate(zip(painted, matrices, strict=True)):
        new[t] = cv2.warpAffine(
            np.ascontiguousarray(square), m, (shape[1], shape[0]), flags=how, borderMode=cv2.BORDER_REPLICATE
        )
    if painting.part == "head" and rng.random() < 0.7:
        return new, wanted, np.ones(images.shape[:3], np.float32)
    regions = {"mouth": ["lower", "mouth", "box"], "face": ["face", "face", "inner"], "head": ["face"]}[painting.part]
    masks = au.region_masks(wanted, shape, str(rng.choice(regions)), rng)
    return au.paste(images, new, masks), wanted, masks


def _as_at_other_moments(meshes: NDArray, rng: au.Rng) -> NDArray[np.float32]:
    """Meshes with the shape of other moments at the pose of their own: what is said is not what was said."""
    count = len(meshes)
    donors = back_and_forth(np.arange(count) + int(rng.integers(1, max(count, 2))), count)
    out = meshes.copy()
    for t, d in enumerate(donors):
        m = pose_to_pose(meshes[d], meshes[t])
        out[t, :, :2] = meshes[d, :, :2] @ m[:, :2].T + m[:, 2]
    return out


def save_painter(painter: Painter, path: Path) -> None:
    """Write weights in half precision, and what it paints, as safetensors."""
    from safetensors.torch import save_file

    state = {k: v.detach().half().contiguous() for k, v in painter.state_dict().items()}
    with whole_file(path) as part:
        save_file(state, part, metadata={"painting": json.dumps(asdict(painter.painting))})


def load_painter(path: Path) -> Painter:
    """Read what ``save_painter`` wrote."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, "pt") as f:
        painting = Painting(**json.loads(f.metadata()["painting"]))
    painter = Painter(painting)
    painter.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return painter.eval()
