"""The network: any timm backbone, the same scores by either runtime, stored without a pickle."""

import numpy as np
import pytest
import torch

from facewitness.detector.backbones import create_backbone, import_timm
from facewitness.detector.network import Detector, NetworkConfig, Scorer, load_network, save_network
from facewitness.errors import UsageError

AGREEMENT = 1e-3
"""How far the scores of two runtimes may differ."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    save_network(Detector(), path, trained="no")
    return path


def test_timm_can_be_imported_beside_any_torchvision():
    assert import_timm().is_model("resnet18")


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_any_timm_backbone_gives_maps(name):
    (maps,) = create_backbone(name, in_chans=4).eval()(torch.zeros(1, 4, 160, 160))
    assert maps.ndim == 4 and maps.shape[2:] == (10, 10)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(UsageError, match="no backbone"):
        create_backbone("resnet_of_my_own")


def test_a_stride_that_a_backbone_lacks_is_refused():
    with pytest.raises(UsageError, match="no map of stride 64"):
        create_backbone("resnet10t", stride=64)


def test_the_imagenet_start_knows_what_it_looks_at():
    """Names of layers were mapped by order; were one wrong, no cat would come out."""
    from skimage import data, transform

    from facewitness import weights
    from facewitness.detector.backbones import IMAGENET_MEAN, IMAGENET_SCALE, imagenet_state

    model = import_timm().create_model("tf_efficientnet_lite2")
    model.load_state_dict(imagenet_state(weights.fetch("efficientnet_lite2_imagenet")))
    for picture, classes in ((data.chelsea(), range(281, 286)), (data.coffee(), (504, 967, 969))):
        square = transform.resize(picture[:, 75:375], (224, 224), anti_aliasing=True) * 255
        x = torch.from_numpy((square - IMAGENET_MEAN) / IMAGENET_SCALE).permute(2, 0, 1)[None].float()
        assert int(model.eval()(x).argmax()) in classes


def test_the_frozen_start_of_a_backbone_stays_as_it_is():
    from facewitness.detector.backbones import freeze_start

    model = create_backbone("resnet10t", in_chans=4).train()
    freeze_start(model, 4)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model(torch.rand(2, 4, 64, 64))[0].square().mean().backward()
    optimiser.step()
    changed = {k.split(".")[1] for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"layer2", "layer3"}


def test_openvino_scores_as_pytorch_does(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEWITNESS_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 256, (5, 224, 224, 6), np.uint8)
    pytest.importorskip("openvino")
    slow, fast = Scorer(weights, runtime="torch"), Scorer(weights, runtime="openvino")
    (e1, f1), (e2, f2) = slow.frames(pairs), fast.frames(pairs)
    assert np.abs(e1 - e2).max() < AGREEMENT and np.abs(f1 - f2).max() < AGREEMENT
    windows = [s.windows(e1[None], f1[None]) for s in (slow, fast)]
    assert np.abs(windows[0] - windows[1]).max() < AGREEMENT


def test_the_shipped_network_scores_alike_in_both_runtimes(tmp_path, monkeypatch):
    from facewitness.detector.model import load_model

    pytest.importorskip("openvino")
    monkeypatch.setenv("FACEWITNESS_CACHE", str(tmp_path))
    path = load_model().network
    slow, fast = Scorer(path, runtime="torch"), Scorer(path, runtime="openvino")
    pairs = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 6), np.uint8)
    (e1, f1), (e2, f2) = slow.frames(pairs), fast.frames(pairs)
    assert np.abs(e1 - e2).max() < AGREEMENT and np.abs(f1 - f2).max() < AGREEMENT
    windows = [s.windows(e1[None], f1[None]) for s in (slow, fast)]
    assert np.abs(windows[0] - windows[1]).max() < AGREEMENT


def test_the_head_takes_windows_of_any_length():
    model = Detector().eval()
    for frames in (4, 16, 32):
        logits, per_frame, cells = model(torch.zeros(1, frames, 6, 224, 224))
        assert logits.shape == (1,) and per_frame.shape == (1, frames) and cells.shape == (1, frames, 196)


def test_weights_come_back_as_they_were_saved(weights):
    again = load_network(weights)
    torch.manual_seed(0)
    for a, b in zip(again.state_dict().values(), Detector().state_dict().values(), strict=True):
        assert torch.equal(a, b.half().float() if b.ndim > 1 else b)
    assert again.config == NetworkConfig()


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"not a network")
    with pytest.raises(UsageError, match="fit it again"):
        load_network(path)
