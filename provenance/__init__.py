"""Where a file came from: sign it, verify it, and find its manifest again after it was re-encoded."""

import importlib
from typing import Any

_HOME = {
    "Audit": "audit",
    "Code": "audit",
    "Ingredient": "manifest",
    "ManifestSpec": "manifest",
    "Policy": "policy",
    "Signed": "sign",
    "SigningMaterial": "keys",
    "SoftBinding": "manifest",
    "default_policy": "policy",
    "ensure_signer": "trust",
    "init_trust": "trust",
    "sign_file": "sign",
    "trust_lists": "trust",
    "verify_file": "verify",
    "verify_many": "verify",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import the module of a public name when it is first asked for: the room costs nothing to those who pass by."""
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
