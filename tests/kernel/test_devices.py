"""A device is named once, for training and synthesis, generator and detector alike."""

import pytest
import torch

from facewitness.devices import pick_device
from facewitness.errors import UsageError


def test_auto_is_a_device_that_computes():
    assert torch.ones(2, device=pick_device("auto")).sum() == 2
    assert pick_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "mps:7", "meta"])
def test_a_device_that_is_not_here_is_one_sentence(name):
    with pytest.raises(UsageError, match=f"there is no {name} device here"):
        pick_device(name)


def test_a_device_nobody_knows_is_one_sentence():
    with pytest.raises(UsageError, match="no device is called 'gpu'"):
        pick_device("gpu")
