"""What scanning costs: workers side by side, Ray beside processes, start-up, resuming, a million rows, memory.

    python -m bench.scan [--clips DIR] [--rows 1000000] [--out out/bench/scan.json]

Ratios are of runs made in turns within one call. The detector's own speed is measured on sample footage, or on DIR.
"""

import argparse
import json
import logging
import math
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facewitness.detector.engine import Scanner, open_store, scan_paths
from facewitness.detector.engine.store import FILE_NAME, now, pack
from facewitness.detector.engine.tables import results

BUSY = Scanner(function="scan_standin:busy", model_id="bench", options={"cpu_s": 0.1})
GOALS = {
    "two_workers_over_one": (1.8, "at least"),
    "ray_over_local_seconds": (1.15, "at most"),
    "start_up_s": (5.0, "at most"),
    "resume_10000_s": (10.0, "at most"),
    "slowest_query_ms": (200.0, "at most"),
    "memory_long_over_short": (1.15, "at most"),
}


def timed(do: Callable[[], Any]) -> float:
    """Seconds that ``do`` takes."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def little_files(folder: Path, count: int) -> Path:
    """``count`` different files of a kilobyte."""
    folder.mkdir(parents=True)
    for i in range(count):
        (folder / f"{i:06}.mp4").write_bytes(f"{i}".encode().ljust(1024, b" "))
    return folder


def drained(
    work: Path, paths: list[Path], *, keep: list[dict[str, Any]] | None = None, **options: Any
) -> tuple[float, float]:
    """Scan afresh; seconds in all, and from the first row to the last."""
    out = Path(tempfile.mkdtemp(dir=work))
    start = time.perf_counter()
    first = 0.0
    for row in scan_paths(paths, out=out, **options):
        first = first or time.perf_counter()
        if keep is not None:
            keep.append(row)
        assert row["status"] in ("ok", "no_face", "too_short"), row
    end = time.perf_counter()
    shutil.rmtree(out)
    return end - start, end - first


def workers(work: Path, clips: list[Path], rounds: int) -> dict[str, Any]:
    """The detector itself: one worker and two, one thread each, in turns; and the cost of a minute of video."""
    from facewitness.media import probe

    video_s = sum(probe(c).duration_s for c in clips)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    own: dict[int, list[float]] = {1: [], 2: []}
    os.environ["FACEWITNESS_THREADS"] = "1"
    try:
        for _ in range(rounds):
            for n in (1, 2):
                rows: list[dict[str, Any]] = []
                seconds[n].append(drained(work, clips, workers=n, keep=rows)[0])
                own[n].append(sum(r["seconds"] for r in rows))
    finally:
        del os.environ["FACEWITNESS_THREADS"]
    one, two = (statistics.median(seconds[n]) for n in (1, 2))
    alone, beside = (statistics.median(own[n]) for n in (1, 2))
    return {
        "clips": len(clips), "video_s": video_s, "one_worker_s": one, "two_workers_s": two,
        "two_workers_over_one": one / two, "one_worker_start_and_wait_s": one - alone,
        "clip_beside_another_over_alone": beside / alone, "worker_seconds_per_minute": alone / video_s * 60,
    }  # fmt: skip


def engine_alone(work: Path, rounds: int) -> dict[str, Any]:
    """The engine without a detector: 60 pretend clips of 0.1 s of computing, one worker and two in turns."""
    folder = little_files(work / "sixty", 60)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for n in (1, 2):
            seconds[n].append(drained(work, [folder], workers=n, scanner=BUSY)[1])
    one, two = (statistics.median(seconds[n]) for n in (1, 2))
    return {"engine_two_workers_over_one": one / two, "engine_overhead_ms_per_clip": (one / 59 - 0.1) * 1000}


def ray_beside_local(work: Path, rounds: int) -> dict[str, Any]:
    """200 pretend clips of 0.1 s of computing on two workers: processes and Ray in turns, from first row to last."""
    try:
        import ray
    except ImportError:
        return {"ray": "not installed"}
    folder = little_files(work / "two-hundred", 200)
    started = timed(lambda: ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR))
    seconds: dict[str, list[float]] = {"local": [], "ray": []}
    whole: dict[str, list[float]] = {"local": [], "ray": []}
    for _ in range(rounds):
        for engine in ("local", "ray"):
            total, steady = drained(work, [folder], workers=2, engine=engine, scanner=BUSY)
            seconds[engine].append(steady)
            whole[engine].append(total)
    ray.shutdown()
    local, other = (statistics.median(seconds[e]) for e in ("local", "ray"))
    return {
        "local_200_s": local, "ray_200_s": other, "ray_over_local_seconds": other / local,
        "local_200_with_start_s": statistics.median(whole["local"]), "ray_init_s": started,
        "ray_200_with_start_s": statistics.median(whole["ray"]),
    }  # fmt: skip


def start_up(work: Path) -> dict[str, Any]:
    """From pressing return to the first row of the shipped detector, for a clip of a kilobyte that is no video."""
    little_files(work / "one", 1)
    run = [sys.executable, "-m", "facewitness", "scan", str(work / "one"), "--workers", "1", "--out"]
    times = [
        timed(lambda i=i: subprocess.run([*run, str(work / f"start{i}")], capture_output=True))  # type: ignore[misc]
        for i in range(3)
    ]
    return {"start_up_s": statistics.median(times)}


def resume(work: Path, count: int = 10_000) -> dict[str, Any]:
    """A second scan of clips that are all known, as a command of its own."""
    folder, out = little_files(work / "many", count), work / "many-out"
    quick = Scanner(function="scan_standin:busy", model_id="bench", options={"cpu_s": 0.0})
    first = timed(lambda: [None for _ in scan_paths([folder], out=out, workers=2, scanner=quick)])
    code = (
        "import sys; from facewitness.detector.engine import Scanner, scan_paths; "
        "q = Scanner(function='scan_standin:busy', model_id='bench', options={'cpu_s': 0.0}); "
        "assert all(r['reused'] for r in scan_paths([sys.argv[1]], out=sys.argv[2], workers=2, scanner=q))"
    )
    again = timed(lambda: subprocess.run([sys.executable, "-c", code, str(folder), str(out)], check=True))
    return {"first_10000_s": first, "resume_10000_s": again}


QUERIES = {
    "verdicts": "select verdict, count(*) from results group by verdict",
    "states": "select status, count(*) from results group by status",
    "worst": "select id, path, p_fake from results order by p_fake desc limit 50",
    "sure": "select count(*) from results where verdict = 'manipulated' and p_fake > 0.95",
    "latest": "select id, path from results order by id desc limit 50",
    "failed": "select id, path, error from results where status = 'error' order by id desc limit 50",
    "day": "select id, path from results where scanned_at >= '2026-06-15' and scanned_at < '2026-06-16' limit 50",
    "path": "select id, verdict from results where path = '/clips/0123456.mp4'",
    "key": "select id, verdict from results where key = '{key}'",
}


def fill(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Put rows into the table of results as fast as SQLite takes them."""
    names = [c.name for c in results.columns if c.name != "id"]
    sql = f"insert into results ({', '.join(names)}) values ({', '.join('?' * len(names))})"
    raw = sqlite3.connect(path)
    with raw:
        raw.executemany(sql, ([row[n] for n in names] for row in rows))
    raw.close()


