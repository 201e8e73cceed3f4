"""Benchmark: a data set's card, and how well the stored scores tell its fakes from its reals, where and where not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from facewitness.dashboard import benchmark, results
from facewitness.dashboard.fragment import part
from facewitness.dashboard.screens import shell

NAMES = {
    "auc": "AUC",
    "average_precision": "Average precision",
    "equal_error_rate": "Equal error rate",
    "tpr_at_fpr_1": "Found at 1 % false alarms",
    "tpr_at_fpr_5": "Found at 5 % false alarms",
    "calibration_error": "Calibration error",
}
MOST_MODELS = 6
MOST_MOVED = 200
MOST_CARD = 60_000
"""Characters of a data set's card that are shown."""


def show() -> None:
    """Draw the page."""
    shell.heading("Benchmark", "A labelled data set, its card, and what the stored scores are worth on it.")
    left, right = st.columns(2, gap="medium")
    with left:
        folder = choose_set()
    if folder is None:
        return
    frame = labels(folder, _changed(folder))
    with right:
        scored = runs(frame)
    overview, performance, factors, clips = st.tabs(["Data set", "Performance", "Factors", "Clips"])
    with overview:
        card(folder, frame)
    with performance:
        judge(scored, folder)
    with factors:
        curves(scored)
    with clips:
        listing(next(iter(scored.values()), frame.assign(p_fake=float("nan"), verdict=None, result=None)), "all")


