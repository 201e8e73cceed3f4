"""A recipe's mistakes are named with the place and, where there is one, the nearest right word."""

from pathlib import Path

import pytest

from facewitness.datasets.recipe import load_recipe
from facewitness.datasets.template import template_recipe
from facewitness.errors import UnreadableInputError, UsageError

GOOD = 'name = "x"\n[[footage]]\nsamples = ["amber"]\n'


def load(tmp_path: Path, text: str):
    (tmp_path / "r.toml").write_text(text)
    return load_recipe(tmp_path / "r.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + "[clips]\nsecnods = 3", "unknown key 'secnods'; did you mean 'seconds'"),
        ("nmae = 3", "did you mean 'name'"),
        ('name = "x"', "'footage' is missing"),
        ('name = "x"\n[[footage]]\nfolder = "a"', "no rights"),
        ('name = "x"\n[[footage]]\nsamples = ["amberr"]', "did you mean 'amber'"),
        (GOOD + '[[methods]]\nname = "reenactmant"', "did you mean 'reenactment'"),
        (GOOD + '[[factors]]\nname = "gaze_froze"', "did you mean 'gaze_frozen'"),
        (GOOD + '[[factors]]\nname = "gaze_frozen"\ndegrees = [4]', "takes 0 to 1"),
        (GOOD + '[[methods]]\nname = "gaze_only"\nsegment = 0.5', "cannot be limited"),
        (GOOD + "[[edits]]\nset = { smil = 1 }", "did you mean 'smile'"),
        (GOOD + "[clips]\nsize = 3", "even number"),
        (GOOD + '[clips]\nseconds = "long"', "must be a number"),
        (GOOD + "[clips]\ncrf = [99]", "0 to 51"),
        (GOOD + '[[footage]]\nfolder = "a"\nrights = "r"\nlayout = "ffp"', "did you mean 'ffpp'"),
        (GOOD + '[[methods]]\nname = "gaze_only"\nstretches = 9', "stretches lies in 0..2"),
        ('home = "/"\n' + GOOD, "unknown key 'home'"),
        ("name = ", "is no TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str):
    with pytest.raises(UsageError, match=says):
        load(tmp_path, text)


def test_a_missing_recipe_is_unreadable(tmp_path: Path):
    with pytest.raises(UnreadableInputError):
        load_recipe(tmp_path / "none.toml")


def test_the_template_is_a_valid_recipe_with_every_method_and_factor(tmp_path: Path):
    from facewitness.datasets.factors import FACTORS

    recipe = load(tmp_path, template_recipe())
    assert {f.name for f in recipe.factors} == set(FACTORS)
    assert len(recipe.methods) >= 7


def test_the_example_names_every_factor_and_no_place(tmp_path: Path):
    from facewitness.datasets.factors import FACTORS

    text = (Path(__file__).parents[2] / "examples" / "benchmark.toml").read_text()
    recipe = load(tmp_path, text)
    assert {f.name for f in recipe.factors} == set(FACTORS)
    assert [f.folder for f in recipe.footage] == ["."]


def test_footage_may_lie_elsewhere_than_the_recipe(tmp_path: Path):
    from facewitness.datasets.footage import gather

    from .conftest import write_video

    write_video(tmp_path / "far" / "people" / "p1_a.mp4", seed=1)
    (tmp_path / "r.toml").write_text('name = "x"\n[[footage]]\nfolder = "people"\nrights = "made here"\n')
    with pytest.raises(UnreadableInputError, match="not there"):
        gather(load_recipe(tmp_path / "r.toml"), tmp_path / "work")
    takes, _ = gather(load_recipe(tmp_path / "r.toml", footage=tmp_path / "far"), tmp_path / "work")
    assert [t.person for t in takes] == ["p1"]
