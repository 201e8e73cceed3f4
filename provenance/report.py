"""Audits as JSON, JSON lines, CSV, a page and lines of text; each takes rows as they come and holds none of them."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TextIO

from facewitness import __version__
from facewitness.files import plain
from facewitness.provenance.audit import Audit
from facewitness.provenance.inert import visible
from facewitness.provenance.policy import STATES, Policy

BATCH_SCHEMA = "facewitness.verify-batch/1"
CSV_COLUMNS = (
    "path", "sha256", "state", "ai", "signer", "organisation", "signed_at", "trust_list", "failures", "missing",
    "ingredients", "extra_boxes", "recovered", "second_opinion", "error", "validated_at",
)  # fmt: skip

MEANING = {
    "trusted": "intact, and signed by someone you trust",
    "untrusted": "intact, but signed by someone you do not trust",
    "invalid": "the file or its manifest was changed, or the signature does not hold",
    "absent": "there is no manifest: nothing is known",
    "unreadable": "the file could not be read: nothing is known",
    "timeout": "reading the file took too long and was stopped: nothing is known",
}
"""Each state as a sentence, for whoever reads the report."""


class Sink(Protocol):
    """Something that takes audits one by one."""

    def row(self, audit: Audit) -> None:
        """Take one audit."""

    def end(self, counts: dict[str, int]) -> None:
        """Finish; ``counts`` is the number of files in each state."""


def write_reports(audits: Iterable[Audit], sinks: Iterable[Sink]) -> dict[str, int]:
    """Hand every audit to every sink and return how many files were in each state, in the order of ``STATES``."""
    sinks, counts = list(sinks), Counter[str]()
    for audit in audits:
        counts[audit.state] += 1
        for sink in sinks:
            sink.row(audit)
    ordered = {state: counts[state] for state in STATES if counts[state]}
    for sink in sinks:
        sink.end(ordered)
    return ordered


def ascii_json(value: Any) -> str:
    """JSON in plain ASCII: no direction mark and no terminal control survives unescaped."""
    return json.dumps(plain(value), ensure_ascii=True, allow_nan=False)


class JsonLines:
    """One audit a line, as it comes."""

    def __init__(self, write: Callable[[str], Any]):
        self._write = write

    def row(self, audit: Audit) -> None:
        """Write one line."""
        self._write(ascii_json(audit) + "\n")

    def end(self, counts: dict[str, int]) -> None:
        """Nothing follows the rows."""


class JsonObject:
    """One object: the policy, the rows, how many are in each state; a single file's fields stand at the top too."""

    def __init__(self, write: Callable[[str], Any], policy: Policy, *, single: bool):
        self._write, self._policy, self._single, self._first = write, policy, single, True

    def row(self, audit: Audit) -> None:
        """Write one row of the list."""
        row = ascii_json(audit)
        if self._first:
            self._write(row[:-1] if self._single else f'{{"schema": "{BATCH_SCHEMA}"')
            self._write(f', "tool_version": "{__version__}", "policy": {ascii_json(describe_policy(self._policy))}')
            self._write(', "rows": [')
        self._write(("" if self._first else ", ") + row)
        self._first = False

    def end(self, counts: dict[str, int]) -> None:
        """Close the list and the object."""
        if self._first:
            self._write(f'{{"schema": "{BATCH_SCHEMA}", "rows": [')
        self._write(f'], "counts": {ascii_json(counts)}, "exit_code": {self._policy.exit_code(set(counts))}}}\n')


class Csv:
    """A table for a spreadsheet; cells that one would compute are quoted with an apostrophe."""

    def __init__(self, out: TextIO):
        self._writer = csv.writer(out)
        self._writer.writerow(CSV_COLUMNS)

    def row(self, audit: Audit) -> None:
        """Write one line of the table."""
        signer, opinion = audit.signer or {}, audit.second_opinion or {}
        cells = (
            audit.path, audit.sha256, audit.state, audit.ai, signer.get("common_name"), signer.get("organisation"),
            audit.signed_at, audit.trust_list, " ".join(c.code for c in audit.codes if not c.success),
            " ".join(audit.missing), " ".join(f"{i.get('title')}={i.get('state')}" for i in audit.ingredients),
            " ".join(f"{b.get('type')}:{b.get('bytes')}" for b in audit.extra_boxes),
            (audit.recovered or {}).get("match"), opinion.get("state"), audit.error, audit.validated_at,
        )  # fmt: skip
        self._writer.writerow([_cell(c) for c in cells])

    def end(self, counts: dict[str, int]) -> None:
        """Nothing follows the rows."""


class Page:
    """A self-contained page: a policy inside it forbids every script, and every text is escaped and inert."""

    def __init__(self, out: TextIO, policy: Policy):
        self._out, self._number = out, 0
        self._out.write(_page().head(policy=describe_policy(policy), version=__version__))

    def row(self, audit: Audit) -> None:
        """Write one file's part of the page."""
        self._number += 1
        self._out.write(_page().row(a=plain(audit), number=self._number, meaning=MEANING.get(audit.state, "")))

    def end(self, counts: dict[str, int]) -> None:
        """Write the summary, which the style sheet shows first."""
        self._out.write(_page().tail(counts=counts, total=sum(counts.values()), meaning=MEANING))


def describe_policy(policy: Policy) -> dict[str, Any]:
    """What was asked, in plain values, so that a result can be run again; anchors by name, kind, date and hash."""

    return {
        "anchors": [
            {
                "name": a.name,
                "kind": a.kind,
                "added_at": a.added_at,
                "sha256": hashlib.sha256(a.pem.encode()).hexdigest(),
            }
            for a in policy.anchors
        ],
        "allowed": bool(policy.allowed_pem),
        "only_signers": list(policy.only_signers),
        "at": policy.at,
        "online": policy.online,
        "second_opinion": policy.second_opinion,
        "fail_on": list(policy.fail_on),
    }


@cache
def _page() -> Any:
    import jinja2

    folder = Path(__file__).parent
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"visible": visible, "place": _place, "spoken": _spoken}
    return environment.from_string((folder / "report.html").read_text(encoding="utf-8")).module


def _place(url: str) -> str:
    """Where in a manifest a check applies, without the manifest's own long name where it is the usual one."""
    parts = url.split("/")
    return "/".join(parts[3:]) if url.startswith("self#jumbf=/c2pa/") and len(parts) > 3 else url


def _spoken(value: Any) -> str:
    """A JSON value as a line of words."""
    if isinstance(value, dict):
        return "; ".join(f"{k}: {_spoken(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, list):
        return ", ".join(_spoken(v) for v in value)
    return "nothing" if value is None else str(value)


def _cell(value: Any) -> str:
    text = visible("" if value is None else value, 1000)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t") else text