def runs(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The labels with the scores of each model of the results shown, and of another folder's where one is named."""
    places = {"": shell.results_folder()}
    if shell.may_choose():
        typed = st.text_input(
            "Compare with another run", value=st.query_params.get("run", ""), key="other-run",
            placeholder="folder of another scan of the same clips (facewitness scan --out)",
        )  # fmt: skip
        if typed and results.has_scans(Path(typed)):
            places[f"{Path(typed).name}: "] = Path(typed)
        elif typed:
            st.error("That folder holds no results of a scan.")
    found = {}
    for prefix, place in places.items():
        if not results.has_scans(place):
            continue
        store = results.store_of(place)
        for model in benchmark.models(store)[:MOST_MODELS]:
            scored = benchmark.with_scores(frame, store, model)
            if scored["result"].notna().any():
                found[f"{prefix}{model[:16]}"] = scored.assign(run=str(place))
    return found


def choose_set() -> Path | None:
    """A folder with labels: from the address, from below the results, or typed."""
    found = benchmark.find_sets(shell.results_folder(), Path("out"), Path("datasets"))
    asked = st.query_params.get("set", "")
    placeholder = str(found[0]) if found else "folder with labels.parquet"
    typed = st.text_input("Data set", value=asked, placeholder=placeholder, key="set-folder")
    if typed:
        st.query_params["set"] = typed
        return Path(typed)
    if not found:
        shell.nothing_yet("No data set was found beside the results. Name one above, or build one:",
                          "facewitness dataset build RECIPE.toml -o out/dataset")  # fmt: skip
        return None
    return Path(st.selectbox("Found here", found, format_func=str)) if len(found) > 1 else found[0]


def _changed(folder: Path) -> int:
    return max(
        (p.stat().st_mtime_ns for p in (folder / benchmark.PARQUET, folder / benchmark.CSV) if p.is_file()), default=0
    )


@st.cache_data(show_spinner="Reading the labels", max_entries=4)
def labels(folder: Path, changed: int) -> pd.DataFrame:
    """The labels of a data set, read once."""
    del changed
    return benchmark.frame_of(folder)


def card(folder: Path, frame: pd.DataFrame) -> None:
    """The facts, the counts, the splits, and the card's own words as plain text."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        part("rows", benchmark.summary(frame))
        people = benchmark.leaks(frame)
        if people:
            st.error(f"{len(people)} people stand in more than one split: " + "; ".join(people[:5]))
        elif frame["split"].nunique() > 1:
            st.success("No person stands in more than one split.")
    with right:
        st.markdown("##### Clips by method and quality")
        st.dataframe(benchmark.counts(frame), height=min(420, 38 + 35 * frame["method"].nunique()))
    text = next((folder / n for n in ("README.md", "DATASET_CARD.md", "card.md") if (folder / n).is_file()), None)
    if text is not None:
        with st.expander(f"The card ({text.name})"):
            # plain text: a card is its author's, and Markdown could load pictures from elsewhere
            st.code(text.read_text(encoding="utf-8", errors="replace")[:MOST_CARD], language=None, wrap_lines=True)


def judge(scored: dict[str, pd.DataFrame], folder: Path) -> None:
    """Metrics with intervals by model, the matrix, and the threshold."""
    if not scored:
        shell.nothing_yet("No clip of this data set was scanned yet.",
                          f"facewitness scan {folder} --out {shell.results_folder()}")  # fmt: skip
        return
    st.markdown("##### Metrics, with 95 % intervals by person")
    rows = []
    for name, frame in scored.items():
        told = measured(frame[["label", "p_fake", "result", "target_id"]], name)
        row: dict[str, Any] = {"Run": name, "Scanned": int(frame["result"].notna().sum())}
        row |= {NAMES.get(k, k): f"{v['value']:.3f}  ({v['low']:.2f} – {v['high']:.2f})" for k, v in told.items()}
        rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    if len(scored) > 1:
        difference(scored)
    one = st.selectbox("Look closer at", list(scored)) if len(scored) > 1 else next(iter(scored))
    left, right = st.columns([3, 2], gap="large")
    with left:
        heat(scored[one])
    with right:
        threshold(scored[one])
    clips_behind(scored[one], "number")


@st.cache_data(show_spinner="Drawing people again", max_entries=16)
def measured(frame: pd.DataFrame, model: str) -> dict[str, dict[str, float]]:
    """Metrics of one model, computed once."""
    del model
    return benchmark.metrics(frame)


def difference(scored: dict[str, pd.DataFrame]) -> None:
    """Two runs against each other on the clips that both scanned, and the clips they judge most differently."""
    st.markdown("##### Two runs against each other")
    left, right = st.columns(2)
    names = list(scored)
    first = left.selectbox("One", names, key="run-one")
    second = right.selectbox("The other", names, index=1, key="run-two")
    told = benchmark.apart(scored[first], scored[second])
    if "p" not in told:
        st.caption(f"They share {told['clips']} scanned clips, which is too few of one kind to compare.")
        return
    one, two, three, four = st.columns(4)
    one.metric(f"AUC of {first}", f"{told['auc']:.3f}")
    two.metric(f"AUC of {second}", f"{told['auc_other']:.3f}", f"{told['auc_other'] - told['auc']:+.3f}")
    three.metric("p (DeLong)", f"{told['p']:.3g}", help="How likely so large a difference is by chance alone")
    four.metric("Clips in both", f"{told['clips']:,}")
    with st.expander("Clips they judge most differently"):
        columns = ["label", "method", "quality", "p_fake", "other", "by", "target_id", "path"]
        st.dataframe(
            told["moved"][columns].head(MOST_MOVED), hide_index=True,
            column_config={"p_fake": _score(first), "other": _score(second),
                           "by": st.column_config.NumberColumn("moved by", format="%+.2f")},
        )  # fmt: skip


def _score(name: str) -> Any:
    return st.column_config.ProgressColumn(name, min_value=0, max_value=1, format="%.2f")


def heat(frame: pd.DataFrame) -> None:
    """AUC by method and quality; a cell leads to its clips."""
    st.markdown("##### AUC by method and quality")
    cells = benchmark.matrix(frame)
    if cells.empty:
        st.caption(f"No cell has {benchmark.FEWEST} fakes and {benchmark.FEWEST} real clips yet.")
        return
    cell = {
        (c["method"], c["quality"]): Cell(
            value=c["auc"], said=f"{c['fakes']} fakes, {c['reals']} reals", number=f"cell|{c['method']}|{c['quality']}"
        )
        for c in cells.to_dict("records")
    }
    grid("matrix", cell, low=0.5)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number of a table, how to read it, and what ``benchmark.behind`` calls it."""

    value: float
    said: str
    number: str


def grid(key: str, cells: Mapping[tuple[Any, Any], Cell], *, low: float = 0.0) -> None:
    """A table of cells by row and column; shade tells the value from ``low`` to 1 too, and each leads to its clips."""
    columns = sorted({column for _, column in cells})

    def shown(cell: Cell | None) -> dict[str, Any] | None:
        if cell is None:
            return None
        shade = int(np.clip((cell.value - low) / (1 - low), 0, 1) * 5)
        return {"text": f"{cell.value:.2f}", "title": cell.said, "go": cell.number, "shade": shade}

    told = [
        (str(row).replace("_", " "), [shown(cells.get((row, column))) for column in columns])
        for row in sorted({row for row, _ in cells})
    ]
    chosen = part("grid", [f"{c:.2g}" if isinstance(c, float) else str(c) for c in columns], told, key=f"grid-{key}")
    if pressed := getattr(chosen, "go", None):
        st.session_state["behind"] = str(pressed)


def threshold(frame: pd.DataFrame) -> None:
    """What a threshold on the score costs and finds on this data set, and the clips it costs."""
    st.markdown("##### Threshold")
    rates = benchmark.rates(frame)
    if rates.empty:
        st.caption("Both real and fake clips are needed.")
        return
    at = st.slider("Called manipulated from a score of", 0.0, 1.0, 0.5, 0.01, key="threshold")
    row = rates.iloc[round(at * 100)]
    left, right = st.columns(2)
    left.metric("False alarms", f"{row['fpr']:.1%}", help="Real clips at or above the threshold")
    right.metric("Found", f"{row['tpr']:.1%}", help="Fake clips at or above the threshold")
    if left.button("Show the false alarms", width="stretch"):
        st.session_state["behind"] = f"false|{at:.2f}"
    if right.button("Show what was missed", width="stretch"):
        st.session_state["behind"] = f"missed|{at:.2f}"
    line = (
        alt.Chart(rates)
        .mark_line(interpolate="step-after")
        .encode(x=alt.X("fpr:Q", title="false alarms"), y=alt.Y("tpr:Q", title="found"), order="threshold:Q")
    )
    point = alt.Chart(pd.DataFrame([row])).mark_point(size=120, filled=True).encode(x="fpr:Q", y="tpr:Q")
    st.altair_chart((line + point).properties(height=240))


def clips_behind(frame: pd.DataFrame, key: str) -> None:
    """The clips of the number that was chosen last."""
    number = str(st.session_state.get("behind", ""))
    if not number or number.startswith("factor|") != (key == "factor"):
        return
    clips, said = benchmark.behind(frame, number)
    st.markdown(f"##### {len(clips):,} clip{'s' if len(clips) != 1 else ''} behind the number")
    st.caption(said)
    rows(_worst_first(clips), key)


def curves(scored: dict[str, pd.DataFrame]) -> None:
    """Score by degree of each controlled factor; a detector that measures something rises with the degree."""
    tables = [benchmark.responses(f).assign(run=name) for name, f in scored.items()]
    table = pd.concat(tables) if tables else pd.DataFrame()
    if table.empty:
        st.caption("No scanned clip changes one controlled factor by degrees.")
        return
    base = alt.Chart(table).encode(x=alt.X("degree:Q", title="degree of the change"))
    chart = base.mark_line(point=True).encode(
        y=alt.Y("mean:Q", title="mean score", scale=alt.Scale(domain=[0, 1])), color="run:N", strokeDash="run:N",
        tooltip=["factor", "degree", alt.Tooltip("mean", format=".2f"), "clips"],
    ) + base.mark_area(opacity=0.15).encode(y="low:Q", y2="high:Q", color="run:N")  # fmt: skip
    st.altair_chart(chart.properties(width=260, height=170).facet(alt.Facet("factor:N", title=None), columns=4))
    one = next(iter(scored))
    own = table[table["run"] == one]
    st.markdown("##### Mean score by factor and degree")
    cells = {
        (r["factor"], r["degree"]): Cell(
            value=r["mean"], said=f"{r['clips']} clips", number=f"factor|{r['factor']}|{r['degree']}"
        )
        for r in own.to_dict("records")
    }
    grid("factors", cells)
    clips_behind(scored[one], "factor")


def listing(frame: pd.DataFrame, key: str) -> None:
    """Clips by method, quality and label; a scanned one opens its page."""
    left, middle, right = st.columns(3)
    method = left.multiselect("Method", sorted(frame["method"].unique()))
    quality = middle.multiselect("Quality", sorted(frame["quality"].unique()))
    order = right.selectbox("Order", ["worst judged first", "by name"])
    shown = frame[(frame["method"].isin(method) | (not method)) & (frame["quality"].isin(quality) | (not quality))]
    rows(_worst_first(shown) if order == "worst judged first" else shown, key)


def _worst_first(frame: pd.DataFrame) -> pd.DataFrame:
    wrong = (frame["p_fake"] - (frame["label"] == "fake")).abs()
    return frame.loc[wrong.sort_values(ascending=False, na_position="last").index]


def rows(frame: pd.DataFrame, key: str) -> None:
    """A table of clips; choosing one links to its page."""
    picked = st.dataframe(
        frame[["label", "method", "quality", "p_fake", "verdict", "target_id", "driver_id", "split", "path", "result"]],
        hide_index=True, on_select="rerun", selection_mode="single-row", key=f"set-rows-{key}",
        column_config={"p_fake": _score("score")},
    )  # fmt: skip
    chosen = picked["selection"]["rows"]
    if not chosen or chosen[0] >= len(frame):
        return
    clip = frame.iloc[chosen[0]]
    if (number := clip["result"]) == number and number is not None:
        query = {"clip": str(int(number))}
        if "run" in frame and Path(clip["run"]) != shell.results_folder():
            query["results"] = str(clip["run"])
        st.page_link(shell.page("scan"), label=f"Open result {int(number)}", query_params=query)
