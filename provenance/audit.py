"""The verdict on one file's manifest, in the shape of a ``facewitness.verify/1`` row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

SCHEMA = "facewitness.verify/1"


@dataclass(frozen=True, kw_only=True)
class Code:
    """One check of the validator: its C2PA status code, where it applies, and a sentence a person understands."""

    code: str
    url: str
    explanation: str
    success: bool
    detail: str = ""
    """What the library itself said."""
    kind: str = ""
    """``success | informational | failure``."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What can be said of one file's manifest; states are never merged, silence never reads as valid."""

    path: str
    sha256: str | None
    state: str
    """``trusted | untrusted | invalid | absent | unreadable | timeout``."""
    ai: str = "unknown"
    """``generated | edited | none | unknown``; facts only where the state is trusted."""
    signer: dict[str, Any] | None = None
    signed_at: str | None = None
    trust_list: str | None = None
    codes: tuple[Code, ...] = ()
    missing: tuple[str, ...] = ()
    """Evidence that is not there: ``time_stamp``, ``revocation``."""
    ingredients: tuple[dict[str, Any], ...] = ()
    extra_boxes: tuple[dict[str, Any], ...] = ()
    """Parts of the file that carry data and that no hash covers."""
    recovered: dict[str, Any] | None = None
    """``{match: watermark|fingerprint, distance, manifest}``: a possible match, never shown as valid."""
    second_opinion: dict[str, Any] | None = None
    label: dict[str, Any] | None = None
    """The ``org.facewitness.label`` assertion of a video made here; only where the state is trusted."""
    claims: dict[str, Any] | None = None
    """What the manifest says, whoever says it: facts only where the state is trusted, else mere claims."""
    manifest_id: str | None = None
    media_type: str | None = None
    error: str | None = None
    validated_at: str = ""
    schema: str = field(default=SCHEMA)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Audit":
        """The audit of a JSON row; fields it does not know are left out."""
        known = {f.name: row[f.name] for f in fields(cls) if f.name in row}
        known["codes"] = tuple(Code(**c) for c in _mappings(known.get("codes")))
        known["missing"] = tuple(known.get("missing") or ())
        for name in ("ingredients", "extra_boxes"):
            known[name] = tuple(_mappings(known.get(name)))
        return cls(**known)


def _mappings(value: Any) -> list[dict[str, Any]]:
    """The entries of a list that was perhaps cut, without the note that says so."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list | tuple) else []
