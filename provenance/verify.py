"""Verifying files: one, or as many as there are, each in a worker that can be killed."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from facewitness.provenance.audit import Audit
from facewitness.provenance.policy import Policy, default_policy
from facewitness.provenance.pool import VerifierPool, audit_one


def verify_file(path: Path, policy: Policy | None = None, *, sidecar: Path | None = None) -> Audit:
    """Audit one file; whatever is wrong with it is in the audit, never an exception.

    ``policy`` defaults to this installation's trust lists. A manifest beside the file (same name, ``.c2pa``) is
    found by itself; ``sidecar`` names another. The first call of a process starts a worker (a third of a second);
    threads take turns.
    """
    return audit_one(policy or default_policy(), Path(path), sidecar)


def verify_many(paths: Iterable[Path], policy: Policy | None = None, workers: int | None = None) -> Iterator[Audit]:
    """Audit files in the order given, as they are done; ``workers`` processes at a time (default: cores + 1)."""
    policy = policy or default_policy()
    with VerifierPool(policy, **({"workers": workers} if workers else {})) as pool:
        yield from pool.verify(paths)
