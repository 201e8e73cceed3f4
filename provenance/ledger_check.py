"""Walking along the ledger's chain: what was changed, removed, inserted or cut off."""

import hashlib
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from facewitness.provenance import ledger_tables as tables
from facewitness.provenance.ledger import (
    FIRST_PREVIOUS,
    Ledger,
    LedgerCheck,
    _explained,
    _rows_hash,
    entry_hash,
)

MOST_PROBLEMS = 100
"""Sentences kept; a ruined ledger needs no longer list."""


def check_ledger(ledger: Ledger) -> LedgerCheck:
    """Hashes, numbers, stored manifests and fingerprints of every entry, and the head this installation witnessed."""
    problems: list[str] = []
    seen = ledger.witnessed()
    previous, count = FIRST_PREVIOUS, 0
    with _explained(ledger), ledger._engine.connect() as connection:
        prints = _fingerprint_hashes(connection)
        for row in connection.execute(_ENTRIES).yield_per(200):
            fields = dict(row._mapping)
            store = fields.pop("store")
            count += 1
            if len(problems) < MOST_PROBLEMS:
                problems += _problems_of(fields, store, previous, count, prints)
                if seen and fields["seq"] == seen["seq"] and fields["hash"] != seen["hash"]:
                    problems.append(
                        f"entry {seen['seq']} is not the one this installation saw: the chain was rewritten."
                    )
            previous, last = fields["hash"], fields["seq"]
            count = max(count, last)
        orphans = sum(1 for seq in prints if seq > count)
    if seen and seen["seq"] > count:
        problems.append(f"this installation saw {seen['seq']} entries and {count} are left: the end was cut off.")
    if orphans:
        problems.append(f"{orphans} fingerprints belong to no entry: entries were removed.")
    return LedgerCheck(ok=not problems, entries=count, head=previous, problems=tuple(problems[:MOST_PROBLEMS]))


_ENTRIES = (
    sa.select(tables.entries, tables.manifests.c.store)
    .join(tables.manifests, tables.manifests.c.seq == tables.entries.c.seq, isouter=True)
    .order_by(tables.entries.c.seq)
)


def _problems_of(
    fields: dict[str, Any], store: bytes | None, previous: str, expected: int, prints: dict[int, str]
) -> list[str]:
    seq, problems = fields["seq"], []
    if seq != expected:
        problems.append(
            f"entries {expected} to {seq - 1} are gone." if seq - 1 > expected else f"entry {expected} is gone."
        )
    if fields["previous"] != previous:
        problems.append(f"entry {seq} does not follow the one before it.")
    if entry_hash(fields) != fields["hash"]:
        problems.append(f"entry {seq} was changed.")
    if store is None or hashlib.sha256(store).hexdigest() != fields["manifest_sha256"]:
        problems.append(f"the manifest of entry {seq} was changed or removed.")
    if prints.get(seq, _rows_hash(())) != fields["fingerprint_sha256"]:
        problems.append(f"the fingerprint of entry {seq} was changed or removed.")
    return problems


def _fingerprint_hashes(connection: sa.Connection) -> dict[int, str]:
    s = tables.segments.c
    rows = connection.execute(tables.segments.select().order_by(s.seq, s.region, s.start_ms)).yield_per(5000)
    return {
        seq: _rows_hash((r.region, r.start_ms, r.vector) for r in group)
        for seq, group in groupby(rows, lambda r: r.seq)
    }
