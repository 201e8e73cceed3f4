"""Reenactment against its baselines, in one run: self-reenactment on the held-out fifth, and motion transfer by a
judge.

    python -m bench.generator --clips DIR --target A.mp4 --target B.mp4 --minutes 5 --driver C.mp4 \
        --judge JUDGE.py --judge-python PYTHON --out out/bench

Prints tables and writes ``generator.json`` and a sheet of pictures for every target. The judge is any script that takes
``--driver`` and ``--made`` and prints lines ``channel corr R gain G jitter ratio J``; it stays outside the project.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench.edits import limited

from facewitness.errors import UnreadableInputError
from facewitness.files import to_json, write_text
from facewitness.generator import load_actor, reenact, train_actor
from facewitness.generator.actor import Actor
from facewitness.generator.baselines import BASELINES, BaselineSynthesiser
from facewitness.generator.evaluate import made_at
from facewitness.generator.metrics import REGIONS, Score
from facewitness.generator.motion import Reader, correlations
from facewitness.generator.performance import Performance
from facewitness.generator.recombine import transfer
from facewitness.generator.reconstruct import basis
from facewitness.generator.reconstruct.identity import placed
from facewitness.generator.reconstruct.model import pick
from facewitness.generator.reenactment import driver_performance, render, within_reach
from facewitness.generator.synthesis import Finish, Synthesiser

RIGHTS = "footage named on the command line of the benchmark, for measuring on this machine only"
OURS, PLAIN, PAPER = "ours", "ours, no critics", "published network"
TRAINED: dict[str, tuple[str, dict[str, Any]]] = {
    OURS: ("", {}), PLAIN: ("-plain", {"adversarial": False}), PAPER: ("-paper", {"preset": "paper"}),
}  # fmt: skip
"""Every network that is trained: the ending of its folder, and what ``train_actor`` is asked for."""
ALSO_DRIVEN = {"texture on background": "mean texture", "Face2Face-like warp": "warp nearest"}
"""Earlier approaches that are driven too, and their names among ``BASELINES``."""
COLUMNS = (
    tuple(f"{name}_{r}" for name in ("psnr", "ssim", "l1") for r in REGIONS),
    ("fine", "flicker", "warped", "r_mouth", "r_lids", "r_gaze", "ms", "train_s"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder of real footage")
    parser.add_argument("--target", action="append", default=[], help="file in CLIPS; may be repeated")
    parser.add_argument("--driver", action="append", default=[], help="file in CLIPS that drives the first target")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, help="train this long whatever the clock says (on a busy machine)")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=120, help="held-out frames measured, in pairs of neighbours")
    parser.add_argument("--judge", type=Path, help="script of an independent judge of motion transfer")
    parser.add_argument("--judge-python", default=sys.executable, help="the Python that runs the judge")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--paper", action="store_true", help="train the published network too, for the same time")
    parser.add_argument("--plain", action="store_true", help="train once more without the adversarial loss")
    parser.add_argument("--earlier", action="store_true", help="let the drivers drive the earlier approaches as well")
    parser.add_argument("--driver-seconds", type=float, help="use only the beginning of each driver")
    parser.add_argument("--keep", action="store_true", help="use actors that are in OUT already")
    args = parser.parse_args()
    report: dict[str, Any] = {
        "schema": "facewitness.bench.generator/1",
        "minutes": args.minutes,
        "size": args.size,
        "self": {},
        "speed": {},
        "transfer": {},
    }
    actors: dict[str, Actor] = {}
    papers: dict[str, Actor] = {}
    for name in args.target:
        trained: dict[str, Actor] = {}
        for method, (suffix, how) in TRAINED.items():
            if (method == PAPER and not args.paper) or (method == PLAIN and not args.plain):
                continue
            folder = args.out / f"actor-{Path(name).stem}{suffix}"
            if not (args.keep and (folder / "actor.json").exists()):
                train_actor(
                    args.clips / name, folder, rights=RIGHTS, minutes=args.minutes, size=args.size, steps=args.steps,
                    **how,
                )  # fmt: skip
            trained[method] = load_actor(folder)
        actors[name] = trained[OURS]
        papers |= {name: trained[PAPER]} if PAPER in trained else {}
        report["self"][name] = self_reenactment(trained, args.frames, args.out)
        report["speed"][name] = speed(actors[name])
        print_table(name, report["self"][name])
        print(f"{report['speed'][name]:.1f} frames/s at {actors[name].square.size} px, whole frames, before encoding")
    for driver in args.driver if actors else ():
        target, actor = next(iter(actors.items()))
        source = args.clips / driver
        if args.driver_seconds:
            source = limited(source, args.out, args.driver_seconds)
        performance = driver_performance(source)
        asked, _ = within_reach(transfer(performance, actor.performance), actor)
        for method, (who, maker) in methods(actor, papers.get(target), earlier=args.earlier).items():
            made = args.out / f"{Path(driver).stem}-drives-{Path(target).stem}-{method.replace(' ', '-')}.mp4"
            start = time.perf_counter()
            reenact(who, source, made, driver_rights=RIGHTS, maker=maker, method=f"{method}, for comparison")
            row: dict[str, Any] = {"seconds": time.perf_counter() - start}
            try:
                row |= identity_kept(actor, performance, driver_performance(made), asked)
            except UnreadableInputError:  # a network that has hardly learnt makes no face
                row["no_face"] = True
            if args.judge:
                row |= judged(args.judge, args.judge_python, source, made)
            report["transfer"].setdefault(f"{driver} > {target}", {})[method] = row
            print(f"\n{driver} drives {target}, {method}: " + ", ".join(f"{k} {v}" for k, v in row.items()))
    write_text(args.out / "generator.json", to_json(report, indent=2))
    print(f"\n{args.out / 'generator.json'}")
    return 0


def methods(actor: Actor, paper: Actor | None, *, earlier: bool) -> dict[str, tuple[Actor, Synthesiser | None]]:
    """Everything that a driver is to drive: whose frames, and what makes the pictures (None: the actor's own)."""
    out: dict[str, tuple[Actor, Synthesiser | None]] = {OURS: (actor, None)}
    for name, method in ALSO_DRIVEN.items() if earlier else ():
        maker = BaselineSynthesiser(actor.squares, actor.shapes, actor.texture, follow=actor.follow, parts=actor.parts)
        maker.method = BASELINES[method]
        out[name] = actor, maker
    if paper is not None:
        out[PAPER] = paper, None
    return out


def self_reenactment(trained: dict[str, Actor], most: int, out: Path) -> dict[str, dict[str, float]]:
    """Figures of every method on the part of the footage that was held out, made from the rest; ``trained`` are actors
    of the same footage by the name of their method."""
    actor = trained[OURS]
    held = actor.holdout_from
    squares, shapes = actor.squares, actor.shapes

    def maker_of(who: Actor) -> Synthesiser:
        return who.kind(
            squares[:held], shapes[:held], who.texture, refine=who.refine(), finish=Finish(**who.card["finish"]),
            follow=who.follow, parts=who.parts,
        )  # fmt: skip

    plain = Synthesiser(squares[:held], shapes[:held], actor.texture, follow=actor.follow, parts=actor.parts)
    wanted = shapes[held:]
    starts = np.unique(np.linspace(0, len(wanted) - 2, max(most // 2, 1)).astype(int))
    choices, reader = plain.plan(wanted), Reader()
    ready = {name: prepare(plain, wanted) for name, prepare in BASELINES.items()}
    use = {"ours, no network": plain} | {method: maker_of(who) for method, who in trained.items()}
    names = [*ready, *use]
    scores = {n: Score(plain.size) for n in names}
    motion: dict[str, list[dict[str, float]]] = {n: [] for n in [*names, "truth"]}
    spent, rows = dict.fromkeys(names, 0.0), []
    for start in starts:
        pictures: dict[str, list[np.ndarray]] = {}
        for name in names:
            began = time.perf_counter()
            if name in ready:
                pictures[name] = [np.clip(ready[name](start + k), 0, 255) for k in (0, 1)]
            else:
                pictures[name] = [m.picture for m in made_at(use[name], wanted, choices, slice(start, start + 2))]
            spent[name] += time.perf_counter() - began
        for k in (0, 1):
            truth, mesh = squares[held + start + k], wanted.mesh[start + k]
            motion["truth"].append(reader(truth, mesh))
            for name in names:
                scores[name].add(pictures[name][k], truth, mesh, follows=k == 1)
                motion[name].append(reader((pictures[name][k] + 0.5).astype(np.uint8), mesh))
        rows.append([truth, *(p[1] for p in pictures.values())])
    chosen = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, 5).astype(int))]
    sheet = np.concatenate([np.concatenate([np.asarray(p, np.float32) for p in row], axis=1) for row in chosen], axis=0)
    cv2.imwrite(str(out / f"{actor.name}.png"), (sheet + 0.5).astype(np.uint8)[..., ::-1])
    return {
        n: scores[n].row()
        | correlations(motion["truth"], motion[n])
        | {"ms": 1000 * spent[n] / (2 * len(starts))}
        | ({"train_s": who.card["seconds"], "steps": who.card["training"]["steps"]} if (who := trained.get(n)) else {})
        for n in names
    }


def speed(actor: Actor, frames: int = 150) -> float:
    """Whole frames made a second (retrieval, composition, network, pasting), the actor's own performance played."""
    maker = actor.synthesiser()
    wanted = actor.performance
    list(render(actor, pick(wanted, np.arange(5)), synthesiser=maker))
    start = time.perf_counter()
    made = sum(1 for _ in render(actor, pick(wanted, np.arange(min(frames, len(wanted)))), synthesiser=maker))
    return made / (time.perf_counter() - start)


def identity_kept(actor: Actor, driver: Performance, made: Performance, wanted: Performance) -> dict[str, float]:
    """Mean distance in centimetres of the result's neutral face from the target's and from the driver's, and their
    ratio (below a tenth: nobody turned into somebody else). What the result was asked to express is taken out first."""
    b = basis()
    asked = (made.expression.mean(0) - wanted.expression.mean(0)) @ b.modes.reshape(len(b.modes), -1)
    neutral = made.identity.neutral + asked.reshape(-1, 3)
    shapes = [
        placed(n.astype(np.float64)) for n in (neutral, actor.performance.identity.neutral, driver.identity.neutral)
    ]
    to_target, to_driver = (float(np.linalg.norm(shapes[0] - s, axis=1).mean()) for s in shapes[1:])
    return {"to_target_cm": to_target, "to_driver_cm": to_driver, "identity": to_target / max(to_driver, 1e-9)}


def print_table(name: str, table: dict[str, dict[str, float]]) -> None:
    print(f"\n{name}")
    for columns in COLUMNS:
        print(f"{'':18}" + "".join(f"{c:>11}" for c in columns))
        for method, row in table.items():
            print(f"{method:18}" + "".join(f"{row.get(c, float('nan')):11.3f}" for c in columns))


def judged(script: Path, python: str, driver: Path, made: Path) -> dict[str, Any]:
    """What the judge prints, by channel: correlation, gain and jitter ratio; and the mean correlation."""
    done = subprocess.run(
        [python, str(script), "--driver", str(driver), "--made", str(made)], capture_output=True, text=True, check=False
    )
    out: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if found := re.match(r"(\w+)\s+corr (\S+)\s+gain (\S+)\s+jitter ratio (\S+)", line):
            out[found[1]] = {
                "r": None if found[2] == "None" else float(found[2]),
                "gain": float(found[3]),
                "jitter": float(found[4]),
            }
        elif found := re.search(r"mean correlation (\S+)", line):
            out["mean"] = float(found[1])
    return out or {"error": (done.stderr or done.stdout).strip()[-300:]}


if __name__ == "__main__":
    sys.exit(main())
