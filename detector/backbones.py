"""Any timm backbone by name, importable beside a torch whose torchvision operators are missing."""

from pathlib import Path
from typing import Any

from facewitness.errors import MissingPieceError, UsageError

DEFAULT_BACKBONE = "tf_efficientnet_lite2"
"""Small, of plain convolutions that every runtime knows; the package registry carries ImageNet weights for it."""
STRIDE = 16
"""Pixels of the picture to one cell of the map that says where it was changed; what a backbone has beyond that is left
away."""
IMAGENET_MEAN, IMAGENET_SCALE = 127.0, 128.0
"""What the weights of DEFAULT_BACKBONE were trained on: (pixel - mean) / scale."""


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


def create_backbone(
    name: str = DEFAULT_BACKBONE, *, in_chans: int = 3, stride: int = STRIDE, pretrained: bool = False, **args: Any
) -> Any:
    """A timm backbone: (B, in_chans, H, W) up to ``stride`` -> a list of one map (B, C, H / stride, W / stride).

    ``.feature_info.channels()`` holds C. ``pretrained`` starts from ImageNet: from the package registry for
    ``tf_efficientnet_lite2``, else from where timm has the weights; a trained network does not need them. The first
    three channels are then red, green, blue; what further channels add starts at nothing.
    Raises UsageError for an unknown name or stride, MissingPieceError where pretrained weights cannot be fetched.
    """
    timm = import_timm()
    if not timm.is_model(name.split(".")[0]):
        raise UsageError(f"timm knows no backbone called {name}; timm.list_models() names them all.")
    has = timm.create_model(name, features_only=True, feature_cls="getter").feature_info.reduction()
    if stride not in has:
        raise UsageError(f"the backbone {name} has no map of stride {stride}.")
    ours = pretrained and name == DEFAULT_BACKBONE
    try:
        model = timm.create_model(
            name, features_only=True, feature_cls="getter", out_indices=(has.index(stride),),
            in_chans=in_chans, pretrained=pretrained and not ours, **args,
        )  # fmt: skip
    except (OSError, RuntimeError) as e:
        if not pretrained:
            raise
        raise MissingPieceError(f"the weights of {name} could not be fetched; train with --no-pretrained.") from e
    if ours:
        _start_from_imagenet(model)
    return model


def freeze_start(model: Any, stride: int) -> None:
    """Keep the layers up to ``stride`` as they are, weights and batch statistics; call it after ``train()``.

    They cost the most, being where the maps are largest, and what they see, edges and fine texture, is what is wanted.
    """
    inner = model.model
    last = [f["module"] for f in inner.feature_info if f["reduction"] <= stride][-1]
    modules = list(inner.named_modules())  # in the order of their registration, which is that of the forward pass
    end = max(i for i, (name, _) in enumerate(modules) if name == last or name.startswith(last + "."))
    for name, module in modules[1 : end + 1]:
        if not last.startswith(name + "."):  # what holds later layers too
            module.eval().requires_grad_(False)


def imagenet_state(path: Path) -> dict[str, Any]:
    """Weights of timm's ``tf_efficientnet_lite2`` from a file that has the same layers, in order, by other names."""
    import torch

    stored = torch.load(path, weights_only=True, map_location="cpu")
    return dict(zip(import_timm().create_model(DEFAULT_BACKBONE).state_dict(), stored.values(), strict=True))


def _start_from_imagenet(model: Any) -> None:
    import torch

    from facewitness import weights

    found = imagenet_state(weights.fetch("efficientnet_lite2_imagenet"))
    wanted = model.state_dict()
    start = {k: found[k.removeprefix("model.")] for k in wanted}
    stem = next(k for k in start if k.endswith("conv_stem.weight"))
    start[stem] = torch.cat([start[stem], torch.zeros_like(wanted[stem][:, 3:])], 1)  # 3 channels stay 3
    model.load_state_dict(start)
