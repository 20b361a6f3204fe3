"""Space Ranger output: both matrix formats, both position files, and what goes wrong with them."""

from __future__ import annotations

import gzip
import json

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import io, sparse

from spared_bench.data import validate_raw_slide
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CountsError,
    ImageError,
    MissingFileError,
)
from spared_bench.readers import read_space_ranger

PITCH = 50  # full-resolution pixels between neighbours in a row
HEADER = "barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres"
IDS = ["ENSG00000000003.15", "ENSG00000000005", "ENSG00000000419", "CD3"]
SYMBOLS = ["TSPAN6", "TNMD", "TNMD", "CD3_TotalA"]
KINDS = ["Gene Expression"] * 3 + ["Antibody Capture"]
SPOTS = [(row, col) for row in range(4) for col in range(row % 2, 8, 2)]
BARCODES = [f"AAAC{i:02d}-1" for i in range(len(SPOTS))]
OUTSIDE = {3, 5}  # not in tissue


@pytest.fixture
def values(rng):
    return rng.poisson(2, size=(len(SPOTS) - len(OUTSIDE), len(IDS)))


@pytest.fixture
def folder(tmp_path, values):
    write_h5(tmp_path / "filtered_feature_bc_matrix.h5", values)
    spatial = tmp_path / "spatial"
    spatial.mkdir()
    (spatial / "tissue_positions.csv").write_text("\n".join([HEADER, *position_lines()]))
    factors = {"spot_diameter_fullres": 32.5, "tissue_hires_scalef": 0.5}
    factors |= {"tissue_lowres_scalef": 0.125}
    (spatial / "scalefactors_json.json").write_text(json.dumps(factors))
    Image.new("RGB", (200, 200)).save(spatial / "tissue_hires_image.png")
    Image.new("RGB", (50, 50)).save(spatial / "tissue_lowres_image.png")
    return tmp_path


def measured():
    return [barcode for i, barcode in enumerate(BARCODES) if i not in OUTSIDE]


def position_lines():
    lines = []
    for i, (row, col) in enumerate(SPOTS):
        y, x = 10 + row * PITCH * 3**0.5 / 2, 20 + col * PITCH / 2
        lines.append(f"{BARCODES[i]},{int(i not in OUTSIDE)},{row},{col},{y},{x}")
    return lines


def write_h5(path, values):
    columns = sparse.csc_matrix(values.T)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(columns, name)
        group["shape"] = columns.shape
        group["barcodes"] = np.array(measured(), dtype="S")
        features = group.create_group("features")
        features["id"] = np.array(IDS, dtype="S")
        features["name"] = np.array(SYMBOLS, dtype="S")
        features["feature_type"] = np.array(KINDS, dtype="S")


