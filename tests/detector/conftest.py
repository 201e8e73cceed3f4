import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    """Four seconds of a sample actor."""
    from facewitness.datasets import SAMPLES, make_sample

    return make_sample(next(iter(SAMPLES)), tmp_path_factory.mktemp("sample") / "sample.mp4", seconds=4, seed=3)


@pytest.fixture(scope="session")
def report(sample):
    """Its scan with the shipped model."""
    from facewitness.detector import scan_file

    return scan_file(sample, provenance=False)


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips."""
    folder = os.environ.get("FACEWITNESS_CLIPS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FACEWITNESS_CLIPS names no folder of real clips")
    return Path(folder)
