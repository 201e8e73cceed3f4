"""Maps the top-level folders into the one namespace ``facewitness``: a ``datasets`` would shadow Hugging Face's."""

from setuptools import find_packages, setup

FOLDERS = ("generator", "detector", "provenance", "dashboard", "datasets")

packages = ["facewitness", *(f"facewitness.{s}" for s in find_packages("src/facewitness"))]
for folder in FOLDERS:
    packages += [f"facewitness.{folder}", *(f"facewitness.{folder}.{s}" for s in find_packages(folder))]

setup(
    packages=packages,
    package_dir={"facewitness": "src/facewitness", **{f"facewitness.{f}": f for f in FOLDERS}},
)
