"""The house itself: which room may know which, and a front door that answers at once."""

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facewitness.cli import COMMANDS

ROOT = Path(__file__).parents[1]
ROOMS = ["dashboard", "detector", "datasets", "generator", "provenance"]  # each imports only what stands to its right
KERNEL = ROOT / "src" / "facewitness"


def imported_rooms(source: Path) -> set[str]:
    """The rooms a file imports, relative imports resolved, wherever in the file they stand."""
    inside = source.relative_to(KERNEL if source.is_relative_to(KERNEL) else ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(("facewitness", *inside)[: len(inside) + 2 - node.level]) if node.level else ""
            stem = ".".join(p for p in (base, node.module or "") if p)
            names = [stem, *(f"{stem}.{a.name}" for a in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "facewitness" and len(parts) > 1 and parts[1] in ROOMS:
                found.add(parts[1])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    allowed = set(ROOMS[ROOMS.index(room) :])
    for source in (ROOT / room).rglob("*.py"):
        assert imported_rooms(source) <= allowed, f"{source.relative_to(ROOT)} reaches up"


def test_the_kernel_imports_no_room_and_the_command_line_only_inside_its_commands() -> None:
    for source in KERNEL.rglob("*.py"):
        if source.is_relative_to(KERNEL / "cli"):
            top = ast.parse(source.read_text())
            for node in top.body:
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                for name in names:
                    assert not any(name.startswith(f"facewitness.{r}") for r in ROOMS), f"{source}: {name} at the top"
                    assert name.split(".")[0] not in {"torch", "cv2", "numpy", "pandas"}, f"{source}: {name} at the top"
        else:
            assert not imported_rooms(source), f"{source.relative_to(ROOT)} imports a room"


def test_data_sets_cannot_shadow_another_librarys() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import datasets"
    done = subprocess.run([sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True)
    assert done.returncode != 0 and "facewitness.datasets" in done.stderr


def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "facewitness", *args], capture_output=True, text=True, env=os.environ | env
    )


def test_help_answers_in_under_half_a_second() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = run("--help")
        times.append(time.perf_counter() - start)
        assert done.returncode == 0 and all(name in done.stdout for name in COMMANDS)
    assert min(times) < 0.5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_explains_itself(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"{command} [OPTIONS]" in done.stdout


def test_a_users_mistake_is_one_sentence_and_no_traceback() -> None:
    done = run("track", "nowhere.mp4", "-o", "x.npz")
    assert done.returncode == 3
    assert "nowhere.mp4" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_doctor_lists_every_package_and_model_with_what_its_absence_costs() -> None:
    done = run("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["missing"] == []
    assert {"torch", "c2pa-python", "ray"} <= {p["name"] for p in report["packages"]}
    assert all(len(m["sha256"]) == 64 and m["licence"] for m in report["models"])


def test_no_file_is_opened_by_unpickling() -> None:
    for source in [p for r in [*ROOMS, "src", "bench"] for p in (ROOT / r).rglob("*.py")]:
        text = source.read_text()
        for word in ("import pickle", "joblib.load", "allow_pickle=True", "weights_only=False"):
            assert word not in text, f"{source.relative_to(ROOT)}: {word}"


def test_nothing_in_the_tree_names_a_machine_or_a_home() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, tracked.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".json", ".yml", ""} and path.is_file():
            text = path.read_text(errors="ignore")
            for word in ("/" + "work/", "/" + "root/", "/" + "home/"):
                assert word not in text, f"{name} names {word}"
