"""What a manifest says: a specification in our words, and the C2PA claim (version 2) built from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewitness import __version__
from facewitness.errors import UsageError
from facewitness.files import plain, sha256_file

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED = SOURCE_TYPE + "trainedAlgorithmicMedia"
COMPOSITE = SOURCE_TYPE + "compositeWithTrainedAlgorithmicMedia"
CAPTURE = SOURCE_TYPE + "digitalCapture"

KINDS = {"ai-generated": TRAINED, "ai-edited": COMPOSITE, "captured": CAPTURE}
"""What a file can be signed as, and the IPTC digital source type that says so."""

REPORT = "report"
"""A kind for what an analyst wrote about a file."""
DATA_DRIVEN = SOURCE_TYPE + "dataDrivenMedia"
ANIMATED = "animated"
"""A kind for pictures that an algorithm drew without a trained model: sample footage."""
ALGORITHMIC = SOURCE_TYPE + "algorithmicMedia"
TRANSCODED = "transcoded"
"""A kind for footage that was cut, resized or encoded again and nothing else, such as the reals of a data set."""
LABEL_ASSERTION = "org.facewitness.label"
SOURCES_ASSERTION = "org.facewitness.sources"
REPORT_ASSERTION = "org.facewitness.report"
RELATIONSHIPS = ("parentOf", "componentOf", "inputTo")
TRAINING_USES = ("notAllowed", "allowed", "constrained")
MINING_ENTRIES = ("data_mining", "ai_training", "ai_generative_training", "ai_inference")


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """A file that went into the one that is signed; its own manifest, where it has one, is kept and validated."""

    path: Path
    title: str = ""
    """What to call it; the file's name where empty."""
    relationship: str = "inputTo"
    """``parentOf`` (the file that was edited), ``componentOf`` or ``inputTo`` (the driver of a reenactment)."""
    role: str = ""
    """In our words: ``driver``, ``target``, ``report subject``."""

    def __post_init__(self) -> None:
        """Refuse a relationship that C2PA does not know."""
        if self.relationship not in RELATIONSHIPS:
            raise UsageError(f"{self.relationship!r} is no relationship; use one of {', '.join(RELATIONSHIPS)}.")


@dataclass(frozen=True, kw_only=True)
class SoftBinding:
    """What finds a manifest again after the file was re-encoded (C2PA 2.2, 9.3; assertion ``c2pa.soft-binding``)."""

    alg: str
    """Name of the algorithm, such as ``org.facewitness.watermark.1``."""
    value: str
    """The watermark's payload or the fingerprint, base64 or hexadecimal."""
    scope: Mapping[str, Any] = field(default_factory=dict)
    """The part of the content the value speaks of; all of it where empty."""


@dataclass(frozen=True, kw_only=True)
class ManifestSpec:
    """Everything a signed file says of itself."""

    kind: str
    """``ai-generated | ai-edited | captured``."""
    title: str = ""
    """Name of the file in the manifest; the output's name where empty."""
    label: Any = None
    """The ground truth of a made video: a ``Label`` or a mapping; becomes the assertion ``org.facewitness.label``."""
    ingredients: tuple[Ingredient, ...] = ()
    soft_bindings: tuple[SoftBinding, ...] = ()
    training: str | None = "notAllowed"
    """Whether the file may be mined and trained on: ``notAllowed | allowed | constrained``; None says nothing."""
    thumbnail: bytes | None = None
    """A small JPEG."""
    action_parameters: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of the main action, their names with a namespace (``org.facewitness.model``)."""
    assertions: Mapping[str, Any] = field(default_factory=dict)
    """Further assertions, label to content."""
    description: str = ""
    """One sentence on what was done."""

    def __post_init__(self) -> None:
        """Refuse what would make a manifest that says something else than meant."""
        if self.kind not in (*KINDS, REPORT, TRANSCODED, ANIMATED):
            raise UsageError(f"{self.kind!r} is no kind of content; choose one of {', '.join(KINDS)}.")
        if self.training is not None and self.training not in TRAINING_USES:
            raise UsageError(f"{self.training!r} says nothing of training; choose one of {', '.join(TRAINING_USES)}.")
        if sum(i.relationship == "parentOf" for i in self.ingredients) > 1:
            raise UsageError("a file has at most one parent; name the others as components or inputs.")
        if self.kind == TRANSCODED and not self.parent:
            raise UsageError("what was only encoded again needs the file it was made from as parent.")
        if self.kind == "captured" and self.parent:
            raise UsageError("what was opened from another file was not captured; sign it as an edit.")
        for name in (*self.assertions, *self.action_parameters):
            if "." not in name:
                raise UsageError(f"{name!r} needs a namespace, as in org.example.{name}.")

    @property
    def parent(self) -> Ingredient | None:
        """The file that was opened and edited, if there is one."""
        return next((i for i in self.ingredients if i.relationship == "parentOf"), None)


def definition(spec: ManifestSpec, *, title: str, media_type: str) -> dict[str, Any]:
    """The claim v2 definition of ``spec`` for the library's builder (C2PA 2.2, 10.3; actions 18.15)."""
    made: dict[str, Any] = {
        "claim_version": 2,
        "claim_generator_info": [{"name": "facewitness", "version": __version__}],
        "title": spec.title or title,
        "format": media_type,
        "assertions": _assertions(spec),
    }
    if spec.thumbnail:
        made["thumbnail"] = {"format": "image/jpeg", "identifier": THUMBNAIL}
    return made