def write_mtx(folder, values):
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        io.mmwrite(file, sparse.coo_matrix(values.T))
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress("\n".join(measured()).encode()))
    rows = ["\t".join(row) for row in zip(IDS, SYMBOLS, KINDS, strict=True)]
    (folder / "features.tsv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))


def test_a_slide_is_read_as_its_files_say(folder, values):
    slide = read_space_ranger(folder)

    validate_raw_slide(slide, "a")
    np.testing.assert_array_equal(slide.X.toarray(), values[:, :3])  # antibodies are no genes
    assert list(slide.var_names) == ["ENSG00000000003", "ENSG00000000005", "ENSG00000000419"]
    assert list(slide.var["gene_name"]) == ["TSPAN6", "TNMD", "TNMD"]
    assert list(slide.obs_names) == measured()
    row, col = slide.obs["array_row"].to_numpy(), slide.obs["array_col"].to_numpy()
    np.testing.assert_allclose(slide.obsm["spatial"][:, 0], 20 + col * PITCH / 2)
    np.testing.assert_allclose(slide.obsm["spatial"][:, 1], 10 + row * PITCH * 3**0.5 / 2)
    facts = slide.uns["slide"]
    assert facts["um_per_px"] == pytest.approx(100 / PITCH)
    assert facts["spot_diameter_px"] == 32.5
    assert facts["image_path"].endswith("tissue_hires_image.png")
    assert facts["image_scale"] == 0.5
    assert facts["repairs"] == []


def test_the_mtx_folder_reads_like_the_h5_file(folder, values):
    expected = read_space_ranger(folder)
    (folder / "filtered_feature_bc_matrix.h5").unlink()
    write_mtx(folder / "filtered_feature_bc_matrix", values)
    found = read_space_ranger(folder)
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    assert found.var.equals(expected.var)
    assert found.obs.equals(expected.obs)


def test_positions_without_a_header_read_like_those_with_one(folder):
    expected = read_space_ranger(folder)
    spatial = folder / "spatial"
    (spatial / "tissue_positions.csv").unlink()
    (spatial / "tissue_positions_list.csv").write_text("\n".join(position_lines()))
    np.testing.assert_array_equal(
        read_space_ranger(folder).obsm["spatial"], expected.obsm["spatial"]
    )


def test_counts_beside_the_tissue_are_dropped_and_recorded(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    path.write_text(path.read_text().replace("AAAC00-1,1", "AAAC00-1,0"))
    slide = read_space_ranger(folder)
    assert "AAAC00-1" not in slide.obs_names
    assert slide.uns["slide"]["repairs"] == ["Spots with counts but beside the tissue, dropped: 1."]


def test_the_image_is_the_one_given_then_hires_then_lowres(folder):
    mine = folder / "full.png"
    Image.new("RGB", (400, 400)).save(mine)
    facts = read_space_ranger(folder, image=mine).uns["slide"]
    assert (facts["image_path"], facts["image_scale"]) == (str(mine), 1)
    (folder / "spatial" / "tissue_hires_image.png").unlink()
    facts = read_space_ranger(folder).uns["slide"]
    assert facts["image_path"].endswith("tissue_lowres_image.png")
    assert facts["image_scale"] == 0.125
    (folder / "spatial" / "tissue_lowres_image.png").unlink()
    assert read_space_ranger(folder).uns["slide"]["image_path"] == ""


def test_a_truncated_h5_file_is_refused(folder):
    path = folder / "filtered_feature_bc_matrix.h5"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(CountsError, match=r"filtered_feature_bc_matrix\.h5 cannot be read"):
        read_space_ranger(folder)


def test_an_h5_file_of_something_else_is_refused(folder):
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "w") as file:
        file["other"] = [1]
    with pytest.raises(CountsError, match="damaged, incomplete or of another format"):
        read_space_ranger(folder)


def test_a_matrix_that_disagrees_with_its_barcodes_is_refused(folder, values):
    (folder / "filtered_feature_bc_matrix.h5").unlink()
    write_mtx(folder / "filtered_feature_bc_matrix", values)
    short = gzip.compress("\n".join(measured()[:-1]).encode())
    (folder / "filtered_feature_bc_matrix" / "barcodes.tsv.gz").write_bytes(short)
    with pytest.raises(CountsError, match="4 x 14, but there are 4 features and 13 barcodes"):
        read_space_ranger(folder)


def test_negative_counts_are_refused_naming_the_matrix(folder, values):
    write_h5(folder / "filtered_feature_bc_matrix.h5", values - 1)
    with pytest.raises(CountsError, match=r"The matrix of .* holds negative values"):
        read_space_ranger(folder)


def test_a_folder_without_counts_says_what_was_expected(folder):
    (folder / "filtered_feature_bc_matrix.h5").unlink()
    with pytest.raises(MissingFileError, match=r"expected filtered_feature_bc_matrix\.h5 or"):
        read_space_ranger(folder)


def test_missing_positions_are_a_lack_of_coordinates(folder):
    (folder / "spatial" / "tissue_positions.csv").unlink()
    with pytest.raises(CoordinateError, match=r"no position table at .*tissue_positions\.csv"):
        read_space_ranger(folder)


def test_a_barcode_without_a_position_is_refused(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    path.write_text(path.read_text().replace("AAAC00-1", "TTTT00-1"))
    with pytest.raises(CoordinateError, match=r"1 of 14 barcodes .* have no position: 'AAAC00-1'"):
        read_space_ranger(folder)


def test_missing_scale_factors_are_named(folder):
    (folder / "spatial" / "scalefactors_json.json").unlink()
    with pytest.raises(MissingFileError, match=r"no scale factors at .*scalefactors_json\.json"):
        read_space_ranger(folder)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("{", "cannot be read"), ("{}", "lacks 'spot_diameter_fullres'"), ("[1]", "cannot be read")],
)
def test_scale_factors_that_say_nothing_are_refused(folder, text, complaint):
    (folder / "spatial" / "scalefactors_json.json").write_text(text)
    with pytest.raises(ContractError, match=complaint):
        read_space_ranger(folder)


def test_an_image_of_unknown_scale_is_refused(folder):
    (folder / "spatial" / "scalefactors_json.json").write_text('{"spot_diameter_fullres": 30}')
    with pytest.raises(ContractError, match="lacks 'tissue_hires_scalef'"):
        read_space_ranger(folder)


def full_image(folder, width, height):
    """The full-resolution image: the hires one of the fixture is 200 x 200 at a scale of 0.5."""
    Image.new("RGB", (width, height)).save(folder / "full.png")
    return folder / "full.png"


def test_a_rescaled_image_tells_its_scale_by_the_hires_image(folder):
    small = full_image(folder, 100, 100)
    facts = read_space_ranger(folder, small, rescaled=True).uns["slide"]
    assert (facts["image_path"], facts["image_scale"]) == (str(small), 0.25)


