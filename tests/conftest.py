"""What tests of several rooms need: a PostgreSQL server, started where its programs are installed."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PLACES = [*os.environ.get("PATH", "").split(os.pathsep), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]


def server_user() -> str | None:
    """PostgreSQL refuses to run as root; its own account then does it."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no account postgres")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    """The folder of the socket of a running server."""
    psycopg = pytest.importorskip("psycopg", reason="the extra facewitness[postgres] is not installed")
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
    try:
        for _ in range(200):
            try:
                psycopg.connect(f"postgresql://tester@/postgres?host={folder}").close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield folder
    finally:
        server.send_signal(signal.SIGINT)  # do not wait for connections that a failed test left
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: Path) -> str:
    """The URL of an empty database."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"postgresql://tester@/postgres?host={postgres_server}", autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    return f"postgresql://tester@/{name}?host={postgres_server}"
