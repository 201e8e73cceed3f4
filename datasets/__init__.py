"""Benchmarks: sample footage, recipes, controlled forgeries, labels, splits, the field's layouts, and their checks."""

if __name__ != "facewitness.datasets":
    raise ImportError(
        f"this package is facewitness.datasets and was imported as {__name__!r}: import facewitness.datasets, and take "
        "the repository's folder off the import path, where it would shadow Hugging Face's `datasets`"
    )

from facewitness.datasets.samples import SAMPLES, make_sample

__all__ = ["SAMPLES", "make_sample"]
