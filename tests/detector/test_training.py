"""Training the network, on pairs of the sample actor."""

import pytest
import torch

from facewitness.detector import training
from facewitness.detector.material import Clip, bursts_of, save_burst
from facewitness.detector.network import NetworkConfig
from facewitness.detector.pseudo import PseudoFakes
from facewitness.detector.training import PairMaker, Pool, TrainingConfig, train_backbone, write_shard

SMALL = NetworkConfig(backbone="resnet10t")


@pytest.fixture(scope="module")
def pairs(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    save_burst(
        bursts_of(Clip(path=sample, label="real", person="one", name="one"), max_seconds=2.0)[0], folder / "v_one.npz"
    )
    write_shard(PairMaker([folder / "v_one.npz"], PseudoFakes([]), seed=1), 0, folder)
    return folder


def test_what_is_drawn_is_the_same_however_many_draw(pairs):
    config = TrainingConfig(steps=3, batch_pairs=2)
    alone, beside = ([*training._batches(Pool(pairs), config, 0, workers)] for workers in (0, 2))
    for a, b in zip(alone, beside, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    (_, second, _), again = alone, [*training._batches(Pool(pairs), config, 1, 0)]
    assert torch.equal(second[0], again[0][0])  # training that was stopped goes on with what it would have seen


def test_the_weights_that_were_best_on_persons_held_out_are_kept(pairs, tmp_path, monkeypatch):
    words = iter([0.5, 0.8, 0.6])
    seen = []

    def judged(model, _):
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"all": next(words)}

    monkeypatch.setattr(training, "judged", judged)
    monkeypatch.setattr(training, "JUDGE_EVERY", 1)
    config = TrainingConfig(steps=3, batch_pairs=2)
    kept = train_backbone(
        Pool(pairs), config, SMALL, tmp_path / "checkpoint.pt", held=Pool(pairs), say=lambda line: None
    ).state_dict()
    assert all(torch.equal(kept[k], v) for k, v in seen[1].items())
    assert any(not torch.equal(kept[k], v) for k, v in seen[2].items())


def test_training_that_was_stopped_ends_as_if_it_had_not_been(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAY_EVERY", 2)

    def train(steps: int, name: str) -> dict[str, torch.Tensor]:
        config = TrainingConfig(steps=steps, batch_pairs=2, half=False)
        monkeypatch.setattr(training, "_schedule", lambda step, steps: 1.0)
        return train_backbone(Pool(pairs), config, SMALL, tmp_path / name, say=lambda line: None).state_dict()

    whole = train(4, "whole.pt")
    train(2, "parts.pt")
    parts = train(4, "parts.pt")
    assert all(torch.equal(whole[k], v) for k, v in parts.items())
