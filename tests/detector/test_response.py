"""The response of a detector to one thing changed by degree, against the control of the same seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facewitness.cli import main
from facewitness.datasets.labels import Clip, write_labels
from facewitness.detector.response import curves_table, draw_curves, responds_to, response_curves
from facewitness.errors import UsageError

DEGREES = (0.5, 1.0)


@pytest.fixture
def clips() -> list[Clip]:
    """Six people, two stretches each: a real clip, the control, and two factors by two degrees."""
    out = []
    for person in range(6):
        for stretch in range(2):
            base = Clip(
                clip_id="", path="", label="fake", target_id=f"p{person}", driver_id=f"p{person}", split="test",
                fps=25.0, frames=100, segments=((0.0, 4.0),), pair_id=f"p{person}-s{stretch}", rights="made here",
            )  # fmt: skip
            stem = base.pair_id
            out += [
                replace(base, clip_id=f"{stem}-real", label="real", segments=()),
                replace(base, clip_id=f"{stem}-self", method="self_reenactment"),
                replace(base, clip_id=f"{stem}-part", method="self_reenactment", segments=((1.0, 3.0),)),
            ]
            for factor in ("gaze_frozen", "eye_delay"):
                out += [
                    replace(base, clip_id=f"{stem}-{factor}-{d:g}", method=factor, factor=factor, degree=d)
                    for d in DEGREES
                ]
    return [replace(c, path=f"{c.clip_id}.mp4") for c in out]


def sees_frozen_gaze(clips: list[Clip]) -> dict[str, float]:
    """A detector that answers to frozen gaze alone, and to each person in their own way."""
    rng = np.random.default_rng(0)
    person = {p: rng.uniform(0.2, 0.5) for p in sorted({c.target_id for c in clips})}
    return {
        c.clip_id: person[c.target_id] + 0.3 * c.degree * (c.factor == "gaze_frozen") + rng.normal(0, 0.01)
        + 0.4 * (c.clip_id.endswith("-part"))
        for c in clips
    }  # fmt: skip


def test_the_curve_shows_what_a_detector_responds_to_and_what_not(clips):
    curves = {c.factor: c for c in response_curves(clips, sees_frozen_gaze(clips))}
    frozen, delayed = curves["gaze_frozen"], curves["eye_delay"]
    assert [p.degree for p in frozen.points] == [0.0, 0.5, 1.0]
    assert [p.change for p in frozen.points] == pytest.approx([0.0, 0.15, 0.3], abs=0.02)
    assert frozen.points[2].low > 0.25 and responds_to(list(curves.values())) == ["gaze_frozen"]
    assert all(p.low <= 0.01 and abs(p.change) < 0.02 for p in delayed.points)
    assert all(p.clips == 12 for p in frozen.points)
    assert frozen.real == pytest.approx(frozen.points[0].mean, abs=0.02)


def test_clips_without_a_score_or_a_control_are_left_out(clips):
    scores = sees_frozen_gaze(clips)
    scores["p0-s0-gaze_frozen-1"] = float("nan")
    del scores["p1-s0-self"]
    frozen = next(c for c in response_curves(clips, scores) if c.factor == "gaze_frozen")
    assert [p.clips for p in frozen.points] == [11, 11, 10]


def test_a_set_without_controlled_forgeries_is_refused(clips):
    plain = [c for c in clips if not c.factor]
    with pytest.raises(UsageError, match="no controlled forgeries"):
        response_curves(plain, {c.clip_id: 0.5 for c in plain})
    with pytest.raises(UsageError, match="control"):
        response_curves([c for c in clips if c.factor], {c.clip_id: 0.5 for c in clips})


def test_curves_are_drawn_and_told(clips, tmp_path: Path):
    curves = {"mine": response_curves(clips, sees_frozen_gaze(clips))}
    draw_curves(curves, tmp_path / "r.svg")
    assert "<svg" in (tmp_path / "r.svg").read_text()
    assert "responds to: gaze_frozen" in curves_table(curves)
    with pytest.raises(UsageError, match="svg"):
        draw_curves(curves, tmp_path / "r.txt")


def test_the_command_draws_the_scores_of_somebody_elses_detector(clips, tmp_path: Path, capsys):
    write_labels(tmp_path, clips)
    rows = "".join(f"{c.path},{sees_frozen_gaze(clips)[c.clip_id]:.4f}\n" for c in clips)
    (tmp_path / "theirs.csv").write_text("file,p_fake\n" + rows)
    with pytest.raises(SystemExit) as done:
        main(["detector", "eval", str(tmp_path), "--no-scan", "--scores", str(tmp_path / "theirs.csv"), "--by-factor",
              "--curves", str(tmp_path / "r.png"), "--draws", "50"])  # fmt: skip
    assert done.value.code == 0
    assert (tmp_path / "r.png").stat().st_size > 5000
    said = capsys.readouterr().out
    assert "gaze_frozen" in said and "responds to: gaze_frozen" in said
