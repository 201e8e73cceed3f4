"""The ground truth of one made clip, as it stands in the manifest, the data set and the ledger."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Label:
    """What was made, from whom, how, and by what right."""

    method: str
    """``reenactment``, ``edit``, a controlled factor such as ``gaze_frozen``, or a baseline's name."""
    target_id: str
    """The actor shown."""
    driver_id: str
    """Where the motion came from; the target's own id in an edit or self-reenactment."""
    taken: tuple[str, ...] = ()
    """Of ``head, expression, gaze, lids, mouth``: what was taken from the driver."""
    edits: dict[str, float] = field(default_factory=dict)
    """Edit name to value; key-framed edits give their largest value here."""
    segments: tuple[tuple[float, float], ...] = ()
    """Manipulated stretches in seconds (start, end); the whole clip where empty."""
    mask_path: str | None = None
    seed: int = 0
    rights: str = ""
    """Statement of licence or consent of the actor's footage (never empty for a made clip)."""
    driver_rights: str = ""
    actor_sha256: str = ""
    model_sha256: str = ""
    generator_version: str = ""
