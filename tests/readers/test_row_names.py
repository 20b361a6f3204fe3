"""Tables of R and pandas with names of rows, rows of another length, files that were moved."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
import scipy.io
from scipy import sparse

from spared_bench.errors import ContractError, CoordinateError, CountsError, MissingFileError
from spared_bench.readers import read_anndata, read_space_ranger, read_spatialdata
from spared_bench.readers.labels import read_labels
from tests import made_slides

N_GENES = 12
BARCODES = [f"AAAC{i:04d}-1" for i in range(made_slides.SIDE**2)]
TABLE = "spatial/tissue_positions.csv"


@pytest.fixture
def folder(tmp_path):
    return made_slides.space_ranger(tmp_path / "outs", N_GENES)


def as_meant(folder):
    slide = read_space_ranger(folder)
    assert slide.obs_names.tolist() == BARCODES
    assert slide.var_names.tolist() == made_slides.gene_ids(N_GENES)
    np.testing.assert_array_equal(slide.X.toarray(), made_slides.counts(N_GENES, 0))
    np.testing.assert_allclose(slide.obsm["spatial"], made_slides.lattice()[1])


def numbered(text, separator, first, title):
    head, *rows = text.strip().split("\n")
    head = head if title is None else f"{title}{separator}{head}"
    return "\n".join([head, *(f'"{i}"{separator}{row}' for i, row in enumerate(rows, first))])


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("title", [None, '""'], ids=["no title", "an empty one"])
def test_positions_with_numbers_of_rows_are_read(folder, first, title):
    text = (folder / TABLE).read_text()
    (folder / TABLE).write_text(numbered(text, ",", first, title))
    as_meant(folder)


def test_positions_whose_rows_are_named_by_their_barcodes_are_read(folder):
    text = (folder / TABLE).read_text()
    (folder / TABLE).write_text(text.removeprefix("barcode,"))
    as_meant(folder)
    (folder / TABLE).write_text(text.replace("barcode,", "Barcodes,"))
    as_meant(folder)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (".", ",", "Row 2 of .* has 8 fields, AAAC0000-1, 1, 0, .* 6 columns"),
        ("AAAC0003-1,1,", "AAAC0003-1,,1,", "Row 5 of .* has 7 fields"),
        ("AAAC0003-1,1,", "AAAC0003-1,", "Row 5 of .* has 5 fields"),
        ("array_row", "array_col", "two columns called 'array_col'|lacks the columns"),
        ("in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres",
         "tissue,row,col,imagerow,imagecol", "no header that is known; expected the columns"),
        ("pxl_row_in_fullres", "pxl_col_in_fullres,pxl_row_in_fullres", "Row 2 of .* 7 columns"),
    ],
)  # fmt: skip
def test_rows_and_headers_that_do_not_fit_are_told(folder, before, after, message):
    text = (folder / TABLE).read_text().replace("barcode,", "barcodes,")
    (folder / TABLE).write_text(text.replace(before, after))
    with pytest.raises(CoordinateError, match=message):
        read_space_ranger(folder)


def test_a_column_that_stands_twice_is_refused(folder):
    table = pd.read_csv(folder / TABLE)
    table.insert(2, "array_col", table["array_col"], allow_duplicates=True)
    table.to_csv(folder / TABLE, index=False)
    with pytest.raises(CoordinateError, match="two columns called 'array_col'"):
        read_space_ranger(folder)


def in_three_files(folder):
    """Write the matrix as R's users do; return where."""
    (folder / "filtered_feature_bc_matrix.h5").unlink()
    parts = folder / "filtered_feature_bc_matrix"
    parts.mkdir()
    counts = made_slides.counts(N_GENES, 0)
    scipy.io.mmwrite(parts / "matrix.mtx", sparse.coo_matrix(counts.T))
    ids = made_slides.gene_ids(N_GENES)
    lines = [f"{each}\tS{i}\tGene Expression" for i, each in enumerate(ids)]
    (parts / "features.tsv").write_text("\n".join(lines))
    (parts / "barcodes.tsv").write_text("\n".join(BARCODES))
    return parts


@pytest.mark.parametrize("titles", ["", "V1\tV2\tV3", "\tV1\tV2\tV3"], ids=repr)
@pytest.mark.parametrize("first", [0, 1])
def test_features_with_numbers_of_rows_are_read(folder, titles, first):
    path = in_three_files(folder) / "features.tsv"
    rows = [f"{i}\t{line}" for i, line in enumerate(path.read_text().split("\n"), first)]
    path.write_text("\n".join([titles, *rows] if titles else rows))
    as_meant(folder)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("titles", ["x", "{}0", "{}x"])
def test_barcodes_with_numbers_of_rows_are_read(folder, titles, separator):
    path = in_three_files(folder) / "barcodes.tsv"
    rows = [f"{i}{separator}{name}" for i, name in enumerate(BARCODES, 1)]
    path.write_text("\n".join([titles.format(separator), *rows]))
    as_meant(folder)


