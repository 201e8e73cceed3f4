"""A recipe to start from: everything there is, over the sample actors."""

from facewitness.datasets.factors import FACTORS
from facewitness.datasets.recipe import SELF_METHODS, TAKES
from facewitness.datasets.samples import SAMPLES

HEAD = """\
# A recipe for `facewitness dataset build`. Say `--dry-run` first.
name = "a-benchmark"
description = "What it is for."
seed = 1

# Real footage: folders of videos. The person's id is the first group of `person` in the file name.
# [[footage]]
# folder = "clips"
# person = "^([^_.]+)"
# rights = "Filmed by us; written consent of everyone shown is on file."

# Or sample actors, which show nobody.
[[footage]]
samples = [{samples}]
seconds = 14.0

[actors]
minutes = 0.5
size = 256

[clips]
seconds = 3.0
each = 2
size = 256
crf = [18, 23, 30]

[splits]
train = 0.7
val = 0.15
test = 0.15
"""


def template_recipe() -> str:
    """The text of a recipe with every method and every factor."""
    lines = [HEAD.format(samples=", ".join(f'"{s}"' for s in SAMPLES))]
    for name in (*TAKES, *SELF_METHODS):
        lines.append(f'\n[[methods]]\nname = "{name}"\n')
    lines.append(
        '\n[[methods]]\nname = "self_reenactment"\nsegment = 0.4  # only the middle of the clip is manipulated\n'
    )
    lines.append("\n[[edits]]\nset = { smile = 0.5 }\n")
    for factor in FACTORS.values():
        degrees = ", ".join(f"{d:g}" for d in factor.degrees)
        lines.append(
            f'\n[[factors]]  # {factor.meaning}\nname = "{factor.name}"\ndegrees = [{degrees}]  # {factor.unit}\n'
        )
    return "".join(lines)
