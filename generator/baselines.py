"""What came before, on the same frames: copied, warped, textured and greedily retrieved faces, to be measured
against."""

from collections.abc import Callable, Generator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facewitness.generator.compose import at
from facewitness.generator.condition import conditioning
from facewitness.generator.retrieve import REGIONS, Choice, costs, features
from facewitness.generator.shapes import Shapes
from facewitness.generator.synthesis import Grounding, Made1, Synthesiser
from facewitness.generator.warp import grid, pull

Allowed = NDArray[np.bool_] | None
"""(N,) which stored frames may be used; all where None."""


class Baseline(Protocol):
    """Prepares for wanted shapes; what it gives makes the square (S, S, 3; 0..255) of frame t."""

    def __call__(
        self, maker: Synthesiser, wanted: Shapes, allowed: Allowed = None
    ) -> Callable[[int], NDArray[np.float32]]:
        """Look the stored frames up, among those that are allowed."""


def nearest(maker: Synthesiser, wanted: Shapes, allowed: Allowed = None) -> dict[str, NDArray[np.int64]]:
    """Per region, the stored frame most like each wanted one, without regard to the frames before and after."""
    stored = maker.composer.shapes
    barred = np.zeros(len(stored)) if allowed is None else np.where(allowed, 0.0, np.inf)
    return {r: (costs(features(wanted, r, like=stored), features(stored, r)) + barred).argmin(1) for r in REGIONS}


def copy_nearest(maker: Synthesiser, wanted: Shapes, allowed: Allowed = None) -> Callable[[int], NDArray[np.float32]]:
    """Show the stored frame whose head and face are nearest, as it is."""
    canvas = nearest(maker, wanted, allowed)["canvas"]
    return lambda t: maker.composer.frames[canvas[t]].astype(np.float32)


def mean_texture(maker: Synthesiser, wanted: Shapes, allowed: Allowed = None) -> Callable[[int], NDArray[np.float32]]:
    """The averaged texture on the moving mesh, over the nearest stored frame."""
    canvas = nearest(maker, wanted, allowed)["canvas"]

    def make(t: int) -> NDArray[np.float32]:
        drawn = conditioning(wanted.mesh[t], wanted.irises[t], maker.texture, maker.size).astype(np.float32)
        face = drawn[..., 5:6] / 255
        return maker.composer.frames[canvas[t]] * (1 - face) + face * drawn[..., :3]

    return make


def warped_nearest(maker: Synthesiser, wanted: Shapes, allowed: Allowed = None) -> Callable[[int], NDArray[np.float32]]:
    """Expression transfer by warping one frame (in the manner of Face2Face): the nearest, bent by the mesh's motion."""
    canvas = nearest(maker, wanted, allowed)["canvas"]

    def make(t: int) -> NDArray[np.float32]:
        target = maker.composer.shell_of(wanted.mesh[t], wanted.irises[t])
        return pull(maker.composer.frames[canvas[t]], maker.composer.map(target, int(canvas[t]))).astype(np.float32)

    return make


def greedy_regions(maker: Synthesiser, wanted: Shapes, allowed: Allowed = None) -> Callable[[int], NDArray[np.float32]]:
    """Canvas, mouth and eyes each from the nearest frame of its own, chosen frame by frame, without network or
    fading."""
    still = np.zeros(len(wanted), np.float32)
    choices = {r: Choice(first=i, second=i, mix=still) for r, i in nearest(maker, wanted, allowed).items()}
    return lambda t: maker.composer.compose(wanted.mesh[t], wanted.irises[t], at(choices, t))


BASELINES: dict[str, Baseline] = {
    "copy nearest": copy_nearest,
    "mean texture": mean_texture,
    "warp nearest": warped_nearest,
    "region": greedy_regions,
}
"""Name in tables to method."""


class BaselineSynthesiser(Synthesiser):
    """Makes squares in one of the ways of ``BASELINES``."""

    method: Baseline = staticmethod(copy_nearest)
    looks_back = 0

    def frames(
        self, wanted: Shapes, choices: dict[str, Choice] | None = None, *, allowed: Allowed = None,
        faithful: bool = False, earlier: Shapes | None = None, grounding: Grounding | None = None,
    ) -> Generator[Made1, None, None]:  # fmt: skip
        """Yield a square for every frame of ``wanted``; what else is asked makes no difference here."""
        del choices, faithful, earlier, grounding
        make, whole = self.method(self, wanted, allowed), np.ones((self.size, self.size), np.float32)
        canvas = nearest(self, wanted, allowed)["canvas"]
        for t in range(len(wanted)):
            shown = (int(canvas[t]), int(canvas[t]), 0.0)
            yield Made1(
                picture=np.clip(make(t), 0, 255), alpha=whole, canvas=shown, behind=shown,
                where=grid(self.size, self.size), share=0 * whole,
            )  # fmt: skip
