"""Finding the manifest of a file that lost it: by the watermark (ours, then TrustMark where it is chosen), else by
the fingerprint. What is found is a possible match, never proof."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewitness.errors import MissingPieceError, UnreadableInputError
from facewitness.provenance import fingerprint as fp
from facewitness.provenance import trustmark
from facewitness.provenance import watermark as wm
from facewitness.provenance.fingerprint_search import FingerprintMatch
from facewitness.provenance.ledger import Ledger, LedgerEntry

LOOKED_AT_S = 60.0
"""Seconds of a file that recovery looks at."""
FACE_LOOKED_AT_S = 15.0
"""The same for its face, which must be tracked."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """One ledger entry that a file may come from."""

    match: str
    """``watermark`` or ``fingerprint``."""
    distance: float
    """Watermark: share of coded bits that arrived wrong (TrustMark: of frames that did not say so).
    Fingerprint: 1 - similarity. Both 0 where nothing was lost."""
    entry: LedgerEntry
    offset_s: float | None = None
    """Fingerprint: where in the recorded video the file begins, seconds."""
    mirrored: bool = False
    region: str | None = None
    """Fingerprint: ``frame``, or ``face`` where the face region alone matched."""

    def as_dict(self) -> dict[str, Any]:
        """The form of ``Audit.recovered``: ``match``, ``distance``, ``manifest`` (its label), and what the ledger
        knows of it."""
        return {
            "match": self.match,
            "distance": round(self.distance, 4),
            "manifest": self.entry.manifest_id,
            "status": "possible match; a recovered manifest proves nothing about this file",
            "entry": self.entry.seq,
            "name": self.entry.name,
            "kind": self.entry.kind,
            "created_at": self.entry.created_at,
            "sha256": self.entry.sha256,
            "manifest_sha256": self.entry.manifest_sha256,
            "label": self.entry.label,
            "offset_s": self.offset_s,
            "mirrored": self.mirrored,
            "region": self.region,
        }


def recover(path: Path, ledger: Ledger, *, key: bytes | None = None) -> dict[str, Any] | None:
    """The best possible match of a file for ``Audit.recovered``, or None where there is none or it is no video.

    ``key`` is the installation's watermark key by default.
    """
    try:
        found = recoveries(path, ledger, key=key, limit=1)
    except UnreadableInputError:
        return None
    return found[0].as_dict() if found else None


def recoveries(path: Path, ledger: Ledger, *, key: bytes | None = None, limit: int = 5) -> list[Recovery]:
    """All possible matches of a file: the one its watermark names, or those its fingerprint comes near, best first."""
    key = key or wm.installation_key()
    match = wm.detect(path, key, seconds=LOOKED_AT_S)
    if match and (entry := ledger.find_by_watermark(match.payload)):
        return [Recovery(match="watermark", distance=match.distance, entry=entry, mirrored=match.mirrored)]
    if coder := trustmark.chosen():
        outside = trustmark.detect(path, key, coder, seconds=LOOKED_AT_S)
        if outside and (entry := ledger.find_by_watermark(outside.payload)):
            return [Recovery(match="watermark", distance=outside.distance, entry=entry)]
    found = by_fingerprint(fp.sketch_of(path, end_s=LOOKED_AT_S), ledger, limit=limit)
    return found or _by_face(path, ledger, limit)


def by_fingerprint(
    query: fp.Sketch | fp.Fingerprint, ledger: Ledger, *, limit: int = 5, region: str = "frame"
) -> list[Recovery]:
    """The ledger entries whose fingerprints ``query`` comes near, best first."""
    found = ledger.find_by_fingerprint(query, limit=limit, region=region)
    return [r for m in found if (r := _recovery(m, ledger, region))]


def _by_face(path: Path, ledger: Ledger, limit: int) -> list[Recovery]:
    """The entries whose face region the file's face comes near; tracking is slow, so it is the last resort."""
    if not ledger.has_faces():
        return []
    from facewitness.provenance.face_fingerprint import sketch_of_face

    try:
        sketch = sketch_of_face(path, end_s=FACE_LOOKED_AT_S)
    except MissingPieceError:
        return []
    return by_fingerprint(sketch, ledger, limit=limit, region="face") if sketch else []


def _recovery(match: FingerprintMatch, ledger: Ledger, region: str) -> Recovery | None:
    entry = ledger.entry(match.seq)
    if entry is None:
        return None
    return Recovery(
        match="fingerprint",
        distance=match.distance,
        entry=entry,
        offset_s=match.offset_s,
        mirrored=match.mirrored,
        region=region,
    )
