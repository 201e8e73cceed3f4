"""The ledger: what was made or signed here, append-only and chained by hashes, in SQLite or (for teams) PostgreSQL.

    ledger = Ledger()                             # home_dir()/ledger.sqlite; or a path, or a URL such as postgresql://...
    entry = ledger.append(Record(kind="made", name="out.mp4", sha256=..., manifest_id=..., manifest=store_bytes,
                                 label={...}, watermark=payload, fingerprint=print_))
    ledger.find_by_watermark(payload); ledger.find_by_fingerprint(sketch); ledger.manifest(manifest_id)
    ledger.check()                                # LedgerCheck: ok, or what was changed, removed or cut off

Every entry holds the SHA-256 of the entry before it, so that a changed or removed one breaks the chain. A witness
file beside the keys (not in the database) keeps the last head this installation saw: a ledger that was cut off or
rewritten as a whole no longer contains it. Triggers refuse UPDATE and DELETE. A write is one transaction: a kill
leaves it done or undone.
"""

import contextlib
import hashlib
import json
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import EXIT_NEGATIVE, FacewitnessError, UsageError
from facewitness.files import home_dir, plain, write_text
from facewitness.provenance import ledger_tables as tables
from facewitness.provenance.fingerprint import DIMENSIONS, Fingerprint

if TYPE_CHECKING:
    import sqlalchemy as sa

    from facewitness.provenance.fingerprint import Sketch
    from facewitness.provenance.fingerprint_search import FingerprintIndex, FingerprintMatch

SCHEMA = "facewitness.ledger/1"
FIRST_PREVIOUS = "0" * 64
"""What stands for the hash before the first entry."""
MOST_MANIFEST_BYTES = 16 << 20
"""A manifest store larger than this is refused: ours take some 12 KB."""
MOST_LABEL_CHARACTERS = 1 << 18
KINDS = ("made", "signed")


class LedgerError(FacewitnessError):
    """The ledger cannot be written or read; the text says why and what to do."""


class BrokenLedgerError(LedgerError):
    """The chain does not hold (exit code 1)."""

    exit_code = EXIT_NEGATIVE


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is to be remembered of one file."""

    kind: str
    """``made`` by the generator, or ``signed`` only."""
    name: str
    """File name without its folder."""
    sha256: str
    """Of the finished file, 64 hexadecimal digits."""
    manifest_id: str
    """Label of the active manifest, such as ``urn:c2pa:...``."""
    manifest: bytes = b""
    """The C2PA manifest store (JUMBF) as it stands in the file."""
    label: dict[str, Any] | None = None
    watermark: bytes | None = None
    """8 bytes, used once in a ledger."""
    fingerprint: Fingerprint | None = field(default=None, repr=False)
    face_fingerprint: Fingerprint | None = field(default=None, repr=False)
    """The fingerprint of the face region alone."""


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One row of the ledger; ``hash`` covers everything in it and, through ``previous``, everything before."""

    seq: int
    """Counts from 1 without gaps."""
    id: str
    created_at: str
    """UTC, ISO 8601."""
    kind: str
    name: str
    sha256: str
    manifest_id: str
    manifest_sha256: str
    label: dict[str, Any] | None
    watermark: str | None
    """16 hexadecimal digits."""
    fingerprint_sha256: str
    """Over all fingerprint rows of the entry."""
    duration_s: float
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class LedgerCheck:
    """What a walk along the chain found; ``problems`` are sentences, empty where the chain holds."""

    ok: bool
    entries: int
    head: str
    problems: tuple[str, ...] = ()


