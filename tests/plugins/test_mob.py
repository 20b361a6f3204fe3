"""The olfactory bulb: two embedded sections on a staggered array."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.data import validate_raw_slide
from spared_bench.sources.fetch import dataset_folder
from spared_bench_plugins.datasets import MOB_DEMO
from spared_bench_plugins.datasets.mob import read_section

EMBEDDED = dataset_folder(MOB_DEMO, None)


@pytest.mark.parametrize(("name", "n_spots"), [("MOB1", 379), ("MOB3", 438)])
def test_the_spots_under_tissue_are_read(name, n_spots):
    slide = read_section(EMBEDDED, name)

    validate_raw_slide(slide, name)
    assert slide.shape == (n_spots, 1_000)
    assert slide.var_names.str.fullmatch(r"ENSMUSG\d{11}").all()
    assert "Spots with counts but no position, dropped: 11." in slide.uns["slide"]["repairs"]


def test_neighbours_one_step_away_along_both_axes_are_150_um_apart():
    slide = read_section(EMBEDDED, "MOB1")
    array = slide.obs[["array_col", "array_row"]].to_numpy()
    apart = np.abs(array[:, None] - array)
    distance = np.linalg.norm(slide.obsm["spatial"][:, None] - slide.obsm["spatial"], axis=2)
    pitch = np.median(distance[(apart == 1).all(axis=2)]) * slide.uns["slide"]["um_per_px"]
    assert pitch == pytest.approx(150, rel=0.01)


def test_the_two_sections_are_of_two_mice():
    assert MOB_DEMO.tier == "A"
    assert MOB_DEMO.split == {"train": ("MOB1",), "test": ("MOB3",)}
