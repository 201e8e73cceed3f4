"""The published network is trained as published, keeps its last good state, and drives like any other actor."""

import numpy as np
import pytest
import torch

from facewitness.generator.network import WINDOW
from facewitness.generator.paper import PaperMaterial, PaperSettings, PaperTrainer, network_size, window_of

TINY = PaperSettings(width=4, batch=2)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)


@pytest.fixture
def material():
    y, x = np.mgrid[:64, :64]
    spots = [((x - 8 - t) ** 2 + (y - 30) ** 2 < 90).astype(np.uint8) * 255 for t in range(40)]
    truth = np.stack([np.stack([s // 2, s, 255 - s], -1) for s in spots])
    drawn = np.stack([np.repeat(s[..., None], 9, -1) for s in spots])
    return PaperMaterial(drawn=drawn, truth=truth)


def weights(network):
    return torch.cat([v.flatten().float() for v in network.state_dict().values()])


def test_a_window_ends_at_its_frame_and_stands_still_before_the_first(material):
    window = window_of(material.drawn, 3)
    assert window.shape == (64, 64, 9 * WINDOW)
    np.testing.assert_array_equal(window[..., -9:], material.drawn[3])
    np.testing.assert_array_equal(window[..., :9], material.drawn[0])


def test_squares_are_modelled_at_a_power_of_two():
    assert [network_size(s) for s in (64, 240, 256, 500, 512)] == [64, 128, 256, 256, 512]


def test_it_learns_to_draw_what_the_window_asks_for(material):
    losses: list[float] = []
    PaperTrainer(material, seconds=60, settings=PaperSettings(width=8, batch=2, rate=2e-3)).run(
        lambda _, loss: losses.append(loss), most_steps=60
    )
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_the_same_seed_gives_the_same_network(material):
    made = [PaperTrainer(material, seconds=60, seed=s, settings=TINY).run(most_steps=3) for s in (1, 1, 2)]
    assert torch.equal(weights(made[0].network), weights(made[1].network))
    assert not torch.equal(weights(made[0].network), weights(made[2].network))


def test_a_loss_that_is_no_number_leaves_the_last_good_state(material):
    trainer = PaperTrainer(material, seconds=60, settings=TINY)
    good = weights(trainer.run(most_steps=2).network).clone()
    with torch.no_grad():
        trainer.critic.layers[0].weight.fill_(float("nan"))
    trained = trainer.run(most_steps=5)
    assert trained.steps == 2 and "no number" in trained.notes[0]
    assert torch.equal(weights(trained.network), good) and torch.isfinite(good).all()


def test_an_interrupted_training_is_taken_up_where_it_was(material, tmp_path):
    checkpoint = tmp_path / "training.safetensors"
    first = PaperTrainer(material, seconds=60, settings=TINY, checkpoint=checkpoint)
    first.run(most_steps=2)
    first.save()
    second = PaperTrainer(material, seconds=60, seed=9, settings=TINY, checkpoint=checkpoint)
    assert second.resume() and second.steps == 2
    assert torch.equal(weights(second.network), weights(first.network))
    assert torch.equal(weights(second.critic), weights(first.critic))


def test_the_clock_is_kept(material):
    trained = PaperTrainer(material, seconds=1.0, settings=TINY).run()
    assert trained.steps > 0 and 1.0 <= trained.seconds < 3.0


def test_an_actor_of_the_preset_is_trained_and_driven(footage, driver, tmp_path):
    from facewitness.generator import load_actor, reenact, train_actor
    from facewitness.media import probe

    rights = "Synthetic sample footage of facewitness; no real person is shown."
    train_actor(footage, tmp_path / "actor", rights=rights, minutes=0.3, size=64, preset="paper", progress=False)
    actor = load_actor(tmp_path / "actor")
    assert actor.card["network"]["preset"] == "paper" and actor.card["training"]["steps"] > 0
    assert (actor.path / "preview.png").is_file()
    made = reenact(actor, driver, tmp_path / "made.mp4", driver_rights=rights, progress=False)
    assert probe(made.path).frames == probe(driver).frames
