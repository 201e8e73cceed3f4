"""The dataset card: ``README.md`` for people, ``croissant.json`` (ML Commons) for machines."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from facewitness import __version__
from facewitness.datasets.factors import FACTORS
from facewitness.datasets.footage import Problem
from facewitness.datasets.labels import FAKE, PARQUET, REAL, SPLITS, Clip, digest
from facewitness.datasets.recipe import BASELINES, Recipe
from facewitness.errors import MissingPieceError
from facewitness.files import sha256_file, to_json, write_text

CROISSANT, README = "croissant.json", "README.md"
LIMITS = (
    "The fakes come from one family of methods (retrieval, mesh warping and a small network per person): a detector "
    "that does well here has not been shown to do well on others.",
    "Fakes show poses, expressions and backgrounds of the target's own footage only.",
    "The controlled factors change the rendered performance, not the footage; compare them with the self-reenactment "
    "of the same stretch (`pair_id`), which is their control.",
    "Every clip, real or fake, carries a watermark of one kind and strength from one encoder, so the mark does not "
    "tell the label here. It does tell this set from the world: reals elsewhere carry none, and a detector trained on "
    "these fakes and on unmarked reals may learn the mark.",
    "Manifests, `*.label.json` files, file names and the sizes of the containers say what is fake, by design: give a "
    "detector pictures and sound alone. `dataset export --layout dfdc` gives names that say nothing.",
)
SAMPLES_STAND_IN = (
    "People called `sample-...` are sample actors, who do not exist: clips of them that are labelled real are sample "
    "footage that stands in for real footage, and say nothing of how a detector does on people."
)


def write_card(folder: Path, recipe: Recipe, clips: Sequence[Clip], problems: Sequence[Problem]) -> None:
    """Write ``README.md`` and ``croissant.json`` for a built dataset."""
    write_text(folder / README, readme(recipe, clips, problems))
    write_text(folder / CROISSANT, to_json(croissant(folder, recipe, clips), indent=2))


def readme(recipe: Recipe, clips: Sequence[Clip], problems: Sequence[Problem]) -> str:
    """The card as Markdown, with the metadata block of Hugging Face."""
    people = sorted({c.target_id for c in clips} | {c.driver_id for c in clips})
    lines = [
        "---", f"pretty_name: {recipe.name}", "task_categories:", "- video-classification", "tags:",
        "- deepfake-detection",
        "- face-reenactment", "- synthetic", "configs:", "- config_name: default",
        f"  data_files: {PARQUET}", "---", "",
        f"# {recipe.name}", "", recipe.description or "A benchmark of labelled real and manipulated face videos.", "",
        f"{len(clips)} clips of {len(people)} people: {_count(clips, REAL)} real, {_count(clips, FAKE)} fake. "
        f"Made with facewitness {__version__} from seed {recipe.seed}.",
        f"Labels without hashes have SHA-256 `{digest(clips)}`: whoever builds the same recipe gets the same.", "",
        "| part | real | fake | people |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    for split in SPLITS:
        part = [c for c in clips if c.split == split]
        if part:
            persons = {c.target_id for c in part} | {c.driver_id for c in part}
            lines.append(f"| {split} | {_count(part, REAL)} | {_count(part, FAKE)} | {len(persons)} |")
    lines += [
        "",
        "No person is in two parts.",
        "",
        "## Methods",
        "",
        "| method | clips | what it is |",
        "| --- | --- | --- |",
    ]
    for method, count in sorted(Counter(c.method for c in clips if c.label == FAKE).items()):
        lines.append(f"| {method} | {count} | {_meaning(method, clips)} |")
    lines += ["", "## Rights", "", recipe.licence, ""]
    for rights, count in sorted(Counter(c.rights for c in clips).items()):
        lines.append(f"- {count} clips: {rights}")
    samples = [SAMPLES_STAND_IN] if any(p.startswith("sample-") for p in people) else []
    lines += ["", "## Known limits", "", *(f"- {text}" for text in (*samples, *LIMITS))]
    if problems:
        lines += ["", f"## Left out ({len(problems)})", "", "See `problems.csv`."]
    lines += [
        "", "## Files", "", "- `labels.parquet`, `labels.csv`: one row a clip", "- `clips/`: the videos",
        "- `masks/`: white where a fake was manipulated",
        "- `parameters/`: pose, expression, gaze and lids of driver, target and result (npz)",
        "- `recipe.json`: what was asked for", "",
        "`facewitness dataset check` proves hashes, manifests and splits, and that only the content tells the label.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _count(clips: Sequence[Clip], label: str) -> int:
    return sum(c.label == label for c in clips)


def _meaning(method: str, clips: Sequence[Clip]) -> str:
    if method in FACTORS:
        degrees = sorted({c.degree for c in clips if c.method == method})
        return f"{FACTORS[method].meaning}; {', '.join(f'{d:g}' for d in degrees)} {FACTORS[method].unit}"
    if method in BASELINES:
        return f"an earlier way of reenacting ({BASELINES[method]}), driven by another person"
    taken = sorted({t for c in clips if c.method == method for t in c.taken})
    if method == "self_reenactment":
        return "the person's own performance, rendered from their other footage"
    if taken:
        return f"{', '.join(taken)} taken from another person"
    edits = next((c.edits for c in clips if c.method == method), {})
    return f"the footage edited: {', '.join(f'{name} {value:g}' for name, value in sorted(edits.items()))}"


def croissant(folder: Path, recipe: Recipe, clips: Sequence[Clip]) -> dict:
    """The Croissant description of ``labels.parquet`` and the clips; raises MissingPieceError without its library."""
    try:
        import mlcroissant as mlc
    except ImportError as e:
        raise MissingPieceError(
            "the dataset card needs the package mlcroissant, which is not installed: pip install mlcroissant"
        ) from e
    context = mlc.Context(conforms_to="http://mlcommons.org/croissant/1.0")
    labels = mlc.FileObject(
        ctx=context, id="labels", name=PARQUET, content_url=PARQUET, encoding_formats=["application/x-parquet"],
        sha256=sha256_file(folder / PARQUET),
    )  # fmt: skip
    videos = mlc.FileSet(
        ctx=context, id="clips", name="clips", includes=["clips/*.mp4"], encoding_formats=["video/mp4"],
        description="The clips, named in the labels.",
    )  # fmt: skip
    beside = [
        mlc.FileSet(
            ctx=context, id=name, name=name, includes=[f"{name}/*{suffix}"], encoding_formats=[kind], description=what
        )
        for name, suffix, kind, what, there in (
            (
                "masks",
                ".mp4",
                "video/mp4",
                "White where a fake was manipulated, frame by frame.",
                any(c.mask_path for c in clips),
            ),
            (
                "parameters",
                ".npz",
                "application/zip",
                "Pose, expression, lids and gaze of driver, target and result.",
                any(c.parameters_path for c in clips),
            ),
        )
        if there
    ]
    kinds = {str: mlc.DataType.TEXT, int: mlc.DataType.INTEGER, float: mlc.DataType.FLOAT, bool: mlc.DataType.BOOL}
    columns = {
        "clip_id": str, "path": str, "label": str, "method": str, "target_id": str, "driver_id": str, "split": str,
        "fps": float, "frames": int, "width": int, "height": int, "codec": str, "crf": int, "seed": int, "sha256": str,
        "manifest_sha256": str, "rights": str, "factor": str, "degree": float, "pair_id": str, "mask_path": str,
        "mask_sha256": str, "parameters_path": str, "parameters_sha256": str,
    }  # fmt: skip
    fields = [
        mlc.Field(
            ctx=context, id=f"clips-table/{name}", name=f"clips-table/{name}", data_types=[kinds[kind]],
            source=mlc.Source(ctx=context, file_object="labels", extract=mlc.Extract(ctx=context, column=name)),
        )
        for name, kind in columns.items()
    ]  # fmt: skip
    table = mlc.RecordSet(ctx=context, id="clips-table", name="clips-table", fields=fields,
                          description="One record a clip.")  # fmt: skip
    rights = sorted({c.rights for c in clips})
    metadata = mlc.Metadata(
        ctx=context, name=recipe.name, license=[recipe.licence], version="1.0.0",
        description=recipe.description or "A benchmark of labelled real and manipulated face videos.",
        url="https://github.com/facewitness/facewitness", distribution=[labels, videos, *beside], record_sets=[table],
        cite_as=f"{recipe.name}, built with facewitness {__version__} from seed {recipe.seed}",
        data_limitations=list(LIMITS), personal_sensitive_information=["Videos of faces. " + " ".join(rights)],
    )  # fmt: skip
    return metadata.to_json()
