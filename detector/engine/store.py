"""Where results live: one SQLite file (or PostgreSQL by URL), keyed by content, model and configuration.

Nothing in it is overwritten: a result, an entry of the log and an analyst's decision are only ever added.
"""

import datetime
import getpass
import hashlib
import json
import os
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from facewitness.detector.engine.sources import text_of
from facewitness.detector.engine.tables import (
    connect,
    fingerprints,
    log,
    near,
    places,
    prepare,
    results,
    reviews,
)
from facewitness.errors import FacewitnessError, UsageError

FILE_NAME = "results.sqlite"
RETRIED = ("error", "timeout")
"""States that a scan with ``retry`` tries again."""
CHUNK = 400
"""Keys asked for in one statement."""
DECISIONS = ("confirm", "reject", "escalate", "note")
GENESIS = "0" * 64


def open_store(where: Path | str, *, read_only: bool = False) -> "Store":
    """The store in the folder ``where`` (``results.sqlite``), in that SQLite file, or at a PostgreSQL URL.

    Raises UsageError where it is not there (``read_only``) or cannot be made or written.
    """
    text = str(where)
    if "://" in text:
        url = text.replace("postgres://", "postgresql://").replace("postgresql://", "postgresql+psycopg://", 1)
        return Store(url, read_only=read_only)
    path = Path(where)
    if path.suffix not in (".sqlite", ".db"):
        path = path / FILE_NAME
    if read_only and not path.is_file():
        raise UsageError(f"there are no results at {path}; run `facewitness scan ... --out {path.parent}` first.")
    if not read_only:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise UsageError(f"results cannot be written to {path.parent} ({e.strerror}); choose another --out.") from e
    return Store(f"sqlite:///{path}", path=path, read_only=read_only)


