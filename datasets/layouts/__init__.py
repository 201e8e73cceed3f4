"""The layouts of the field: each module reads one into labels and writes one from a dataset.

A layout keeps what its own files can say: label, split, method, persons. What it cannot say travels beside it in
``facewitness.csv``, which a reader uses only to fill in what the layout left open.
"""

from facewitness.datasets.layouts.base import LAYOUTS, detect_layout, export_dataset, import_dataset

__all__ = ["LAYOUTS", "detect_layout", "export_dataset", "import_dataset"]
