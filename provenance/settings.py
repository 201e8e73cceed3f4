"""The library's settings, written in one place and checked: it silently accepts a misspelt key."""

from collections.abc import Iterable
from typing import Any

from facewitness.provenance.chains import READABLE_USAGES
from facewitness.provenance.policy import Anchors

TRUST_CONFIG = "".join(f"{usage.dotted_string}\n" for usage in READABLE_USAGES)
"""Extended key usages a signer may have, in the form the library reads."""

_KINDS = {"signers": "manifest", "time-stamps": "tsa"}
_KNOWN = {
    "verify": {"verify_after_sign", "remote_manifest_fetch", "ocsp_fetch", "verify_trust", "verify_timestamp_trust"},
    "trust": {"anchors", "trust_config"},
    "builder": {"thumbnail", "bmff_hash_exclude_free_and_skip_boxes"},
    "core": {"max_decompressed_manifest_size_in_mb", "backing_store_memory_threshold_in_mb"},
}


def library_settings(anchors: Iterable[Anchors], *, online: bool = False) -> dict[str, Any]:
    """Settings for reading and signing: nothing is fetched unless ``online``, no thumbnail made, padding hashed."""
    trust: dict[str, Any] = {
        "anchors": [
            {"trust_anchors": a.pem, "trust_uri": a.uri, "trust_kind": _KINDS[a.kind]} for a in anchors if a.pem.strip()
        ],
        "trust_config": TRUST_CONFIG,
    }
    return _checked(
        {
            "verify": {
                "verify_after_sign": False,
                "remote_manifest_fetch": online,
                "ocsp_fetch": online,
                "verify_trust": True,
                "verify_timestamp_trust": True,
            },
            "trust": trust,
            "builder": {"thumbnail": {"enabled": False}, "bmff_hash_exclude_free_and_skip_boxes": False},
            "core": {"max_decompressed_manifest_size_in_mb": 64},
        }
    )


def library_context(settings: dict[str, Any]) -> Any:
    """The library's context for ``settings``."""
    from c2pa import Context, Settings

    return Context(Settings.from_dict(settings))


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    for group, values in settings.items():
        unknown = set(values) - _KNOWN[group]
        if unknown:
            raise ValueError(f"unknown library settings: {sorted(unknown)}")
    return settings