def test_barcodes_under_the_title_that_pandas_gives_are_read(folder):
    path = in_three_files(folder) / "barcodes.tsv"
    pd.Series(BARCODES).to_csv(path, index=False)
    as_meant(folder)


@pytest.mark.parametrize("form", ["mtx", "h5"])
def test_a_count_that_is_told_twice_is_not_added_up(folder, form):
    if form == "mtx":
        path = in_three_files(folder) / "matrix.mtx"
        *lines, _, last = path.read_text().strip().split("\n")
        path.write_text("\n".join([*lines, last, last]))
    else:
        import h5py

        with h5py.File(folder / "filtered_feature_bc_matrix.h5", "r+") as file:
            file["matrix/indices"][1] = file["matrix/indices"][0]
    with pytest.raises(CountsError, match="tells 1 count of a spot and a gene twice"):
        read_space_ranger(folder)


@pytest.mark.parametrize(
    ("name", "to", "error"),
    [
        (TABLE, "spatial/GSM1_tissue_positions_list.csv.gz", CoordinateError),
        (TABLE, "tissue_positions.csv", CoordinateError),
        (TABLE, "spatial/Tissue_Positions_List.CSV", CoordinateError),
        (TABLE, "spatial/tissue_positions.tsv", CoordinateError),
        ("spatial/scalefactors_json.json", "spatial/GSM1_scalefactors_json.json", MissingFileError),
        ("spatial/scalefactors_json.json", "scalefactors_json.json", MissingFileError),
        ("spatial", "other/spatial", MissingFileError),
        ("filtered_feature_bc_matrix.h5", "h5/GSM1_counts.h5", MissingFileError),
        (
            "filtered_feature_bc_matrix.h5",
            "filtered_feature_bc_matrix.h5.gz",
            MissingFileError,
        ),
        (TABLE, f"{TABLE}.zip", CoordinateError),
    ],
)
def test_a_file_that_was_moved_or_renamed_is_named(folder, name, to, error):
    (folder / to).parent.mkdir(exist_ok=True)
    (folder / name).rename(folder / to)
    with pytest.raises(error) as told:
        read_space_ranger(folder)
    if name != "spatial":
        how = "unpack" if to.endswith(("gz", "zip")) else "copy"
        assert f"There is {folder / to}: if that is it, {how} it to" in str(told.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b"x"), "It is packed by gzip: unpack it"),
        (b"PK\3\4...", "It is packed by zip: unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "`git lfs pull` fetches that"),
        (b"\n<!DOCTYPE html><title>404</title>", "It is a web page"),
        (b"", "It is empty"),
    ],
    ids=["gzip", "zip", "lfs", "page", "empty"],
)
def test_what_stands_in_the_place_of_counts_is_told(folder, content, told):
    path = folder / "filtered_feature_bc_matrix.h5"
    path.write_bytes(content)
    with pytest.raises(CountsError, match=told):
        read_space_ranger(folder)
    with pytest.raises(MissingFileError, match=told):
        read_space_ranger(path)
    with pytest.raises(ContractError, match=told):
        read_anndata(path)
    with pytest.raises(MissingFileError, match=told):
        read_spatialdata(path, exports=folder)


@pytest.mark.parametrize("start", ["", "filtered_gene_bc_matrices/", "GSM1_"])
def test_the_files_of_a_matrix_elsewhere_are_named(folder, start):
    parts = in_three_files(folder)
    (folder / f"{start}x").parent.mkdir(exist_ok=True)
    for path in list(parts.iterdir()):
        path.rename(folder / f"{start}{path.name}")
    parts.rmdir()
    with pytest.raises(MissingFileError) as told:
        read_space_ranger(folder)
    expected = str(folder / f"{start}matrix.mtx")
    assert f"There is {expected}: if that is it, copy it to {parts / 'matrix.mtx'}" in str(
        told.value
    )


@pytest.mark.parametrize("name", [TABLE, "spatial/scalefactors_json.json"])
def test_packed_files_are_read(folder, name):
    path = folder / name
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    as_meant(folder)


def test_an_image_beside_the_folder_is_told(folder):
    (folder / "spatial" / "tissue_hires_image.png").rename(folder / "tissue_hires_image.png")
    (note,) = read_space_ranger(folder).uns["slide"]["repairs"]
    assert "../tissue_hires_image.png" in note


def test_labels_of_a_table_with_row_names_are_read(tmp_path):
    path = tmp_path / "labels.csv"
    frame = pd.DataFrame({"layer": ["a", "b"], "n": [1, 2]}, index=["s1", "s2"])
    for text in (frame.to_csv(), frame.to_csv(index_label=False), frame.to_csv(sep=";")):
        path.write_text(text)
        assert read_labels(path, "layer") == {"s1": "a", "s2": "b"}
    path.write_text("spot,layer\ns1,a,1\ns2,b\n")
    with pytest.raises(ContractError, match=r"Row 2 of .* has 3 fields"):
        read_labels(path, "layer")
    path.write_text("spot,layer,layer\ns1,a,b\n")
    with pytest.raises(ContractError, match="two columns called 'layer'"):
        read_labels(path, "layer")
