"""A plugin: the embedded HER2+ sections with labels of their spots, by how much a spot expresses.

The labels mean nothing. A method that learns from labels computes the same with any, so that
`speeds.py` can time it on data that are here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from anndata import AnnData

from spared_bench import DatasetSpec, hookimpl
from spared_bench_plugins.datasets import her2st

CLASSES = ("little", "some", "much")


def read_section(folder: Path, slide_id: str) -> AnnData:
    """Read a section, its spots in three classes of about one size."""
    slide = her2st.read_section(folder, slide_id)
    totals = np.asarray(slide.X.sum(axis=1)).ravel()
    places = np.searchsorted(np.quantile(totals, [1 / 3, 2 / 3]), totals)
    slide.obs["label"] = np.array(CLASSES, dtype=object)[places]
    return slide


@hookimpl
def spared_bench_datasets() -> list[DatasetSpec]:
    """Return the one dataset."""
    factory = f"{__name__}:read_section"
    return [replace(her2st.HER2ST_DEMO, name="her2st_labelled", factory=factory, classes=CLASSES)]
