"""A team's store in PostgreSQL keeps the same promises (a real server, started for the test)."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from facewitness.detector.engine import open_store
from facewitness.errors import FacewitnessError, UsageError

pytest.importorskip("psycopg", reason="the extra facewitness[postgres] is not installed")
PLACES = [*os.environ.get("PATH", "").split(os.pathsep), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]


def server_user() -> str | None:
    """PostgreSQL refuses to run as root; its own account then does it."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no account postgres")


@pytest.fixture(scope="module")
def postgres():
    """The URL of an empty database."""
    tools = {n: shutil.which(n, path=os.pathsep.join(PLACES)) for n in ("initdb", "postgres")}
    if not all(tools.values()):
        pytest.skip("PostgreSQL is not installed")
    user = server_user()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if user:
        shutil.chown(folder, user)
    options = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([tools["initdb"], "-D", folder / "data", "-A", "trust", "-U", "tester"], check=True, **options)
    command = [tools["postgres"], "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    server = subprocess.Popen(command, **options)
    url = f"postgresql://tester@/postgres?host={folder}"
    try:
        import time

        import psycopg

        for _ in range(200):
            try:
                psycopg.connect(url).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # do not wait for connections that a failed test left
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_scan_into_postgres_resumes_is_reviewed_and_keeps_its_log(postgres, clips, scan, tmp_path):
    folder = clips("a", "b", "c", d="die")
    (folder / "same.mp4").write_text("ok a")
    first = scan(folder, out=postgres)
    assert [r["status"] for r in first] == ["ok", "ok", "ok", "error", "ok"]
    again = scan(folder, out=postgres)
    assert all(r["reused"] for r in again)
    with open_store(postgres) as store:
        assert store.count() == 4
        store.review(first[0]["result"], "confirm", author="ana")
        assert [r["author"] for r in store.reviews_of(first[0]["result"])] == ["ana"]
        assert len(list(store.rows_by_path())) == 4
        assert store.check_log() == len(list(store.log_entries())) >= 8
        assert store.find(first[0]["sha256"][:10]) == [first[0]["result"]]
        store.link([(first[0]["sha256"], first[1]["sha256"], 0.1)])
        assert [n["result"] for n in store.near_to(first[1]["result"])] == [first[0]["result"]]
        for table in ("results", "log", "reviews"):
            with pytest.raises(FacewitnessError, match="only ever added"):
                store.write(sa.text(f"delete from {table}"))
    with open_store(postgres, read_only=True) as store:
        _, rows = store.query("select status, count(*) from results group by status order by status")
        assert rows == [("error", 1), ("ok", 3)]
        with pytest.raises(UsageError, match="read-only"):
            store.query("delete from near returning one")
