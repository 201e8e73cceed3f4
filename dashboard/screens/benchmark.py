"""Benchmark: a data set's card, and how well the stored scores tell its fakes from its reals, where and where not."""

from pathlib import Path
from typing import Any

import altair as alt
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
MOST_CARD = 60_000
"""Characters of a data set's card that are shown."""


def show() -> None:
    """Draw the page."""
    shell.heading("Benchmark", "A labelled data set, its card, and what the stored scores are worth on it.")
    folder = choose_set()
    if folder is None:
        return
    frame = labels(folder, _changed(folder))
    overview, performance, factors, clips = st.tabs(["Data set", "Performance", "Factors", "Clips"])
    with overview:
        card(folder, frame)
    store = results.store_of(shell.results_folder()) if results.has_scans(shell.results_folder()) else None
    scored = {m: benchmark.with_scores(frame, store, m) for m in benchmark.models(store)[:6]} if store else {}
    scored = {m: f for m, f in scored.items() if f["result"].notna().any()}
    with performance:
        judge(scored, folder)
    with factors:
        curves(scored)
    with clips:
        listing(next(iter(scored.values()), frame.assign(p_fake=float("nan"), verdict=None, result=None)))


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
    for model, frame in scored.items():
        told = measured(frame[["label", "p_fake", "result", "target_id"]], model)
        row: dict[str, Any] = {"Model": model[:16], "Scanned": int(frame["result"].notna().sum())}
        row |= {NAMES.get(k, k): f"{v['value']:.3f}  ({v['low']:.2f} – {v['high']:.2f})" for k, v in told.items()}
        rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    if len(scored) > 1:
        difference(scored)
    model = (
        st.selectbox("Look closer at", list(scored), format_func=lambda m: m[:16])
        if len(scored) > 1
        else next(iter(scored))
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        heat(scored[model])
    with right:
        threshold(scored[model])


@st.cache_data(show_spinner="Drawing people again", max_entries=16)
def measured(frame: pd.DataFrame, model: str) -> dict[str, dict[str, float]]:
    """Metrics of one model, computed once."""
    del model
    return benchmark.metrics(frame)


def difference(scored: dict[str, pd.DataFrame]) -> None:
    """DeLong's test of the first two models on the clips that both scanned."""
    from facewitness.detector.metrics import delong

    (first, a), (second, b) = list(scored.items())[:2]
    both = a["result"].notna() & b["result"].notna()
    y = (a.loc[both, "label"] == "fake").to_numpy(int)
    if 0 < y.sum() < len(y):
        told = delong(y, a.loc[both, "p_fake"].fillna(0.5), b.loc[both, "p_fake"].fillna(0.5))
        st.caption(
            f"{first[:12]} against {second[:12]} on {int(both.sum())} clips: AUC differs by {told['difference']:+.3f}, "
            f"p = {told['p']:.3g} (DeLong)"
        )


def heat(frame: pd.DataFrame) -> None:
    """AUC by method and quality; choosing a cell lists its clips on the Clips tab."""
    st.markdown("##### AUC by method and quality")
    cells = benchmark.matrix(frame)
    if cells.empty:
        st.caption(f"No cell has {benchmark.FEWEST} fakes and {benchmark.FEWEST} real clips yet.")
        return
    base = alt.Chart(cells).encode(
        x=alt.X("quality:N", title=None, axis=alt.Axis(labelAngle=0)), y=alt.Y("method:N", title=None)
    )
    # one hue, lightness carries the value: readable without colour
    squares = base.mark_rect(cornerRadius=3).encode(
        color=alt.Color("auc:Q", scale=alt.Scale(domain=[0.5, 1], scheme="blues", clamp=True), title="AUC"),
        tooltip=["method", "quality", alt.Tooltip("auc", format=".3f"), "fakes", "reals"],
    )
    words = base.mark_text(fontSize=13).encode(
        text=alt.Text("auc:Q", format=".2f"),
        color=alt.condition("datum.auc > 0.8", alt.value("white"), alt.value("#1a1f24")),
    )
    st.altair_chart((squares + words).properties(height=60 + 42 * cells["method"].nunique()))


def threshold(frame: pd.DataFrame) -> None:
    """What a threshold on the score costs and finds on this data set."""
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
    line = (
        alt.Chart(rates)
        .mark_line(interpolate="step-after")
        .encode(x=alt.X("fpr:Q", title="false alarms"), y=alt.Y("tpr:Q", title="found"), order="threshold:Q")
    )
    point = alt.Chart(pd.DataFrame([row])).mark_point(size=120, filled=True).encode(x="fpr:Q", y="tpr:Q")
    st.altair_chart((line + point).properties(height=240))


def curves(scored: dict[str, pd.DataFrame]) -> None:
    """Score by degree of each controlled factor; a detector that measures something rises with the degree."""
    tables = [benchmark.responses(f).assign(model=m[:16]) for m, f in scored.items()]
    table = pd.concat(tables) if tables else pd.DataFrame()
    if table.empty:
        st.caption("No scanned clip changes one controlled factor by degrees.")
        return
    base = alt.Chart(table).encode(x=alt.X("degree:Q", title="degree of the change"))
    chart = base.mark_line(point=True).encode(
        y=alt.Y("mean:Q", title="mean score", scale=alt.Scale(domain=[0, 1])), color="model:N", strokeDash="model:N",
        tooltip=["factor", "degree", alt.Tooltip("mean", format=".2f"), "clips"],
    ) + base.mark_area(opacity=0.15).encode(y="low:Q", y2="high:Q", color="model:N")  # fmt: skip
    st.altair_chart(chart.properties(width=260, height=170).facet(alt.Facet("factor:N", title=None), columns=4))


def listing(frame: pd.DataFrame) -> None:
    """Clips by method, quality and label; a scanned one opens its page."""
    left, middle, right = st.columns(3)
    method = left.multiselect("Method", sorted(frame["method"].unique()))
    quality = middle.multiselect("Quality", sorted(frame["quality"].unique()))
    order = right.selectbox("Order", ["worst judged first", "by name"])
    shown = frame[(frame["method"].isin(method) | (not method)) & (frame["quality"].isin(quality) | (not quality))]
    if order == "worst judged first":
        wrong = (shown["p_fake"] - (shown["label"] == "fake")).abs()
        shown = shown.loc[wrong.sort_values(ascending=False, na_position="last").index]
    picked = st.dataframe(
        shown[["label", "method", "quality", "p_fake", "verdict", "target_id", "driver_id", "split", "path", "result"]],
        hide_index=True, on_select="rerun", selection_mode="single-row", key="set-rows",
        column_config={"p_fake": st.column_config.ProgressColumn("score", min_value=0, max_value=1, format="%.2f")},
    )  # fmt: skip
    chosen = picked["selection"]["rows"]
    if chosen and (number := shown["result"].iloc[chosen[0]]) == number and number is not None:
        st.page_link(shell.page("scan"), label=f"Open result {int(number)}", query_params={"clip": str(int(number))})
