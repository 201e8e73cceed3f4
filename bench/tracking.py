"""Tracking and reconstruction, measured: against known truth, against another tracker, round trip, jitter, speed.

    python -m bench.tracking [--clips DIR] [--parts truth,agreement,round,jitter,speed] [--peer PYTHON] [--json FILE]

``--peer`` names a Python in which ``mediapipe`` and ``av`` are installed, for a race against its own FaceLandmarker.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench.known_truth import Portrait, portrait, random_performance, render
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from facewitness.errors import MissingPieceError
from facewitness.faces import FaceTrack, FaceTracker, track_video
from facewitness.faces import landmarks as lm
from facewitness.faces.landmarker import BLENDSHAPES
from facewitness.faces.tracker import LOOKS
from facewitness.files import to_json, write_text
from facewitness.generator.performance import Performance
from facewitness.generator.reconstruct import angles_deg, head_mesh, project, readings, reconstruct
from facewitness.generator.reconstruct.eyes import blink_times
from facewitness.generator.reconstruct.model import lid_opening
from facewitness.generator.reconstruct.rotation import similarity, to_matrix
from facewitness.generator.reconstruct.solve import sight
from facewitness.media import probe, read_frames
from facewitness.media.types import Frame

PARTS = ("truth", "agreement", "round", "jitter", "speed")
JUDGED = ("p01", "p02", "p03", "p05", "p12", "p15")
RATE = 25
PEER_BLINK = (0.35, 0.25)
"""Height and prominence of a blink in the other tracker's blendshape, whose closed eye reads 0.5 to 0.8."""
PEER_RACE = """
import sys, time, av, numpy as np, mediapipe as mp
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.core.base_options import BaseOptions
o = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=sys.argv[2]),
    running_mode=vision.RunningMode.VIDEO, output_face_blendshapes=True, num_faces=1)
with vision.FaceLandmarker.create_from_options(o) as landmarker, av.open(sys.argv[1]) as c:
    began, n = time.perf_counter(), 0
    for f in c.decode(video=0):
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(f.to_ndarray(format="rgb24")))
        landmarker.detect_for_video(image, int(n * 40))
        n += 1
print(n / (time.perf_counter() - began))
"""


def follow(pictures: Iterable[NDArray[np.uint8]], tracker: str = "mesh") -> FaceTrack:
    """The main face of pictures at 25 a second."""
    tracking = FaceTracker(tracker, max_faces=1, looks=LOOKS)
    for i, image in enumerate(pictures):
        tracking.update(Frame(index=i, pts=i, time_base=Fraction(1, RATE), image=image))
    return tracking.finish()[0]


# ---- known truth -------------------------------------------------------------------------------------------------


