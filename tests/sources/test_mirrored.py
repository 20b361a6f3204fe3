"""Spots whose coordinates mirror the array are told of when slides are added."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from spared_bench.sources.adding import add_description
from spared_bench.sources.mirrored import mirrored
from tests import made_slides


def slide(change=lambda xy: xy, array=None):
    """Spots of Visium with coordinates that were changed."""
    rows, centres = made_slides.lattice()
    places = rows if array is None else array(rows)
    names = ["array_row", "array_col"]
    return AnnData(
        sparse.csr_matrix(made_slides.counts(20, 1), dtype=np.float32),
        obs=pd.DataFrame(places, columns=names, index=[f"s{i}" for i in range(len(rows))]),
        var=pd.DataFrame(index=made_slides.gene_ids(20)),
        obsm={"spatial": change(centres)},
    )


def turned(xy, degrees):
    """The coordinates on an image that was turned about a point beside the spots."""
    angle = np.deg2rad(degrees)
    return xy @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + 900


@pytest.mark.parametrize("degrees", [0, 3, 90, 180, 200, 270])
def test_coordinates_on_a_turned_image_are_not_mirrored_and_exchanged_ones_are(degrees):
    assert not mirrored(slide(lambda xy: turned(xy, degrees)))
    assert mirrored(slide(lambda xy: turned(xy, degrees)[:, ::-1]))
    assert mirrored(slide(lambda xy: turned(xy, degrees) * [-1, 1]))


def test_of_other_arrays_nothing_is_told():
    """Which of their numbers counts rows depends on who wrote them."""
    square = np.array([(r, c) for r in range(8) for c in range(8)])
    assert not mirrored(slide(lambda xy: square[:, ::-1] * 40.0, lambda rows: square))
    assert not mirrored(slide(lambda xy: square * 40.0, lambda rows: square))


@pytest.mark.parametrize(("exchanged", "n_told"), [(False, 0), (True, 1)])
def test_data_add_tells_of_exchanged_coordinates(tmp_path, exchanged, n_told):
    step = -1 if exchanged else 1
    slide(lambda xy: xy[:, ::step]).write_h5ad(tmp_path / "one.h5ad")
    path = tmp_path / "mine.yaml"
    path.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1]}, slides: {T1: {path:"
        " one.h5ad, patient: p}}}"
    )
    told = []
    add_description(path, tmp_path / "data", tell=told.append)
    found = [line for line in told if "mirror image of its places in the array" in line]
    assert len(found) == n_told
    assert all(line.startswith("Slide 'T1': Its coordinates are") for line in found)