class Ledger:
    """An open ledger. ``where`` is a path, a database URL, or None for ``FACEWITNESS_LEDGER`` or the home folder's own.

    Safe with several threads, processes and (PostgreSQL) machines. Raises LedgerError where it cannot be opened.
    """

    def __init__(self, where: Path | str | None = None, *, witness: Path | None = None):
        where = where or os.environ.get("FACEWITNESS_LEDGER") or home_dir() / "ledger.sqlite"
        self.url = tables.url_of(where)
        name = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self.witness = witness or home_dir() / "witness" / f"{name}.json"
        with _explained(self):
            self._engine = tables.open_engine(self.url, SCHEMA)
        self._indexes: dict[str, FingerprintIndex] = {}
        self._index_lock = threading.Lock()

    def append(self, record: Record) -> LedgerEntry:
        """Add one record in one transaction and return its entry.

        Raises UsageError for a record that cannot be right (a watermark used before, a malformed hash), LedgerError
        where the database cannot be written (full disk, no permission); then nothing was added.
        """
        _validate(record)
        rows = _fingerprint_rows(record)
        with _explained(self), tables.writing(self._engine) as connection:
            last = connection.execute(tables.LAST).one_or_none()
            fields: dict[str, Any] = {
                "seq": (last.seq if last else 0) + 1,
                "id": str(uuid.uuid4()),
                "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "kind": record.kind,
                "name": record.name,
                "sha256": record.sha256,
                "manifest_id": record.manifest_id,
                "manifest_sha256": hashlib.sha256(record.manifest).hexdigest(),
                "label": json.dumps(plain(record.label), sort_keys=True) if record.label is not None else None,
                "watermark": record.watermark.hex() if record.watermark else None,
                "fingerprint_sha256": _rows_hash((r["region"], r["start_ms"], r["vector"]) for r in rows),
                "duration_ms": round(1000 * record.fingerprint.duration_s) if record.fingerprint else 0,
                "previous": last.hash if last else FIRST_PREVIOUS,
            }
            fields["hash"] = entry_hash(fields)
            connection.execute(tables.entries.insert(), fields)
            connection.execute(tables.manifests.insert(), {"seq": fields["seq"], "store": record.manifest})
            if rows:
                connection.execute(tables.segments.insert(), [{"seq": fields["seq"], **r} for r in rows])
        self._remember(fields["seq"], fields["hash"])
        return _entry(fields)

    def entries(self, *, after: int = 0, limit: int | None = None) -> Iterator[LedgerEntry]:
        """The entries in order, from the one after ``after``."""
        query = tables.entries.select().where(tables.entries.c.seq > after).order_by(tables.entries.c.seq).limit(limit)
        with _explained(self), self._engine.connect() as connection:
            for row in connection.execute(query).yield_per(500):
                yield _entry(dict(row._mapping))

    def __len__(self) -> int:
        """Number of entries."""
        with _explained(self), self._engine.connect() as connection:
            return connection.execute(tables.COUNT).scalar_one()

    def entry(self, seq: int) -> LedgerEntry | None:
        """The entry with this number, or None."""
        return self._one(tables.entries.c.seq == seq)

    def find_by_watermark(self, payload: bytes) -> LedgerEntry | None:
        """The entry whose video carries this 8-byte payload, or None."""
        return self._one(tables.entries.c.watermark == payload.hex())

    def find(self, what: str) -> LedgerEntry | None:
        """The entry with this number, watermark (16 hexadecimal digits), manifest label or SHA-256, or None."""
        if what.isdecimal() and len(what) < 12:
            return self.entry(int(what))
        if len(what) == 16 and set(what.lower()) <= set("0123456789abcdef"):
            return self.find_by_watermark(bytes.fromhex(what))
        return self.find_by_manifest(what) or self.find_by_sha256(what.lower())

    def find_by_manifest(self, manifest_id: str) -> LedgerEntry | None:
        """The first entry of this manifest label, or None."""
        return self._one(tables.entries.c.manifest_id == manifest_id)

    def find_by_sha256(self, sha256: str) -> LedgerEntry | None:
        """The first entry of a file with this hash, or None."""
        return self._one(tables.entries.c.sha256 == sha256)

    def manifest(self, manifest_id: str) -> bytes | None:
        """The manifest store of a manifest label, or None."""
        query = (
            tables.manifests.select()
            .join(tables.entries, tables.entries.c.seq == tables.manifests.c.seq)
            .where(tables.entries.c.manifest_id == manifest_id)
            .limit(1)
        )
        with _explained(self), self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
            return bytes(row.store) if row and row.store else None

    def vectors(self, *, region: str = "frame", after: int = 0) -> Iterator[tuple[int, int, NDArray[np.int8]]]:
        """(entry number, start in ms, (128,) int8) of every fingerprint row of entries after ``after``, in order."""
        s = tables.segments.c
        query = tables.segments.select().where(s.seq > after, s.region == region).order_by(s.seq, s.start_ms)
        with _explained(self), self._engine.connect() as connection:
            for row in connection.execute(query).yield_per(5000):
                yield row.seq, row.start_ms, np.frombuffer(row.vector, np.int8)

    def find_by_fingerprint(
        self, query: "Sketch | Fingerprint", *, limit: int = 5, region: str = "frame"
    ) -> "list[FingerprintMatch]":
        """The entries whose videos ``query`` is a part of, best first; the index is kept and takes up new entries.

        ``region`` is ``frame``, or ``face`` where the query is of a face region.
        """
        from facewitness.provenance.fingerprint_search import FingerprintIndex, index_of

        with self._index_lock:
            index = self._indexes.setdefault(region, FingerprintIndex())
            index_of(self.vectors(region=region, after=index.last), index)
            return index.find(query, limit=limit)

    def has_faces(self) -> bool:
        """Whether any entry has a fingerprint of its face region."""
        query = tables.segments.select().where(tables.segments.c.region == "face").limit(1)
        with _explained(self), self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def check(self) -> LedgerCheck:
        """Walk the whole chain: hashes, numbers, stored manifests and fingerprints, and the witness file."""
        from facewitness.provenance.ledger_check import check_ledger

        return check_ledger(self)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> "Ledger":
        """The ledger itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _one(self, condition: "sa.ColumnElement[bool]") -> LedgerEntry | None:
        query = tables.entries.select().where(condition).order_by(tables.entries.c.seq).limit(1)
        with _explained(self), self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
            return _entry(dict(row._mapping)) if row else None

    def _remember(self, seq: int, digest: str) -> None:
        """Move the witness forward; a witness that cannot be written costs evidence, not the entry."""
        with contextlib.suppress(OSError, FacewitnessError):
            seen = self.witnessed()
            if not seen or seen["seq"] < seq:
                write_text(self.witness, json.dumps({"schema": SCHEMA, "seq": seq, "hash": digest}))

    def witnessed(self) -> dict[str, Any] | None:
        """The last head this installation saw: ``{seq, hash}``, or None where nothing was witnessed or it cannot be
        read."""
        try:
            seen = json.loads(self.witness.read_text(encoding="utf-8"))
            return {"seq": int(seen["seq"]), "hash": str(seen["hash"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None


def entry_hash(fields: dict[str, Any]) -> str:
    """SHA-256 over the canonical JSON (sorted keys, no spaces, ASCII) of a row without its own hash."""
    content = {k: v for k, v in fields.items() if k != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _rows_hash(rows: Any) -> str:
    digest = hashlib.sha256()
    for region, start_ms, vector in rows:
        digest.update(f"{region}:{start_ms}:".encode() + bytes(vector))
    return digest.hexdigest()


def _fingerprint_rows(record: Record) -> list[dict[str, Any]]:
    rows = []
    for region, print_ in (("face", record.face_fingerprint), ("frame", record.fingerprint)):
        if print_ is not None:
            starts = np.rint(print_.starts_s * 1000).astype(int).tolist()
            rows += [
                {"region": region, "start_ms": s, "vector": v.tobytes()}
                for s, v in zip(starts, print_.vectors, strict=True)
            ]
    return rows


def _validate(record: Record) -> None:
    if record.kind not in KINDS:
        raise UsageError(f"a ledger record is one of {', '.join(KINDS)}, not {record.kind!r}.")
    if len(record.sha256) != 64 or not set(record.sha256) <= set("0123456789abcdef"):
        raise UsageError("a ledger record needs the SHA-256 of its file as 64 hexadecimal digits.")
    if record.watermark is not None and len(record.watermark) != 8:
        raise UsageError("a watermark payload has 8 bytes.")
    if len(record.manifest) > MOST_MANIFEST_BYTES:
        raise UsageError(
            f"the manifest store has {len(record.manifest)} bytes; at most {MOST_MANIFEST_BYTES} are kept."
        )
    if record.label is not None and len(json.dumps(plain(record.label))) > MOST_LABEL_CHARACTERS:
        raise UsageError(f"the label has more than {MOST_LABEL_CHARACTERS} characters.")
    for print_ in (record.fingerprint, record.face_fingerprint):
        if print_ is not None and (
            print_.vectors.dtype != np.int8 or print_.vectors.shape != (len(print_.starts_s), DIMENSIONS)
        ):
            raise UsageError(f"a fingerprint has one int8 row of {DIMENSIONS} for every start.")


def _entry(row: dict[str, Any]) -> LedgerEntry:
    row = dict(row)
    row["label"] = json.loads(row["label"]) if row["label"] is not None else None
    row["duration_s"] = row.pop("duration_ms") / 1000
    return LedgerEntry(**row)


@contextlib.contextmanager
def _explained(ledger: Ledger) -> Iterator[None]:
    """Turn the database's errors into one sentence."""
    import sqlalchemy.exc as db

    try:
        yield
    except db.IntegrityError as e:
        if "watermark" in str(e.orig):
            raise UsageError("this watermark payload is in the ledger already; draw a new one (new_payload).") from e
        raise LedgerError(f"the ledger refused the entry: {_first_line(e.orig)}.") from e
    except db.DBAPIError as e:
        place = tables.shown(ledger.url)
        raise LedgerError(
            f"the ledger {place} cannot be used ({_first_line(e.orig)}); check its disk and rights, then retry."
        ) from e
    except db.ArgumentError as e:
        raise UsageError(
            f"{tables.shown(ledger.url)} is no database URL; give a path, sqlite:/// or postgresql://."
        ) from e


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