THUMBNAIL = "thumbnail.jpg"


def ingredient_labels(spec: ManifestSpec) -> tuple[str, ...]:
    """The name by which the actions speak of each ingredient, in their order."""
    return tuple(f"ingredient-{n}" for n in range(len(spec.ingredients)))


def _assertions(spec: ManifestSpec) -> list[dict[str, Any]]:
    def created(label: str, data: Any) -> dict[str, Any]:
        return {"label": label, "created": True, "data": plain(data)}

    made = [created("c2pa.actions.v2", {"actions": _actions(spec), "allActionsIncluded": True})]
    if spec.label is not None:
        made.append(created(LABEL_ASSERTION, spec.label))
    if spec.ingredients:
        made.append(created(SOURCES_ASSERTION, {"sources": [_source(i) for i in spec.ingredients]}))
    for binding in spec.soft_bindings:
        block = {"scope": dict(binding.scope), "value": binding.value}
        made.append(created("c2pa.soft-binding", {"alg": binding.alg, "blocks": [block]}))
    if spec.training:
        uses: dict[str, dict[str, str]] = {f"cawg.{name}": {"use": spec.training} for name in MINING_ENTRIES}
        if spec.training == "constrained":
            for use in uses.values():
                use["constraint_info"] = "ask the rights holder named in the label"
        made.append(created("cawg.training-mining", {"entries": uses}))
    made += [created(label, data) for label, data in spec.assertions.items()]
    return made


_CREATED = {**KINDS, ANIMATED: ALGORITHMIC}


def _actions(spec: ManifestSpec) -> list[dict[str, Any]]:
    named = list(zip(ingredient_labels(spec), spec.ingredients, strict=True))
    inputs = [label for label, i in named if i.relationship != "parentOf"]
    parents = [label for label, i in named if i.relationship == "parentOf"]
    agent = {"name": "facewitness", "version": __version__}
    main: dict[str, Any] = {"softwareAgent": agent, "parameters": dict(plain(dict(spec.action_parameters)))}
    if spec.description:
        main["description"] = spec.description
    if inputs:
        main["parameters"]["ingredientIds"] = inputs
    if not main["parameters"]:
        del main["parameters"]
    if not parents:
        return [{"action": "c2pa.created", "digitalSourceType": _CREATED.get(spec.kind, DATA_DRIVEN), **main}]
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": parents}}
    if spec.kind == TRANSCODED:
        return [opened, {"action": "c2pa.transcoded", **main}]
    return [opened, {"action": "c2pa.edited", "digitalSourceType": KINDS[spec.kind], **main}]


def _source(ingredient: Ingredient) -> dict[str, str]:
    """An ingredient without a manifest leaves no hash in the claim; this keeps one."""
    return {
        "title": ingredient.title or ingredient.path.name,
        "role": ingredient.role,
        "relationship": ingredient.relationship,
        "sha256": sha256_file(ingredient.path),
    }
