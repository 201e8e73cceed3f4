"""Signing a file: the output appears whole, signed and verified, or not at all."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.files import whole_file
from facewitness.provenance.boxes import TooManyBoxesError, check_boxes
from facewitness.provenance.formats import BMFF, FOREIGN, media_type
from facewitness.provenance.keys import SigningMaterial, c2pa_signer, check_material
from facewitness.provenance.manifest import THUMBNAIL, Ingredient, ManifestSpec, definition, ingredient_labels
from facewitness.provenance.policy import default_policy
from facewitness.provenance.settings import library_context, library_settings
from facewitness.provenance.trust import ensure_signer

BUFFER_BYTES = 1 << 20
"""The library reads and writes 8 KB at a time; a larger buffer saves a quarter of the work of signing a large file."""


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A file that was signed and read back."""

    path: Path
    manifest_path: Path | None
    """The manifest beside the file, where it is not inside."""
    manifest_id: str
    manifest_sha256: str
    manifest: bytes = field(repr=False)
    """The manifest store as it stands in the file."""
    state: str
    """``trusted`` or ``untrusted``, as read back under this installation's trust lists."""


def sign_file(
    src: Path,
    dst: Path,
    *,
    manifest: ManifestSpec,
    signer: SigningMaterial | None = None,
    sidecar: Path | None = None,
    home: Path | None = None,
) -> Signed:
    """Sign ``src`` into ``dst`` (the same path will do) with what ``manifest`` says; default: the development signer.

    With ``sidecar`` the manifest goes there and ``dst`` is a plain copy. Raises UsageError where the signer, the chain
    or the specification is refused, UnreadableInputError where a file cannot be read or signed.
    """
    signer = signer or ensure_signer(home)
    check_material(signer)
    kind = readable_type(src)
    inputs = [(i, readable_type(i.path)) for i in manifest.ingredients]
    settings = library_settings(default_policy(home).anchors)
    settings["verify"]["verify_after_sign"] = False
    context = library_context(settings)
    failures: list[Exception] = []
    with whole_file(dst) as part:
        try:
            builder = _builder(manifest, inputs, kind, dst.name, context)
            if sidecar:
                builder.set_no_embed()
            with src.open("rb", BUFFER_BYTES) as f, part.open("w+b", BUFFER_BYTES) as out:
                store = builder.sign(c2pa_signer(signer, failures), kind, f, out)
            if sidecar:
                shutil.copyfile(src, part)
            with _being_stored(part):
                label, state = _read_back(part, kind, store if sidecar else None, context)
        except UsageError:
            raise
        except Exception as e:
            raise _sentence(e, failures, src) from e
        if sidecar:
            with whole_file(sidecar) as beside:
                beside.write_bytes(store)
    return Signed(
        path=dst, manifest_path=sidecar, manifest_id=label, manifest=store, state=state,
        manifest_sha256=hashlib.sha256(store).hexdigest(),
    )  # fmt: skip


def readable_type(path: Path) -> str:
    """The media type of a file that can be signed or be an ingredient; raises UnreadableInputError for any other."""
    try:
        size, kind = path.stat().st_size, media_type(path)
    except OSError as e:
        raise UnreadableInputError(f"{path} cannot be read ({e.strerror}).") from e
    if size == 0:
        raise UnreadableInputError(f"{path} is empty; there is nothing to sign.")
    if kind is None:
        what = FOREIGN.get(path.suffix.lower(), "a file of this kind")
        raise UnreadableInputError(
            f"{path.name}: a manifest cannot be put into {what}; convert it, or sign an MP4 of it."
        )
    if kind in BMFF:
        try:
            with path.open("rb") as f:
                check_boxes(f, size)
        except TooManyBoxesError as e:
            raise UnreadableInputError(f"{path.name}: {e}.") from e
    return kind


def _builder(spec: ManifestSpec, inputs: list[tuple[Ingredient, str]], kind: str, title: str, context: Any) -> Any:
    from c2pa import Builder

    builder = Builder(definition(spec, title=title, media_type=kind), context=context)
    for (ingredient, media), label in zip(inputs, ingredient_labels(spec), strict=True):
        said = {
            "title": ingredient.title or ingredient.path.name, "relationship": ingredient.relationship, "label": label,
        }  # fmt: skip
        with ingredient.path.open("rb") as f:
            builder.add_ingredient(said, media, f)
    if spec.thumbnail:
        builder.add_resource(THUMBNAIL, io.BytesIO(spec.thumbnail))
    return builder


def _read_back(path: Path, kind: str, store: bytes | None, context: Any) -> tuple[str, str]:
    from c2pa import Reader

    with path.open("rb") as f, Reader(kind, f, store, context=context) as reader:
        report = json.loads(reader.json())
    state = report.get("validation_state")
    if state not in ("Trusted", "Valid"):
        failures = report.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
        codes = ", ".join(sorted({f["code"] for f in failures})) or "no reason given"
        raise UsageError(f"the signed file would not verify ({codes}); nothing was written.")
    return report["active_manifest"], "trusted" if state == "Trusted" else "untrusted"


@contextlib.contextmanager
def _being_stored(path: Path) -> Iterator[None]:
    """Let the disk take a file while it is read back, so that its last flush before the rename does not wait."""

    def flush() -> None:
        with contextlib.suppress(OSError), path.open("rb") as f:
            os.fsync(f.fileno())

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _sentence(e: Exception, failures: list[Exception], src: Path) -> Exception:
    if failures:
        said = failures[0]
        return said if isinstance(said, UsageError) else UsageError(f"the key could not sign: {said}.")
    text = str(e).splitlines()[0][:200] if str(e) else type(e).__name__
    if "http resolver" in text or "TimeStamp" in text or "timestamp" in text.lower():
        return UsageError(f"the time stamp service gave no stamp ({text}).")
    if "StringTooLong" in text:
        return UsageError(
            "the manifest would be larger than the library takes (1 MB); shorten the label or statements."
        )
    if any(word in text for word in ("Certificate", "certificate", "Signature", "COSE", "cose")):
        return UsageError(f"the signer was refused: {text}.")
    return UnreadableInputError(f"{src.name} cannot be signed ({text}).")
