"""Space Ranger output: both matrix formats, both position files, and what goes wrong with them."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path

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
from spared_bench.readers.lattice import lattice_kind, lattice_steps

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
    assert facts["repairs"] == ["Features that are no genes, dropped: 1."]


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


def whole_pixels(lines):
    """As versions before 2 wrote them, which names spots in another order, too."""
    fields = [line.split(",") for line in lines[::-1]]
    return [",".join([*line[:4], *(str(int(float(px))) for px in line[4:])]) for line in fields]


def test_a_second_position_table_may_be_the_same_in_the_form_of_another_version(folder):
    expected = read_space_ranger(folder)
    list_ = folder / "spatial" / "tissue_positions_list.csv"
    list_.write_text("\n".join(whole_pixels(position_lines())))
    np.testing.assert_array_equal(
        read_space_ranger(folder).obsm["spatial"], expected.obsm["spatial"]
    )


def annotated_by_hand(lines):
    return [lines[0].replace(",1,", ",0,", 1), *lines[1:]]


def of_another_image(lines):
    fields = [line.split(",") for line in lines]
    return [",".join([*line[:4], *(str(2 * float(px)) for px in line[4:])]) for line in fields]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (annotated_by_hand, "in_tissue of AAAC00-1 is 1 in one and 0 in the other"),
        (of_another_image, "pxl_row_in_fullres of AAAC00-1 is 10 in one and 20 in the other"),
        (lambda lines: lines[1:], "spots and the other"),
        (lambda lines: [line.replace("AAAC", "CCCC") for line in lines], "not all of the same"),
    ],
)
def test_two_position_tables_that_contradict_each_other_are_refused(folder, change, told):
    lines = "\n".join(change(position_lines()))
    (folder / "spatial" / "tissue_positions_list.csv").write_text(lines)
    with pytest.raises(CoordinateError, match=told) as caught:
        read_space_ranger(folder)
    assert "tissue_positions.csv and tissue_positions_list.csv beside it" in str(caught.value)


def test_counts_beside_the_tissue_are_dropped_and_recorded(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    path.write_text(path.read_text().replace("AAAC00-1,1", "AAAC00-1,0"))
    slide = read_space_ranger(folder)
    assert "AAAC00-1" not in slide.obs_names
    assert slide.uns["slide"]["repairs"][1:] == [
        "Spots with counts but beside the tissue, dropped: 1."
    ]


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


def test_a_spot_without_a_position_is_left_out_and_recorded(folder, values):
    path = folder / "spatial" / "tissue_positions.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("AAAC02-1")))
    slide = read_space_ranger(folder)
    kept = [barcode for barcode in measured() if barcode != "AAAC02-1"]
    assert list(slide.obs_names) == kept
    rows = [measured().index(barcode) for barcode in kept]
    np.testing.assert_array_equal(slide.X.toarray(), values[rows, :3])
    assert "Spots with counts but no position, dropped: 1." in slide.uns["slide"]["repairs"]


def test_barcodes_mostly_without_a_position_are_refused(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    path.write_text(path.read_text().replace("AAAC0", "TTTT0"))
    with pytest.raises(CoordinateError, match=r"8 of 14 barcodes .* have no position: 'AAAC00-1'"):
        read_space_ranger(folder)


@pytest.mark.parametrize("lacking", ["positions", "counts"])
def test_barcodes_without_their_suffix_in_one_file_find_their_places(folder, lacking):
    expected = read_space_ranger(folder)
    if lacking == "positions":
        path = folder / "spatial" / "tissue_positions.csv"
        path.write_text(path.read_text().replace("-1,", ","))
    else:
        with h5py.File(folder / "filtered_feature_bc_matrix.h5", "a") as file:
            del file["matrix/barcodes"]
            file["matrix/barcodes"] = np.array([b[:-2] for b in measured()], dtype="S")
    slide = read_space_ranger(folder)
    np.testing.assert_array_equal(slide.obsm["spatial"], expected.obsm["spatial"])
    np.testing.assert_array_equal(slide.X.toarray(), expected.X.toarray())
    assert f"Barcodes of the {lacking} lack the suffix" in " ".join(slide.uns["slide"]["repairs"])


def test_barcodes_with_another_suffix_are_of_another_slide(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    path.write_text(path.read_text().replace("-1,", "-2,"))
    with pytest.raises(CoordinateError, match="14 of 14 barcodes"):
        read_space_ranger(folder)


@pytest.mark.parametrize(
    "mark", ["aggregation.csv", "aggr_tissue_positions.csv", "aggr_tissue_positions_list.csv"]
)
def test_slides_that_were_put_together_lead_to_each_of_them(folder, mark):
    # The advice was to copy the scale factors of one of them to where those of all were looked for.
    (folder / mark).write_text("library_id")
    assert read_space_ranger(folder).n_obs
    (folder / "spatial").rename(folder / "A")
    for name in ("A", "B"):
        shutil.copytree(folder / "A", folder / "spatial" / name)
    with pytest.raises(MissingFileError, match=rf"several slides \(A, B\), .*as {mark} tells\."):
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
    (folder / "spatial" / "tissue_lowres_image.png").unlink()
    Image.new("RGB", (200, 90)).save(folder / "spatial" / "tissue_hires_image.png")
    read_space_ranger(folder)
    exchange(path, "pxl_row_in_fullres", "pxl_col_in_fullres")
    with pytest.raises(CoordinateError, match="With x and y exchanged all of them fit"):
        read_space_ranger(folder)
    Image.new("RGB", (20, 20)).save(folder / "spatial" / "tissue_hires_image.png")
    with pytest.raises(CoordinateError, match="of another slide, or its scale is wrong"):
        read_space_ranger(folder)


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
def test_spots_that_a_cropped_image_lacks_are_told_from_another_image(folder, side):
    """Of Visium HD, bins that are half on what was cropped are kept by spatialdata."""
    path = folder / "spatial" / "tissue_positions.csv"
    table = pd.read_csv(path)
    axis = "pxl_col_in_fullres" if side in ("left", "right") else "pxl_row_in_fullres"
    step = table[axis].min() + 1 if side in ("left", "top") else table[axis].max() - 1
    if side in ("left", "top"):
        table[axis] -= step
    table.to_csv(path, index=False)
    image = Image.open(folder / "spatial" / "tissue_hires_image.png")
    scale = json.loads((folder / "spatial" / "scalefactors_json.json").read_text())
    step = round(step * scale["tissue_hires_scalef"])
    box = {"right": (0, 0, step, image.height), "bottom": (0, 0, image.width, step)}
    image.crop(box.get(side, (0, 0, *image.size))).save(image.filename)
    (folder / "spatial" / "tissue_lowres_image.png").unlink()
    with pytest.raises(CoordinateError, match="within a spot of its edge: if it was cropped there"):
        read_space_ranger(folder)


def test_a_y_axis_that_points_upwards_is_told(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    table = pd.read_csv(path)
    table["pxl_row_in_fullres"] *= -1
    table.to_csv(path, index=False)
    with pytest.raises(CoordinateError, match="With -y in the place of y all of them fit"):
        read_space_ranger(folder)


def test_swapped_array_columns_are_refused(folder):
    exchange(folder / "spatial" / "tissue_positions.csv", "array_row", "array_col")
    with pytest.raises(CoordinateError, match=r"do not lie on Visium's lattice.*are swapped"):
        read_space_ranger(folder)


@pytest.mark.parametrize("name", ["tissue_positions.csv", "tissue_positions_list.csv"])
@pytest.mark.parametrize("header", [True, False])
def test_a_header_is_seen_whatever_the_file_is_called(folder, name, header):
    expected = read_space_ranger(folder)
    (folder / "spatial" / "tissue_positions.csv").unlink()
    lines = [HEADER, *position_lines()] if header else position_lines()
    (folder / "spatial" / name).write_text("\n".join(lines))
    found = read_space_ranger(folder)
    np.testing.assert_array_equal(found.obsm["spatial"], expected.obsm["spatial"])
    pd.testing.assert_frame_equal(found.obs, expected.obs)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("a,b,c", "3 columns and no header that is known; expected the columns barcode"),
        ("a,b,c,d,e,f", "6 columns and no header that is known"),
        (HEADER.replace("array_row", "row"), r"lacks the columns \['array_row'\]"),
        ("", "is empty"),
    ],
)
def test_a_position_file_of_something_else_is_refused(folder, first, message):
    path = folder / "spatial" / "tissue_positions.csv"
    path.write_text("\n".join([first, *position_lines()]) if first else "\n\n")
    with pytest.raises(CoordinateError, match=message):
        read_space_ranger(folder)


def test_counts_that_belong_to_no_spot_are_refused(folder):
    # Pointers that end early leave the spots at the end without their counts.
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "a") as file:
        pointers = file["matrix/indptr"]
        n_counts = int(pointers[-1])
        pointers[:] = np.minimum(pointers[:], 5)
    with pytest.raises(CountsError, match=f"5 of its {n_counts} counts are of its spots"):
        read_space_ranger(folder)


def test_a_matrix_without_spots_is_refused_as_that(folder):
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "a") as file:
        matrix, empty = file["matrix"], np.array([], dtype=np.int64)
        for name in ("barcodes", "data", "indices", "indptr"):
            del matrix[name]
        matrix["barcodes"] = np.array([], dtype="S")
        matrix["data"], matrix["indices"], matrix["indptr"] = empty, empty, np.array([0])
    with pytest.raises(CountsError, match="has no barcodes, so no spots"):
        read_space_ranger(folder)


def test_a_position_file_of_a_header_alone_is_refused(folder):
    (folder / "spatial" / "tissue_positions.csv").write_text(f"{HEADER}\n")
    with pytest.raises(CoordinateError, match="has a header and no rows"):
        read_space_ranger(folder)


def test_an_array_position_that_is_not_whole_is_refused(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    path.write_text(path.read_text().replace("AAAC02-1,1,0,", "AAAC02-1,1,0.5,"))
    with pytest.raises(CoordinateError, match=r"'array_row' holds 0\.5 in 1 of 16 rows"):
        read_space_ranger(folder)


def table_of(folder):
    return pd.read_csv(folder / "spatial" / "tissue_positions.csv")


@pytest.mark.parametrize("indexed", [False, True])
def test_positions_in_parquet_read_like_those_in_csv(folder, indexed):
    expected = read_space_ranger(folder)
    table = table_of(folder)
    table = table.set_index("barcode") if indexed else table
    table.to_parquet(folder / "spatial" / "tissue_positions.parquet")
    (folder / "spatial" / "tissue_positions.csv").unlink()
    found = read_space_ranger(folder)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    np.testing.assert_array_equal(found.obsm["spatial"], expected.obsm["spatial"])


def lay_on_square_grid(folder, step_px):
    """Place the spots so far apart, array_col counting one by one."""
    table = table_of(folder)
    table["array_col"] //= 2
    table["pxl_row_in_fullres"] = 10 + step_px * table["array_row"]
    table["pxl_col_in_fullres"] = 20 + step_px * table["array_col"]
    table.to_csv(folder / "spatial" / "tissue_positions.csv", index=False)


def test_bins_of_visium_hd_lie_on_a_square_lattice(folder):
    lay_on_square_grid(folder, 4)
    change_factors(folder, spot_diameter_fullres=4.0, bin_size_um=8.0, microns_per_pixel=2.0)
    facts = read_space_ranger(folder).uns["slide"]
    assert facts["um_per_px"] == pytest.approx(2)
    assert facts["repairs"] == ["Features that are no genes, dropped: 1."]
    change_factors(folder, microns_per_pixel=0.5)
    with pytest.raises(ContractError, match=r"'microns_per_pixel' .* is 0\.5, but .* 2 um"):
        read_space_ranger(folder)
    change_factors(folder, spot_diameter_fullres=6.5)
    with pytest.raises(ContractError, match="would measure 13 um; expected 8 um"):
        read_space_ranger(folder)


def test_a_square_grid_of_another_maker_is_read_and_its_scale_is_asked_for(folder):
    lay_on_square_grid(folder, 40)
    change_factors(folder, spot_diameter_fullres=20.0)
    slide = read_space_ranger(folder)
    assert slide.n_obs == 14
    assert slide.uns["slide"]["um_per_px"] == 0
    (told,) = slide.uns["slide"]["repairs"][1:]
    assert told.startswith("The spots lie on a square grid, which is not Visium's, 40 px apart")
    assert "write `um_per_px: ...`" in told
    facts = read_space_ranger(folder, um_per_px=1.25).uns["slide"]
    assert (facts["um_per_px"], facts["spot_diameter_px"]) == (1.25, 20)
    with pytest.raises(ContractError, match=r"a spot would measure 2,000 um"):
        read_space_ranger(folder, um_per_px=100)
    change_factors(folder, spot_diameter_fullres=90.0)
    with pytest.raises(CoordinateError, match="40 px apart, but 90 px wide: they overlap"):
        read_space_ranger(folder)


def test_the_scale_factors_of_a_square_grid_may_tell_the_size_of_a_pixel(folder):
    lay_on_square_grid(folder, 40)
    change_factors(folder, spot_diameter_fullres=20.0, microns_per_pixel=1.25)
    slide = read_space_ranger(folder)
    assert slide.uns["slide"]["um_per_px"] == 1.25
    assert "is as its scale factors say" in slide.uns["slide"]["repairs"][-1]
    with pytest.raises(ContractError, match=r"`um_per_px` \(2\) contradicts 'microns_per_pixel'"):
        read_space_ranger(folder, um_per_px=2.0)
    change_factors(folder, microns_per_pixel=125.0)
    with pytest.raises(ContractError, match=r"a spot would measure 2,500 um"):
        read_space_ranger(folder)


@pytest.mark.parametrize(
    ("column", "row", "across", "down"),
    [
        (2, 1, 40, 40),  # a square grid whose columns are counted by twos: no Visium
        (1, 1, 40, 60),
        (1, 2, 40, 40),
    ],
)
def test_a_square_grid_counted_otherwise_is_not_taken_for_visium(folder, column, row, across, down):
    table = table_of(folder)
    place = table["array_col"] // 2
    table["pxl_col_in_fullres"], table["array_col"] = 20 + across * place, place * column
    table["pxl_row_in_fullres"] = 10 + down * table["array_row"]
    table["array_row"] *= row
    table.to_csv(folder / "spatial" / "tissue_positions.csv", index=False)
    change_factors(folder, spot_diameter_fullres=24.0)
    with pytest.raises(CoordinateError, match="do not lie on Visium's lattice"):
        read_space_ranger(folder)


def test_visium_of_which_one_axis_was_scaled_is_no_square_grid(folder):
    table = table_of(folder)
    table["pxl_row_in_fullres"] *= 0.5
    table.to_csv(folder / "spatial" / "tissue_positions.csv", index=False)
    with pytest.raises(CoordinateError, match="do not lie on Visium's lattice"):
        read_space_ranger(folder)


@pytest.mark.parametrize(
    ("places", "kind"),
    [
        (lambda r, c: (c, r), "square"),
        (lambda r, c: (2 * c + r % 2, r), "square"),  # every other place is empty
        (lambda r, c: (2 * c, 2 * r), "other"),
        (lambda r, c: (c, 1.5 * r), "other"),
    ],
)
def test_square_arrays_are_known_by_their_places_and_distances(places, kind):
    grid = np.array([(r, c) for r in range(9) for c in range(9)])
    array = np.array([places(r, c) for r, c in grid], dtype=float)
    pixels = array @ [[30, 3], [-3, 30]] + 500  # turned a little
    whole = np.rint(array / [1, 1.5]) if (array % 1).any() else array
    assert lattice_kind(whole, pixels, lattice_steps(whole, pixels)) == kind


def test_rows_of_visium_that_are_counted_singly_are_no_square_grid(folder):
    table = table_of(folder)
    table["array_col"] //= 2
    table.to_csv(folder / "spatial" / "tissue_positions.csv", index=False)
    with pytest.raises(CoordinateError, match="array_col does not count half distances"):
        read_space_ranger(folder)


def change_factors(folder, **factors):
    path = folder / "spatial" / "scalefactors_json.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | factors))


@pytest.mark.parametrize(("diameter", "um"), [(1.5, "3"), (650, "1,300"), (50, "100"), (20, "40")])
def test_a_size_of_spots_that_visium_does_not_have_is_refused(folder, diameter, um):
    change_factors(folder, spot_diameter_fullres=diameter)
    with pytest.raises(
        ContractError, match=rf"{diameter} px wide.* 50 px apart.* {um} um; expected 55 to 65"
    ):
        read_space_ranger(folder)


def test_a_size_of_pixels_that_the_lattice_contradicts_is_refused(folder):
    assert read_space_ranger(folder, um_per_px=2.1).uns["slide"]["um_per_px"] == pytest.approx(2)
    with pytest.raises(ContractError, match=r"`um_per_px` 0\.5 contradicts .* measures 2 um"):
        read_space_ranger(folder, um_per_px=0.5)


def test_exchanged_factors_of_the_two_images_are_noticed(folder):
    change_factors(folder, tissue_hires_scalef=0.125, tissue_lowres_scalef=0.5)
    with pytest.raises(
        ImageError,
        match=r"1600 x 1600, and lowres .* = 100 x 100; the ratio .* 4, that .* 0\.25\. Exchange",
    ):
        read_space_ranger(folder)


def test_a_factor_that_fits_one_image_only_is_noticed(folder):
    change_factors(folder, tissue_hires_scalef=0.25)
    with pytest.raises(ImageError, match=r"contradict .*is wrong.* or take away the image"):
        read_space_ranger(folder)
    with pytest.raises(ImageError, match="contradict each other"):
        read_space_ranger(folder, full_image(folder, 400, 400))


def test_an_image_is_compared_with_the_lowres_one_where_there_is_no_other(folder):
    (folder / "spatial" / "tissue_hires_image.png").unlink()
    assert read_space_ranger(folder, full_image(folder, 399, 403)).uns["slide"]["image_scale"] == 1
    for size in ((800, 800), (400, 500), (460, 400)):
        with pytest.raises(ImageError, match="one of 400 x 400, by its lowres image"):
            read_space_ranger(folder, full_image(folder, *size))


ODD = [None, "n/a", [1, 2], {"a": 1}, True, -1, 0, float("nan"), "", [], 10**400]


@pytest.mark.parametrize("value", ODD, ids=str)
def test_an_odd_value_that_nobody_needs_does_no_harm(folder, value):
    expected = read_space_ranger(folder)
    (folder / "spatial" / "tissue_lowres_image.png").unlink()
    change_factors(folder, regist_target_img_scalef=value, fiducial_diameter_fullres=value)
    change_factors(folder, tissue_lowres_scalef=value)
    assert read_space_ranger(folder).uns["slide"] == expected.uns["slide"]


@pytest.mark.parametrize("value", ODD, ids=str)
def test_an_odd_value_that_is_needed_is_named(folder, value):
    change_factors(folder, tissue_hires_scalef=value)
    with pytest.raises(ContractError, match="lacks 'tissue_hires_scalef', a positive number"):
        read_space_ranger(folder)
    change_factors(folder, tissue_hires_scalef=[0.5], spot_diameter_fullres=value)
    with pytest.raises(ContractError, match=r"'spot_diameter_fullres' is .*a positive number"):
        read_space_ranger(folder)


def test_a_factor_as_r_writes_it_is_a_number(folder):
    expected = read_space_ranger(folder).uns["slide"]
    change_factors(folder, tissue_hires_scalef=[0.5], spot_diameter_fullres=["32.5"])
    assert read_space_ranger(folder).uns["slide"] == expected


@pytest.mark.parametrize(
    "words", [("TRUE", "FALSE"), ("true", "false"), ("yes", "no"), ("1.0", "0")]
)
def test_words_say_what_is_under_tissue(folder, words):
    path = folder / "spatial" / "tissue_positions.csv"
    text = path.read_text().replace("-1,1,", f"-1,{words[0]},").replace("-1,0,", f"-1,{words[1]},")
    path.write_text(text.replace(f"AAAC00-1,{words[0]}", f"AAAC00-1,{words[1]}"))
    slide = read_space_ranger(folder)
    assert list(slide.obs_names) == measured()[1:]
    path.write_text(text.replace(f"AAAC00-1,{words[0]}", "AAAC00-1,maybe"))
    with pytest.raises(CoordinateError, match="column 'in_tissue' holds 'maybe' in 1 of 16 rows"):
        read_space_ranger(folder)


@pytest.mark.parametrize(
    "named", ["outs", "outs/binned_outputs", "outs/segmented_outputs", "outs/spatial", "."]
)
def test_a_folder_of_visium_hd_leads_to_its_bins(folder, tmp_path_factory, named):
    top = tmp_path_factory.mktemp("hd")
    for size in ("square_008um", "square_016um"):
        shutil.copytree(folder, top / "outs/binned_outputs" / size)
    for part in ("spatial", "segmented_outputs"):
        (top / "outs" / part).mkdir()
    (top / "outs/segmented_outputs/filtered_feature_cell_matrix.h5").touch()
    with pytest.raises(
        MissingFileError, match="Visium HD has counts for each size of bins"
    ) as told:
        read_space_ranger(top / named)
    places = re.findall(r"\S+square_\d+um", str(told.value))
    assert [read_space_ranger(Path(place)).n_obs for place in places] == [14, 14]


def test_a_folder_beside_the_right_one_leads_to_it(folder, tmp_path_factory):
    top = tmp_path_factory.mktemp("run")
    shutil.copytree(folder, top / "outs")
    for wrong in (top, top / "outs/spatial"):
        with pytest.raises(MissingFileError, match=r"Name \S*/outs, where there are some"):
            read_space_ranger(wrong)


@pytest.mark.parametrize(
    "cells",
    [
        "cell_feature_matrix.h5",
        "cell_feature_matrix/matrix.mtx.gz",
        "filtered_feature_cell_matrix.h5",
        "segmented_outputs/filtered_feature_cell_matrix.h5",
        "cell_by_gene.csv",
        "S1_exprMat_file.csv.gz",
    ],
)
def test_counts_of_single_cells_are_not_to_be_renamed(tmp_path, cells):
    # The advice was to copy them to the name of those of spots, which have other names.
    (tmp_path / cells).parent.mkdir(exist_ok=True)
    (tmp_path / cells).touch()
    with pytest.raises(MissingFileError, match=r"holds counts of single cells.*`format: h5ad`"):
        read_space_ranger(tmp_path)


def two_genomes(folder, ids, genomes=None):
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "a") as file:
        features = file["matrix/features"]
        del features["feature_type"]  # written by others than 10x Genomics: all are genes
        for name, values in (("id", ids), ("name", [f"{i}x" for i in ids]), ("genome", genomes)):
            if name in features:
                del features[name]
            if values:
                features[name] = np.array(values, dtype="S")


MIXED = {
    "told, with prefixes": (
        ["GRCh38_ENSG0001", "GRCh38_ENSG0002", "mm10___ENSMUSG0003", "mm10___ENSMUSG0004"],
        ["GRCh38", "GRCh38", "mm10", "mm10"],
    ),
    "told with underscores": (
        ["GRCh38_ENSG0001", "GRCh38_ENSG0002", "mm10___ENSMUSG0003", "mm10___ENSMUSG0004"],
        ["GRCh38", "GRCh38", "mm10__", "mm10__"],
    ),
    "prefixes only": (
        ["hg19_ENSG0001", "hg19_ENSG0002", "mm9_ENSMUSG0003", "mm9_ENSMUSG0004"],
        None,
    ),
    "ids only": (["ENSG0001", "ENSG0002", "ENSMUSG0003", "ENSMUSG0004"], None),
    "own names": (["ENSG0001", "ENSG0002", "ENSMUSG0003", "ENSMUSG0004"], ["a", "a", "b", "b"]),
}


@pytest.mark.parametrize("case", MIXED)
def test_of_several_genomes_the_one_of_the_organism_is_read(folder, values, case):
    two_genomes(folder, *MIXED[case])
    human = read_space_ranger(folder, organism="human")
    assert list(human.var_names) == ["ENSG0001", "ENSG0002"]
    np.testing.assert_array_equal(human.X.toarray(), values[:, :2])
    assert human.uns["slide"]["repairs"][0].startswith("Genes of other genomes than ")
    assert "dropped: 2 (" in human.uns["slide"]["repairs"][0]
    mouse = read_space_ranger(folder, organism="mouse")
    assert list(mouse.var_names) == ["ENSMUSG0003", "ENSMUSG0004"]
    np.testing.assert_array_equal(mouse.X.toarray(), values[:, 2:])
    for organism, advice in (("", "Declare the organism"), ("rat", r"unclear\. Give a matrix")):
        with pytest.raises(CountsError, match=rf"several genomes: .*2 genes.*{advice}"):
            read_space_ranger(folder, organism=organism)


def test_a_virus_beside_the_genome_is_left_out_and_recorded(folder):
    two_genomes(folder, ["ENSG0001", "ENSG0002", "ENSG0003", "S"], ["GRCh38"] * 3 + ["SARS-CoV-2"])
    slide = read_space_ranger(folder, organism="human")
    assert slide.n_vars == 3
    assert slide.uns["slide"]["repairs"] == [
        "Genes of other genomes than GRCh38, dropped: 1 (SARS-CoV-2)."
    ]


def test_two_genomes_of_one_organism_are_unclear(folder):
    two_genomes(folder, ["ENSG0001", "ENSG0002", "ENSG0003", "ENSG0004"], ["hg19", "GRCh38"] * 2)
    with pytest.raises(CountsError, match=r"hg19 \(2 genes\), GRCh38 \(2 genes\)"):
        read_space_ranger(folder, organism="human")


def test_the_name_of_a_single_genome_is_no_part_of_an_id(folder):
    two_genomes(folder, [f"GRCh38_ENSG000{i}" for i in range(4)], ["GRCh38"] * 4)
    slide = read_space_ranger(folder)
    assert list(slide.var_names) == [f"ENSG000{i}" for i in range(4)]
    assert slide.var["gene_name"].iloc[0] == "ENSG0000x"


def test_a_matrix_without_genes_is_refused(folder):
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "a") as file:
        del file["matrix/features/feature_type"]
        file["matrix/features/feature_type"] = np.array(["Antibody Capture"] * 4, dtype="S")
    with pytest.raises(
        CountsError, match=r"No feature of .* is of type 'Gene Expression'; found Anti"
    ):
        read_space_ranger(folder)


def test_the_format_before_version_3_is_read(folder, values):
    columns = sparse.csc_matrix(values.T)
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "w") as file:
        group = file.create_group("GRCh38")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(columns, name)
        for name, texts in (("barcodes", measured()), ("genes", IDS), ("gene_names", SYMBOLS)):
            group[name] = np.array(texts, dtype="S")
    slide = read_space_ranger(folder)
    np.testing.assert_array_equal(slide.X.toarray(), values)
    assert list(slide.var["gene_name"]) == SYMBOLS


def test_names_of_other_number_than_features_are_refused(folder):
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "a") as file:
        del file["matrix/features/name"]
        file["matrix/features/name"] = np.array(["A"], dtype="S")
    with pytest.raises(CountsError, match="it has 4 features, but 1 of their names"):
        read_space_ranger(folder)


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


def moved(folder, change):
    """Change the pixels of the position table, (n_spots, 2), x and y."""
    path = folder / "spatial" / "tissue_positions.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    pixels = change(np.array([[float(row[5]), float(row[4])] for row in rows[1:]]))
    for row, (x, y) in zip(rows[1:], pixels, strict=True):
        row[4:] = [str(y), str(x)]
    path.write_text("\n".join(map(",".join, rows)))


MIXED_UP = {
    "rows in another order": lambda xy: np.concatenate([xy[:4], xy[:3:-1]]),
    "two exchanged halves": lambda xy: xy[[*range(8), *range(12, 16), *range(8, 12)]],
    "rounded": lambda xy: xy // 100 * 100,
    "one place": lambda xy: xy * 0 + 30,
}


@pytest.mark.parametrize("change", MIXED_UP)
def test_pixels_that_are_not_where_the_array_says_are_refused(folder, change):
    moved(folder, MIXED_UP[change])
    with pytest.raises(CoordinateError, match=r"not where|where another one|do not lie on Visium"):
        read_space_ranger(folder)


def test_an_array_that_was_stretched_and_shaken_a_little_is_read(folder, rng):
    moved(folder, lambda xy: xy * [1.05, 0.97] + rng.normal(0, 2, xy.shape) + 5)
    assert read_space_ranger(folder).n_obs


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_an_image_that_was_converted_is_used(folder, suffix):
    path = folder / "spatial" / "tissue_hires_image.png"
    with Image.open(path) as picture:
        picture.save(path.with_suffix(suffix))
    path.unlink()
    facts = read_space_ranger(folder).uns["slide"]
    assert facts["image_path"] == str(path.with_suffix(suffix))
    assert facts["image_scale"] == 0.5


def test_images_of_which_none_is_used_are_named(folder):
    for size in ("hires", "lowres"):
        path = folder / "spatial" / f"tissue_{size}_image.png"
        path.rename(path.with_name(f"GSM1_{path.name}.gz"))
    facts = read_space_ranger(folder).uns["slide"]
    assert facts["image_path"] == ""
    assert facts["repairs"][-1].startswith("No image was used")
    assert "GSM1_tissue_hires_image.png.gz" in facts["repairs"][-1]


@pytest.mark.parametrize("organism", ["human", "mouse", "rat", ""])
def test_of_the_groups_of_two_genomes_the_one_of_the_organism_is_read(folder, values, organism):
    path = folder / "filtered_feature_bc_matrix.h5"
    with h5py.File(path) as file:
        parts = {
            name: file["matrix"][name][:] for name in ("data", "indices", "indptr", "barcodes")
        }
        genes = file["matrix/features/id"][:]
    path.unlink()
    with h5py.File(path, "w") as file:  # as Cell Ranger 2 writes it
        for number, genome in enumerate(("GRCh38", "mm10"), start=1):
            group = file.create_group(genome)
            for name, part in parts.items():
                group[name] = part * number if name == "data" else part
            group["genes"] = group["gene_names"] = genes
    if organism not in ("human", "mouse"):
        with pytest.raises(CountsError, match="counts of several genomes: GRCh38, mm10; which of"):
            read_space_ranger(folder, organism=organism)
        return
    slide = read_space_ranger(folder, organism=organism)
    other = "mm10" if organism == "human" else "GRCh38"
    assert slide.X.sum() == values.sum() * (1 if organism == "human" else 2)
    assert any(f"dropped: all of {other}." in repair for repair in slide.uns["slide"]["repairs"])


@pytest.mark.parametrize("kind", ["bool", "complex64", "S4"])
def test_an_h5_file_whose_counts_are_no_numbers_is_refused(folder, kind):
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "r+") as file:
        counts = file["matrix/data"][:].astype(kind)
        del file["matrix/data"]
        file["matrix/data"] = counts
    with pytest.raises(CountsError, match="its counts are of type"):
        read_space_ranger(folder)


def test_what_is_still_packed_is_to_be_unpacked(folder, tmp_path_factory):
    bare = tmp_path_factory.mktemp("download")
    for name in ("HD_binned_outputs.tar.gz", "HD_square_008um_outputs.tar.gz"):
        (bare / name).write_bytes(b"")
        with pytest.raises(MissingFileError, match=f"There is {name}: unpack it there"):
            read_space_ranger(bare)
        (bare / name).unlink()
    for name in ("A1_filtered_feature_bc_matrix.tar.gz", "A1_spatial.tar.gz"):
        (bare / name).write_bytes(b"")
    told = "There is A1_filtered_feature_bc_matrix.tar.gz: unpack it there"
    with pytest.raises(MissingFileError, match=told):
        read_space_ranger(bare)
    (folder / "spatial").rename(bare / "elsewhere")
    (folder / "A1_spatial.tar.gz").write_bytes(b"")
    with pytest.raises(MissingFileError, match=r"There is A1_spatial.tar.gz: unpack it there"):
        read_space_ranger(folder)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("{}.crdownload", "which has not come whole: download it again"),
        (".{}.icloud", "which has not come whole: download it again"),
        ("{}.part", "which has not come whole: download it again"),
        ("filtered_feature_bc_matrix (1).h5", "if that is it, copy it to"),
        ("filtered_feature_bc_matrix.h5.h5", "if that is it, copy it to"),
    ],
)
def test_what_has_not_come_whole_or_is_called_otherwise_is_told_beside_the_raw(folder, name, told):
    whole = folder / "filtered_feature_bc_matrix.h5"
    shutil.copy(whole, folder / "raw_feature_bc_matrix.h5")
    other = whole.rename(folder / name.format(whole.name))
    with pytest.raises(MissingFileError) as refused:
        read_space_ranger(folder)
    assert f"There is {other}" in str(refused.value) and told in str(refused.value)
    other.unlink()
    with pytest.raises(MissingFileError, match="The raw matrix in there has all barcodes"):
        read_space_ranger(folder)


def test_what_macos_keeps_beside_a_file_is_not_taken_for_it(folder):
    positions = folder / "spatial" / "tissue_positions.csv"
    positions.rename(folder / "spatial" / "._tissue_positions.csv")
    with pytest.raises(CoordinateError, match="Copy the whole `spatial` folder of Space Ranger"):
        read_space_ranger(folder)


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_counts_of_a_matrix_that_were_never_written_are_not_read_as_0(folder, part):
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "a") as file:
        values = file["matrix"][part][:]
        del file["matrix"][part]
        made = file["matrix"].create_dataset(part, values.shape, values.dtype, chunks=(5,))
        made[:10] = values[:10]
    with pytest.raises(CountsError, match=r"\d+ chunks? of its counts were never written"):
        read_space_ranger(folder)
