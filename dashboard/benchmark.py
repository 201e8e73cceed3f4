"""A labelled data set against the scores that a folder of results holds: counts, metrics with intervals, curves."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facewitness.datasets.labels import CSV, PARQUET, read_labels
from facewitness.detector.engine.store import Store
from facewitness.errors import UnreadableInputError

UNSCORED = 0.5
"""What a clip without a score counts as: neither real nor fake."""
DRAWS = 400
FEWEST = 3
"""Fakes (and reals) that a cell of the matrix needs before its AUC is shown."""


def find_sets(*places: Path) -> list[Path]:
    """Folders with labels among ``places`` and two levels below them, in order of their paths."""
    found = set()
    for place in places:
        for pattern in (PARQUET, CSV, f"*/{PARQUET}", f"*/{CSV}", f"*/*/{PARQUET}"):
            found |= {p.parent for p in place.glob(pattern)} if place.is_dir() else set()
    return sorted(found)


def frame_of(folder: Path) -> pd.DataFrame:
    """The labels of a data set as a table, with ``quality`` (codec and crf) and ``method`` "real" for real clips."""
    frame = pd.DataFrame([asdict(c) for c in read_labels(folder)])
    if frame.empty:
        raise UnreadableInputError(f"the data set in {folder} has no clips.")
    frame["method"] = np.where(frame["label"] == "real", "real", frame["method"].replace("", "unnamed"))
    crf = frame["crf"].map(lambda c: f" crf {c}" if c >= 0 else "")
    frame["quality"] = (frame["codec"].replace("", "as it is") + crf).str.strip()
    return frame


def models(store: Store) -> list[str]:
    """Models that scored something, the last used first."""
    _, rows = store.query("select model, max(id) as last from results group by model order by last desc")
    return [str(r[0]) for r in rows]


def with_scores(frame: pd.DataFrame, store: Store, model: str) -> pd.DataFrame:
    """The table with ``p_fake``, ``verdict``, ``result`` of each clip's latest scan by ``model``, joined by content."""
    named = model.replace("'", "''")
    _, rows = store.query(
        f"select sha256, p_fake, verdict, id from results where model = '{named}' and sha256 is not null order by id"
    )
    latest = {r[0]: r[1:] for r in rows}
    empty = (None, None, None)
    values = [latest.get(s, empty) for s in frame["sha256"]]
    return frame.assign(
        p_fake=pd.to_numeric(pd.Series([v[0] for v in values], index=frame.index)),
        verdict=[v[1] for v in values],
        result=[v[2] for v in values],
    )