def test_the_image_of_another_slide_is_refused(folder):
    for width, height in ((380, 400), (300, 300), (800, 800)):
        with pytest.raises(ImageError, match=r"measured on one of 400 x 400.*of another slide"):
            read_space_ranger(folder, full_image(folder, width, height))
    with pytest.raises(ImageError, match="is 100 x 120 pixels"):
        read_space_ranger(folder, full_image(folder, 100, 120), rescaled=True)


def test_a_rescaled_image_needs_the_hires_image_and_its_factor(folder):
    image = full_image(folder, 100, 100)
    factors = folder / "spatial" / "scalefactors_json.json"
    factors.write_text('{"spot_diameter_fullres": 30}')
    with pytest.raises(ContractError, match="lacks 'tissue_hires_scalef'"):
        read_space_ranger(folder, image, rescaled=True)
    (folder / "spatial" / "tissue_hires_image.png").unlink()
    with pytest.raises(MissingFileError, match="unknown without the hires image"):
        read_space_ranger(folder, image, rescaled=True)


def exchange(path, first, second):
    """Exchange two columns of a CSV file below the header."""
    header, *lines = path.read_text().splitlines()
    at = [header.split(",").index(name) for name in (first, second)]
    rows = [line.split(",") for line in lines]
    for row in rows:
        row[at[0]], row[at[1]] = row[at[1]], row[at[0]]
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]))


def test_swapped_coordinates_are_told_from_another_image(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    Image.new("RGB", (200, 90)).save(folder / "spatial" / "tissue_hires_image.png")
    read_space_ranger(folder)
    exchange(path, "pxl_row_in_fullres", "pxl_col_in_fullres")
    with pytest.raises(CoordinateError, match="With x and y exchanged all of them fit"):
        read_space_ranger(folder)
    Image.new("RGB", (20, 20)).save(folder / "spatial" / "tissue_hires_image.png")
    with pytest.raises(CoordinateError, match="of another slide, or its scale is wrong"):
        read_space_ranger(folder)


def test_swapped_array_columns_are_refused(folder):
    exchange(folder / "spatial" / "tissue_positions.csv", "array_row", "array_col")
    with pytest.raises(CoordinateError, match=r"do not lie on Visium's lattice.*are swapped"):
        read_space_ranger(folder)


def test_a_position_file_of_the_other_version_is_named(folder):
    spatial = folder / "spatial"
    newer, older = spatial / "tissue_positions.csv", spatial / "tissue_positions_list.csv"
    newer.write_text("\n".join(position_lines()))
    with pytest.raises(CoordinateError, match=r"no header, .*older.*Rename it to .*_list\.csv"):
        read_space_ranger(folder)
    newer.unlink()
    older.write_text("\n".join([HEADER, *position_lines()]))
    with pytest.raises(
        CoordinateError, match=r"a header, .*newer.*Rename it to tissue_positions\."
    ):
        read_space_ranger(folder)


def table_of(folder):
    return pd.read_csv(folder / "spatial" / "tissue_positions.csv")


def test_positions_in_parquet_read_like_those_in_csv(folder):
    expected = read_space_ranger(folder)
    table_of(folder).to_parquet(folder / "spatial" / "tissue_positions.parquet")
    (folder / "spatial" / "tissue_positions.csv").unlink()
    found = read_space_ranger(folder)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    np.testing.assert_array_equal(found.obsm["spatial"], expected.obsm["spatial"])


def test_bins_of_visium_hd_lie_on_a_square_lattice(folder):
    table = table_of(folder)
    table["array_col"] //= 2
    table["pxl_row_in_fullres"] = 10 + 4 * table["array_row"]
    table["pxl_col_in_fullres"] = 20 + 4 * table["array_col"]
    table.to_csv(folder / "spatial" / "tissue_positions.csv", index=False)
    with pytest.raises(CoordinateError, match=r"expected a ratio of 1\.73, found 1\."):
        read_space_ranger(folder)
    factors = folder / "spatial" / "scalefactors_json.json"
    factors.write_text(json.dumps(json.loads(factors.read_text()) | {"bin_size_um": 8.0}))
    assert read_space_ranger(folder).uns["slide"]["um_per_px"] == pytest.approx(2)


def test_a_barcode_with_two_positions_is_refused(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    path.write_text("\n".join([path.read_text(), position_lines()[4]]))
    with pytest.raises(CoordinateError, match=f"names barcode '{BARCODES[4]}' more than once"):
        read_space_ranger(folder)


def test_a_slide_of_one_spot_gets_its_scale_from_the_positions_beside_it(folder, values):
    path = folder / "spatial" / "tissue_positions.csv"
    expected = read_space_ranger(folder).uns["slide"]["um_per_px"]
    table = table_of(folder)
    table["in_tissue"] = (table["barcode"] == BARCODES[0]).astype(int)
    table.to_csv(path, index=False)
    slide = read_space_ranger(folder)
    assert slide.n_obs == 1
    assert slide.uns["slide"]["um_per_px"] == pytest.approx(expected)
