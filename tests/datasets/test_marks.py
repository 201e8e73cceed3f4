"""A watermark that only one label carries is found out from the pixels."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewitness.datasets.labels import Clip
from facewitness.datasets.marks import read_marks
from facewitness.media import VideoWriter
from facewitness.provenance.watermark import Embedder, installation_key, new_payload

SIDE, FRAMES, CLIPS = 256, 100, 5


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Five marked and five plain clips of a soft picture that hardly moves, with paths from the root."""
    folder, made = tmp_path_factory.mktemp("marks"), []
    for n in range(2 * CLIPS):
        marked = n < CLIPS
        rng = np.random.default_rng(n)
        coarse = rng.integers(70, 180, (9, 9, 3)).astype(np.uint8)
        soft = cv2.resize(coarse, (SIDE + 20, SIDE + 20), interpolation=cv2.INTER_CUBIC)
        embedder = Embedder(new_payload(), installation_key(), width=SIDE, height=SIDE, frame_rate=25)
        path = folder / f"{n}.mp4"
        with VideoWriter(path, width=SIDE, height=SIDE, frame_rate=Fraction(25), preset="veryfast", crf=20) as video:
            for t in range(FRAMES):
                image = np.ascontiguousarray(soft[t // 10 : t // 10 + SIDE, :SIDE])
                video.write(embedder.embed(image) if marked else image)
        made.append(Clip(clip_id=f"{n}", path=str(path), label="real", method="marked" if marked else ""))
    return made


def labelled(clips: list[Clip], *, fake: set[int]) -> list[Clip]:
    return [replace(c, label="fake" if n in fake else "real") for n, c in enumerate(clips)]


def test_fakes_alone_are_marked(clips: list[Clip]):
    marks = read_marks(labelled(clips, fake=set(range(CLIPS))), Path("/"))
    assert (marks.fakes_read, marks.reals_read) == (CLIPS, 0) and marks.leaks


def test_both_are_marked_alike(clips: list[Clip]):
    marks = read_marks(labelled(clips[:CLIPS], fake={0, 1}), Path("/"))
    assert (marks.fakes_read, marks.reals_read) == (2, 3) and not marks.leaks


def test_one_label_alone_says_nothing(clips: list[Clip]):
    assert read_marks(labelled(clips, fake=set()), Path("/")) is None