def million(work: Path, rows: int) -> dict[str, Any]:
    """Queries on that many synthetic results; the median of five of each."""
    rng = np.random.default_rng(0)
    timeline = {"t_s": [round(i / 5, 1) for i in range(50)], "score": rng.random(50).round(3).tolist()}
    with open_store(work / "million") as store:

        def made(i: int) -> dict[str, Any]:
            score = float(rng.beta(0.5, 1.5))
            verdict = "manipulated" if score > 0.8 else "inconclusive" if score > 0.4 else "no_evidence"
            status = "error" if i % 997 == 0 else "ok"
            return {
                "key": f"{i:064x}", "model": "0" * 64, "configuration": "0" * 16, "attempt": 1, "sha256": f"{i:064x}",
                "path": f"/clips/{i:07}.mp4", "status": status, "verdict": verdict, "p_fake": score, "duration_s": 10.0,
                "width": 640, "height": 360, "seconds": 3.0, "error": None, "row": packed,
                "scanned_at": f"2026-{1 + i * 12 // rows:02}-{1 + i % 28:02}T00:00:00.000Z",
            }  # fmt: skip

        packed = pack({"path": "x", "status": "ok", "faces": [{"track": 0, "timeline": timeline}], "at": now()})
        filled = timed(lambda: fill(work / "million" / FILE_NAME, (made(i) for i in range(rows))))
        store.query("select count(*) from results")
        times = {}
        for name, sql in QUERIES.items():
            text = sql.replace("{key}", f"{rows // 2:064x}")
            times[name] = 1000 * statistics.median(timed(lambda t=text: store.query(t)) for _ in range(5))  # type: ignore[misc]
        times["one row"] = 1000 * statistics.median(timed(lambda: store.row(rows // 3)) for _ in range(5))
    size = sum(p.stat().st_size for p in (work / "million").iterdir())
    return {"rows": rows, "fill_s": filled, "file_mb": size / 2**20, "query_ms": times,
            "slowest_query_ms": max(times.values())}  # fmt: skip


SLOW_STEP = 10
"""Every tenth frame makes the long film, so that two hours are 18,000 looks; five minutes at 25 a second fill chapters
with as many looks as they ever have."""


def memory(work: Path, hours: float) -> dict[str, Any]:
    """The largest memory of a worker with the detector itself: ten seconds, five minutes, a film of ``hours``."""
    from facewitness.datasets import SAMPLES, make_sample
    from facewitness.media import VideoWriter, read_frames

    take = make_sample(next(iter(SAMPLES)), work / "take.mp4", seconds=20, seed=1)
    slow = work / "slow.mp4"
    with VideoWriter(slow, width=384, height=384, frame_rate=Fraction(25, SLOW_STEP)) as video:
        for frame in read_frames(take):
            if frame.index % SLOW_STEP == 0:
                video.write(frame.image)
    told: dict[str, Any] = {"film_hours": hours}
    for name, source, seconds in (("short", take, 10.0), ("five_minutes", take, 300.0), ("film", slow, hours * 3600)):
        film = repeated(source, work / f"{name}.mp4", seconds)
        detect = Scanner(function="scan_standin:detect", model_id="bench")
        (row,) = scan_paths([film], out=work / f"memory-{name}", workers=1, scanner=detect)
        assert row["status"] == "ok", row
        told |= {f"{name}_peak_mb": row["peak_mb"], f"{name}_row_kb": len(json.dumps(row)) / 1024}
        told[f"{name}_worker_s"] = row["seconds"]
    longest = max(told["five_minutes_peak_mb"], told["film_peak_mb"])
    return told | {"memory_long_over_short": longest / told["short_peak_mb"]}


def repeated(take: Path, to: Path, seconds: float) -> Path:
    """A video of that length: the packets of ``take`` again and again, nothing encoded anew."""
    import av

    with av.open(str(take)) as source:
        stream = source.streams.video[0]
        packets = [
            (bytes(p), p.pts or 0, p.dts, p.duration or 0, p.is_keyframe)
            for p in source.demux(stream)
            if p.dts is not None
        ]
        base, length = Fraction(stream.time_base or 0), sum(duration for _, _, _, duration, _ in packets)
        with av.open(str(to), "w") as out:
            copy = out.add_stream_from_template(stream)
            for i in range(math.ceil(seconds / float(length * base))):
                for data, pts, dts, duration, key in packets:
                    if float((i * length + pts) * base) >= seconds:
                        continue
                    packet = av.Packet(data)
                    packet.stream, packet.time_base, packet.duration = copy, base, duration
                    packet.pts, packet.dts, packet.is_keyframe = i * length + pts, i * length + dts, key
                    out.mux(packet)
    return to


def footage(work: Path, given: Path | None, count: int) -> list[Path]:
    """Clips of the folder, or sample footage."""
    if given:
        return sorted(p for p in given.iterdir() if p.suffix in (".mp4", ".mov"))[:count]
    from facewitness.datasets import SAMPLES, make_sample

    names = list(SAMPLES)
    return [make_sample(names[i % len(names)], work / f"sample{i}.mp4", seconds=8, seed=i) for i in range(count)]


def cost(worker_seconds_per_minute: float, clip_s: float = 10.0) -> list[str]:
    """What a million clips cost, extrapolated from one machine: no cluster of that size was measured."""
    hours = 1_000_000 * clip_s / 60 * worker_seconds_per_minute / 3600
    return [
        f"{n} workers: {hours / n:,.1f} hours for a million clips of {clip_s:g} s (extrapolated, not measured)"
        for n in (10, 1000)
    ]


def run(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure, print a table, write JSON; returns what was measured.

    The whole takes about fifteen minutes of a quiet machine; ``--only`` measures part of it, ``--hours`` sets the film.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clips", type=Path, help="folder of clips instead of sample footage")
    parser.add_argument("--count", type=int, default=16, help="clips for the detector's own speed")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hours", type=float, default=2.0, help="length of the film whose memory is measured")
    parser.add_argument(
        "--only", default="", help="parts, with commas: workers, engine, ray, start, resume, million, memory"
    )
    parser.add_argument("--out", type=Path, default=Path("out/bench/scan.json"))
    given = parser.parse_args(argv)
    os.environ["PYTHONPATH"] = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    work = Path(tempfile.mkdtemp(prefix="bench-scan-"))
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "workers": lambda: workers(work, footage(work, given.clips, given.count), given.rounds),
        "engine": lambda: engine_alone(work, given.rounds),
        "ray": lambda: ray_beside_local(work, given.rounds),
        "start": lambda: start_up(work),
        "resume": lambda: resume(work),
        "million": lambda: million(work, given.rows),
        "memory": lambda: memory(work, given.hours),
    }
    told: dict[str, Any] = {"schema": "facewitness.bench.scan/1", "cores": os.cpu_count(), "at": now()}
    try:
        for name, part in parts.items():
            if not given.only or name in given.only.split(","):
                print(f"{name} ...", file=sys.stderr, flush=True)
                told |= part()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if "worker_seconds_per_minute" in told:
        told["cost"] = cost(told["worker_seconds_per_minute"])
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(told, indent=2))
    show(told)
    print(f"written to {given.out}")
    return told


def show(told: dict[str, Any]) -> None:
    """The table."""
    for name, value in told.items():
        if isinstance(value, int | float):
            goal, kind = GOALS.get(name, (None, ""))
            met = "" if goal is None else "met" if (value >= goal) == (kind == "at least") else "NOT met"
            print(f"{name:<34} {value:>12.2f}  {f'{kind} {goal:g}' if goal else '':<14} {met}")
        elif isinstance(value, dict):
            for key, inner in value.items():
                print(f"  {name} {key:<30} {inner:>8.2f}")
        elif isinstance(value, list):
            print("\n".join(value))


if __name__ == "__main__":
    run()
