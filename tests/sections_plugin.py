"""A single-file plugin with three sections of one block, whose unknown counts can be noise.

``SECTIONS_NOISE`` in the environment replaces the counts of sections two and three; the images, and
how many spots there are, stay as they are.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from spared_bench import DatasetSpec, SlideInfo, hookimpl
from tests.toy_plugin import SLIDES, read_slide

INFOS = tuple(
    SlideInfo(name, patient_id="block", order=order) for order, name in enumerate(SLIDES, 1)
)
STACK = DatasetSpec(
    "stack",
    f"{__name__}:read_section",
    summary="three sections of one block, made on the spot",
    organism="human",
    slides=INFOS,
    split={"train": ("one", "two"), "test": ("three",)},
    parameters={"spot_min_counts": 0, "gene_min_counts": 0, "real_fraction": 0.0},
    allow_shared_donors=True,
    synthetic=True,
)
UNORDERED = replace(
    STACK, name="unordered", slides=tuple(replace(info, order=None) for info in INFOS)
)


def read_section(folder: Path, slide_id: str):
    """Return a toy slide; under ``SECTIONS_NOISE``, with counts that mean nothing if it is not one.

    Totals stay as they are within a few counts, so that no filter drops another spot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slide = read_slide(folder, slide_id)
    if os.environ.get("SECTIONS_NOISE") and slide_id != "one":
        counts = slide.X.toarray()
        rng = np.random.default_rng(1234)
        slide.X = type(slide.X)(rng.permuted(counts, axis=0) + rng.integers(1, 3, counts.shape))
    return slide


@hookimpl
def spared_bench_datasets():
    return [STACK, UNORDERED]
