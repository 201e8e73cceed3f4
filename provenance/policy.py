"""What must hold for a file to be trusted: a value that is passed to the verifier."""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from facewitness.errors import EXIT_FINE, EXIT_INCONCLUSIVE, EXIT_NEGATIVE, EXIT_UNREADABLE, UsageError

STATES = ("trusted", "untrusted", "invalid", "absent", "unreadable", "timeout")

TIME_BUDGET_S = 4.0
"""What one small file may take; larger files get more, see ``SECONDS_PER_MB``."""
SECONDS_PER_MB = 0.05
"""Twenty times what the library needs on one core; a disk that gives 20 MB/s is fast enough."""
MEMORY_BUDGET_MB = 2048
"""Address space of a worker above what it uses when idle."""


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """A trust list as the verifier sees it: its name, what it may vouch for, its certificates, its date."""

    name: str
    kind: str
    """``signers`` or ``time-stamps``; a certificate trusted for one is never trusted for the other."""
    pem: str
    added_at: str = ""

    @property
    def uri(self) -> str:
        """The name under which the validator reports that this list vouched."""
        return f"urn:facewitness:{self.kind}:{self.name}"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Whom to believe, at what time, within what budget, and what counts as a failure."""

    anchors: tuple[Anchors, ...] = ()
    allowed_pem: str = ""
    """Signers' own certificates believed without an authority (the allowed list of C2PA 2.2, 14.4)."""
    only_signers: tuple[str, ...] = ()
    """Where given, only these signers are trusted: SHA-256 of the certificate, or its common name or organisation."""
    at: str | None = None
    """Validate as of this time (ISO 8601 with an offset); now where None."""
    online: bool = False
    """Whether remote manifests and revocation answers may be fetched."""
    second_opinion: bool = False
    """Whether the independent implementation is asked as well."""
    fail_on: tuple[str, ...] = ("invalid",)
    """States that make the exit code 1."""
    time_budget_s: float = TIME_BUDGET_S
    memory_budget_mb: int = MEMORY_BUDGET_MB

    def __post_init__(self) -> None:
        """Refuse unknown states, kinds and times without an offset."""
        for state in self.fail_on:
            if state not in STATES:
                raise UsageError(f"{state!r} is no state; choose from {', '.join(STATES)}.")
        for anchors in self.anchors:
            if anchors.kind not in ("signers", "time-stamps"):
                raise UsageError(f"{anchors.kind!r} is no kind of trust list.")
            _require_certificates(anchors.pem, f"the trust list {anchors.name!r}")
        if self.allowed_pem:
            _require_certificates(self.allowed_pem, "the list of allowed signers")
        if self.at is not None:
            moment(self.at)

    def exit_code(self, states: set[str]) -> int:
        """The exit code of a run that met ``states``: 1 before 3 before 4 before 0."""
        if states & set(self.fail_on):
            return EXIT_NEGATIVE
        if "unreadable" in states:
            return EXIT_UNREADABLE
        return EXIT_FINE if states <= {"trusted"} else EXIT_INCONCLUSIVE

    def budget_s(self, size_bytes: int) -> float:
        """Seconds that a file of this size may take."""
        return self.time_budget_s + SECONDS_PER_MB * size_bytes / 1e6

    def to_wire(self) -> dict[str, Any]:
        """The policy as JSON values, for a worker."""
        return asdict(self)

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Policy":
        """The policy that ``to_wire`` described."""
        named: dict[str, Any] = {f.name: wire[f.name] for f in fields(cls)}
        named["anchors"] = tuple(Anchors(**a) for a in named["anchors"])
        lists: dict[str, Any] = {k: tuple(v) for k, v in named.items() if isinstance(v, list)}
        return cls(**(named | lists))


def default_policy(home: Path | None = None, **changes: Any) -> Policy:
    """The policy of this installation: its development root and the lists that were added with ``trust add``."""
    from facewitness.provenance.trust import trust_lists

    anchors = tuple(Anchors(name=t.name, kind=t.kind, pem=t.pem, added_at=t.added_at) for t in trust_lists(home))
    return Policy(anchors=anchors, **changes)


def _require_certificates(pem: str, whose: str) -> None:
    from cryptography import x509

    try:
        x509.load_pem_x509_certificates(pem.encode())
    except ValueError as e:
        raise UsageError(f"{whose} holds no readable PEM certificates ({e}).") from e


def moment(text: str) -> datetime.datetime:
    """A time with its offset from ISO 8601 text; a date alone is midnight UTC. Raises UsageError for anything else."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError as e:
        raise UsageError(f"{text!r} is no time; write it like 2026-01-31T12:00:00+00:00.") from e
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
