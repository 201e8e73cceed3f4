"""Training keeps to its clock, its seed and its last good state."""

import numpy as np
import pytest
import torch

from facewitness.generator.trainer import CLIP, Material, Trainer, TrainSettings

SMALL = TrainSettings(crop=32, clips=1)


@pytest.fixture
def material():
    rng = np.random.default_rng(3)
    clips, size = 10, 48
    truth = rng.integers(0, 256, (clips, CLIP, size, size, 3)).astype(np.uint8)
    given = np.concatenate([truth // 2 + 40, rng.integers(0, 256, (clips, CLIP, size, size, 9)).astype(np.uint8)], -1)
    points = np.full((clips, 3, 2), size / 2, np.float32)
    frames = np.arange(clips * CLIP).reshape(clips, CLIP)
    return Material(given=given, truth=truth, points=points, frames=frames,
                    meshes=np.zeros((clips, CLIP, 468, 3), np.float32))  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def weights(trained):
    return torch.cat([p.flatten() for p in trained.network.parameters()])


def test_the_same_seed_gives_the_same_network(material):
    runs = [Trainer(material, seconds=60, seed=s, settings=SMALL).run(most_steps=4) for s in (1, 1, 2)]
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0]), weights(runs[2]))


def test_it_learns_to_mend_the_base(material):
    losses = []
    Trainer(material, seconds=60, settings=TrainSettings(crop=32, clips=1, adversarial_from=2.0)).run(
        lambda _, loss: losses.append(loss), most_steps=90
    )
    assert np.mean(losses[-10:]) < 0.95 * np.mean(losses[:5])


def test_the_clock_is_kept(material):
    trained = Trainer(material, seconds=1.0, settings=SMALL).run()
    assert trained.steps > 0
    assert 1.0 <= trained.seconds < 2.0


def test_a_loss_that_is_no_number_stops_it_with_the_last_good_state(material):
    trainer = Trainer(material, seconds=60, settings=SMALL)
    trainer.run(most_steps=3)
    good = weights(trainer.run(most_steps=3)).clone()
    with torch.no_grad():
        trainer.network.head.weight.fill_(float("nan"))
    trained = trainer.run(most_steps=9)
    assert trained.steps == 3 and "no number" in trained.notes[0]
    assert torch.equal(weights(trained), good) and torch.isfinite(good).all()


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(material, tmp_path):
    settings = TrainSettings(crop=32, clips=1, adversarial_from=0.3)
    whole = Trainer(material, seconds=60, settings=settings).run(most_steps=8)
    first = Trainer(material, seconds=60, settings=settings, checkpoint=tmp_path / "training.safetensors")

    def stop(step_s, loss):
        if first.steps == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.run(stop, most_steps=8)
    first.save()
    second = Trainer(material, seconds=60, seed=9, settings=settings, checkpoint=tmp_path / "training.safetensors")
    resumed = second.run(most_steps=8)
    assert resumed.steps == 8 and torch.equal(weights(resumed), weights(whole))


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_not_taken_up(material, tmp_path):
    checkpoint = tmp_path / "training.safetensors"
    first = Trainer(material, seconds=60, settings=SMALL, checkpoint=checkpoint, run="one film")
    first.run(most_steps=1)
    first.save()
    assert Trainer(material, seconds=60, settings=SMALL, checkpoint=checkpoint, run="one film").resume()
    assert not Trainer(material, seconds=60, settings=SMALL, checkpoint=checkpoint, run="another").resume()
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert not Trainer(material, seconds=60, settings=SMALL, checkpoint=checkpoint, run="one film").resume()


def test_both_discriminators_take_part(material):
    trainer = Trainer(material, seconds=60, settings=TrainSettings(crop=32, clips=1, adversarial_from=0.0))
    before = [p.clone() for critic in (trainer.frame_critic, trainer.clip_critic) for p in (critic.last.weight,)]
    trainer.run(most_steps=2)
    after = [p for critic in (trainer.frame_critic, trainer.clip_critic) for p in (critic.last.weight,)]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_without_critics_they_learn_nothing(material):
    trainer = Trainer(material, seconds=60, settings=TrainSettings(crop=32, clips=1, adversarial_from=0, critics=False))
    before = trainer.frame_critic.last.bias.clone()
    trainer.run(most_steps=2)
    assert torch.equal(trainer.frame_critic.last.bias, before)
