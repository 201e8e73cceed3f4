"""On a real Ray cluster of several nodes: every row once, though a node and an actor are killed in mid-run."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from facewitness.detector.engine import Budget, Scanner, open_store, scan_paths

pytest.importorskip("ray", reason="the extra facewitness[ray] is not installed")


@pytest.fixture(scope="module")
def cluster():
    """A head that computes nothing and two nodes of a core and a GPU each, all on this machine, or so they say."""
    import ray
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep if "PYTHONPATH" in os.environ else None)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100 << 20})
    made.extra_nodes = [made.add_node(num_cpus=1, num_gpus=1, object_store_memory=100 << 20) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()
    patch.undo()


def scan(folder, out, scanner, **options):
    return list(
        scan_paths([folder], out=out, engine="ray", scanner=scanner, budget=Budget(base_s=20, memory_mb=400), **options)
    )


def test_no_row_is_lost_and_none_comes_twice_when_a_node_and_an_actor_die(
    cluster, clips, scanner, tmp_path, monkeypatch
):
    mark = tmp_path / "scanned"
    folder = clips(*(f"{i:03}" for i in range(60)), zz_die="die", zz_bad="unreadable")
    slow = Scanner(function=scanner.function, options={"pause_s": 0.15, "mark": str(mark)}, model_id="standin")
    killed = []

    def kill():
        while not mark.exists() or len(mark.read_text().splitlines()) < 8:
            time.sleep(0.05)
        worker = int(mark.read_text().splitlines()[-1].split()[0])
        actor = int(Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(actor, signal.SIGKILL)
        killed.append("actor")
        time.sleep(0.5)
        killed.append(len(mark.read_text().splitlines()))
        cluster.remove_node(cluster.extra_nodes.pop(), allow_graceful=False)
        killed.append("node")

    killer = threading.Thread(target=kill)
    killer.start()
    rows = scan(folder, tmp_path / "out", slow, workers=2)
    killer.join()
    assert killed[0] == "actor" and killed[1] < 60 and killed[2] == "node", "both died in mid-run"
    names = [Path(r["path"]).name for r in rows]
    assert names == sorted(p.name for p in folder.iterdir())
    status = {n: r["status"] for n, r in zip(names, rows, strict=True)}
    assert status.pop("zz_die.mp4") == "error" and status.pop("zz_bad.mp4") == "unreadable"
    assert set(status.values()) == {"ok"}
    with open_store(tmp_path / "out", read_only=True) as store:
        assert store.count() == 62
    again = scan(folder, tmp_path / "out", slow)
    assert all(r["reused"] for r in again)


def test_clips_share_a_gpu(cluster, clips, scanner, tmp_path):
    rows = scan(clips(*"abcdef"), tmp_path / "out", scanner, workers=2, ray_gpus=0.5)
    assert [r["gpus"] for r in rows] == ["0"] * 6
    assert {r["gpus"] for r in scan(clips(), tmp_path / "none", scanner, workers=1)} <= {"", None}


def test_addresses_are_fetched_scanned_and_not_fetched_again_where_the_store_knows_versions(
    cluster, clips, scanner, tmp_path
):
    folder = clips("a", "b")
    rows = list(
        scan_paths(
            [f"file://{folder}/a.mp4", "ftp://nowhere/x.mp4", "http://127.0.0.1:9/none.mp4"],
            out=tmp_path / "out", engine="ray", scanner=scanner, workers=1,
        )
    )  # fmt: skip
    assert [r["status"] for r in rows] == ["ok", "unreadable", "unreadable"]
    assert rows[0]["path"].endswith("a.mp4") and rows[1]["path"] == "ftp://nowhere/x.mp4"
    assert all("\n" not in r["error"] for r in rows[1:])
