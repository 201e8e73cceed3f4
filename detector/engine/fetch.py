"""Clips that are not on this machine: which addresses may be read, and a copy on disk for as long as one is scanned."""

import contextlib
import functools
import hashlib
import http.client
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from facewitness.detector.engine.sources import VIDEO_SUFFIXES
from facewitness.errors import MissingPieceError, UnreadableInputError

PROTOCOLS = ("file", "http", "https", "s3", "gs", "memory")
"""Addresses that are read; ``s3`` and ``gs`` by s3fs and gcsfs where these are installed, else by Arrow's clients."""
MAX_BYTES = 8 << 30
"""A clip may be this large; more is refused before or while it is fetched."""
NET_SECONDS = 60.0
"""A server may be silent for so long."""
BLOCK = 1 << 20
FRESH_SECONDS = 5.0
"""A file younger than this may change again without its time telling: stores count in whole seconds."""


def is_uri(text: str) -> bool:
    """Whether ``text`` is an address and not a path."""
    scheme, sep, _ = text.partition("://")
    return bool(sep) and scheme.isalnum()


def name_of(uri: str) -> str:
    """The file's name in an address."""
    return unquote(PurePosixPath(urlsplit(uri).path).name) or uri


def find_remote(uri: str) -> Iterator[str]:
    """The clips of a bucket's folder, in the order of their names, or the address itself.

    Raises UnreadableInputError where it cannot be listed.
    """
    protocol = uri.partition("://")[0]
    if protocol in ("http", "https") or Path(name_of(uri)).suffix.lower() in VIDEO_SUFFIXES:
        yield uri
        return
    try:
        system = _system(protocol)
        found = sorted(system.find(uri))
        if not found:
            system.ls(uri)  # says what is wrong, which walking passes over
    except (OSError, ValueError) as e:
        why = " ".join(str(e).split())[:200]
        raise UnreadableInputError(f"{uri} cannot be listed ({why}); check the address and your credentials.") from e
    for name in found:
        if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES:
            yield f"{protocol}://{name}"


def remote_signature(uri: str) -> str | None:
    """What the store says of a file's version (size and tag), so that it need not be fetched again; None if nothing."""
    protocol = uri.partition("://")[0]
    if protocol in ("http", "https"):
        return None
    try:
        info: dict[str, Any] = _system(protocol).info(uri)
    except (OSError, ValueError):
        return None
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    if not tag and (changed := info.get("mtime")) and time.time() - changed.timestamp() > FRESH_SECONDS:
        tag = changed.isoformat()
    return f"{info.get('size')}:{tag}" if tag else None


@contextlib.contextmanager
def fetched(uri: str) -> Iterator[tuple[Path, str]]:
    """A copy of ``uri`` on this disk and its SHA-256; removed afterwards. Raises UnreadableInputError."""
    folder = Path(tempfile.mkdtemp(prefix="facewitness-"))
    suffix = Path(name_of(uri)).suffix.lower()
    path = folder / f"clip{suffix if suffix in VIDEO_SUFFIXES else '.mp4'}"
    try:
        yield path, _copy(uri, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(uri: str, path: Path) -> str:
    total, size = hashlib.sha256(), 0
    try:
        with _opened(uri) as source, path.open("wb") as out:
            announced = getattr(source, "length", None) or 0  # of an answer over HTTP, where it says so
            while max(size, announced) <= MAX_BYTES and (block := source.read(BLOCK)):
                size += len(block)
                total.update(block)
                out.write(block)
    except (OSError, ValueError, http.client.HTTPException) as e:
        why = " ".join(str(e).split())[:200] or type(e).__name__
        raise UnreadableInputError(f"{uri} cannot be fetched ({why}); check the address.") from e
    if max(size, announced) > MAX_BYTES:
        raise UnreadableInputError(f"{uri} is larger than {MAX_BYTES >> 20:,} MB, the limit for remote clips.")
    if size < announced:
        raise UnreadableInputError(f"{uri} ended after {size:,} of {announced:,} bytes; fetch it again later.")
    return total.hexdigest()


def _opened(uri: str) -> Any:
    protocol = uri.partition("://")[0]
    if protocol not in PROTOCOLS:
        raise UnreadableInputError(f"addresses of the kind {protocol}:// are not read; use {', '.join(PROTOCOLS[:5])}.")
    if protocol in ("http", "https"):
        return urllib.request.build_opener(_SameKind).open(uri, timeout=NET_SECONDS)
    return _system(protocol).open(uri, "rb")


class _SameKind(urllib.request.HTTPRedirectHandler):
    """Redirects lead to http and https only (urllib would follow ftp, too)."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Follow, or refuse."""
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.URLError(f"it redirects to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _system(protocol: str) -> Any:
    import fsspec

    if protocol not in PROTOCOLS:
        raise UnreadableInputError(f"addresses of the kind {protocol}:// are not read; use {', '.join(PROTOCOLS[:5])}.")
    try:
        return fsspec.filesystem(protocol)
    except ImportError as e:
        if protocol not in ("s3", "gs"):
            raise MissingPieceError(f"{protocol}:// needs one more package: pip install fsspec[{protocol}].") from e
        return _arrow(protocol)


@functools.cache
def _arrow(protocol: str) -> Any:
    """A bucket through Arrow's client, which takes the same variables and files for credentials as Amazon's and
    Google's tools, and ``AWS_ENDPOINT_URL`` for other servers that speak S3."""
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow import fs

    if protocol == "gs":
        return ArrowFSWrapper(fs.GcsFileSystem())
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return ArrowFSWrapper(
        fs.S3FileSystem(endpoint_override=endpoint, region=region, request_timeout=NET_SECONDS, connect_timeout=10)
    )