def metrics(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Each metric as value, low and high (95 % by drawing persons again) over the clips that were scanned."""
    from facewitness.detector.metrics import with_intervals

    seen = frame[frame["result"].notna()]
    y = (seen["label"] == "fake").to_numpy(int)
    if y.sum() < FEWEST or (1 - y).sum() < FEWEST:
        return {}
    return with_intervals(y, seen["p_fake"].fillna(UNSCORED), seen["target_id"], draws=DRAWS)


def counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Number of clips per method (rows) and quality (columns), the real ones first."""
    table = frame.pivot_table(index="method", columns="quality", values="clip_id", aggfunc="count", fill_value=0)
    order = sorted(table.index, key=lambda m: (m != "real", m))
    return table.loc[order]


def matrix(frame: pd.DataFrame) -> pd.DataFrame:
    """AUC per method and quality: a cell's fakes against the real clips of that quality, or all where those are few.

    One row per cell: ``method, quality, auc, fakes, reals``; cells with fewer than FEWEST of either are left out.
    """
    from facewitness.detector.metrics import auc

    seen = frame[frame["result"].notna()]
    rows = []
    real = seen[seen["label"] == "real"]
    for (method, quality), fakes in seen[seen["label"] == "fake"].groupby(["method", "quality"]):
        same = real[real["quality"] == quality]
        reals = same if len(same) >= FEWEST else real
        if len(fakes) < FEWEST or len(reals) < FEWEST:
            continue
        p = np.concatenate([reals["p_fake"].fillna(UNSCORED), fakes["p_fake"].fillna(UNSCORED)])
        y = np.r_[np.zeros(len(reals), int), np.ones(len(fakes), int)]
        rows.append({"method": method, "quality": quality, "auc": auc(y, p), "fakes": len(fakes), "reals": len(reals)})
    return pd.DataFrame(rows, columns=["method", "quality", "auc", "fakes", "reals"])


def responses(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean score by factor and degree with a 95 % interval of the mean: ``factor, degree, mean, low, high, clips``."""
    seen = frame[frame["result"].notna() & frame["p_fake"].notna() & (frame["factor"] != "")]
    rows = []
    for (factor, degree), group in seen.groupby(["factor", "degree"]):
        p = group["p_fake"].to_numpy(float)
        half = 1.96 * p.std(ddof=1) / np.sqrt(len(p)) if len(p) > 1 else 0.0
        low, high = max(0.0, p.mean() - half), min(1.0, p.mean() + half)
        rows.append({"factor": factor, "degree": degree, "mean": p.mean(), "low": low, "high": high, "clips": len(p)})
    return pd.DataFrame(rows, columns=["factor", "degree", "mean", "low", "high", "clips"])


def behind(frame: pd.DataFrame, number: str) -> tuple[pd.DataFrame, str]:
    """The clips that a number is made of, and what they are in words; nothing for a number that is not known.

    ``number`` is ``cell|METHOD|QUALITY``, ``false|THRESHOLD``, ``missed|THRESHOLD`` or ``factor|NAME|DEGREE``.
    """
    kind, *rest = number.split("|")
    seen = frame[frame["result"].notna()]
    p = seen["p_fake"].fillna(UNSCORED)
    fake = seen["label"] == "fake"
    if kind == "cell" and len(rest) == 2:
        method, quality = rest
        same = seen["quality"] == quality
        reals = ~fake & same if (~fake & same).sum() >= FEWEST else ~fake
        return seen[(fake & (seen["method"] == method) & same) | reals], f"{method} at {quality}, and the real clips"
    if kind in ("false", "missed") and len(rest) == 1:
        at = float(rest[0])
        wrong = (~fake & (p >= at)) if kind == "false" else (fake & (p < at))
        said = "real clips at or above" if kind == "false" else "fake clips below"
        return seen[wrong], f"{said} a score of {at:.2f}"
    if kind == "factor" and len(rest) == 2:
        near = (seen["factor"] == rest[0]) & np.isclose(seen["degree"], float(rest[1]))
        return seen[near], f"{rest[0].replace('_', ' ')} at degree {float(rest[1]):g}"
    return seen.iloc[:0], "nothing"


def apart(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, Any]:
    """Two runs on the clips that both scored: ``clips, auc, auc_other, difference, p`` (DeLong), and ``moved``, the
    table of clips by how far their scores are apart; ``p`` and the rest are missing without both labels."""
    from facewitness.detector.metrics import auc, delong

    both = a["result"].notna() & b["result"].notna()
    y = (a.loc[both, "label"] == "fake").to_numpy(int)
    first, second = (f.loc[both, "p_fake"].fillna(UNSCORED) for f in (a, b))
    moved = a.loc[both].assign(other=second, by=second - first)
    told: dict[str, Any] = {
        "clips": int(both.sum()),
        "moved": moved.loc[(second - first).abs().sort_values(ascending=False).index],
    }
    if 0 < y.sum() < len(y):
        test = delong(y, first, second)
        told |= {"auc": auc(y, first), "auc_other": auc(y, second), "difference": test["difference"], "p": test["p"]}
    return told


def rates(frame: pd.DataFrame) -> pd.DataFrame:
    """False- and true-positive rate by ``threshold`` from 0 to 1 (``fpr``, ``tpr``); empty without both labels."""
    seen = frame[frame["result"].notna()]
    real = seen.loc[seen["label"] == "real", "p_fake"].fillna(UNSCORED).to_numpy()
    fake = seen.loc[seen["label"] == "fake", "p_fake"].fillna(UNSCORED).to_numpy()
    if not len(real) or not len(fake):
        return pd.DataFrame(columns=["threshold", "fpr", "tpr"])
    at = np.linspace(0, 1, 101)
    return pd.DataFrame(
        {"threshold": at, "fpr": [(real >= t).mean() for t in at], "tpr": [(fake >= t).mean() for t in at]}
    )


def leaks(frame: pd.DataFrame) -> list[str]:
    """People who stand in more than one split, as sentences; empty where the splits are disjoint."""
    where: dict[str, set[str]] = {}
    for target, driver, split in zip(frame["target_id"], frame["driver_id"], frame["split"], strict=True):
        for person in {target, driver} - {""}:
            where.setdefault(person, set()).add(split)
    return [f"{p} is in {' and '.join(sorted(s))}" for p, s in sorted(where.items()) if len(s - {""}) > 1]


def summary(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The facts of a data set as rows of a small table."""
    seconds = float((frame["frames"] / frame["fps"].where(frame["fps"] > 0)).fillna(0).sum())
    people = {p for p in [*frame["target_id"], *frame["driver_id"]] if p}
    labels = frame["label"].value_counts()
    rights: Sequence[Any] = [r for r in frame["rights"].unique() if r]
    rows = [
        ("clips", f"{len(frame):,}: {labels.get('real', 0):,} real, {labels.get('fake', 0):,} fake"),
        ("people", f"{len(people):,}"),
        ("methods", ", ".join(sorted(set(frame.loc[frame["label"] == "fake", "method"]))) or "none"),
        ("splits", ", ".join(f"{k or 'none'} {v:,}" for k, v in frame["split"].value_counts().items())),
        ("length", f"{seconds / 60:.1f} minutes"),
        ("sizes", ", ".join(sorted({f"{w} × {h}" for w, h in zip(frame["width"], frame["height"], strict=True)})[:6])),
        ("rights", "; ".join(map(str, rights[:5])) + (f" and {len(rights) - 5} more" if len(rights) > 5 else "")),
    ]
    return rows
