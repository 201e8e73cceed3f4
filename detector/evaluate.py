"""Judging a detector on labelled clips: scores from scans or from a CSV of any detector, metrics by person, method
and factor."""

import csv
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewitness.detector.material import Clip
from facewitness.detector.metrics import DRAWS, auc, delong, with_intervals
from facewitness.detector.report import ClipReport
from facewitness.errors import UnreadableInputError, UsageError

HEADS = ("AP", "EER", "TPR@1", "TPR@5", "ECE", "abst.")
MISSING_SCORE = 0.5
"""What an unscored clip counts as: neither real nor fake."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One detector's scores of a list of clips, NaN where it gave none."""

    name: str
    p_fake: NDArray[np.float64]
    verdicts: tuple[str, ...] = ()
    """``manipulated | inconclusive | no_evidence`` where the detector gives them."""


def read_scores(path: Path, clips: Sequence[Clip]) -> list[Scores]:
    """Scores of other detectors from a CSV with ``file`` and ``p_fake`` (and ``peer``, its name), matched without the
    suffix.

    Raises UsageError where a column is missing or a score is no number.
    """
    found: dict[str, dict[str, float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as f:
            for r in csv.DictReader(f):
                text = (r["p_fake"] or "").strip()
                found.setdefault(r.get("peer") or path.stem, {})[_stem(r["file"])] = (
                    float(text) if text else float("nan")
                )
    except (KeyError, ValueError, OSError) as e:
        raise UsageError(f"{path} is no table of scores ({e!r}); it needs the columns file and p_fake.") from e
    return [
        Scores(name=name, p_fake=np.array([scores.get(_stem(c.name), np.nan) for c in clips]))
        for name, scores in found.items()
    ]


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0] if "." in Path(name).name else name


def scores_of(reports: Iterable[ClipReport], *, name: str) -> Scores:
    """The scores of our own scans, in the order of the reports."""
    kept = list(reports)
    p = np.array([np.nan if r.p_fake is None else r.p_fake for r in kept], float)
    return Scores(name=name, p_fake=p, verdicts=tuple(r.verdict for r in kept))


def evaluate(
    clips: Sequence[Clip],
    scores: Sequence[Scores],
    *,
    factors: Mapping[str, Sequence[str]] | None = None,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """Everything the table shows: per detector metrics with intervals by person, per method and factor; DeLong tests;
    the control.

    ``factors`` gives further groupings by name, one value a clip. An unscored clip counts as 0.5 and is reported as
    an abstention.
    """
    y = np.array([int(c.label == "fake") for c in clips])
    persons = np.array([c.person for c in clips])
    methods = np.array([c.method for c in clips])
    control = attribute_control(clips)
    everyone = [*scores, *([control] if control else [])]
    out: dict[str, Any] = {
        "clips": {"real": int((y == 0).sum()), "fake": int(y.sum()), "persons": len(set(persons))},
        "detectors": {},
    }
    for one in everyone:
        p = np.where(np.isfinite(one.p_fake), one.p_fake, MISSING_SCORE)
        told: dict[str, Any] = {
            "metrics": with_intervals(y, p, persons, draws=draws),
            "unscored": int((~np.isfinite(one.p_fake)).sum()),
            "by_method": by_group(y, p, methods),
        }
        if one.verdicts:
            told["verdicts"] = _verdicts(y, one.verdicts)
        if factors:
            told["by_factor"] = {name: by_group(y, p, np.array(values)) for name, values in factors.items()}
        out["detectors"][one.name] = told
    if len(scores) > 1:
        a = np.nan_to_num(scores[0].p_fake, nan=MISSING_SCORE)
        out["delong"] = {
            s.name: delong(y, a, np.nan_to_num(s.p_fake, nan=MISSING_SCORE)) for s in scores[1:]
        }  # the first detector against each of the others
    return out


def by_group(y: NDArray, p: NDArray, groups: NDArray) -> dict[str, dict[str, Any]]:
    """AUC of the fakes of each group against all reals, and how many there are."""
    return {
        str(g): {"fakes": int(((groups == g) & (y == 1)).sum()), "auc": auc(y[m], p[m])}
        for g in sorted(set(groups[y == 1].tolist()))
        if (m := (y == 0) | (groups == g)).any()
    }


def _verdicts(y: NDArray, verdicts: Sequence[str]) -> dict[str, Any]:
    v = np.array(verdicts)
    out: dict[str, Any] = {"abstention_rate": float((v == "inconclusive").mean())}
    for label, name in ((0, "real"), (1, "fake")):
        here = v[y == label]
        out[name] = {k: int((here == k).sum()) for k in ("manipulated", "inconclusive", "no_evidence")}
    return out


def attribute_control(clips: Sequence[Clip], *, folds: int = 5) -> Scores | None:
    """What a classifier reaches that sees only the file: size, rate, length, sound, bytes a second; persons held out.

    A detector that does not beat it by far may have learned the files and not the faces. None where there are too few
    clips.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GroupKFold

    y = np.array([int(c.label == "fake") for c in clips])
    persons = np.array([c.person for c in clips])
    if min((y == 0).sum(), (y == 1).sum()) < folds or len(set(persons)) < folds:
        return None
    x = np.array([_attributes(c.path) for c in clips])
    out = np.full(len(clips), np.nan)
    for fit, judge in GroupKFold(folds).split(x, y, persons):
        if len(set(y[fit])) == 2:
            forest = RandomForestClassifier(60, min_samples_leaf=2, random_state=0).fit(x[fit], y[fit])
            out[judge] = forest.predict_proba(x[judge])[:, 1]
    return Scores(name="attributes only", p_fake=out)


def _attributes(path: Path) -> list[float]:
    from facewitness.media import probe

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = probe(path)
    except UnreadableInputError:
        return [0.0] * 7
    size = path.stat().st_size
    return [
        float(info.width),
        float(info.height),
        float(info.frame_rate),
        info.duration_s,
        float(info.audio_codec is not None),
        size / max(info.duration_s, 0.1),
        float(hash_of(info.codec)),
    ]


def hash_of(word: str) -> int:
    """A small number that stands for a word, the same in every process."""
    import zlib

    return zlib.crc32(word.encode()) % 997


def table(result: dict[str, Any]) -> str:
    """The result as text: one line a detector, then the methods."""
    clips = result["clips"]
    lines = [
        f"{clips['real']} real and {clips['fake']} fake clips of {clips['persons']} persons; 95 % intervals by person",
        f"{'detector':24s} {'AUC':>19s} " + " ".join(f"{h:>6s}" for h in HEADS) + " unscored",
    ]
    for name, told in result["detectors"].items():
        a, *rest = told["metrics"].values()
        abstained = told.get("verdicts", {}).get("abstention_rate", float("nan"))
        numbers = " ".join(f"{v:6.3f}" for v in [*(m["value"] for m in rest), abstained])
        area = f"{a['value']:.3f} ({a['low']:.3f}-{a['high']:.3f})"
        lines.append(f"{name[:24]:24s} {area:>19s} {numbers} {told['unscored']}")
    for kind in ("by_method", "by_factor"):
        lines += _groups(result, kind)
    for name, test in result.get("delong", {}).items():
        lines.append(f"DeLong against {name}: difference {test['difference']:+.3f}, p = {test['p']:.3g}")
    return "\n".join(lines)


def _groups(result: dict[str, Any], kind: str) -> list[str]:
    lines = []
    for name, told in result["detectors"].items():
        groups = told.get(kind) or {}
        flat = groups if kind == "by_method" else {f"{f}={g}": v for f, d in groups.items() for g, v in d.items()}
        for g, v in flat.items():
            lines.append(f"  {name[:22]:22s} {g[:44]:44s} {v['fakes']:4d} fakes  AUC {v['auc']:.3f}")
    return ["", *lines] if lines else []


def scan_all(clips: Sequence[Clip], model: Path | None = None) -> Scores:
    """Scan every clip with a model (None: the shipped one); a clip that cannot be scanned has no score."""
    from facewitness.detector.scan import cached_model, scan_file
    from facewitness.progress import track

    name = cached_model(model).id
    reports = (scan_file(c.path, model=model, provenance=False) for c in track(clips, f"scanning ({name})"))
    return scores_of(reports, name=name)


def write_scores(path: Path, clips: Sequence[Clip], scores: Scores) -> None:
    """Write ``file,p_fake`` rows, empty where a clip has no score."""
    from facewitness.files import whole_file

    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as f:
        rows = csv.writer(f)
        rows.writerow(["file", "p_fake"])
        for clip, p in zip(clips, scores.p_fake, strict=True):
            rows.writerow([clip.name, f"{p:.6f}" if np.isfinite(p) else ""])


def read_factors(dataset: Path, clips: Sequence[Clip], names: Sequence[str]) -> dict[str, list[str]]:
    """One value a clip for each column named, from the table the clips came from. Raises UsageError for an unknown
    column."""
    if not names:
        return {}
    import pandas as pd

    if (dataset / "labels.parquet").is_file():
        table = pd.read_parquet(dataset / "labels.parquet").set_index("clip_id")
    else:
        sources = (
            [dataset] if dataset.is_file() else sorted(dataset.glob("index*.csv")) or sorted(dataset.glob("clips.csv"))
        )
        table = pd.concat([pd.read_csv(s) for s in sources]).set_index("file")
    if missing := [n for n in names if n not in table.columns]:
        raise UsageError(f"{dataset} has no column {missing[0]}; it has {', '.join(map(str, table.columns))}.")
    return {n: [str(table.loc[c.name, n]) for c in clips] for n in names}


def robustness(clips: Sequence[Clip], model: Path | None = None) -> dict[str, dict[str, float]]:
    """AUC under each distortion and level, and ``none``: frames are distorted as they stream, nothing is written."""
    from facewitness.detector.distortions import LEVELS
    from facewitness.detector.scan import cached_model
    from facewitness.progress import track

    loaded = cached_model(model)
    y = np.array([int(c.label == "fake") for c in clips])
    runs = [("none", 0), *((kind, level) for kind in LEVELS for level in range(1, 6))]
    out: dict[str, dict[str, float]] = {}
    for kind, level in track(runs, "distorting", total=len(runs)):
        p = np.array([_distorted_score(c, loaded, kind, level) for c in clips])
        out.setdefault(kind, {})[str(level)] = auc(y, np.nan_to_num(p, nan=MISSING_SCORE))
    return out


def _distorted_score(clip: Clip, model: Any, kind: str, level: int) -> float:
    from facewitness.detector.distortions import OVER_TIME, distort
    from facewitness.detector.measure import measure
    from facewitness.detector.sampling import stride, thin
    from facewitness.detector.verdict import report_face
    from facewitness.media import probe, read_frames

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fps = float(probe(clip.path).frame_rate)
            frames = read_frames(clip.path)
            if level and kind in OVER_TIME:  # what an encoder does to a frame depends on those that are not looked at
                frames = distort(frames, kind, level)
            looks = thin(frames, fps)
            if level and kind not in OVER_TIME:
                looks = distort(looks, kind, level)
            found = measure(looks, fps / stride(fps), scorer=model.scorer, thinned=True)
        except UnreadableInputError:
            return float("nan")
        faces = [report_face(m, model, number=n)[0].p_fake for n, m in enumerate(found)]
    return max((p for p in faces if p is not None), default=float("nan"))
