"""How near a made frame is to the real one: PSNR and SSIM by region, sharpness, flicker, and the correlation of
motion."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.synthesis import face_mask

REGIONS = ("full", "head", "face", "mouth", "eyes")


def region_masks(mesh: NDArray[np.float32], size: int) -> dict[str, NDArray[np.bool_]]:
    """Where a frame's regions are, (S, S) each.

    ``face`` is the mesh; ``head`` its box grown by a third of its height above and by a sixth elsewhere; ``mouth``
    and ``eyes`` are the
    boxes around lips and lids, grown by 15 % and 25 % of their width.
    """
    out = {"full": np.ones((size, size), bool), "face": face_mask(mesh, size)}
    tall = float(np.ptp(mesh[:, 1]))
    out["head"] = _box(mesh, size, tall / 6, above=tall / 3)
    mouth = mesh[list(lm.OUTER_LIPS)]
    out["mouth"] = _box(mouth, size, 0.15 * float(np.ptp(mouth[:, 0])))
    eyes = [mesh[list(eye)] for eye in lm.EYES]
    out["eyes"] = np.logical_or(*(_box(eye, size, 0.25 * float(np.ptp(eye[:, 0]))) for eye in eyes))
    return out


def _box(points: NDArray[np.float32], size: int, margin: float, above: float | None = None) -> NDArray[np.bool_]:
    x0, y0 = points[:, :2].min(0) - [margin, margin if above is None else above]
    x1, y1 = points[:, :2].max(0) + margin
    out = np.zeros((size, size), bool)
    out[max(int(y0), 0) : max(int(np.ceil(y1)) + 1, 0), max(int(x0), 0) : max(int(np.ceil(x1)) + 1, 0)] = True
    return out


def psnr(made: NDArray, true: NDArray, mask: NDArray[np.bool_] | None = None) -> float:
    """Peak signal to noise in dB of 8-bit pictures, over ``mask``; 100 where they are equal."""
    error = np.square(made.astype(np.float32) - true.astype(np.float32))
    mean = float((error if mask is None else error[mask]).mean()) if mask is None or mask.any() else 0.0
    return 100.0 if mean < 1e-5 else float(10 * np.log10(255**2 / mean))


def ssim(made: NDArray, true: NDArray) -> NDArray[np.float32]:
    """(H, W) structural similarity of brightness at every pixel (Wang et al. 2004: Gaussian window of 1.5 px)."""
    a, b = (x.astype(np.float32).mean(-1) for x in (made, true))

    def soft(x: NDArray) -> NDArray:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    ma, mb = soft(a), soft(b)
    va, vb, cab = soft(a * a) - ma * ma, soft(b * b) - mb * mb, soft(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return np.asarray(((2 * ma * mb + c1) * (2 * cab + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2)), np.float32)


def _mean(values: NDArray, mask: NDArray[np.bool_]) -> float:
    """The mean over a region; NaN where the frame does not show it."""
    return float(values[mask].mean()) if mask.any() else float("nan")


def fine_energy(picture: NDArray, mask: NDArray[np.bool_]) -> float:
    """Mean squared Laplacian of brightness over ``mask``: how much fine detail there is."""
    return float(np.square(cv2.Laplacian(picture.astype(np.float32).mean(-1), cv2.CV_32F)[mask]).mean())


@dataclass
class Score:
    """Running comparison of made frames with real ones; ``row`` gives the figures."""

    size: int

    def __post_init__(self) -> None:
        """Begin empty."""
        self._psnr: list[list[float]] = []
        self._ssim: list[list[float]] = []
        self._l1: list[list[float]] = []
        self._fine: list[tuple[float, float]] = []
        self._flicker: list[tuple[float, float]] = []
        self._warped: list[list[float]] = []
        self._last: tuple[NDArray, NDArray] | None = None

    def add(self, made: NDArray, true: NDArray, mesh: NDArray[np.float32], *, follows: bool = True) -> None:
        """Compare one frame; ``follows`` says that it is the one after the last (for flicker)."""
        masks = region_masks(mesh, self.size)
        made, true = made.astype(np.float32), true.astype(np.float32)
        self._psnr.append([psnr(made, true, masks[r]) for r in REGIONS])
        likeness, error = ssim(made, true), np.abs(made - true)
        self._ssim.append([_mean(likeness, masks[r]) for r in REGIONS])
        self._l1.append([_mean(error, masks[r]) for r in REGIONS])
        self._fine.append((fine_energy(made, masks["face"]), fine_energy(true, masks["face"])))
        if follows and self._last is not None:
            step = (made - self._last[0]) - (true - self._last[1])
            self._flicker.append((float(np.abs(step[masks["face"]]).mean()), 0.0))
            flow = _flow(true, self._last[1])
            pairs = zip((made, true), self._last, strict=True)
            self._warped.append([_unsteady(now, before, flow, masks["head"]) for now, before in pairs])
        self._last = made, true

    def row(self) -> dict[str, float]:
        """``psnr_<region>`` dB, ``ssim_<region>``, ``l1_<region>`` (0..255), ``fine`` (detail over the truth's),
        ``flicker`` (grey levels), and ``warped``: mean difference on the head, grey levels, from the frame before moved
        by the true frames' optical flow (Lai et al., ECCV 2018, without their mask), and ``warped_true`` of the truth.
        """
        out = {
            f"{name}_{r}": float(v)
            for name, values in (("psnr", self._psnr), ("ssim", self._ssim), ("l1", self._l1))
            for r, v in zip(REGIONS, np.nanmean(values, axis=0), strict=True)
        }
        fine = np.sum(self._fine, axis=0)
        out["fine"] = float(fine[0] / max(fine[1], 1e-9))
        if self._flicker:
            out["flicker"] = float(np.mean([f[0] for f in self._flicker]))
            out["warped"], out["warped_true"] = (float(v) for v in np.mean(self._warped, axis=0))
        return out


def _flow(here: NDArray, before: NDArray) -> NDArray[np.float32]:
    """(S, S, 2) where the frame before shows what each pixel shows now: optical flow (DIS), pixels."""
    grey = [cv2.cvtColor(np.ascontiguousarray(x.astype(np.uint8)), cv2.COLOR_RGB2GRAY) for x in (here, before)]
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)  # type: ignore


def _unsteady(here: NDArray, before: NDArray, flow: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    y, x = np.mgrid[: here.shape[0], : here.shape[1]].astype(np.float32)
    moved = cv2.remap(before.astype(np.float32), x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    return float(np.abs(here - moved)[mask].mean())


def correlation(a: NDArray, b: NDArray) -> float:
    """Pearson's r over time; NaN where either does not move."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
