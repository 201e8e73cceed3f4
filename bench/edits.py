"""Every edit, read back by an outside judge: does it change what it names, by how much, and nothing else?

    python -m bench.edits --actor ACTOR/ --driver SPEECH.mp4 --judge "PYTHON bench/blendshapes.py --task FILE" --out DIR

Prints a table of goals and values for each actor and writes ``edits.json``. The judge is any command that is given a
video and prints one JSON object a line for each frame with a face, as ``bench/blendshapes.py`` says. With ``--sheet``,
every edit is drawn at three strengths into a contact sheet (``ACTOR-edits-N.jpg``), to be looked at.
"""

import argparse
import dataclasses
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.files import to_json, write_text
from facewitness.generator import edit, load_actor, reenact
from facewitness.generator.actor import Actor
from facewitness.generator.editing import EDITS, edited_frames
from facewitness.generator.metrics import correlation, psnr
from facewitness.generator.performance import Performance
from facewitness.generator.recombine import cut, last_frames
from facewitness.generator.reconstruct import readings
from facewitness.generator.reenactment import driver_performance
from facewitness.generator.shapes import shapes_of
from facewitness.media import VideoWriter, probe, read_frames

RIGHTS = "footage named on the command line of the benchmark, for measuring on this machine only"
SETTLE_S = 0.4
"""The judge smooths over time; its first frames are left out."""
STILL = 0.1
"""A channel that an edit must not touch moves by no more than this (mean over the frames)."""
HEAD_ABOVE, HEAD_BESIDE, HEAD_BELOW = 0.55, 0.35, 0.35
"""The head and its feathered border: the face's box grown by these shares of its height."""
CLOSED, OPEN, BLINK_APART = 0.8, 0.3, 12
"""Closure of lids in a blink and beside it, and frames between one blink and the next."""
STAYS = {
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"), "gaze": ("gaze_yaw",), "yaw": ("yaw",), "pitch": ("pitch",),
    "roll": ("roll",),
}  # fmt: skip
"""What a dubbed face must keep of the target, in the judge's channels."""
APART = 25
"""Frames between a moment and another one of the same footage."""
PICTURES_A_SHEET = 6
MEASURES = ("untouched", "eyes", "gaze", "face", "head", "dubbing")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Track:
    """What the judge saw in one video, on the frames it found a face in."""

    t: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]

    def at(self, name: str, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """A channel at given seconds."""
        return np.interp(times, self.t, self.values[name])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One figure of the table."""

    edit: str
    figure: str
    goal: str
    value: float
    good: bool


def judge(command: str, video: Path) -> Track:
    """Run the judge over a video."""
    done = subprocess.run([*shlex.split(command), str(video)], capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not rows:
        raise SystemExit(f"the judge saw no face in {video.name}: {done.stderr.strip()[-300:]}")
    names = [n for n in rows[0] if n not in ("t", "scores")]
    values = {n: np.array([r[n] for r in rows]) for n in names}
    values |= {n: np.array([r["scores"][n] for r in rows]) for n in rows[0]["scores"]}
    return Track(t=np.array([r["t"] for r in rows]), values=values)


class Bench:
    """One actor's edits, made, judged and compared with the footage."""

    def __init__(self, actor: Actor, command: str, seconds: float, out: Path):
        self.actor, self.command, self.out = actor, command, out
        start = float(actor.performance.times_s[0])
        self.seconds, self.own = seconds, cut(actor.performance, start, start + seconds)
        self.stored = actor.full_frames()
        self.real = out / f"{actor.name}-footage.mp4"
        with VideoWriter(self.real, width=actor.frame_size[0], height=actor.frame_size[1],
                         frame_rate=Fraction(actor.card["frame"]["rate"]), crf=8) as video:  # fmt: skip
            for k in range(len(self.own)):
                video.write(self.stored[k])
        self.before = judge(command, self.real)
        self.checks: list[Check] = []
        self.times = self.before.t[self.before.t >= self.before.t[0] + SETTLE_S]

    def made(self, name: str, settings: Mapping[str, Any]) -> Track:
        """Make the edit as a user does, and judge it, at the footage's times."""
        path = self.out / f"{self.actor.name}-{name}.mp4"
        edit(self.actor, path, settings=settings, seconds=self.seconds, progress=False)
        seen = judge(self.command, path)
        return dataclasses.replace(seen, t=seen.t - seen.t[0] + self.before.t[0])

    def add(self, edit: str, figure: str, value: float, goal: str, good: Callable[[float], bool] | None) -> None:
        """Enter one figure and show it."""
        check = Check(edit=edit, figure=figure, goal=goal, value=round(value, 3), good=good is None or good(value))
        self.checks.append(check)
        print(f"  {'' if check.good else 'MISSED':7}{edit:26}{figure:44}{check.value:9.3f}   {goal}", flush=True)

    def change(self, after: Track, *names: str) -> NDArray[np.float64]:
        """(T,) mean change of some channels at each frame."""
        return np.mean([after.at(n, self.times) - self.before.at(n, self.times) for n in names], axis=0)

    def still(self, edit: str, after: Track, what: Mapping[str, tuple[str, ...]]) -> None:
        """Channels that must not move: the largest mean change over the channels of each kind."""
        for kind, names in what.items():
            worst = max(float(np.abs(self.change(after, n)).mean()) for n in names)
            self.add(edit, f"{kind}: mean change", worst, f"at most {STILL}", lambda v: v <= STILL)

    def run(self, drivers: list[Path], only: list[str]) -> list[Check]:
        """Make, judge and enter every measurement, or those whose names are in ``only``."""
        print(f"\n{self.actor.name}, {len(self.own)} frames")
        for name in only or MEASURES:
            if name == "dubbing":
                for driver in drivers:
                    self.dubbing(driver)
            else:
                getattr(self, name)()
        self.stored.close()
        return self.checks

    def untouched(self) -> None:
        """No edit at all gives the footage back; a strong one leaves what is outside the head."""
        frames, _ = edited_frames(self.actor, self.own, {})
        plain = [psnr(f, self.stored[k]) for k, f in enumerate(frames)]
        self.add("none", "PSNR everywhere, worst frame, dB", min(plain), "over 40", lambda v: v > 40)
        made = self.out / f"{self.actor.name}-none.mp4"
        edit(self.actor, made, settings={}, seconds=self.seconds, progress=False)
        written = [psnr(f.image, self.stored[k]) for k, f in enumerate(read_frames(made, exact_colour=True))]
        self.add("none", "the same in the marked, encoded file", float(np.mean(written)), "(over 40)", lambda v: v > 40)
        strong = {"smile": 1.0, "close_left_eye": 1.0, "face_width": 20.0, "gaze_yaw": 15.0}
        for name, settings in (("smile, eye, width, gaze", strong), ("head_yaw 10", {"head_yaw": 10.0})):
            frames, _ = edited_frames(self.actor, self.own, settings)
            outside = [psnr(f, self.stored[k], self.outside(k)) for k, f in enumerate(frames)]
            self.add(name, "PSNR outside the head, mean, dB", float(np.mean(outside)), "over 45", lambda v: v > 45)
            made = self.out / f"{self.actor.name}-outside.mp4"
            edit(self.actor, made, settings=settings, seconds=self.seconds, progress=False)
            outside = [
                psnr(f.image, self.stored[k], self.outside(k))
                for k, f in enumerate(read_frames(made, exact_colour=True))
            ]
            self.add(name, "the same in the marked, encoded file", float(np.mean(outside)), "(for comparison)", None)

    def outside(self, k: int) -> NDArray[np.bool_]:
        """(H, W) what is neither head nor its feathered border in stored frame ``k``."""
        square = self.actor.square
        mesh = self.actor.shapes.mesh[k, :, :2] / square.scale + [square.x, square.y]
        low, high = mesh.min(0), mesh.max(0)
        tall = high[1] - low[1]
        width, height = self.actor.frame_size
        y, x = np.mgrid[:height, :width]
        inside = (x > low[0] - HEAD_BESIDE * tall) & (x < high[0] + HEAD_BESIDE * tall)
        return ~(inside & (y > low[1] - HEAD_ABOVE * tall) & (y < high[1] + HEAD_BELOW * tall))

    def eyes(self) -> None:
        """Closing one eye closes it, and leaves the other."""
        for side, other in (("Left", "Right"), ("Right", "Left")):
            name = f"close_{side.lower()}_eye"
            after = self.made(name, {name: 1.0})
            closed = float((after.at(f"eyeBlink{side}", self.times) > 0.6).mean())
            self.add(f"{name} 1", "frames with its blink channel over .6", closed, "at least .95", lambda v: v >= 0.95)
            read = float(np.median(after.at(f"eyeBlink{side}", self.times)))
            self.add(f"{name} 1", "its blink channel, median", read, "(for comparison)", None)
            if (real := self.real_wink(side)) is not None:
                self.add(f"{name} 1", "really closed beside the other open", real, "(for comparison)", None)
            self.still(f"{name} 1", after, {"the other eye's blink channel": (f"eyeBlink{other}",)})

    def real_wink(self, side: str) -> float | None:
        """What the judge reads of this person's own closed eye: half of a frame of a blink beside half of an open one.

        Median over the blinks of the footage; None where there is none.
        """
        p, meshes, readings = self.actor.performance, shapes_of(self.actor.performance).mesh, []
        still = [*lm.NOSE_BRIDGE, *(i for corners in lm.EYE_CORNERS for i in corners)]
        last_one = -BLINK_APART
        for k in np.flatnonzero(p.lids.min(1) > CLOSED):
            near = np.flatnonzero(p.lids.max(1) < OPEN)
            if k - last_one < BLINK_APART or not len(near):
                continue
            q = int(near[np.abs(near - k).argmin()])
            if abs(q - k) > BLINK_APART:
                continue
            last_one = int(k)
            move, _ = cv2.estimateAffinePartial2D(meshes[k, still, :2], meshes[q, still, :2])
            open_, closed = (self.stored[int(i)].astype(np.float32) for i in (q, k))
            moved = cv2.warpAffine(closed, move, closed.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
            closed = np.asarray(moved, np.float32)
            left = np.clip((np.arange(closed.shape[1]) - meshes[q, lm.GLABELLA, 0]) / 8 + 0.5, 0, 1)[None, :, None]
            share = left if side == "Left" else 1 - left
            path = self.out / f"{self.actor.name}-wink.mp4"
            with VideoWriter(
                path, width=closed.shape[1], height=closed.shape[0], frame_rate=Fraction(25), crf=8
            ) as video:
                for _ in range(12):
                    video.write(np.clip(open_ + share * (closed - open_), 0, 255).astype(np.uint8))
            readings.append(float(judge(self.command, path).values[f"eyeBlink{side}"][-1]))
            if len(readings) == 5:
                break
        return float(np.median(readings)) if readings else None

    def gaze(self) -> None:
        """Gaze turned by degrees is read back as turned by so many."""
        for name, value in (("gaze_yaw", 15.0), ("gaze_yaw", -15.0), ("gaze_pitch", 10.0), ("gaze_pitch", -10.0)):
            after = self.made(f"{name}{value:+.0f}", {name: value})
            open_ = np.maximum(self.before.at("eyeBlinkLeft", self.times), after.at("eyeBlinkLeft", self.times)) < 0.5
            turned = self.change(after, name)[open_] if open_.sum() > 10 else self.change(after, name)
            read = float(np.median(turned))
            self.add(
                f"{name} {value:+.0f}", "degrees read back", read, f"{value - 5:g} to {value + 5:g}",
                partial(near, value, by=5),
            )  # fmt: skip

    def face(self) -> None:
        """A smile smiles, a jaw opens, brows rise; lids and gaze stay. A wider face is wider."""
        eyes = {
            "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
            "gaze": ("eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight"),
        }
        for name, value, channels in (
            ("smile", 0.5, ("mouthSmileLeft", "mouthSmileRight")), ("jaw_open", 0.5, ("jawOpen",)),
            ("brow_up", 0.5, ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")),
        ):  # fmt: skip
            after = self.made(name, {name: value})
            moved = float(self.change(after, *channels).mean())
            self.add(f"{name} +{value}", f"rise of {channels[0]}", moved, "over .05", lambda v: v > 0.05)
            if name == "brow_up":
                fell = float(self.change(after, "browDownLeft", "browDownRight").mean())
                self.add(f"{name} +{value}", "change of browDown", fell, "(for comparison)", None)
            self.still(f"{name} +{value}", after, eyes)
        after = self.made("wide", {"face_width": 20.0})
        wider = after.at("width", self.times) / self.before.at("width", self.times)
        percent = 100 * (float(np.median(wider)) - 1)
        self.add("face_width +20", "percent read back", percent, "15 to 25", partial(near, 20.0, by=5))

    def head(self) -> None:
        """A turned head is turned by so many degrees."""
        for name, value in (("head_yaw", 8.0), ("head_pitch", 6.0), ("head_roll", 8.0)):
            after = self.made(name, {name: value})
            turned = float(np.abs(np.median(self.change(after, name.removeprefix("head_")))))
            self.add(f"{name} {value:+.0f}", "degrees read back", turned, "within 3", partial(near, value, by=3))

    def dubbing(self, driver: Path) -> None:
        """The mouth follows the driver, eyes and head stay the target's."""
        path = self.out / f"{self.actor.name}-dubbed.mp4"
        speech = limited(driver, self.out, 12.0)
        edit_name = f"dubbed by {driver.stem[:12]}"
        reenact(self.actor, speech, path, take=("mouth",), driver_rights=RIGHTS, progress=False)
        made, said, shown = judge(self.command, path), judge(self.command, speech), self.played(path)
        own, pasted = (self.shown(name, path, frames) for name, frames in (
            ("rhythm", (self.stored[k] for k in shown)), ("pasted", self.other_mouths(shown))))  # fmt: skip
        times = made.t[made.t >= made.t[0] + SETTLE_S]
        for name, channels in STAYS.items():
            r, limit = (
                float(np.mean([correlation(of.at(c, times), own.at(c, times)) for c in channels]))
                for of in (made, pasted)
            )
            self.add(edit_name, f"{name}: r with the target's own", r, "over .95", lambda v: v > 0.95)
            self.add(edit_name, "  with its own mouth of other moments", limit, "(the judge's limit)", None)
        alike = [psnr(a.image[: self.nose(n)], self.stored[n][: self.nose(n)]) for a, n in
                 zip(read_frames(path, exact_colour=True), shown, strict=True)]  # fmt: skip
        self.add(edit_name, "PSNR above the nose, in the file, dB", float(np.mean(alike)), "(for comparison)", None)
        r = correlation(made.at("jawOpen", times), said.at("jawOpen", times))
        self.add(edit_name, "jaw: r with the driver's", r, "over .8", lambda v: v > 0.8)
        p = driver_performance(speech)
        seen = np.interp(times - times[0] + SETTLE_S, p.times_s - p.times_s[0], readings(p)["jaw"])
        r = correlation(seen, said.at("jawOpen", times))
        self.add(edit_name, "  what the tracker sees of the driver's", r, "(for comparison)", None)

    def other_mouths(self, shown: list[int]) -> Iterator[NDArray[np.uint8]]:
        """Stored frames with the lower face of another moment, whose head is nearest, set in: nothing but real pixels.

        What the judge reads of eyes and head then differs from the frames alone only because a mouth moved.
        """
        shapes = self.actor.shapes
        still = [*lm.NOSE_BRIDGE, *(i for corners in lm.EYE_CORNERS for i in corners)]
        square = self.actor.square
        places = np.ascontiguousarray(shapes.mesh[:, still, :2] / square.scale + [square.x, square.y])
        flat = places.reshape(len(places), -1)
        for k in shown:
            apart = np.abs(np.arange(len(flat)) - k) > APART
            other = int(np.where(apart, np.square(flat - flat[k]).sum(1), np.inf).argmin())
            move, _ = cv2.estimateAffinePartial2D(places[other], places[k])
            mouth = cv2.warpAffine(self.stored[other], move, self.actor.frame_size, borderMode=cv2.BORDER_REPLICATE)
            mesh = shapes.mesh[k, :, :2] / square.scale + [square.x, square.y]
            oval = np.zeros(self.stored[k].shape[:2], np.uint8)
            cv2.fillConvexPoly(oval, cv2.convexHull(mesh[list(lm.FACE_OVAL)].astype(np.int32)), 255)
            oval[: int(mesh[lm.NOSE_BASE, 1])] = 0
            width = 0.05 * np.ptp(mesh[:, 0])
            share = cv2.GaussianBlur(oval.astype(np.float32) / 255, (0, 0), float(width))[..., None]
            own = self.stored[k].astype(np.float32)
            yield np.clip(own + share * (mouth - own), 0, 255).astype(np.uint8)

    def nose(self, k: int) -> int:
        """Row of the middle of the nose in stored frame ``k``."""
        square = self.actor.square
        return int(self.actor.shapes.mesh[k, lm.NOSE_BRIDGE[2], 1] / square.scale + square.y)

    def played(self, made: Path) -> list[int]:
        """The stored frames that a dubbed video shows."""
        times = np.array([f.time_s for f in read_frames(made)])
        return last_frames(self.actor.performance, times - times[0]).tolist()

    def shown(self, name: str, made: Path, frames: Iterable[NDArray[np.uint8]]) -> Track:
        """The judge on some frames, played as a dubbed video plays its own."""
        start = next(iter(read_frames(made))).time_s
        path = self.out / f"{self.actor.name}-{name}.mp4"
        info = probe(made)
        with VideoWriter(path, width=info.width, height=info.height, frame_rate=info.frame_rate or Fraction(25),
                         crf=8) as video:  # fmt: skip
            for frame in frames:
                video.write(frame)
        seen = judge(self.command, path)
        return dataclasses.replace(seen, t=seen.t + start)


def limited(video: Path, out: Path, seconds: float) -> Path:
    """The beginning of a video, so that a long driver does not take for ever; its sound is kept."""
    info = probe(video)
    if info.duration_s and info.duration_s <= seconds:
        return video
    path = out / f"{video.stem}-beginning.mp4"
    rate = info.frame_rate or Fraction(25)
    with VideoWriter(path, width=info.width, height=info.height, frame_rate=rate, crf=10, audio_from=video) as made:
        for frame in read_frames(video):
            if frame.time_s > seconds:
                break
            made.write(frame.image)
    return path


def sheets(actor: Actor, out: Path, at: float) -> None:
    """Every edit at three strengths on the frame at the share ``at`` of the footage, six edits a sheet."""
    maker = actor.synthesiser()
    k = int(at * (len(actor.performance) - 1))
    one = _frames(actor.performance, k, 1)
    stored = actor.full_frames()
    square = actor.square
    rows, texts = [], []
    for e in EDITS:
        if e.name in ("look_x", "look_y"):
            continue
        more = {"look_x": 30.0, "look_y": -20.0} if e.name == "look_at" else {}
        pictures = [stored[k]]
        strengths = [e.high / 3, 2 * e.high / 3, e.high]
        strengths = [e.low, e.high / 2, e.high] if e.low < 0 else strengths
        for value in strengths:
            pictures.append(next(edited_frames(actor, one, {e.name: value, **more}, maker=maker)[0]))
        cuts = [p[square.y : square.y + square.side, square.x : square.x + square.side] for p in pictures]
        small = [cv2.resize(c, (256, 256), interpolation=cv2.INTER_AREA) for c in cuts]
        row = np.ascontiguousarray(np.concatenate(small, axis=1))
        text = e.name + "  " + "  ".join(f"{v:+.2g}" for v in strengths)
        cv2.putText(row, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 2, cv2.LINE_AA)
        cv2.putText(row, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        rows.append(row)
        texts.append(text)
    for n in range(0, len(rows), PICTURES_A_SHEET):
        sheet = np.concatenate(rows[n : n + PICTURES_A_SHEET])
        cv2.imwrite(str(out / f"{actor.name}-edits-{n // PICTURES_A_SHEET}.jpg"), sheet[..., ::-1])
    stored.close()


def _frames(performance: Performance, first: int, count: int) -> Performance:
    from facewitness.generator.reconstruct.model import pick

    return pick(performance, np.arange(first, first + count))


def near(wanted: float, value: float, *, by: float) -> bool:
    """Whether a value is within ``by`` of the wanted one."""
    return abs(value - wanted) <= by


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actor", type=Path, action="append", required=True, help="folder of an actor; repeatable")
    parser.add_argument("--driver", type=Path, nargs="+", default=[], help="speech that the actors are dubbed with")
    parser.add_argument("--judge", help="command that judges a video; without it nothing is measured")
    parser.add_argument("--only", nargs="+", default=[], choices=MEASURES, help="measure only these")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the edits that are made")
    parser.add_argument("--sheet", type=float, metavar="SHARE", help="draw contact sheets at this share of the footage")
    parser.add_argument("--out", type=Path, default=Path("out/edits"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"schema": "facewitness.bench.edits/1", "judge": args.judge, "actors": {}}
    for folder in args.actor:
        actor = load_actor(folder)
        if args.sheet is not None:
            sheets(actor, args.out, args.sheet)
        if args.judge:
            checks = Bench(actor, args.judge, args.seconds, args.out).run(args.driver, args.only)
            report["actors"][actor.name] = [dataclasses.asdict(c) for c in checks]
            print(f"  {sum(c.good for c in checks)} of {len(checks)} reached")
    write_text(args.out / "edits.json", to_json(report, indent=2))
    print(f"\n{args.out / 'edits.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
