"""Draw a performance: head, gaze, lids, mouth and brows over time."""

from pathlib import Path

import numpy as np

from facewitness.faces import landmarks as lm
from facewitness.files import whole_file
from facewitness.generator.performance import Performance
from facewitness.generator.reconstruct.model import head_mesh
from facewitness.generator.reconstruct.rotation import angles_deg


def plot_performance(performance: Performance, path: Path, *, title: str = "") -> Path:
    """Write a PNG of the performance's traces over seconds; gaps are grey. Returns ``path``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    p, t = performance, performance.times_s
    head = head_mesh(p.identity, p.expression, np.zeros_like(p.lids))
    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(4, 1, sharex=True)
    panels: tuple[tuple[str, np.ndarray, tuple[str, ...]], ...] = (
        ("head, degrees", angles_deg(p.rotation), ("yaw", "pitch", "roll")),
        ("gaze, degrees in the head", np.degrees(p.gaze.reshape(len(p), 4)[:, [0, 2, 1, 3]]),
         ("yaw, right eye", "yaw, left eye", "pitch, right eye", "pitch, left eye")),
        ("lids, closure", p.lids, ("right", "left")),
        ("face, cm from neutral", np.stack([
            head[:, lm.LIP_LOWER_INNER, 1] - head[:, lm.LIP_UPPER_INNER, 1],
            head[:, lm.MOUTH_LEFT, 0] - head[:, lm.MOUTH_RIGHT, 0]
            - (p.identity.neutral[lm.MOUTH_LEFT, 0] - p.identity.neutral[lm.MOUTH_RIGHT, 0]),
            p.identity.neutral[list(lm.RIGHT_BROW + lm.LEFT_BROW), 1].mean()
            - head[:, list(lm.RIGHT_BROW + lm.LEFT_BROW), 1].mean(1),
        ], 1), ("mouth opening", "mouth width", "brows up")),
    )  # fmt: skip
    for axis, (label, values, names) in zip(axes, panels, strict=True):
        for i, name in enumerate(names):
            axis.plot(t, values[:, i], label=name, linewidth=0.9)
        axis.fill_between(t, 0, 1, where=p.confidence <= 0, color="0.85", transform=axis.get_xaxis_transform())
        axis.set_ylabel(label)
        axis.legend(loc="upper right", ncols=len(names), fontsize="small", frameon=False)
        axis.grid(alpha=0.3)
    axes[0].set_title(title)
    axes[-1].set_xlabel("seconds")
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110)
    return path
