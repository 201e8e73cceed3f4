"""The small pictures inside a file's manifests, read in a process that may be killed: the file may be hostile.

``python -P -m facewitness.provenance.thumbnails`` answers one JSON line on stdin with one on stdout.
"""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from facewitness.provenance.reading import Ingredient, ingredients_of

BUDGET_S = 20
MOST = 64
"""Pictures read of one file."""
SIDE_PX = 320
"""Longer side of a picture that is handed on."""
MAX_BYTES = 4 << 20
"""Larger ones are left out unread."""
MAX_PIXELS = 40_000_000
QUALITY = 82


def thumbnails(path: Path, media_type: str) -> dict[str, Any]:
    """``{"picture": JPEG in base64 or None, "ingredients": [the same for each, as in an audit's tree]}`` of a file.

    An ingredient's picture is its own, else its manifest's (C2PA 2.2, section 9.4.6). Every one was decoded and
    drawn again, at most SIDE_PX wide or high. Empty where the file's manifest cannot be read, or not in time.
    """
    request = json.dumps({"path": str(path), "media_type": media_type}) + "\n"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "facewitness.provenance.thumbnails"], input=request.encode(),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=BUDGET_S, check=True,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        return {"picture": None, "ingredients": []}
    return answer if isinstance(answer, dict) else {"picture": None, "ingredients": []}


def read(path: Path, media_type: str) -> dict[str, Any]:
    """What ``thumbnails`` gives, in this process."""
    from c2pa import C2paError, Reader

    try:
        with path.open("rb") as f, Reader(media_type, f) as reader:
            report = json.loads(reader.json())
            drawn: dict[str, str | None] = {}

            def picture(thumbnail: Any) -> str | None:
                name = str((thumbnail or {}).get("identifier") or "") if isinstance(thumbnail, dict) else ""
                if name and name not in drawn and len(drawn) < MOST:
                    out = io.BytesIO()
                    try:
                        reader.resource_to_stream(name, out)
                    except C2paError:
                        out = io.BytesIO()
                    drawn[name] = _again(out.getvalue())
                return drawn.get(name)

            return _of_manifest(report, picture)
    except (C2paError, OSError, KeyError, ValueError, RecursionError, AttributeError, TypeError):
        return {"picture": None, "ingredients": []}


def _of_manifest(report: dict[str, Any], picture: Any) -> dict[str, Any]:
    def one(node: Ingredient) -> dict[str, Any]:
        shown = picture(node.entry.get("thumbnail")) or picture((node.known or {}).get("thumbnail"))
        return {"picture": shown, "ingredients": [one(n) for n in node.inside]}

    active = report["active_manifest"]
    shown = picture((report["manifests"].get(active) or {}).get("thumbnail"))
    return {"picture": shown, "ingredients": [one(n) for n in ingredients_of(report, active)]}


def _again(data: bytes) -> str | None:
    """A picture decoded and encoded anew, so that nothing of the file's own bytes is handed on."""
    import cv2
    import numpy as np

    if not 0 < len(data) <= MAX_BYTES or not data.startswith((b"\xff\xd8", b"\x89PNG", b"RIFF")):
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    if image is None or image.shape[0] * image.shape[1] > MAX_PIXELS:
        return None
    scale = SIDE_PX / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return base64.b64encode(jpeg.tobytes()).decode() if done else None


def main() -> None:
    """Answer the one request on stdin."""
    from facewitness.provenance.content_worker import limit_resources

    asked = json.loads(sys.stdin.readline())
    limit_resources(BUDGET_S)
    print(json.dumps(read(Path(asked["path"]), asked["media_type"])), flush=True)


if __name__ == "__main__":
    main()
