"""``python -m bench.durable``: what credentials survive, beside the DWT-DCT-SVD scheme of ``invisible-watermark``.

Parts: ``distortions`` (found, bit errors, payload, by distortion), ``speed``, ``lookup`` (a million stored seconds),
``false`` (unrelated video against one another, unmarked crops). Clips come from ``--clips`` or FACEWITNESS_CLIPS, else
sample footage is made. The compared scheme takes part where it is importable
(``pip install --no-deps invisible-watermark PyWavelets``).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench.distortions import DISTORTIONS, Distortion, Frames

from facewitness.errors import FacewitnessError
from facewitness.provenance import fingerprint as fp
from facewitness.provenance import watermark as wm
from facewitness.provenance.fingerprint_search import FingerprintIndex

PARTS = ("distortions", "speed", "lookup", "false")
KEY, PAYLOAD = bytes(range(32)), bytes.fromhex("0123456789abcdef")
SIDE = 512
SUFFIXES = (".mp4", ".mov", ".webm", ".mpg")
BASELINE_BITS = 32
BASELINE_FRAMES = 12
"""Frames of a clip that the compared scheme votes over; it takes a tenth of a second for each."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--clips", type=Path, default=os.environ.get("FACEWITNESS_CLIPS"), help="folder of videos, searched"
    )
    parser.add_argument("--count", type=int, default=3, help="clips that are distorted")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each clip")
    parser.add_argument("--crops", type=int, default=1000, help="unmarked crops searched for a watermark")
    parser.add_argument("--rows", type=int, default=1_000_000, help="stored seconds in the look-up")
    parser.add_argument("--no-baseline", action="store_true", help="leave the compared scheme out")
    parser.add_argument("--baseline-clips", type=int, default=1, help="clips the compared scheme marks, it is slow")
    parser.add_argument("--out", type=Path, default=None, help="JSON file")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of the tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-durable-") as folder:
        options.folder = Path(folder)
        measured = {part: globals()[f"{part}_"](options) for part in options.only}
    report = {"schema": "facewitness.bench-durable/1", "cores": os.cpu_count(), **measured}
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report) if options.json else "\n".join(table(report)))
    return 0 if all(part.get("ok", True) for part in measured.values()) else 1


# --- what is measured


def distortions_(options: argparse.Namespace) -> dict[str, Any]:
    """Every distortion of every clip: is it found, are the bits right?"""
    index, originals = FingerprintIndex(), []
    for seq, (name, frames, fps) in enumerate(clips(options, options.count, options.seconds), start=1):
        height, width = frames[0].shape[:2]
        embedder = wm.Embedder(PAYLOAD, KEY, width=width, height=height, frame_rate=fps)
        marked = [embedder.embed(f) for f in frames]
        print_ = fp.of_video(marked, frame_rate=fps)
        index.add(seq, np.rint(print_.starts_s * 1000).astype(int), print_.vectors)
        originals.append((name, frames, marked, fps))
    baseline = None if options.no_baseline else Baseline.load()
    theirs_psnr = None
    rows: dict[str, dict[str, Any]] = {}
    for seq, (name, frames, marked, fps) in enumerate(originals, start=1):
        theirs = baseline.embed(frames) if baseline and seq <= options.baseline_clips else None
        if theirs:
            theirs_psnr = round(psnr(frames, theirs), 2)
        for distortion in DISTORTIONS:
            note(f"{name}: {distortion.kind} {distortion.strength}")
            row = rows.setdefault(f"{distortion.kind}|{distortion.strength}", new_row(distortion))
            path = distortion(marked, fps, options.folder)
            measure_ours(row, path, seq, index)
            if baseline and theirs:
                right, errors = baseline.read(distortion(theirs, fps, options.folder))
                row["theirs_payload"].append(right)
                row["theirs_errors"].append(errors)
    asked = ("x264|CRF 35", "VP9|CRF 40", "scale|0.5x", "crop|10 %")
    return {
        "clips": [o[0] for o in originals],
        "psnr_db": [round(psnr(frames, marked), 2) for _, frames, marked, _ in originals],
        "theirs_psnr_db": theirs_psnr,
        "baseline": baseline.name if baseline else None,
        "rows": list(rows.values()),
        "ok": all(all(rows[a]["payload"]) and all(rows[a]["found"]) for a in asked),
    }


def new_row(distortion: Distortion) -> dict[str, Any]:
    lists = ("found", "distance", "payload", "errors", "theirs_payload", "theirs_errors")
    return {"kind": distortion.kind, "strength": distortion.strength, **{k: [] for k in lists}}


