"""Small pictures of a video: one frame as a thumbnail, a handful of them as a contact sheet."""

import math
from collections import deque
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.media.reading import probe, read_frames


def scaled(image: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """The HxWx3 ``image`` made ``width`` pixels wide, its height in proportion (at least 1)."""
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    way = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=way).astype(np.uint8)


def thumbnail(path: Path, *, time_s: float = 0.0, width: int = 320) -> NDArray[np.uint8]:
    """The first frame at or after ``time_s`` (else the last one) as HxWx3 RGB, ``width`` pixels wide."""
    found = next(read_frames(path, start_s=time_s), None) or deque(read_frames(path), maxlen=1)[0]
    return scaled(found.image, width)


def contact_sheet(path: Path, *, columns: int = 4, rows: int = 3, width: int = 240) -> NDArray[np.uint8]:
    """``columns`` x ``rows`` frames at equal distances in time, in reading order, each ``width`` pixels wide."""
    info, wanted = probe(path), columns * rows
    cells: list[NDArray[np.uint8]] = []
    if info.duration_s > 0:
        for frame in read_frames(path):
            if len(cells) < wanted and frame.time_s >= len(cells) * info.duration_s / wanted:
                cells.append(scaled(frame.image, width))
    else:
        cells = [scaled(f.image, width) for f in islice(read_frames(path), wanted)]
    blank = np.zeros_like(cells[0])
    cells += [blank] * (math.ceil(len(cells) / columns) * columns - len(cells))
    return np.concatenate([np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)], 0)
