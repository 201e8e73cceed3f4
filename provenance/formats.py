"""Which media type a file is, by its first bytes; its name decides only where these do not."""

from pathlib import Path

HEAD_BYTES = 4096

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_BY_SUFFIX = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".m4a": "audio/mp4", ".avi": "video/x-msvideo",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp",
    ".heic": "image/heic", ".heif": "image/heif", ".avif": "image/avif", ".tif": "image/tiff", ".tiff": "image/tiff",
    ".dng": "image/x-adobe-dng", ".arw": "image/x-sony-arw", ".nef": "image/x-nikon-nef", ".svg": "image/svg+xml",
    ".jxl": "image/jxl", ".wav": "audio/wav", ".mp3": "audio/mpeg", ".flac": "audio/flac",
    ".pdf": "application/pdf", ".c2pa": "application/c2pa", ".zip": "application/x-zip",
    ".docx": _OFFICE + "wordprocessingml.document", ".xlsx": _OFFICE + "spreadsheetml.sheet",
    ".pptx": _OFFICE + "presentationml.presentation", ".odt": _OPEN_DOCUMENT + "text",
    ".ods": _OPEN_DOCUMENT + "spreadsheet", ".odp": _OPEN_DOCUMENT + "presentation", ".epub": "application/epub+zip",
}  # fmt: skip
_BRANDS = {
    b"qt  ": "video/quicktime",
    b"heic": "image/heic", b"heix": "image/heic", b"hevc": "image/heic", b"hevx": "image/heic",
    b"mif1": "image/heif", b"msf1": "image/heif", b"avif": "image/avif", b"avis": "image/avif",
    b"M4A ": "audio/mp4", b"M4B ": "audio/mp4",
}  # fmt: skip
_TIFF = {".dng": "image/x-adobe-dng", ".arw": "image/x-sony-arw", ".nef": "image/x-nikon-nef"}
FOREIGN = {".webm": "WebM", ".mkv": "Matroska", ".otf": "OpenType", ".ttf": "TrueType", ".ogg": "Ogg", ".json": "JSON"}
"""Kinds of file in which the library can neither embed nor find a manifest."""
BMFF = {
    "video/mp4", "video/quicktime", "audio/mp4", "image/heic", "image/heif", "image/avif", "application/mp4",
}  # fmt: skip
SUFFIXES = frozenset(_BY_SUFFIX) - {".c2pa", ".zip"}
"""Suffixes taken from a folder that is verified as a whole."""


def media_type(path: Path) -> str | None:
    """The media type of a file as the library wants it named, or None where it can carry no manifest."""
    with path.open("rb") as f:
        head = f.read(HEAD_BYTES)
    return sniff(head, path.suffix.lower())


def sniff(head: bytes, suffix: str) -> str | None:
    """The media type by the first bytes of a file, then by its suffix (lower case, with its dot)."""
    named = _BY_SUFFIX.get(suffix)
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4") if suffix not in (".m4a",) else "audio/mp4"
    for magic, kind in (
        (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"),
        (b"%PDF-", "application/pdf"),
        (b"fLaC", "audio/flac"), (b"\0\0\0\x0cJXL ", "image/jxl"), (b"\xff\x0a", "image/jxl"),
    ):  # fmt: skip
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(head[8:12], named)
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _TIFF.get(suffix, "image/tiff")
    if head.startswith(b"ID3") or (named == "audio/mpeg" and head[:1] == b"\xff"):
        return "audio/mpeg"
    if head[4:8] == b"jumb":
        return "application/c2pa"
    return named
