"""A file or folder that is read in another format than its own is told what it is."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from anndata import AnnData

from spared_bench.errors import DataError, UsageError
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
        if told == "It is MuData":
            file.attrs.update({"encoding-type": "MuData", "encoding-version": "0.1.0"})
    assert told in refusal(tmp_path, name, "h5ad")


@pytest.mark.parametrize("form", ["h5ad", "legacy_st", "spatialdata", "space_ranger"])
@pytest.mark.parametrize(
    "name", ["cell_feature_matrix.h5", "cell_by_gene.csv", "S1_exprMat_file.csv.gz"]
)
def test_a_folder_of_single_cells_is_told_as_such_in_any_format(tmp_path, form, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).touch()
    assert f"{name} holds counts of single cells" in refusal(tmp_path, "run", form)


@pytest.mark.parametrize("form", ["h5ad", "spatialdata", "space_ranger", "legacy_st", "hest"])
def test_a_path_at_which_nothing_is_is_told_with_what_is_called_like_it(tmp_path, form):
    (tmp_path / "outs").touch()
    told = refusal(tmp_path, "out", form)
    assert f"{tmp_path} has no 'out'. Did you mean 'outs'?" in told


@pytest.mark.parametrize("name", ["a.h5ad", "he.png", "outs", "table.csv"])
def test_data_in_the_place_of_a_description_are_told_as_such(tmp_path, name):
    AnnData(np.ones((2, 2), np.float32)).write_h5ad(tmp_path / "a.h5ad")
    made_slides.picture(0).save(tmp_path / "he.png")
    made_slides.space_ranger(tmp_path / "outs")
    (tmp_path / "table.csv").write_text("barcode,layer\nA,L1\n")
    with pytest.raises((DataError, UsageError)) as refused:
        add_description(tmp_path / name, tmp_path / "data")
    told = str(refused.value)
    assert ("holds settings" if name == "table.csv" else "is a short YAML file") in told
    assert ("AnnData" in told, "Space Ranger" in told) == (name == "a.h5ad", name == "outs")