def now() -> str:
    """The time in UTC, to the millisecond, as text that sorts."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def who() -> str:
    """The person the log names: ``FACEWITNESS_ANALYST``, else the user of this process."""
    try:
        return os.environ.get("FACEWITNESS_ANALYST") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def pack(row: dict[str, Any]) -> bytes:
    """A row as compressed JSON."""
    return zlib.compress(json.dumps(row, ensure_ascii=True, allow_nan=False).encode(), 6)


def unpack(data: bytes) -> dict[str, Any]:
    """The row of ``pack``."""
    row: dict[str, Any] = json.loads(zlib.decompress(data))
    return row


class Store:
    """Results, the log of what was done, and the decisions of analysts. One connection; threads take turns."""

    def __init__(self, url: str, *, path: Path | None = None, read_only: bool = False):
        self.path, self.read_only = path, read_only
        self.where = str(path) if path else sa.make_url(url).render_as_string(hide_password=True)
        """Where it is, as it may be shown."""
        self._lock = threading.RLock()
        try:
            self._engine = connect(url, path, read_only)
            self._connection = self._engine.connect()
            if not read_only:
                prepare(self._connection)
                self._connection.commit()
        except ModuleNotFoundError as e:
            raise UsageError("PostgreSQL needs one more package: pip install 'facewitness[postgres]'.") from e
        except sa.exc.SQLAlchemyError as e:
            self._engine.dispose()
            raise _not_writable(self.where, e) from e

    def __enter__(self) -> "Store":
        """The store itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._engine.dispose()

    def _insert(self, table: sa.Table) -> Any:
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        return dialect.insert(table)

    def write(self, *statements: Any) -> None:
        """Run statements in one transaction. Raises UsageError when the disk is full or the file cannot be written."""
        with self._lock:
            try:
                for statement in statements:
                    self._connection.execute(statement)
                self._connection.commit()
            except sa.exc.SQLAlchemyError as e:
                self._connection.rollback()
                raise _not_writable(self.where, e) from e

    def read(self, statement: Any) -> list[Any]:
        """The rows of a statement that reads."""
        with self._lock:
            try:
                return list(self._connection.execute(statement).all())
            except sa.exc.SQLAlchemyError as e:
                raise UsageError(f"the results at {self.where} cannot be read ({_first_line(e)}).") from e
            finally:
                self._connection.rollback()

    # results ---------------------------------------------------------------------------------------------------

    def known(
        self, keys: Iterable[str], model: str, configuration: str, *, retry: bool = False, after: int = 0
    ) -> dict[str, dict[str, Any]]:
        """The latest row of each of ``keys`` under that model and configuration.

        With ``retry`` not of those that failed; only results numbered above ``after``.
        """
        wanted, found = list(keys), {}
        for i in range(0, len(wanted), CHUNK):
            chosen = (
                sa.select(results.c.key, results.c.row, results.c.status, results.c.id)
                .where(results.c.key.in_(wanted[i : i + CHUNK]), results.c.model == model)
                .where(results.c.configuration == configuration, results.c.id > after)
                .order_by(results.c.attempt)
            )
            for key, data, status, number in self.read(chosen):
                found[key] = (status, data, number)
        return {
            key: {"result": number, **unpack(data)}
            for key, (status, data, number) in found.items()
            if not (retry and status in RETRIED)
        }

    def add(self, row: dict[str, Any], *, key: str, model: str, configuration: str, retry: bool = False) -> bool:
        """Add a row; False where one under this key, model and configuration is there already (it stays as it is)."""
        with self._lock:
            same = (results.c.key == key, results.c.model == model, results.c.configuration == configuration)
            attempt = sa.select(sa.func.max(results.c.attempt)).where(*same).scalar_subquery()
            number = sa.func.coalesce(attempt + 1, 1) if retry else sa.literal(1)
            values = {
                "key": key, "model": model, "configuration": configuration, "attempt": number,
                "sha256": row.get("sha256"), "path": row["path"], "status": row["status"],
                "verdict": row.get("verdict"),
                "p_fake": row.get("p_fake"), "duration_s": row.get("duration_s"), "width": row.get("width"),
                "height": row.get("height"), "seconds": row.get("seconds"), "error": row.get("error"),
                "scanned_at": now(), "row": pack(row),
            }  # fmt: skip
            try:
                done = self._connection.execute(self._insert(results).values(**values).on_conflict_do_nothing())
                if done.rowcount:
                    self._log("clip scanned", {"path": row["path"], "sha256": row.get("sha256"), "model": model,
                                               "configuration": configuration, "status": row["status"]})  # fmt: skip
                self._connection.commit()
            except sa.exc.SQLAlchemyError as e:
                self._connection.rollback()
                raise _not_writable(self.where, e) from e
            return bool(done.rowcount)

    def add_loose(self, row: dict[str, Any], *, key: str) -> int | None:
        """Add a row that no content stands for, under a key of its own; its number."""
        self.add(row, key=key, model="none", configuration="none")
        return self.number_of(key, "none", "none")

    def rows(self, *, where: str = "", newest_first: bool = False) -> Iterator[dict[str, Any]]:
        """Every stored row in the order of scanning, with its ``result`` number; ``where`` is an SQL condition."""
        last = 0 if not newest_first else 1 << 62
        while True:
            step = results.c.id < last if newest_first else results.c.id > last
            chosen = sa.select(results.c.id, results.c.row).where(step).limit(500)
            chosen = chosen.order_by(results.c.id.desc() if newest_first else results.c.id)
            if where:
                chosen = chosen.where(sa.text(f"({where})"))
            page = self.read(chosen)
            for number, data in page:
                yield {"result": number, **unpack(data)}
            if not page:
                return
            last = page[-1][0]

    def rows_by_path(self, *, where: str = "") -> Iterator[dict[str, Any]]:
        """Every stored row in the order of its path, which does not depend on which worker was faster."""
        path, number = "", 0
        while True:
            later = sa.or_(results.c.path > path, sa.and_(results.c.path == path, results.c.id > number))
            chosen = sa.select(results.c.id, results.c.path, results.c.row).where(later)
            chosen = chosen.order_by(results.c.path, results.c.id).limit(500)
            page = self.read(chosen.where(sa.text(f"({where})")) if where else chosen)
            for id_, _, data in page:
                yield {"result": id_, **unpack(data)}
            if not page:
                return
            number, path, _ = page[-1]

    def row(self, number: int) -> dict[str, Any] | None:
        """The row of one result."""
        found = self.read(sa.select(results.c.row).where(results.c.id == number))
        return {"result": number, **unpack(found[0][0])} if found else None

    def last_number(self) -> int:
        """The highest number of a result; 0 where there is none."""
        return int(self.read(sa.select(sa.func.max(results.c.id)))[0][0] or 0)

    def number_of(self, key: str, model: str, configuration: str) -> int | None:
        """The number of the latest result of a key."""
        same = (results.c.key == key, results.c.model == model, results.c.configuration == configuration)
        found = self.read(sa.select(results.c.id).where(*same).order_by(results.c.attempt.desc()).limit(1))
        return found[0][0] if found else None

    def find(self, what: str) -> list[int]:
        """Results by number, by (the beginning of) a SHA-256, or by path or the end of one, newest first."""
        if what.isdigit() and len(what) < 12:
            return [int(what)] if self.row(int(what)) else []
        shown = text_of(what)
        conditions = [results.c.path == shown, results.c.path.endswith(shown, autoescape=True)]
        if len(what) >= 6 and all(c in "0123456789abcdef" for c in what):
            conditions.append(results.c.sha256.startswith(what))
        return self._numbers(sa.or_(*conditions))

    def find_in_paths(self, part: str) -> list[int]:
        """Results whose path holds ``part``, newest first."""
        return self._numbers(results.c.path.contains(text_of(part), autoescape=True))

    def _numbers(self, condition: Any) -> list[int]:
        return [r[0] for r in self.read(sa.select(results.c.id).where(condition).order_by(results.c.id.desc()))]

    def count(self) -> int:
        """Number of results."""
        return int(self.read(sa.select(sa.func.count()).select_from(results))[0][0])

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of any SQL that reads. Raises UsageError in the database's own words where it fails."""
        with self._lock:
            try:
                found = self._connection.exec_driver_sql(sql)
                if not found.returns_rows:
                    raise UsageError("the query gives no rows; results can only be read here.")
                return list(found.keys()), [tuple(r) for r in found.all()]
            except sa.exc.SQLAlchemyError as e:
                raise UsageError(f"the query failed: {getattr(e, 'orig', e)}.") from e
            finally:
                self._connection.rollback()

    # near-duplicates ---------------------------------------------------------------------------------------------

    def link(self, pairs: Iterable[tuple[str, str, float]]) -> None:
        """Note that two keys look alike, with their distance (0 same, 1 nothing in common)."""
        for one, other, distance in pairs:
            values = {"one": min(one, other), "other": max(one, other), "distance": distance}
            self.write(self._insert(near).values(**values).on_conflict_do_nothing())

    def add_fingerprint(self, key: str, data: bytes) -> None:
        """Keep the fingerprint of a key's content: int8 rows of 128, one a second."""
        self.write(self._insert(fingerprints).values(key=key, data=data).on_conflict_do_nothing())

    def fingerprints(self, keys: set[str] | None = None) -> Iterator[tuple[str, bytes]]:
        """Stored fingerprints, of ``keys`` or all, in the order of their keys."""
        last = ""
        chosen = sa.select(fingerprints).order_by(fingerprints.c.key).limit(1000)
        if keys is not None and len(keys) <= CHUNK:
            chosen = chosen.where(fingerprints.c.key.in_(keys))
        while page := self.read(chosen.where(fingerprints.c.key > last)):
            for key, data in page:
                if keys is None or key in keys:
                    yield key, bytes(data)
            last = page[-1][0]

    def near_to(self, number: int) -> list[dict[str, Any]]:
        """Results whose clips look like that of result ``number``, the nearest first: ``{result, path, distance}``."""
        found = self.read(sa.select(results.c.key).where(results.c.id == number))
        key = found[0][0] if found else ""
        linked = self.read(
            sa.select(near).where(sa.or_(near.c.one == key, near.c.other == key)).order_by(near.c.distance)
        )
        told = []
        for one, other, distance in linked:
            same = results.c.key == (other if one == key else one)
            latest = sa.select(results.c.id, results.c.path).where(same).order_by(results.c.id.desc()).limit(1)
            told += [{"result": r[0], "path": r[1], "distance": distance} for r in self.read(latest)]
        return told

    # where files are ---------------------------------------------------------------------------------------------

    def hashes(self, names: Iterable[bytes]) -> dict[bytes, tuple[str, str]]:
        """The signature and SHA-256 each file had when it was last hashed."""
        wanted, found = list(names), {}
        for i in range(0, len(wanted), CHUNK):
            for name, signature, sha in self.read(sa.select(places).where(places.c.name.in_(wanted[i : i + CHUNK]))):
                found[bytes(name)] = (signature, sha)
        return found

    def remember(self, entries: list[dict[str, Any]]) -> None:
        """Note ``{name, signature, sha256}`` of files, which need not be hashed again while they stay as they are."""
        if entries:
            insert = self._insert(places).values(entries)
            self.write(insert.on_conflict_do_update(
                index_elements=["name"], set_={"signature": insert.excluded.signature, "sha256": insert.excluded.sha256}
            ))  # fmt: skip

    # the log ---------------------------------------------------------------------------------------------------

    def note(self, what: str, **details: Any) -> None:
        """Add an entry to the log."""
        with self._lock:
            try:
                self._log(what, details)
                self._connection.commit()
            except sa.exc.SQLAlchemyError as e:
                self._connection.rollback()
                raise _not_writable(self.where, e) from e

    def _log(self, what: str, details: dict[str, Any]) -> None:
        if self._engine.dialect.name == "postgresql":  # writers take turns, so that the chain has no fork
            self._connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4242)")
        last = self._connection.execute(sa.select(log.c.hash).order_by(log.c.id.desc()).limit(1)).scalar() or GENESIS
        entry = {"at": now(), "who": who(), "what": what, "details": json.dumps(details, sort_keys=True)}
        self._connection.execute(log.insert().values(**entry, previous=last, hash=_chained(last, entry)))

    def log_entries(self) -> Iterator[dict[str, Any]]:
        """Every entry of the log, oldest first."""
        last = 0
        while page := self.read(sa.select(log).where(log.c.id > last).order_by(log.c.id).limit(1000)):
            for r in page:
                yield {**r._mapping, "details": json.loads(r.details)}
            last = page[-1].id

    def check_log(self) -> int:
        """Number of log entries; each must continue the hash of the one before, else FacewitnessError is raised."""
        last, count = GENESIS, 0
        for r in self.read(sa.select(log).order_by(log.c.id)):
            entry = {k: getattr(r, k) for k in ("at", "who", "what", "details")}
            if r.previous != last or r.hash != _chained(last, entry):
                raise FacewitnessError(f"entry {r.id} of the log was changed or one before it is missing.")
            last, count = r.hash, count + 1
        return count

    # reviews ---------------------------------------------------------------------------------------------------

    def review(self, number: int, decision: str, *, note: str = "", author: str = "") -> dict[str, Any]:
        """Add an analyst's decision (confirm, reject, escalate or note) beside a result, which stays as it is."""
        if decision not in DECISIONS:
            raise UsageError(f"a decision is one of {', '.join(DECISIONS)}, not {decision!r}.")
        if decision == "note" and not note.strip():
            raise UsageError("a note needs its text.")
        if self.row(number) is None:
            raise UsageError(f"there is no result {number}.")
        entry = {"result": number, "decision": decision, "note": note, "author": author or who(), "at": now()}
        with self._lock:
            self._connection.execute(reviews.insert().values(**entry))
            self.note("reviewed", **entry)
        return entry

    def reviews_of(self, number: int) -> list[dict[str, Any]]:
        """The decisions on one result, oldest first."""
        found = self.read(sa.select(reviews).where(reviews.c.result == number).order_by(reviews.c.id))
        return [{k: v for k, v in r._mapping.items() if k != "id"} for r in found]


def read_rows(where: Path | str) -> Iterator[dict[str, Any]]:
    """Every stored row of a folder of results, with its reviews."""
    with open_store(where, read_only=True) as store:
        for row in store.rows():
            yield {**row, "reviews": store.reviews_of(row["result"])}


def _chained(previous: str, entry: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([previous, entry], sort_keys=True).encode()).hexdigest()


def _not_writable(where: Path | str, error: Exception) -> FacewitnessError:
    return UsageError(
        f"the results at {where} cannot be written ({_first_line(error)}); what was stored before is kept: "
        "mend that or choose another --out, then run the same command again."
    )


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).split("\n")[0]
