"""``facewitness detector``: fit, judge and describe detectors."""

from pathlib import Path
from typing import Any

import typer

from facewitness.errors import FacewitnessError, UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def detector() -> None:
    """Fit, evaluate or describe a detector."""


@app.command()
def fit(
    dataset: Path = typer.Argument(..., help="Folder with labels.parquet, or with index.csv (file, label, person_id)."),
    out: Path = typer.Option(..., "-o", "--out", help="Model folder to write; its work folder makes a restart go on."),
    network: bool = typer.Option(True, help="Train the network too (hours on a processor, minutes on an accelerator)."),
    backbone: str | None = typer.Option(None, "--backbone", help="Any timm backbone; default: tf_efficientnet_lite2."),
    pretrained: bool = typer.Option(True, help="Start from ImageNet weights, fetched; the model needs none."),
    steps: int = typer.Option(3000, "--steps", min=1, help="Training steps of the network."),
    batch: int = typer.Option(12, "--batch", min=1, help="Pairs of faces in a step; 48 suits an accelerator."),
    shards: int = typer.Option(200, "--shards", min=1, help="Shards of 16 real-and-made pairs to train on."),
    workers: int = typer.Option(2, "--workers", min=1, help="Processes that make pairs."),
    device: str = typer.Option("auto", "--device", help="auto, cpu, cuda or mps."),
    false_positive_rate: float = typer.Option(0.01, "--fpr", min=0.0001, max=0.5, help="Reals called manipulated."),
    seed: int = typer.Option(0, "--seed", help="The same seed on one machine gives the same model."),
    json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Fit a detector to labelled footage: pseudo-fakes of every real clip, and the fakes that are there."""
    from facewitness.detector.fit import FitConfig
    from facewitness.detector.fit import fit as fit_model
    from facewitness.detector.training import TrainingConfig
    from facewitness.files import to_json

    config = FitConfig(
        training=TrainingConfig(shards=shards, steps=steps, batch_pairs=batch, seed=seed),
        network=network, workers=workers, device=device,
        backbone=backbone, pretrained=pretrained, false_positive_rate=false_positive_rate, seed=seed,
    )  # fmt: skip
    model = fit_model(dataset, out, config, say=lambda line: typer.echo(line, err=True))
    told = model.notes["fusion"]
    if json:
        typer.echo(to_json({"schema": "facewitness.fit/1", "model": str(out), "id": model.id, "fusion": told}))
        return
    n = told["examples"]
    typer.echo(f"{out}: AUC {told['auc_held_out']:.3f} on held-out persons ({n['real']} real, {n['fake']} made clips)")


@app.command(name="eval")
def evaluate_(
    dataset: Path = typer.Argument(..., help="Folder with labels.parquet or index.csv, or such a CSV itself."),
    model: Path | None = typer.Option(None, "--model", help="Model folder; default: the shipped model."),
    scores: list[Path] = typer.Option([], "--scores", help="CSV of another detector's scores: file, p_fake."),
    against: Path | None = typer.Option(None, "--against", help="A second model folder, compared by DeLong's test."),
    split: str | None = typer.Option(None, "--split", help="Only the clips of this split."),
    by: list[str] = typer.Option([], "--by", help="Column of labels.parquet (or index.csv) to group by."),
    by_factor: bool = typer.Option(False, "--by-factor", help="How the score responds to each controlled forgery."),
    curves: Path | None = typer.Option(
        None, "--curves", help="Draw the response curves to this .svg, .png or .pdf; implies --by-factor."
    ),
    robustness: bool = typer.Option(False, "--robustness", help="Seven distortions at five levels each (35 scans)."),
    scan: bool = typer.Option(True, help="Scan with our model; without, only the scores given are judged."),
    draws: int = typer.Option(1000, "--draws", min=10, help="Bootstrap draws."),
    out: Path | None = typer.Option(None, "-o", "--out", help="Write our scores to this CSV (file, p_fake)."),
    json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Judge a detector: AUC, AP, EER, TPR, calibration with intervals by person, per method, beside a control."""
    from facewitness.detector import evaluate as ev
    from facewitness.detector.material import read_clips
    from facewitness.files import to_json

    clips = [c for c in read_clips(dataset) if split is None or c.split == split]
    if not clips:
        raise UsageError(f"{dataset} has no clips of the split {split}.")
    judged: list[ev.Scores] = []
    tables: dict[str, Any] = {}
    if scan:
        for folder in (model, *([against] if against else [])):
            judged.append(ev.scan_all(clips, folder))
        if out is not None:
            ev.write_scores(out, clips, judged[0])
        if robustness:
            tables["robustness"] = ev.robustness(clips, model)
    for path in scores:
        judged += ev.read_scores(path, clips)
    if not judged:
        raise UsageError("nothing to judge: give --scores, or leave --no-scan out.")
    result = ev.evaluate(clips, judged, factors=ev.read_factors(dataset, clips, by), draws=draws) | tables
    responses = _responses(dataset, clips, judged) if by_factor or curves else {}
    if curves:
        from facewitness.detector.response import draw_curves

        draw_curves(responses, curves)
    if json:
        typer.echo(to_json({"schema": "facewitness.eval/1", **result, "response": responses}))
        return
    typer.echo(ev.table(result))
    if responses:
        from facewitness.detector.response import curves_table

        typer.echo(curves_table(responses))


def _responses(dataset: Path, clips: Any, judged: Any) -> dict[str, Any]:
    """The response curves of every detector that was judged, by its name."""
    from facewitness.datasets.labels import read_labels
    from facewitness.detector.response import response_curves

    if not dataset.is_dir():
        raise UsageError("--by-factor needs a data set folder whose labels name factor, degree and pair_id.")
    wanted = {c.name for c in clips}
    labels = [c for c in read_labels(dataset) if c.clip_id in wanted]
    return {
        one.name: response_curves(labels, dict(zip((c.name for c in clips), map(float, one.p_fake), strict=True)))
        for one in judged
    }


@app.command()
def info(
    model: Path | None = typer.Argument(None, help="Model folder; default: the shipped model."),
    cues: bool = typer.Option(False, "--cues", help="List the cues with their needs and sources."),
    json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Describe a model: its card, or its cues."""
    from facewitness.detector.card import card_of
    from facewitness.detector.cues import list_cues
    from facewitness.detector.model import CARD, SHIPPED, load_model
    from facewitness.files import to_json

    loaded = load_model(model)
    if json:
        told = {
            "schema": "facewitness.detector/1", "id": loaded.id, "sha256": loaded.sha256, "columns": loaded.columns,
            "network": loaded.network is not None, "calibration": loaded.calibration.to_dict(), "notes": loaded.notes,
            "cues": [{k: v for k, v in vars(c).items() if k != "measure"} for c in list_cues()],
        }  # fmt: skip
        typer.echo(to_json(told))
        return
    if cues:
        for c in list_cues():
            needs = f"{c.needs.seconds:g} s" + (f", iris {c.needs.iris_px:g} px" if c.needs.iris_px else "")
            typer.echo(f"{c.name:22s} {c.family:8s} {c.unit:22s} needs {needs:18s} {c.source}")
        return
    card = (model or SHIPPED) / CARD
    try:
        typer.echo(card.read_text(encoding="utf-8") if card.is_file() else card_of(loaded))
    except OSError as e:
        raise FacewitnessError(f"{card} cannot be read ({e.strerror}).") from e