def degraded(pictures: list[NDArray[np.uint8]], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Blur of 1.2 pixels, noise of 6 levels, then H.264 at CRF 30."""
    import av

    buffer = io.BytesIO()
    height, width = (v // 2 * 2 for v in pictures[0].shape[:2])
    with av.open(buffer, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.options = width, height, "yuv420p", {"crf": "30"}
        for picture in pictures:
            soft = cv2.GaussianBlur(picture[:height, :width], (0, 0), 1.2).astype(np.float32)
            noisy = np.clip(soft + rng.normal(size=soft.shape) * 6, 0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(noisy), format="rgb24")))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as back:
        return [np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in back.decode(video=0)]


def against_truth(true: Performance, found: Performance) -> dict[str, Any]:
    """Errors of one sequence. Rotation also without its constant part: where the neutral face is said to look."""
    a, b = to_matrix(true.rotation), to_matrix(found.rotation)
    apart = Rotation.from_matrix(np.swapaxes(a, 1, 2) @ b)
    constant = apart.mean()
    shape = head_mesh(true.identity, true.expression, true.lids)
    closed = np.clip(1 - lid_opening(shape) / np.maximum(lid_opening(true.identity.neutral), 0.1), 0, 1)
    awake = closed.max(1) < 0.4
    gaze = np.degrees(found.gaze - true.gaze)[awake].mean(1)
    ahead = true.expression[:, :10].std(0) > 0.15
    r = [np.corrcoef(true.expression[:, k], found.expression[:, k])[0, 1] for k in np.flatnonzero(ahead)]
    return {
        "rotation_deg": float(np.degrees(np.median(apart.magnitude()))),
        "rotation_less_constant_deg": float(np.degrees(np.median((apart * constant.inv()).magnitude()))),
        "gaze_deg": float(np.median(np.linalg.norm(gaze, axis=1))),
        "gaze_less_constant_deg": float(np.median(np.linalg.norm(gaze - np.median(gaze, 0), axis=1))),
        "lids": float(np.mean(np.abs(found.lids - closed))),
        "expression_r": [float(v) for v in r],
    }


def known_truth(clips: Path | None, frames: int) -> list[dict[str, Any]]:
    """Rows by size and quality, each the median over portraits and sequences."""
    rng = np.random.default_rng(0)
    acted = _acted(clips, frames)
    rows: dict[tuple[int, str], list[dict]] = {}
    for n, who in enumerate(_portraits(clips)):
        for size in (256, 512, 720):
            true = random_performance(
                who.identity, face_px=size, frames=frames, seed=n, expression=acted[n % len(acted)] if acted else None
            )
            pictures = list(render(who, true))
            for quality, shown in (("clean", pictures), ("degraded", degraded(pictures, rng))):
                rows.setdefault((size, quality), []).append(against_truth(true, reconstruct(follow(shown))))
    out = []
    for (size, quality), found in rows.items():
        medians = {k: float(np.median([f[k] for f in found])) for k in found[0] if k != "expression_r"}
        r = np.concatenate([f["expression_r"] for f in found])
        modes = {"expression_r": float(np.median(r)), "expression_r_above_0.9": float((r > 0.9).mean())}
        out.append({"face_px": size, "quality": quality, "sequences": len(found), **medians, **modes})
    return out


def _portraits(clips: Path | None) -> list[Portrait]:
    if clips and (stills := sorted((clips / "stills").glob("*.jpg"))):
        images = [cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB) for p in stills[3::23]]  # type: ignore[arg-type]
    else:
        from skimage import data

        images = [cv2.resize(data.astronaut(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)]
    return [portrait(np.ascontiguousarray(image)) for image in images]


def _acted(clips: Path | None, frames: int) -> list[NDArray]:
    """Expressions of real people, because independent modes make faces that nobody makes; of two who move theirs, for
    where a mode hardly moves its correlation says nothing."""
    found = sorted((clips / "real").glob("p01*")) + sorted((clips / "real").glob("p05*")) if clips else []
    performances = [reconstruct(track_video(p, max_faces=1, end_s=12)[0]).expression for p in found]
    return [e[20 : 20 + frames] for e in performances if len(e) >= frames + 20]


# ---- another tracker ---------------------------------------------------------------------------------------------


def channels_of(p: Performance) -> dict[str, NDArray]:
    """What the other tracker reports, read off a performance; gaze to the picture's left counts as its does.

    ``gaze_y`` is read as the other tracker counts it, lids included; ``gaze_y_alone`` is the eyeballs' own. Its angles
    count from the line of sight, because it lays its mesh on the canonical face as if it stood on the camera's axis.
    """
    seen = readings(p)
    straight = np.swapaxes(sight(p.translation[:, :2] / p.translation[:, 2:]), 1, 2) @ to_matrix(p.rotation)
    angles = angles_deg(Rotation.from_matrix(straight).as_rotvec())
    seen |= {name: angles[:, k] for k, name in enumerate(("yaw", "pitch", "roll"))}
    same = ("blink", "jaw", "smile", "pucker", "brow", "yaw", "pitch", "roll")
    return {
        "gaze_x": -seen["look_right"], "gaze_y": seen["look_down"], "gaze_y_alone": p.gaze.mean(1)[:, 1],
        **{name: seen[name] for name in same},
    }  # fmt: skip


def channels_of_task(track: FaceTrack) -> dict[str, NDArray]:
    """The same from the networks inside face_landmarker.task: blendshapes, and its mesh laid on the canonical face."""
    assert track.blendshapes is not None
    b = lambda *names: np.mean([track.blendshapes[:, BLENDSHAPES.index(n)] for n in names], axis=0)  # noqa: E731
    rigid, weights = lm.rigid_points()
    w = np.full(lm.POINTS, 1e-9)
    w[rigid] = weights
    _, turn, _ = similarity(lm.canonical_xyz().astype(np.float64), track.mesh.astype(np.float64), w)
    angles = angles_deg(Rotation.from_matrix(turn).as_rotvec())
    down = b("eyeLookDownLeft", "eyeLookDownRight") - b("eyeLookUpLeft", "eyeLookUpRight")
    return {
        "blink": b("eyeBlinkLeft", "eyeBlinkRight"),
        "gaze_x": b("eyeLookInLeft", "eyeLookOutRight") - b("eyeLookOutLeft", "eyeLookInRight"),
        "gaze_y": down, "gaze_y_alone": down,
        "jaw": b("jawOpen"), "smile": b("mouthSmileLeft", "mouthSmileRight"), "pucker": b("mouthPucker"),
        "brow": b("browInnerUp", "browOuterUpLeft"), "yaw": angles[:, 0], "pitch": angles[:, 1], "roll": angles[:, 2],
    }  # fmt: skip


def f1_of_events(a: NDArray, b: NDArray, within_s: float = 0.2) -> tuple[float, int]:
    """F1 of two lists of times matched one to one within a tolerance, and how many match."""
    free, hits = list(b), 0
    for t in a:
        near = [x for x in free if abs(x - t) <= within_s]
        if near:
            free.remove(min(near, key=lambda x: abs(x - t)))
            hits += 1
    return 2 * hits / max(len(a) + len(b), 1), hits


def agreement(clips: Path) -> dict[str, Any]:
    """Correlation over time with the task's networks on the judged clips, and F1 of blinks."""
    rows, hits, ours, theirs = [], 0, 0, 0
    for name in JUDGED:
        path = next(iter(sorted((clips / "real").glob(f"{name}_*"))))
        track, other = (track_video(path, tracker=t, max_faces=1)[0] for t in ("mesh", "landmarker"))
        p = reconstruct(track)
        both = track.present & other.present
        a, b = channels_of(p), channels_of_task(other)
        r = {k: float(np.corrcoef(a[k][both], b[k][both])[0, 1]) for k in a}
        awake = both & (p.lids.max(1) < 0.3)
        r |= {f"{k}_open": float(np.corrcoef(a[k][awake], b[k][awake])[0, 1]) for k in ("gaze_x", "gaze_y_alone")}
        height, prominence = PEER_BLINK
        mine = blink_times(a["blink"], p.times_s)
        peer = blink_times(b["blink"][both], p.times_s[both], height=height, prominence=prominence)
        f1, hit = f1_of_events(mine, peer)
        hits, ours, theirs = hits + hit, ours + len(mine), theirs + len(peer)
        rows.append({"clip": name, **r, "blink_f1": f1, "blinks": len(mine), "blinks_other": len(peer)})
    mean = {k: float(np.mean([row[k] for row in rows])) for k in rows[0] if isinstance(rows[0][k], float)}
    return {"rows": rows, "mean": mean, "blink_f1_all": 2 * hits / max(ours + theirs, 1)}


# ---- round trip, jitter, speed -----------------------------------------------------------------------------------


def round_trip(clips: Path) -> list[dict[str, Any]]:
    """Reprojection error over the distance of the eyes' outer corners; PSNR of the face drawn from albedo and light."""
    from facewitness.generator.reconstruct.light import estimate_light, render_face

    rows = []
    for name in JUDGED:
        path = next(iter(sorted((clips / "real").glob(f"{name}_*"))))
        track = track_video(path, max_faces=1, end_s=20)[0]
        p = reconstruct(track)
        at = track.present
        eyes = np.linalg.norm(track.mesh[at, 33, :2] - track.mesh[at, 263, :2], axis=1)
        apart = np.linalg.norm(project(p)[at][..., :2] - track.mesh[at][..., :2], axis=-1).mean(1)
        lit, look = estimate_light(p, read_frames(path, end_s=20))
        psnr = []
        for frame in read_frames(path, end_s=20):
            if frame.index % 25 == 0 and frame.index < len(p) and track.present[frame.index]:
                drawn, mask = render_face(lit, look, frame.index)
                error = (drawn[mask].astype(float) - frame.image[mask]) ** 2
                psnr.append(10 * np.log10(255**2 / error.mean()))
        rows.append({"clip": name, "landmarks": float(np.mean(apart / eyes)), "psnr_db": float(np.mean(psnr))})
    return rows


def jitter() -> dict[str, float]:
    """A portrait that does not move, under camera noise of 3 levels: rms of what moves."""
    from skimage import data

    rng = np.random.default_rng(0)
    still = cv2.resize(data.astronaut(), None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    pictures = (np.clip(still + rng.normal(size=still.shape) * 3, 0, 255).astype(np.uint8) for _ in range(100))
    p = reconstruct(follow(pictures))
    angles = angles_deg(p.rotation)[5:]
    return {
        "rotation_rms_deg": float(np.sqrt(((angles - angles.mean(0)) ** 2).mean())),
        "gaze_rms_deg": float(np.degrees(p.gaze[5:].mean(1).std(0)).mean()),
        "lids_rms": float(p.lids[5:].std()),
    }


def speed(clips: Path, peer: str | None) -> dict[str, Any]:
    """Frames per second, decoding included, of each tracker on one 720p clip, one after the other."""
    path = next(p for p in sorted((clips / "real").glob("*.mp4")) if probe(p).height == 720)
    frames = probe(path).frames
    out: dict[str, Any] = {"clip": path.name, "frames": frames, "cores": len(os.sched_getaffinity(0))}

    def race(run: Callable[[], Any]) -> float | None:
        try:
            began = time.perf_counter()
            run()
        except MissingPieceError as e:
            print(f"  left out: {e}", file=sys.stderr)
            return None
        return frames / (time.perf_counter() - began)

    reconstruct(track_video(path, max_faces=1, end_s=1)[0])  # what is loaded and compiled once does not count
    out["decode"] = race(lambda: [None for _ in read_frames(path)])
    out["mesh"] = race(lambda: track_video(path, max_faces=1))
    out["mesh_and_reconstruction"] = race(lambda: reconstruct(track_video(path, max_faces=1)[0]))
    out["landmarker_litert"] = race(lambda: track_video(path, tracker="landmarker", max_faces=1))
    out["face_alignment"] = race(lambda: track_video(path, tracker="fan", max_faces=1, end_s=1))
    if peer:
        from facewitness import weights

        task = str(weights.fetch("face_landmarker_task"))
        done = subprocess.run([peer, "-c", PEER_RACE, str(path), task], capture_output=True, text=True, check=False)
        out["mediapipe_face_landmarker"] = float(done.stdout) if done.returncode == 0 else None
    return out


def table(rows: list[dict[str, Any]]) -> None:
    """Print rows of the same keys, aligned."""
    keys = list(rows[0])
    cells = [[f"{row[k]:.3f}" if isinstance(row[k], float) else str(row[k]) for k in keys] for row in rows]
    widths = [max(len(k), *(len(c[i]) for c in cells)) for i, k in enumerate(keys)]
    for line in (keys, *cells):
        print("  ".join(v.rjust(w) for v, w in zip(line, widths, strict=True)))


def run(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and return what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("FACEWITNESS_CLIPS")
    parser.add_argument("--clips", type=Path, default=Path(default) if default else None, help="folder of real clips")
    parser.add_argument("--parts", default=",".join(PARTS), help="which parts, separated by commas")
    parser.add_argument("--frames", type=int, default=75, help="frames of each rendered sequence")
    parser.add_argument("--peer", help="a Python that has mediapipe and av, to race against")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args(argv)
    parts = options.parts.split(",")
    out: dict[str, Any] = {}
    if "truth" in parts:
        print("known truth (medians over sequences)")
        out["truth"] = known_truth(options.clips, options.frames)
        table(out["truth"])
    if "jitter" in parts:
        out["jitter"] = jitter()
        print("still head:", json.dumps(out["jitter"]))
    if options.clips is None:
        print("the other parts need --clips or FACEWITNESS_CLIPS", file=sys.stderr)
    else:
        if "agreement" in parts:
            print("correlation with the networks of face_landmarker.task")
            out["agreement"] = agreement(options.clips)
            rows, mean = out["agreement"]["rows"], out["agreement"]["mean"]
            table([*rows, {**rows[0], **mean, "clip": "mean", "blinks": "", "blinks_other": ""}])
            print(f"F1 over all blinks {out['agreement']['blink_f1_all']:.3f}")
        if "round" in parts:
            print("round trip")
            out["round"] = round_trip(options.clips)
            table(out["round"])
        if "speed" in parts:
            out["speed"] = speed(options.clips, options.peer)
            print("frames a second:", json.dumps(out["speed"]))
    if options.json:
        write_text(options.json, to_json(out, indent=1))
    return out


if __name__ == "__main__":
    run()
