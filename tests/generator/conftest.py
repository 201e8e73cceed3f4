"""One small actor of sample footage, trained once, and a driver; keys, trust and ledger of their own."""

import os
from pathlib import Path

import numpy as np
import pytest

RIGHTS = "Synthetic sample footage of facewitness; no real person is shown."


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory):
    before = os.environ.get("FACEWITNESS_HOME")
    os.environ["FACEWITNESS_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    if before is None:
        del os.environ["FACEWITNESS_HOME"]
    else:
        os.environ["FACEWITNESS_HOME"] = before


@pytest.fixture(scope="session")
def footage(tmp_path_factory) -> Path:
    from facewitness.datasets import make_sample

    return make_sample("amber", tmp_path_factory.mktemp("footage") / "amber.mp4", seconds=7, seed=11, size=256)


@pytest.fixture(scope="session")
def driver(tmp_path_factory) -> Path:
    from facewitness.datasets import make_sample

    return make_sample("birch", tmp_path_factory.mktemp("driver") / "birch.mp4", seconds=3, seed=12, size=256)


@pytest.fixture(scope="session")
def actor(footage, tmp_path_factory):
    from facewitness.generator import train_actor

    out = tmp_path_factory.mktemp("actors") / "amber"
    return train_actor(footage, out, rights=RIGHTS, minutes=0.35, size=128, seed=5, progress=False)


@pytest.fixture(scope="session")
def shape():
    """A canonical face in a picture of 192 px, moved and grown."""
    from facewitness.faces import landmarks as lm
    from facewitness.generator.shapes import Shapes

    def make(shift=(0, 0), grow=1.0):
        mesh = lm.canonical_xyz() * (5.0 * grow) + [96 + shift[0], 96 + shift[1], 0]
        eyes = np.stack([mesh[list(c), :2].mean(0) for c in lm.EYE_CORNERS])
        return Shapes(mesh=mesh[None].astype(np.float32), irises=eyes[None].astype(np.float32))

    return make
