"""Any timm backbone by name, importable beside a torch whose torchvision operators are missing."""

from typing import Any

from facewitness.errors import MissingPieceError, UsageError

DEFAULT_BACKBONE = "resnet10t"
"""The smallest ResNet of timm."""
DEFAULT_ARGS: dict[str, Any] = {"channels": [16, 32, 64, 128], "stem_width": 8}
"""Narrower than timm's own: 0.4 million weights, 2 ms a picture on one core, so that it learns from scratch there."""


def import_timm() -> Any:
    """The timm module.

    timm imports torchvision, whose Python half registers fake kernels for operators of its compiled half. Beside a
    torch of
    another build (a CPU torch with the registry's torchvision) the compiled half does not load and the import ends with
    "operator torchvision::nms does not exist". No backbone uses these operators, so their schemas are declared and it
    is
    imported again.
    Raises MissingPieceError where timm or torchvision cannot be imported.
    """
    import torch

    for name, schema in (("nms", _NMS), ("qnms", _NMS)):
        try:
            import torchvision  # noqa: F401

            break
        except ImportError as e:
            raise MissingPieceError(f"the network needs torchvision ({e}); install it beside torch.") from e
        except RuntimeError as e:
            if f"torchvision::{name} does not exist" not in str(e):
                raise
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(name + schema)
            _kept.append(library)
    try:
        import timm
    except ImportError as e:
        raise MissingPieceError(f"the network needs timm ({e}); install it with: pip install timm") from e
    return timm


_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept: list[Any] = []  # a Library takes its declarations with it when it is collected


def create_backbone(name: str = DEFAULT_BACKBONE, *, in_chans: int = 3, pretrained: bool = False, **args: Any) -> Any:
    """A timm backbone without its classifier: (B, in_chans, H, W) -> (B, C, h, w) with ``.num_features`` = C.

    ``pretrained`` fetches the weights timm knows for the name (network access); the shipped model does not need them.
    Raises UsageError for an unknown name, MissingPieceError where pretrained weights cannot be fetched.
    """
    timm = import_timm()
    if not timm.is_model(name.split(".")[0]):
        raise UsageError(f"timm knows no backbone called {name}; timm.list_models() names them all.")
    try:
        return timm.create_model(name, pretrained=pretrained, in_chans=in_chans, num_classes=0, global_pool="", **args)
    except (OSError, RuntimeError) as e:
        if not pretrained:
            raise
        raise MissingPieceError(f"the weights of {name} could not be fetched; train without --pretrained.") from e
