"""The tables of the store, and the database they live in."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

meta = sa.MetaData()
results = sa.Table(
    "results", meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(80), nullable=False),
    sa.Column("model", sa.String(80), nullable=False),
    sa.Column("configuration", sa.String(16), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64)),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("verdict", sa.String(16)),
    sa.Column("p_fake", sa.Float),
    sa.Column("duration_s", sa.Float),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("seconds", sa.Float),
    sa.Column("error", sa.Text),
    sa.Column("scanned_at", sa.String(32), nullable=False),
    sa.Column("row", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("key", "model", "configuration", "attempt"),
    sa.Index("by_verdict", "verdict", "p_fake"),
    sa.Index("by_score", "p_fake"),
    sa.Index("by_status", "status"),
    sa.Index("by_time", "scanned_at"),
    sa.Index("by_path", "path"),
)  # fmt: skip
places = sa.Table(
    "places", meta,
    sa.Column("name", sa.LargeBinary, primary_key=True),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Index("by_content", "sha256"),
)  # fmt: skip
log = sa.Table(
    "log", meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.String(32), nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)  # fmt: skip
reviews = sa.Table(
    "reviews", meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("result", sa.Integer, sa.ForeignKey("results.id"), nullable=False, index=True),
    sa.Column("decision", sa.String(16), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
)  # fmt: skip
fingerprints = sa.Table(
    "fingerprints", meta,
    sa.Column("key", sa.String(80), primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)  # fmt: skip
near = sa.Table(
    "near", meta,
    sa.Column("one", sa.String(80), primary_key=True),
    sa.Column("other", sa.String(80), primary_key=True, index=True),
    sa.Column("distance", sa.Float, nullable=False),
)  # fmt: skip
jobs = sa.Table(
    "jobs", meta,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("path", sa.LargeBinary, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("uploaded", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("result", sa.Integer),
    sa.Column("submitted_at", sa.String(32), nullable=False),
    sa.Column("finished_at", sa.String(32)),
)  # fmt: skip

WAIT_S = 60
"""Seconds a writer waits for another one."""

ONLY_ADDED = ("results", "log", "reviews")
"""Tables whose rows are never changed or removed."""


def prepare(connection: sa.Connection) -> None:
    """Make the tables that are not there, and triggers that keep what may only be added from being changed."""
    meta.create_all(connection)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION facewitness_only_added() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '%% are only ever added', TG_TABLE_NAME; END $$"
        )
        for table in ONLY_ADDED:
            connection.exec_driver_sql(
                f"CREATE OR REPLACE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION facewitness_only_added()"
            )
        return
    for table in ONLY_ADDED:
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} are only ever added'); END"
            )


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Keep a write-ahead log. The change needs the file alone and does not wait for it, so this tries again."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)


def connect(url: str, path: Path | None, read_only: bool) -> sa.Engine:
    """An engine for a PostgreSQL URL, or for the SQLite file ``path``: write-ahead log, writers that take turns."""
    if path is None:
        only = {"options": "-c default_transaction_read_only=on"} if read_only else {}
        return sa.create_engine(url, connect_args=only)
    mode = "ro" if read_only else "rwc"
    name = path.absolute().as_uri().removeprefix("file://")
    engine = sa.create_engine(
        f"sqlite:///file:{name}?mode={mode}&uri=true",
        connect_args={"timeout": WAIT_S, "check_same_thread": False, "isolation_level": None},
        poolclass=sa.pool.StaticPool,
    )

    @sa.event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        if not read_only:
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-64000")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # ATTACH and VACUUM INTO make files elsewhere

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
