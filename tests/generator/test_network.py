"""The refiner starts from the base, and runs the same in OpenVINO as in PyTorch."""

import numpy as np
import pytest
import torch

from facewitness.errors import UnreadableInputError
from facewitness.generator.inference import AGREEMENT, as_function, compiled, load_network
from facewitness.generator.network import INPUTS, PaperNetwork, Refiner

SPEC = {"preset": "fast", "widths": [48, 80, 112], "window": 11, "size": 64}


def some_input(size=64):
    return np.random.default_rng(0).integers(0, 256, (1, size, size, INPUTS), np.uint8)


def shaken() -> Refiner:
    torch.manual_seed(0)
    network = Refiner()
    with torch.no_grad():
        network.head.weight.mul_(30)
    return network.eval()


def test_before_training_the_picture_is_the_base():
    given = some_input()
    given[..., 8] = 0  # outside the face nothing of the texture is mixed in
    made = as_function(Refiner().eval())(given)
    assert np.abs(made - given[..., :3]).mean() < 5


def test_openvino_agrees_with_pytorch():
    network, given = shaken(), some_input()
    by_torch, by_openvino = as_function(network)(given), compiled(network, 64)(given)
    assert np.abs(by_torch - given[..., :3]).mean() > 12, "the network must do something for this to mean anything"
    assert np.abs(by_torch - by_openvino).max() < AGREEMENT


def test_weights_that_do_not_fit_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not weights")
    with pytest.raises(UnreadableInputError, match="train it again"):
        load_network(tmp_path / "w.safetensors", SPEC)


def test_the_published_network_turns_a_window_into_a_frame():
    network = PaperNetwork(window=2, size=64, width=4).eval()
    out = network(torch.rand(1, 18, 64, 64))
    assert out.shape == (1, 3, 64, 64) and float(out.min()) >= 0 and float(out.max()) <= 1


def test_the_published_network_has_the_published_modules():
    network = PaperNetwork()
    assert [down[0].out_channels for down in network.downs] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert len(network.ups) == 8 and network.inputs == 99
    states = [v.data_ptr() for v in network.state_dict().values()]
    assert len(states) == len(set(states)), "refinement convolutions have weights of their own"
