"""Running a trained network quickly: OpenVINO on the processor, or PyTorch where that is wanted or a GPU is there."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.generator.network import Network, NetworkSpec
from facewitness.generator.synthesis import Refine

ENGINES = ("openvino", "torch")
AGREEMENT = 2.5 / 255
"""Largest difference between the engines that is called agreement, of the full range (a test holds it)."""


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


def as_function(network: Network, device: str = "cpu") -> Refine:
    """A network in PyTorch as a function of arrays."""
    network = network.to(device)

    def refine(given: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return network(torch.from_numpy(given).to(device)).cpu().numpy()

    return refine


def compiled(network: Network, size: int) -> Refine:
    """A network compiled by OpenVINO for one picture of ``size`` px at a time."""
    import openvino as ov

    model = ov.convert_model(network.cpu(), example_input=torch.zeros(1, network.inputs, size, size))
    model.reshape([1, network.inputs, size, size])
    # processors with half precision would otherwise round: pictures must not depend on the machine that makes them
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()

    def refine(given: NDArray[np.float32]) -> NDArray[np.float32]:
        out = [request.infer([one[None]])[0].copy() for one in given]
        return np.concatenate(out)

    return refine
