"""A file or folder that is read in another format than its own is told what it is."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from anndata import AnnData

from spared_bench.errors import DataError
from spared_bench.sources.adding import add_description
from spared_bench.sources.what_it_is import what_it_is
from tests import made_slides


def refusal(tmp_path, path, form):
    described = tmp_path / "mine.yaml"
    described.write_text(
        f"{{name: mine, format: {form}, organism: human, split: {{train: [T1]}},"
        f" slides: {{T1: {{path: {path}}}}}}}"
    )
    with pytest.raises(DataError) as refused:
        add_description(described, tmp_path / "data")
    return str(refused.value)


@pytest.mark.parametrize("form", ["space_ranger", "legacy_st", "spatialdata"])
def test_anndata_read_as_something_else_is_told(tmp_path, form):
    AnnData(np.ones((2, 2), np.float32)).write_h5ad(tmp_path / "a.h5ad")
    assert "It is AnnData: write `format: h5ad`." in refusal(tmp_path, "a.h5ad", form)
    assert not what_it_is(tmp_path / "a.h5ad", "h5ad")


@pytest.mark.parametrize("form", ["h5ad", "legacy_st", "spatialdata"])
def test_an_output_of_space_ranger_read_as_something_else_is_told(tmp_path, form):
    folder = made_slides.space_ranger(tmp_path / "outs")
    assert "write `format: space_ranger`" in refusal(tmp_path, "outs", form)
    matrix = "outs/filtered_feature_bc_matrix.h5"
    assert f"as `path` the folder {folder}" in refusal(tmp_path, matrix, form)
    assert not what_it_is(folder, "space_ranger")


@pytest.mark.parametrize(
    ("name", "groups", "told"),
    [
        ("a.gef", ["geneExp", "wholeExp"], "It is a GEF of Stereo-seq"),
        ("a.loom", ["matrix", "row_attrs", "col_attrs"], "It is Loom"),
        ("a.h5mu", ["mod", "obs", "var"], "It is MuData"),
        ("a.h5seurat", ["assays", "cell.names"], "It is h5Seurat"),
        ("a.RDS", [], "It is an object of R"),
        ("a.xlsx", [], "It is a spreadsheet"),
        ("a.cloupe", [], "It is a file for Loupe"),
    ],
)
def test_files_that_nothing_here_reads_are_told(tmp_path, name, groups, told):
    with h5py.File(tmp_path / name, "w") as file:
        for group in groups:
            file.create_group(group)
    assert told in refusal(tmp_path, name, "h5ad")