def measure_ours(row: dict[str, Any], path: Path, seq: int, index: FingerprintIndex) -> None:
    found = index.find(fp.sketch_of(path))
    row["found"].append(bool(found) and found[0].seq == seq)
    row["distance"].append(round(found[0].distance, 3) if found else None)
    match = wm.detect(path, KEY)
    row["payload"].append(match is not None and match.payload == PAYLOAD)
    row["errors"].append(round(match.distance, 4) if match else None)


def speed_(options: argparse.Namespace) -> dict[str, Any]:
    """Embedding, and finding both in a file of ten seconds, at 512 x 512, each the best of three."""
    frames = next(clips(options, 1, 10.0))[1][:250]
    frames = [np.asarray(cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8) for f in frames]
    embedder = wm.Embedder(PAYLOAD, KEY, width=SIDE, height=SIDE)
    embed_s, marked = best_of(3, lambda: [embedder.embed(f) for f in frames])
    path = Distortion("", "", lambda f, r: (f, r), crf=23)(marked, 25.0, options.folder)
    plain = options.folder / "plain.mp4"
    Distortion("", "", lambda f, r: (f, r), crf=23)(frames, 25.0, options.folder).rename(plain)
    path = Distortion("", "", lambda f, r: (f, r), crf=23)(marked, 25.0, options.folder)
    decode_s, _ = best_of(3, lambda: sum(1 for _ in decoded(path)))
    detect_s, _ = best_of(3, lambda: wm.detect(path, KEY))
    absent_s, _ = best_of(3, lambda: wm.detect(plain, KEY))
    print_s, _ = best_of(3, lambda: fp.sketch_of(path))
    per_s = len(frames) / embed_s
    return {
        "frames": len(frames), "embed_frames_per_s": round(per_s, 1), "decode_s": round(decode_s, 3),
        "detect_s": round(detect_s, 3), "detect_nothing_s": round(absent_s, 3), "fingerprint_s": round(print_s, 3),
        "ok": per_s >= 60 and detect_s <= 2 and absent_s <= 2,
    }  # fmt: skip


