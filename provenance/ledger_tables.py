"""The ledger's tables, and how a database is opened so that several writers and a kill at any moment do no harm."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facewitness.errors import MissingPieceError, UsageError

BUSY_S = 30.0
"""A writer waits so long for another one."""

_meta = sa.MetaData()
about = sa.Table("about", _meta, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String))
entries = sa.Table(
    "entries",
    _meta,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False, index=True),
    sa.Column("manifest_id", sa.Text, nullable=False, index=True),
    sa.Column("manifest_sha256", sa.String(64), nullable=False),
    sa.Column("label", sa.Text),
    sa.Column("watermark", sa.String(16), unique=True),
    sa.Column("fingerprint_sha256", sa.String(64), nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)
manifests = sa.Table(
    "manifests",
    _meta,
    sa.Column("seq", sa.ForeignKey("entries.seq"), primary_key=True, autoincrement=False),
    sa.Column("store", sa.LargeBinary, nullable=False),
)
segments = sa.Table(
    "segments",
    _meta,
    sa.Column("seq", sa.ForeignKey("entries.seq"), primary_key=True, autoincrement=False),
    sa.Column("region", sa.String(8), primary_key=True),
    sa.Column("start_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)

LAST = sa.select(entries.c.seq, entries.c.hash).order_by(entries.c.seq.desc()).limit(1)
COUNT = sa.select(sa.func.count()).select_from(entries)

_SQLITE_REFUSALS = [
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for table in ("entries", "manifests", "segments")
    for verb in ("UPDATE", "DELETE")
]
_POSTGRES_REFUSALS = [
    "CREATE OR REPLACE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
    *(
        f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "EXECUTE FUNCTION ledger_append_only()"
        for table in ("entries", "manifests", "segments")
    ),
]


def url_of(where: Path | str) -> str:
    """The database URL of a path or URL; ``postgresql://`` is given the driver we test with."""
    text = str(where)
    if "://" not in text:
        return f"sqlite:///{Path(text).expanduser().absolute()}"
    scheme, rest = text.split("://", 1)
    if scheme in ("postgresql", "postgres"):
        return f"postgresql+psycopg://{rest}"
    if scheme.split("+")[0] not in ("sqlite", "postgresql"):
        raise UsageError(f"a ledger lives in SQLite or PostgreSQL, not {scheme}.")
    return text


def shown(url: str) -> str:
    """The URL without its password, or the path."""
    return (
        url.removeprefix("sqlite:///")
        if url.startswith("sqlite")
        else sa.make_url(url).render_as_string(hide_password=True)
    )


def open_engine(url: str, schema: str) -> sa.Engine:
    """Open or make the database and its tables.

    Raises UsageError where it holds another schema, MissingPieceError where the PostgreSQL driver is not installed.
    """
    sqlite = url.startswith("sqlite")
    if sqlite and (path := sa.make_url(url).database):
        with contextlib.suppress(OSError):
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_S}} if sqlite else {"pool_pre_ping": True}
    try:
        engine = sa.create_engine(url, **options)
    except ModuleNotFoundError as e:
        raise MissingPieceError("a PostgreSQL ledger needs a driver: pip install 'facewitness[postgres]'.") from e
    if sqlite:
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    with writing(engine, making=True) as connection:
        _meta.create_all(connection)
        found = connection.execute(sa.select(about.c.value).where(about.c.key == "schema")).scalar_one_or_none()
        if found is None:
            for statement in _SQLITE_REFUSALS if sqlite else _POSTGRES_REFUSALS:
                connection.exec_driver_sql(statement)
            connection.execute(about.insert(), {"key": "schema", "value": schema})
        elif found != schema:
            raise UsageError(
                f"{shown(url)} holds {found}, and this facewitness reads {schema}; use the matching version."
            )
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("facewitness_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def writing(engine: sa.Engine, *, making: bool = False) -> Iterator[sa.Connection]:
    """One transaction that no other writer runs beside; ``making`` where the tables may not be there yet."""
    with engine.connect().execution_options(facewitness_writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            lock = (
                "SELECT pg_advisory_xact_lock(7250311)" if making else "LOCK TABLE entries IN SHARE ROW EXCLUSIVE MODE"
            )
            connection.exec_driver_sql(lock)
        yield connection
