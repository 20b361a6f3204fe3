"""The sections with made-up labels, on which benchmarks time methods that learn from labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from spared_bench.api import make_bench
from tests.conftest import EMBEDDED_IMAGES

PLUGIN = Path(__file__).parents[2] / "benchmarks" / "labelled_sections.py"


def test_every_spot_has_one_of_three_labels_of_about_a_size(tmp_path):
    bench = make_bench("demo", workspace=tmp_path, plugin_files=[PLUGIN])
    sections = EMBEDDED_IMAGES.parents[1]
    spec = bench.dataset("her2st_labelled")
    read = bench.registry.get("dataset", "her2st_labelled").load()
    for slide_id in ("C2", "C3", "C4"):
        labels = read(sections, slide_id).obs["label"]
        counts = pd.Series(labels).value_counts()
        assert set(counts.index) == set(spec.classes)
        assert counts.max() - counts.min() <= 2
