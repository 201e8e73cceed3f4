"""Where torch computes: the device asked for by name, and the precision that is quicker there."""

from typing import TYPE_CHECKING, Any

from facewitness.errors import UsageError

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> str:
    """The device of a name: ``auto`` is CUDA where torch sees it, else the processor (``mps`` was never tried here).

    ``name`` is ``auto`` or a name of torch's (``cpu``, ``cuda``, ``cuda:1``, ``mps``). Raises UsageError for one that
    torch does not know or that is not in this machine.
    """
    import torch  # taken here, not above: the command line reads this module and must stay quick

    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if name == "auto":
        return "cuda" if there["cuda"] else "cpu"
    try:
        asked = torch.device(name)
    except RuntimeError as e:
        raise UsageError(f"no device is called {name!r}; use --device auto, cpu, cuda or mps.") from e
    if (asked.index or 0) >= there.get(asked.type, 0):
        raise UsageError(f"there is no {name} device here; use --device cpu.")
    return name


def computes_in_half(device: "torch.device") -> bool:
    """Whether a step is quicker in bfloat16: on processors with matrix units for it, and on GPUs that know it."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # since PyTorch 2.10
    return device.type == "cpu" and bool(known.get("amx_bf16"))
