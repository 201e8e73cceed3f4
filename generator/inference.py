"""Running a trained network quickly: OpenVINO on the processor, or PyTorch where that is wanted or a GPU is there."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.generator.network import Network, NetworkSpec
from facewitness.generator.synthesis import Refine

ENGINES = ("openvino", "torch")
AGREEMENT = 0.5
"""Largest difference between the engines that is called agreement, grey levels of 255 (a test holds it)."""


def load_network(weights: Path, spec: dict[str, Any]) -> Network:
    """The trained network in PyTorch, from safetensors; raises UnreadableInputError where weights and spec do not
    fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    built = NetworkSpec(**{**spec, "widths": tuple(spec["widths"])}).build()
    try:
        built.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError, OSError) as e:
        raise UnreadableInputError(f"{weights} does not hold the weights of this actor; train it again.") from e
    return built.eval().requires_grad_(False)


def load_refine(weights: Path, spec: dict[str, Any], *, engine: str = "openvino", device: str = "cpu") -> Refine:
    """The trained network as a function of arrays.

    Raises UsageError for an unknown engine.
    """
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}.")
    network = load_network(weights, spec)
    if engine == "openvino" and device == "cpu":
        return compiled(network, spec["size"])
    return as_function(network, device)


class _OnPictures(nn.Module):
    """A network with pictures as they lie in memory on both sides, so that all that is done to them is done inside."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.permute(0, 3, 1, 2).float() / 255).permute(0, 2, 3, 1) * 255


def as_function(network: Network, device: str = "cpu") -> Refine:
    """A network in PyTorch as a function of arrays."""
    on_pictures = _OnPictures(network).to(device)

    def refine(given: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return on_pictures(torch.from_numpy(given).to(device)).cpu().numpy()

    return refine


def compiled(network: Network, size: int) -> Refine:
    """A network compiled by OpenVINO for one picture of ``size`` px at a time."""
    import openvino as ov

    example = torch.zeros(1, size, size, network.inputs, dtype=torch.uint8)
    model = ov.convert_model(_OnPictures(network.cpu()), example_input=example)
    model.reshape(list(example.shape))
    # processors with half precision would otherwise round: pictures must not depend on the machine that makes them
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()

    def refine(given: NDArray[np.uint8]) -> NDArray[np.float32]:
        out = [request.infer([one[None]])[0].copy() for one in given]
        return np.concatenate(out)

    return refine
