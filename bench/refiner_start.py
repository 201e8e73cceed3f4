"""Make ``generator/start.safetensors``: what every network starts from, learnt from synthetic sample footage alone.

    python -m bench.refiner_start --seconds 1800 --out generator/start.safetensors

No real person's footage is used, so that nothing of one can be in the weights.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from facewitness.datasets import SAMPLES, make_sample
from facewitness.files import whole_file
from facewitness.generator.condition import mean_texture
from facewitness.generator.footage import prepare
from facewitness.generator.trainer import Material, Trainer, TrainSettings, make_material
from facewitness.media import read_frames
from facewitness.progress import track

CLIPS_EACH = 45


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1800.0, help="time to train")
    parser.add_argument("--footage-s", type=float, default=10.0, help="seconds of each sample actor")
    parser.add_argument("--out", type=Path, default=Path("generator/start.safetensors"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = [
            material_of(make_sample(name, Path(folder) / f"{name}.mp4", seconds=args.footage_s, seed=30 + k))
            for k, name in enumerate(track(SAMPLES, "sample footage"))
        ]
    joined = Material(**{
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("given", "truth", "points", "frames", "meshes")
    })  # fmt: skip
    trained = Trainer(joined, seconds=args.seconds, settings=TrainSettings(adversarial_from=0.8), fresh=True).run()
    with whole_file(args.out) as part:
        save_file({k: v.half().contiguous() for k, v in trained.network.state_dict().items()}, part)
    print(f"{args.out}: {trained.steps} steps")


def material_of(video: Path) -> Material:
    footage = prepare(video, size=256)
    wanted = set(footage.kept.tolist())
    squares = np.stack([footage.square.cut(f.image) for f in read_frames(video) if f.index in wanted])
    texture = mean_texture(squares[::4], footage.shapes.mesh[::4])
    rate, rng = float(footage.info.frame_rate), np.random.default_rng(0)
    return make_material(
        squares, footage.shapes, texture, rate=rate, until=time.monotonic() + 600, rng=rng, most=CLIPS_EACH
    )


if __name__ == "__main__":
    main()
