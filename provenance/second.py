"""A second opinion by an implementation that shares no code with the first (the package ``encypher-c2pa``)."""

import contextlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewitness.errors import MissingPieceError
from facewitness.provenance.audit import Audit, Code
from facewitness.provenance.explain import explain
from facewitness.provenance.policy import Policy, moment

MAX_BYTES = 128 << 20
"""The package reads no larger file."""
DISAGREEMENT = "org.facewitness.opinion.disagreement"


def require() -> None:
    """Raise MissingPieceError where the package is not installed."""
    if importlib.util.find_spec("encypher_c2pa") is None:
        raise MissingPieceError("the second validator is not installed: pip install 'facewitness[second-opinion]'.")


def opinion(path: Path, media_type: str | None, policy: Policy, sidecar: Path | None = None) -> dict[str, Any]:
    """What the second validator says of a file: ``{validator, state, failures, why}``; offline and without telemetry.

    ``state`` is one of ours, or ``none`` where the file is not for this validator (``why`` says so).
    """
    _stay_quiet()
    import encypher_c2pa

    said: dict[str, Any] = {"validator": f"encypher-c2pa {encypher_c2pa.__version__}", "state": "none", "failures": []}
    if media_type not in encypher_c2pa.supported_mime_types():
        return {**said, "why": f"it does not read {media_type}"}
    if path.stat().st_size > MAX_BYTES:
        return {**said, "why": f"it reads no file above {MAX_BYTES >> 20} MiB"}
    signers = "".join(a.pem for a in policy.anchors if a.kind == "signers")
    stamps = "".join(a.pem for a in policy.anchors if a.kind == "time-stamps")
    try:
        report = encypher_c2pa.verify(
            path, media_type, manifest_store=sidecar, trust_pem=signers or None, tsa_trust_pem=stamps or None,
            allowed_list_pem=policy.allowed_pem or None, no_default_trust=True, telemetry=False, online=False,
            validation_time=moment(policy.at).isoformat() if policy.at else None,
        )  # fmt: skip
    except Exception as e:
        return {**said, "state": "unreadable", "why": str(e)[:300]}
    failures = (report.get("validation_results") or {}).get("failure") or []
    return {**said, "state": _state(report), "failures": sorted({str(f.get("code")) for f in failures})}


def with_opinion(audit: Audit, said: dict[str, Any]) -> Audit:
    """The audit with the second opinion in it; a different state is a finding of its own."""
    from dataclasses import replace

    agrees = None if said["state"] in ("none", "timeout") else said["state"] == audit.state
    said = {**said, "agrees": agrees}
    if agrees is not False:
        return replace(audit, second_opinion=said)
    finding = Code(
        code=DISAGREEMENT, url="", explanation=explain(DISAGREEMENT), success=False, kind="failure",
        detail=f"first: {audit.state}; second: {said['state']}",
    )  # fmt: skip
    return replace(audit, second_opinion=said, codes=(*audit.codes, finding))


def _state(report: Mapping[str, Any]) -> str:
    if not report.get("present"):
        return "absent"
    if report.get("integrity") != "valid":
        return "invalid"
    trusted = (report.get("trust") or {}).get("status") == "valid_for_supplied_material"
    return "trusted" if trusted else "untrusted"


def _stay_quiet() -> None:
    """The package notes its telemetry setting in the user's folder; nothing of ours should write there."""
    for name in ("HOME", "XDG_CONFIG_HOME"):
        os.environ[name] = "/nonexistent"
    with contextlib.suppress(KeyError):
        del os.environ["ENCYPHER_C2PA_ONLINE"]