def lookup_(options: argparse.Namespace) -> dict[str, Any]:
    """A million stored seconds: processor time to find a row, a clip, and a clip whose crop must be guessed."""
    import faiss
    from threadpoolctl import threadpool_limits

    faiss.omp_set_num_threads(1)
    threadpool_limits(1)
    rng = np.random.default_rng(0)
    index, spread = FingerprintIndex(), natural_spread(options)
    for seq in range(1, options.rows // 60 + 1):
        index.add(seq, np.arange(60) * 1000, synthetic(rng, 60, spread))
    wanted = []
    for n, (_, frames, fps) in enumerate(clips(options, 4, 20.0)):
        print_ = fp.of_video(frames, frame_rate=fps)
        index.add(10_000_000 + n, np.rint(print_.starts_s * 1000).astype(int), print_.vectors)
        side = frames[0].shape[0]
        part = frames[len(frames) // 4 : len(frames) // 4 + round(10 * fps)]
        corner = [f[round(0.1 * side) :, round(0.1 * side) :] for f in part]
        wanted += [(kind, n, fp.sketch_of(f, frame_rate=fps)) for kind, f in (("clip", part), ("cropped clip", corner))]
    built = time.perf_counter()
    index.find(wanted[0][2])
    built = time.perf_counter() - built
    times: dict[str, list[float]] = {}
    right: dict[str, list[bool]] = {}
    for kind, n, sketch in wanted * 3:
        start = time.process_time()
        found = index.find(sketch)
        times.setdefault(kind, []).append(time.process_time() - start)
        right.setdefault(kind, []).append(bool(found) and found[0].seq == 10_000_000 + n)
    row = fp.unit(synthetic(rng, 200, spread))
    start = time.process_time()
    for r in row:
        index._index.search(r[None], 10)
    one = (time.process_time() - start) / len(row)
    strangers = sum(
        bool(index.find(fp.Fingerprint(vectors=synthetic(rng, 10, spread), starts_s=np.arange(10.0), duration_s=11)))
        for _ in range(200)
    )
    ms = {kind: round(1000 * statistics.median(t), 1) for kind, t in times.items()}
    return {
        "rows": len(index), "build_s": round(built, 1), "row_ms": round(1000 * one, 3), "ms": ms,
        "found": {k: f"{sum(v)}/{len(v)}" for k, v in right.items()}, "strangers_found": f"{strangers}/200",
        "ok": 1000 * one < 50 and max(ms.values()) < 50 and all(all(v) for v in right.values()),
    }  # fmt: skip


def false_(options: argparse.Namespace) -> dict[str, Any]:
    """Unrelated clips against one another, and unmarked crops searched for a mark."""
    sketches, crops, hits, rng = [], 0, 0, np.random.default_rng(0)
    each = max(1, -(-options.crops // max(1, clip_count(options))))
    for name, frames, fps in clips(options, 10_000, 24.0, side=144):
        note(f"false matches: {name}")
        sketches.append((person(name), fp.sketch_of(frames, frame_rate=fps)))
        for _ in range(min(each, options.crops - crops)):
            hits += wm.detect(random_crop(rng, frames, fps), rng.bytes(wm.KEY_BYTES), frame_rate=fps) is not None
            crops += 1
    tried, wrong = 0, []
    for i, (_, mine) in enumerate(sketches):
        index = FingerprintIndex()
        for j, (_, other) in enumerate(sketches):
            if i != j:
                print_ = fp.of_sketch(other)
                index.add(j, np.rint(print_.starts_s * 1000).astype(int), print_.vectors)
        for start in range(0, max(1, len(mine.luma) - 40), 50):
            part = fp.Sketch(luma=mine.luma[start : start + 50], start_s=0.0)
            tried += len(sketches) - 1
            wrong += [(sketches[i][0], sketches[m.seq][0], m.distance) for m in index.find(part)]
    return {
        "pairs_tried": tried, "false_matches": len(wrong), "same_person": sum(a == b for a, b, _ in wrong), "matches":
        wrong, "crops": crops, "false_watermarks": hits, "ok": len(wrong) <= tried / 10_000 and not hits,
    }  # fmt: skip


# --- the compared scheme


class Baseline:
    """DWT-DCT-SVD of ``invisible-watermark``: 32 bits, the same in every frame, majority vote."""

    name = "invisible-watermark dwtDctSvd, 32 bits"

    def __init__(self, module: Any):
        self._module = module
        self._payload = PAYLOAD[: BASELINE_BITS // 8]

    @classmethod
    def load(cls) -> "Baseline | None":
        """The scheme, or None where it is not installed."""
        try:
            import imwatermark
        except ImportError:
            print("invisible-watermark is not installed: no comparison", file=sys.stderr)
            return None
        return cls(imwatermark)

    def embed(self, frames: Frames) -> Frames:
        encoder = self._module.WatermarkEncoder()
        encoder.set_watermark("bytes", self._payload)
        return [encoder.encode(f[..., ::-1], "dwtDctSvd")[..., ::-1].astype(np.uint8) for f in frames]

    def read(self, path: Path) -> tuple[bool, float]:
        """Whether the payload was read, and the share of wrong bits."""
        decoder = self._module.WatermarkDecoder("bytes", BASELINE_BITS)
        frames = list(decoded(path))
        votes = np.zeros(BASELINE_BITS)
        for n in np.linspace(0, len(frames) - 1, BASELINE_FRAMES).astype(int):
            try:
                said = np.frombuffer(decoder.decode(np.ascontiguousarray(frames[n][..., ::-1]), "dwtDctSvd"), np.uint8)
                votes += np.unpackbits(said)[:BASELINE_BITS] * 2.0 - 1
            except (RuntimeError, ValueError):
                continue
        wrong = float(((votes > 0) != np.unpackbits(np.frombuffer(self._payload, np.uint8)).astype(bool)).mean())
        return wrong == 0, round(wrong, 4)


# --- helpers


def clip_paths(options: argparse.Namespace) -> list[Path]:
    if not options.clips:
        return []
    return sorted(p for p in Path(options.clips).rglob("*") if p.suffix.lower() in SUFFIXES and "fake" not in p.parts)


def clip_count(options: argparse.Namespace) -> int:
    return len(clip_paths(options)) or 12


def clips(
    options: argparse.Namespace, count: int, seconds: float, *, side: int = SIDE
) -> Iterator[tuple[str, Frames, float]]:
    """(name, RGB frames, frames per second) of clips that are long enough, at most 3:2, the shorter side scaled to
    ``side``."""
    from facewitness.media import probe

    made = 0
    for path in clip_paths(options) or samples(options, min(count, 12), seconds):
        try:
            info = probe(path)
            if count < 100 and info.duration_s < seconds:
                continue
            frames = [fitted(f, side) for f in decoded(path, seconds)]
        except FacewitnessError:
            continue
        if len(frames) < 2 * info.frame_rate:
            continue
        yield path.name, frames, float(info.frame_rate)
        made += 1
        if made == count:
            return


def samples(options: argparse.Namespace, count: int, seconds: float) -> Iterator[Path]:
    from facewitness.datasets import SAMPLES, make_sample

    names = list(SAMPLES)
    for n in range(count):
        path = options.folder / f"sample{n}-{seconds:g}.mp4"
        if not path.exists():
            make_sample(names[n % len(names)], path, seconds=seconds + 0.2, seed=n)
        yield path


def decoded(path: Path, seconds: float | None = None) -> Iterator[np.ndarray]:
    from facewitness.media import read_frames

    for frame in read_frames(path, end_s=seconds):
        yield frame.image


def fitted(frame: np.ndarray, side: int) -> np.ndarray:
    height, width = frame.shape[:2]
    if width > 1.5 * height:
        left = (width - round(1.5 * height)) // 2
        frame = frame[:, left : left + round(1.5 * height)]
    scale = side / min(frame.shape[:2])
    size = tuple(round(n * scale / 2) * 2 for n in frame.shape[1::-1])
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def random_crop(rng: np.random.Generator, frames: Frames, fps: float) -> Frames:
    height, width = frames[0].shape[:2]
    h, w = int(rng.integers(height * 2 // 3, height + 1)), int(rng.integers(width * 2 // 3, width + 1))
    y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    length = int(rng.uniform(2 * fps, min(10 * fps, len(frames))))
    start = int(rng.integers(0, len(frames) - length + 1))
    return [f[y : y + h, x : x + w] for f in frames[start : start + length]]


def natural_spread(options: argparse.Namespace) -> np.ndarray:
    """How real rows scatter over the dimensions, so that synthetic ones crowd the index as real ones would."""
    rows = [fp.of_video(frames, frame_rate=fps).vectors for _, frames, fps in clips(options, 6, 12.0, side=128)]
    covariance = np.cov(np.concatenate(rows).T.astype(float))
    # few clips span few dimensions: half of their variance is spread over all of them
    return np.linalg.cholesky(covariance / 2 + np.trace(covariance) / fp.DIMENSIONS / 2 * np.eye(fp.DIMENSIONS))


def synthetic(rng: np.random.Generator, rows: int, spread: np.ndarray) -> np.ndarray:
    """Rows of one made-up video: a scene of its own, and changes of its own in every row."""
    scene = rng.standard_normal(fp.DIMENSIONS)
    scene[fp.SPATIAL :] = 0
    walk = scene + 0.5 * rng.standard_normal((rows, fp.DIMENSIONS))
    return fp.quantise(fp.unit(walk @ spread.T))


def person(name: str) -> str:
    return name.split("_")[0]


def psnr(a: Frames, b: Frames) -> float:
    error = np.mean([((x.astype(np.float64) - y) ** 2).mean() for x, y in zip(a[::10], b[::10], strict=True)])
    return float(10 * np.log10(255**2 / error))


def best_of(times: int, work: Any) -> tuple[float, Any]:
    best, result = float("inf"), None
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def note(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


# --- the tables


COLUMNS = "{:<18} {:<20} {:>11} {:>9} {:>10} {:>8} {:>14} {:>8}"


def table(report: dict[str, Any]) -> Iterator[str]:
    if d := report.get("distortions"):
        yield f"clips: {', '.join(d['clips'])}; PSNR {', '.join(f'{p:.1f}' for p in d['psnr_db'])} dB"
        if d["baseline"]:
            yield f"compared with {d['baseline']}, PSNR {d['theirs_psnr_db']} dB"
        heads = (
            "distortion",
            "strength",
            "fingerprint",
            "distance",
            "bit errors",
            "payload",
            "theirs: errors",
            "payload",
        )
        yield COLUMNS.format(*heads)
        for r in d["rows"]:
            yield COLUMNS.format(
                r["kind"], r["strength"], share(r["found"]), worst(r["distance"]), worst(r["errors"]),
                share(r["payload"]), worst(r["theirs_errors"]), share(r["theirs_payload"]),
            )  # fmt: skip
    if s := report.get("speed"):
        yield f"speed at {SIDE} x {SIDE}: embedding {s['embed_frames_per_s']:.0f} frames/s"
        yield (
            f"ten seconds, decoding included ({s['decode_s']} s of it): watermark found {s['detect_s']} s, "
            f"not found {s['detect_nothing_s']} s, fingerprint {s['fingerprint_s']} s"
        )
    if k := report.get("lookup"):
        yield f"look-up among {k['rows']:,} stored seconds (built in {k['build_s']} s), processor time:"
        yield f"  a row: {k['row_ms']} ms"
        for kind, ms in k["ms"].items():
            yield f"  a {kind}: {ms} ms, found {k['found'][kind]}"
        yield f"  strangers found: {k['strangers_found']}"
    if f := report.get("false"):
        wrong = f"{f['false_matches']} of {f['pairs_tried']:,} ({f['same_person']} of one person)"
        yield f"false fingerprint matches: {wrong}"
        yield f"watermarks found in {f['crops']} unmarked crops: {f['false_watermarks']}"


def share(hits: list[bool]) -> str:
    return f"{sum(hits)}/{len(hits)}" if hits else "-"


def worst(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{max(known):.3f}" if known else "-"


if __name__ == "__main__":
    sys.exit(main())
