"""``python -m bench.provenance``: verifying by the thousand, large files, signing, memory and mutations.

Every figure stands beside the bare library's in the same run: the machine's speed cancels. Writes JSON with ``--out``.
"""

import argparse
import concurrent.futures
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

MIN_FILES_PER_S = 150.0
MAX_VERIFY_RATIO = 1.3
MAX_SIGN_RATIO = 1.2
PARTS = ("thousand", "memory", "large", "signing", "mutations")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--files", type=int, default=1000, help="small files to verify")
    parser.add_argument("--megabytes", type=int, default=100, help="size of the large file")
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=0, help="default: one more than cores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="JSON file")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-provenance-") as folder:
        os.environ["FACEWITNESS_HOME"] = str(Path(folder) / "home")
        measured = {part: globals()[part](Path(folder), options) for part in options.only}
    report = {"schema": "facewitness.bench-provenance/1", "cores": os.cpu_count(), **measured}
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report) if options.json else "\n".join(table(report)))
    return 1 if any(not part.get("ok", True) for part in measured.values()) else 0


# --- what is measured


def thousand(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Files a second: the command, the verifier, the bare library in as many processes."""
    files = small_files(folder / "small", options.files)
    cores = os.cpu_count() or 1
    bare = rate(len(files), lambda: run_bare(files, cores, folder))
    one = rate(len(files[:200]), lambda: run_bare(files[:200], 1, folder))

    def ours() -> None:
        from facewitness.provenance import verify_many

        states = Counter(a.state for a in verify_many(files, workers=options.workers or None))
        assert states == {"trusted": len(files)}, states

    verifier = rate(len(files), ours)
    command = [sys.executable, "-m", "facewitness", "verify", str(folder / "small"), "--jsonl"]
    command += ["--workers", str(options.workers)]
    whole = rate(len(files), lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))
    return {
        "files": len(files), "bare, one process": one, "bare, as many processes": bare,
        "verify_many": verifier, "command": whole, "ok": verifier["per_s"] >= MIN_FILES_PER_S,
    }  # fmt: skip


def memory(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of the command and of its largest worker over one and four times as many files."""
    files = small_files(folder / "small", options.files)
    code = (
        "import sys, resource; from pathlib import Path; from facewitness.provenance import verify_many\n"
        "paths = sorted(Path(sys.argv[1]).iterdir())\n"
        "n = sum(1 for a in verify_many(p for _ in range(int(sys.argv[2])) for p in paths))\n"
        "print(n, *(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))"
    )
    peaks = {}
    for times in (1, 4):
        done = subprocess.run(
            [sys.executable, "-c", code, str(files[0].parent), str(times)], capture_output=True, text=True, check=True
        )
        n, own, worker = map(int, done.stdout.split())
        peaks[n] = {"command_mb": round(own / 1024, 1), "worker_mb": round(worker / 1024, 1)}
    few, many = peaks.values()
    return {"peaks": peaks, "ok": all(many[k] <= few[k] * 1.15 + 5 for k in few)}


def large(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds to verify one large file, with a warm worker and in the bare library; medians of seven, in turn."""
    from facewitness.provenance import ManifestSpec, sign_file, verify_file

    path = folder / "large.mp4"
    sign_file(large_file(folder, options.megabytes), path, manifest=ManifestSpec(kind="captured"))
    context = bare_context()
    verify_file(path)
    ours, bare = in_turn(7, lambda: verify_file(path), lambda: read_bare(path, context))
    return {"megabytes": options.megabytes, "verify_s": ours, "bare_s": bare, "ratio": ours / bare,
            "ok": ours / bare <= MAX_VERIFY_RATIO}  # fmt: skip


def signing(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds to sign one small and one large file, verified and atomic, and with the bare library."""
    from facewitness.provenance import ManifestSpec, ensure_signer, sign_file

    found: dict[str, Any] = {}
    signer, spec = ensure_signer(), ManifestSpec(kind="captured")
    for name, source in (
        ("6 MB", large_file(folder, 6)),
        (f"{options.megabytes} MB", large_file(folder, options.megabytes)),
    ):
        ours, bare = in_turn(
            7,
            partial(sign_file, source, folder / "ours.mp4", manifest=spec, signer=signer),
            partial(sign_bare, source, folder / "bare.mp4", signer, spec),
        )
        found[name] = {"sign_s": ours, "bare_s": bare, "ratio": ours / bare}
    return {**found, "ok": all(f["ratio"] <= MAX_SIGN_RATIO for f in found.values())}


def mutations(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Random mutations of signed files of several kinds: none trusted with altered media, no crash, no hang."""
    from facewitness.provenance import default_policy
    from facewitness.provenance.pool import VerifierPool

    rng = random.Random(options.seed)
    originals = signed_kinds(folder / "kinds")
    scratch = folder / "mutated"
    scratch.mkdir()
    work: dict[str, tuple[Path, bytes]] = {}

    def made() -> Iterator[Path]:
        for n in range(options.mutations):
            source = originals[n % len(originals)]
            data = mutated(source.read_bytes(), rng)
            path = scratch / f"{n}{source.suffix}"
            path.write_bytes(data)
            work[str(path)] = (source, data)
            yield path

    states: Counter[str] = Counter()
    wrong: list[dict[str, str]] = []
    slowest, last = 0.0, time.perf_counter()
    with VerifierPool(default_policy()) as pool:
        for audit in pool.verify(made()):
            slowest, last = max(slowest, time.perf_counter() - last), time.perf_counter()
            source, data = work.pop(audit.path)
            states[audit.state] += 1
            crashed = audit.error is not None and "reader fail" in audit.error
            if crashed or (audit.state in ("trusted", "untrusted") and media_altered(source, data)):
                wrong.append({"path": Path(audit.path).name, "state": audit.state, "error": audit.error or ""})
                if options.out:
                    shutil.copy(audit.path, options.out.parent)
            Path(audit.path).unlink()
    return {"mutations": options.mutations, "seed": options.seed, "states": dict(states), "wrong": wrong,
            "slowest_s": round(slowest, 3), "ok": not wrong and not states["timeout"]}  # fmt: skip


# --- material


def small_video(path: Path, seed: int) -> Path:
    import av
    import numpy as np

    base = np.random.default_rng(seed).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for n in range(8):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(base, n, axis=1), "rgb24")))
        out.mux(stream.encode())
    return path


def small_files(folder: Path, count: int) -> list[Path]:
    """``count`` signed files of some 60 KB; forty signings, copied."""
    from facewitness.provenance import ManifestSpec, sign_file

    if not folder.exists():
        folder.mkdir(parents=True)
        spec = ManifestSpec(kind="ai-generated", label={"method": "reenactment", "target_id": "a", "driver_id": "b"})
        for n in range(min(40, count)):
            source = small_video(folder.parent / "source.mp4", n)
            sign_file(source, folder / f"{n:05}.mp4", manifest=spec)
        for n in range(40, count):
            shutil.copy(folder / f"{n % 40:05}.mp4", folder / f"{n:05}.mp4")
    return sorted(folder.iterdir())


def large_file(folder: Path, megabytes: int) -> Path:
    """A small video with one more media box of random bytes."""
    path = folder / f"plain-{megabytes}.mp4"
    if not path.exists():
        small_video(path, 1)
        body = random.Random(megabytes).randbytes(megabytes * 1_000_000)
        with path.open("ab") as f:
            f.write(struct.pack(">I4s", len(body) + 8, b"mdat") + body)
    return path


def signed_kinds(folder: Path) -> list[Path]:
    """One signed file of each kind that is mutated."""
    import cv2
    import numpy as np

    from facewitness.provenance import Ingredient, ManifestSpec, sign_file

    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    plain = [small_video(folder / "a.mp4", 0)]
    for suffix in ("png", "jpg", "webp"):
        plain.append(folder / f"a.{suffix}")
        cv2.imwrite(str(plain[-1]), image)
    signed: list[Path] = []
    for path in plain:
        inputs = (Ingredient(path=signed[0]),) if signed else ()
        out = folder / f"signed{path.suffix}"
        sign_file(path, out, manifest=ManifestSpec(kind="ai-generated", label={"seed": 1}, ingredients=inputs))
        signed.append(out)
    return [signed[0], *signed]  # half of the work on video


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A file with one to three random changes: flips, overwrites, cuts, repeats, insertions, swaps."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if len(out) < 2:
            break
        at, n = rng.randrange(len(out)), min(rng.choice((1, 4, 16, 256, 4096)), len(out))
        match rng.randrange(8):
            case 0 | 1:
                out[at] ^= 1 << rng.randrange(8)
            case 2:
                out[at : at + n] = rng.randbytes(len(out[at : at + n]))
            case 3:
                del out[at : at + n]
            case 4:
                out[at:at] = out[at : at + n]
            case 5:
                out[at:at] = rng.randbytes(n)
            case 6:
                out[at : at + 4] = struct.pack(">I", rng.choice((0, 1, 7, 2**31, 2**32 - 1)))[: len(out[at : at + 4])]
            case 7:
                del out[at:]
    return bytes(out)


def media_altered(source: Path, data: bytes) -> bool:
    """Whether a mutated file differs from its original outside what the specification leaves out of the hash."""
    original = source.read_bytes()
    if len(data) != len(original):
        return True
    start = original.index(b"jumb") - 32
    end = start + 64 + struct.unpack_from(">I", original, original.index(b"jumb") - 4)[0]
    free = range(4, 32) if source.suffix == ".mp4" else range(0)  # brands
    return any(
        a != b and not start <= i < end and i not in free for i, (a, b) in enumerate(zip(original, data, strict=True))
    )


# --- the bare library


def bare_context() -> Any:
    from facewitness.provenance import default_policy
    from facewitness.provenance.settings import library_context, library_settings

    return library_context(library_settings(default_policy().anchors))


def read_bare(path: Path, context: Any) -> str:
    from c2pa import Reader

    with path.open("rb") as f, Reader("video/mp4", f, context=context) as reader:
        state = reader.get_validation_state()
        reader.json()
    return str(state)


def read_share(paths: list[Path]) -> int:
    context = bare_context()
    return sum(read_bare(p, context) == "Trusted" for p in paths)


def run_bare(files: list[Path], workers: int, folder: Path) -> None:
    if workers == 1:
        assert read_share(files) == len(files)
        return
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        assert sum(pool.map(read_share, [files[n::workers] for n in range(workers)])) == len(files)


def sign_bare(source: Path, out: Path, material: Any, spec: Any) -> None:
    """The library with its own settings: it verifies what it signed too."""
    from c2pa import Builder

    from facewitness.provenance.keys import c2pa_signer
    from facewitness.provenance.manifest import definition

    builder = Builder(definition(spec, title=out.name, media_type="video/mp4"))
    builder.sign_file(str(source), str(out), c2pa_signer(material, []))


# --- timing


def rate(count: int, work: Callable[[], Any]) -> dict[str, float]:
    """Files a second by the clock, and milliseconds of processor time a file, children included."""
    begun, used = time.perf_counter(), sum(os.times()[:4])
    work()
    seconds, used = time.perf_counter() - begun, sum(os.times()[:4]) - used
    return {"per_s": round(count / seconds, 1), "cpu_ms": round(1000 * used / count, 2)}


def in_turn(times: int, *works: Callable[[], Any]) -> list[float]:
    """The median of each work's seconds, the works taken in turn so that a busy moment hits all of them."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(times):
        for kept, work in zip(seconds, works, strict=True):
            begun = time.perf_counter()
            work()
            kept.append(time.perf_counter() - begun)
    return [statistics.median(kept) for kept in seconds]


def table(report: dict[str, Any]) -> Iterator[str]:
    for part in PARTS:
        if part in report:
            yield f"{part}: {'reached' if report[part].get('ok') else 'NOT REACHED'}"
            for key, value in report[part].items():
                if key != "ok":
                    yield f"  {key:<24} {round(value, 3) if isinstance(value, float) else value}"


if __name__ == "__main__":
    sys.exit(main())
