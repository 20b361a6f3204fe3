"""Legacy ST: a counts table, a spot table and an image, whole and in every way broken."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from PIL import Image

from spared_bench.data import validate_raw_slide
from spared_bench.errors import CoordinateError, CountsError, ImageError, MissingFileError
from spared_bench.readers import read_legacy_st
from spared_bench.readers.legacy_checks import check_tables
from spared_bench.readers.legacy_tables import between_tabs

WIDTH, HEIGHT = 640, 680  # 20 pixels from spot to spot
SPOTS = [(x, y) for x in range(3, 7) for y in range(4, 9)]
GENES = ["ENSG00000000003.15", "FO538757.1", "ERBB2"]


@pytest.fixture
def values(rng):
    return rng.poisson(3, size=(len(SPOTS), len(GENES)))


@pytest.fixture
def section(tmp_path, values):
    """Write a section and return its counts, spot table and image."""
    write_counts(tmp_path / "counts.tsv", [f"{x}x{y}" for x, y in SPOTS], GENES, values)
    write_spots(tmp_path / "spots.tsv", SPOTS)
    Image.new("RGB", (WIDTH, HEIGHT), "white").save(tmp_path / "image.png")
    return tmp_path / "counts.tsv", tmp_path / "spots.tsv", tmp_path / "image.png"


def write_counts(path, names, genes, values):
    lines = ["\t".join(["", *genes])]
    lines += ["\t".join([name, *map(str, row)]) for name, row in zip(names, values, strict=True)]
    path.write_text("\n".join(lines) + "\n")


def write_spots(path, spots, selected=lambda x, y: 1):
    lines = ["x\ty\tnew_x\tnew_y\tpixel_x\tpixel_y\tselected"]
    for x, y in spots:
        pixel = ((x - 1) * WIDTH / 32, (y - 1) * HEIGHT / 34)
        lines.append("\t".join(map(str, (x, y, x, y, *pixel, selected(x, y)))))
    path.write_text("\n".join(lines) + "\n")


def test_a_section_is_read_as_its_files_say(section, values):
    slide = read_legacy_st(*section)

    validate_raw_slide(slide, "a")
    np.testing.assert_array_equal(slide.X.toarray(), values)
    assert list(slide.var_names) == ["ENSG00000000003", "FO538757.1", "ERBB2"]
    assert list(slide.obs_names) == [f"{x}x{y}" for x, y in SPOTS]
    assert list(slide.obs["array_col"]) == [x for x, _ in SPOTS]
    assert list(slide.obs["array_row"]) == [y for _, y in SPOTS]
    np.testing.assert_allclose(
        slide.obsm["spatial"], [((x - 1) * 20, (y - 1) * 20) for x, y in SPOTS]
    )
    facts = slide.uns["slide"]
    assert facts["um_per_px"] == pytest.approx(10)
    assert facts["spot_diameter_px"] == pytest.approx(10)
    assert facts["image_scale"] == 1
    assert facts["repairs"] == []


def test_counts_and_positions_are_joined_by_name_and_not_by_order(section):
    counts, spots, image = section
    straight = read_legacy_st(*section)
    write_spots(spots, SPOTS[::-1])
    turned = read_legacy_st(counts, spots, image)
    np.testing.assert_array_equal(straight.obsm["spatial"], turned.obsm["spatial"])
    assert list(straight.obs_names) == list(turned.obs_names)


def test_a_gzipped_table_reads_like_a_plain_one(section):
    counts, spots, image = section
    packed = counts.with_suffix(".tsv.gz")
    packed.write_bytes(gzip.compress(counts.read_bytes()))
    np.testing.assert_array_equal(
        read_legacy_st(packed, spots, image).X.toarray(), read_legacy_st(*section).X.toarray()
    )


def test_a_table_of_genes_as_rows_is_turned_round(section, values):
    counts, spots, image = section
    write_counts(counts, GENES, [f"{x}x{y}" for x, y in SPOTS], values.T)
    np.testing.assert_array_equal(read_legacy_st(counts, spots, image).X.toarray(), values)


def test_a_reduced_image_gets_its_scale_from_the_table(section):
    counts, spots, image = section
    Image.new("RGB", (WIDTH // 4, HEIGHT // 4)).save(image)
    assert read_legacy_st(counts, spots, image).uns["slide"]["image_scale"] == 0.25


def test_a_table_that_does_not_follow_the_convention_is_taken_at_its_word(section):
    counts, spots, image = section
    header, *lines = spots.read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    moved = ["\t".join([*r[:4], str(float(r[4]) + 50), *r[5:]]) for r in rows]
    spots.write_text("\n".join([header, *moved]))
    Image.new("RGB", (WIDTH // 4, HEIGHT // 4)).save(image)
    assert read_legacy_st(counts, spots, image).uns["slide"]["image_scale"] == 1


def test_adjusted_names_without_a_table_are_placed_by_the_convention(section, values):
    counts, _, image = section
    shifted = [(x + 0.25, y - 0.125) for x, y in SPOTS]
    write_counts(counts, [f"{x}x{y}" for x, y in shifted], GENES, values)

    slide = read_legacy_st(counts, None, image)

    np.testing.assert_allclose(
        slide.obsm["spatial"], [((x - 1) * 20, (y - 1) * 20) for x, y in shifted]
    )
    assert list(slide.obs["array_col"]) == [x for x, _ in SPOTS]


def test_adjusted_names_find_the_adjusted_columns_of_a_table(section, values):
    counts, spots, image = section
    header, *lines = spots.read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    adjusted = [[r[0], r[1], f"{int(r[2]) + 0.04}", f"{int(r[3]) - 0.02}", *r[4:]] for r in rows]
    spots.write_text("\n".join([header, *("\t".join(row) for row in adjusted)]))
    write_counts(counts, [f"{row[2]}x{row[3]}" for row in adjusted], GENES, values)
    slide = read_legacy_st(counts, spots, image)
    np.testing.assert_array_equal(slide.X.toarray(), values)


def test_a_few_counts_without_a_position_are_dropped_and_recorded(section):
    counts, spots, image = section
    write_spots(spots, SPOTS[2:], selected=lambda x, y: int(y != 8))
    slide = read_legacy_st(counts, spots, image)
    assert slide.n_obs == 18 - 4
    assert slide.uns["slide"]["repairs"] == [
        "Spots with counts but no position, dropped: 2.",
        "Spots with counts but beside the tissue, dropped: 4.",
    ]


def test_positions_without_counts_are_dropped_and_recorded(section):
    counts, spots, image = section
    write_spots(spots, [*SPOTS, (9, 9), (10, 9)])
    slide = read_legacy_st(counts, spots, image)
    assert slide.n_obs == len(SPOTS)
    assert slide.uns["slide"]["repairs"] == [
        "Positions under tissue but without counts, dropped: 2."
    ]


def test_counts_mostly_without_positions_are_refused(section):
    counts, spots, image = section
    write_spots(spots, SPOTS[:5])
    with pytest.raises(CoordinateError, match=r"15 of 20 spots of .* have no position in .*'4x4'"):
        read_legacy_st(counts, spots, image)


def test_a_missing_spot_table_is_a_lack_of_coordinates(section):
    counts, spots, image = section
    spots.unlink()
    with pytest.raises(CoordinateError, match=r"no position table at .*spots\.tsv"):
        read_legacy_st(counts, spots, image)


def test_a_spot_table_without_pixels_names_the_missing_columns(section):
    counts, spots, image = section
    spots.write_text(spots.read_text().replace("pixel_x", "px"))
    with pytest.raises(CoordinateError, match=r"lacks the columns \['pixel_x'\]; found .*'px'"):
        read_legacy_st(counts, spots, image)


def test_a_coordinate_that_is_no_number_is_refused(section):
    counts, spots, image = section
    spots.write_text(spots.read_text().replace("40.0", "forty"))
    with pytest.raises(CoordinateError, match="'forty' in 5 of 20 rows; expected finite numbers"):
        read_legacy_st(counts, spots, image)


def test_a_slide_with_no_spot_under_tissue_is_refused(section):
    counts, spots, image = section
    write_spots(spots, SPOTS, selected=lambda x, y: 0)
    with pytest.raises(CoordinateError, match="`selected` is 1 nowhere"):
        read_legacy_st(counts, spots, image)


def test_spots_on_one_line_do_not_give_a_pixel_size(section, values):
    counts, spots, image = section
    write_counts(counts, [f"3x{y}" for _, y in SPOTS[:5]], GENES, values[:5])
    write_spots(spots, SPOTS[:5])
    with pytest.raises(CoordinateError, match="cannot be deduced from 5 spots"):
        read_legacy_st(counts, spots, image)


@pytest.mark.parametrize(
    ("value", "complaint"), [("-1", "negative values"), ("0.5", "fractions"), ("nan", "nan")]
)
def test_counts_that_are_not_raw_are_refused_naming_the_table(section, value, complaint):
    counts, spots, image = section
    lines = counts.read_text().splitlines()
    lines[3] = "\t".join([*lines[3].split("\t")[:3], value])
    counts.write_text("\n".join(lines))
    with pytest.raises(CountsError, match=rf"The counts table .*counts\.tsv holds {complaint}"):
        read_legacy_st(counts, spots, image)


def test_a_value_that_is_no_number_is_blamed_by_line(section):
    counts, spots, image = section
    counts.write_text(counts.read_text().replace("\n3x5\t", "\n3x5\tmany-"))
    with pytest.raises(CountsError, match=r"line 3 \('3x5'\): could not convert .*many"):
        read_legacy_st(counts, spots, image)


def test_a_line_cut_short_is_refused(section):
    counts, spots, image = section
    counts.write_text(counts.read_text().rstrip()[:-2])
    with pytest.raises(CountsError, match=r"line 21 \('6x8'\) has 2 values, but line 2 has 3"):
        read_legacy_st(counts, spots, image)


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_lines_are_counted_as_in_the_file(section, separator):
    counts, spots, _ = section
    for path in (counts, spots):
        text = path.read_text().replace("\t", separator)
        path.write_text(f"sep={separator}\n{text}")
    whole = counts.read_text()

    def read():
        with between_tabs(counts, spots) as (counts_copy, spots_copy, _):
            read_legacy_st(counts_copy, spots_copy, None)

    read()
    counts.write_text(whole.replace(f"\n3x5{separator}", f"\n3x5{separator}many"))
    with pytest.raises(CountsError, match=r"counts\S*, line 4 \('3x5'\): could not convert .*many"):
        read()
    counts.write_text(whole.rstrip()[:-2])
    with pytest.raises(CountsError, match=r"ine 22 .*, (but|where) line 3 has"):
        read()
    counts.write_text(whole)
    spots.write_text(f"{spots.read_text().rstrip()}\n\n1{separator}2\n")
    with pytest.raises(CoordinateError, match=r"Row 24 of .* has 2 fields"):
        read()
    spots.write_text(spots.read_text().replace("new_x", "none"))
    with pytest.raises(CoordinateError, match=r"Row 24 of .* has 2 fields"):
        read()


def test_a_truncated_gzip_file_is_refused(section):
    counts, spots, image = section
    packed = counts.with_suffix(".tsv.gz")
    packed.write_bytes(gzip.compress(counts.read_bytes())[:-20])
    with pytest.raises(CountsError, match="damaged or incomplete"):
        read_legacy_st(packed, spots, image)


def test_a_table_without_rows_is_refused(section):
    counts, spots, image = section
    counts.write_text("\tA\tB\n")
    with pytest.raises(CountsError, match="names 3 columns but has 0 rows of 0 values"):
        read_legacy_st(counts, spots, image)


def test_a_header_without_its_corner_is_understood(section, values):
    counts, spots, image = section
    counts.write_text(counts.read_text()[1:])
    slide = read_legacy_st(counts, spots, image)
    np.testing.assert_array_equal(slide.X.toarray(), values)


def test_rows_that_are_not_named_by_position_are_refused(section, values):
    counts, spots, image = section
    write_counts(counts, [f"spot{i}" for i in range(len(SPOTS))], GENES, values)
    with pytest.raises(CountsError, match="row 'spot0' is not named by its position"):
        read_legacy_st(counts, spots, image)


def test_missing_counts_are_named(section):
    counts, spots, image = section
    counts.unlink()
    with pytest.raises(MissingFileError, match=r"no table of counts at .*counts\.tsv"):
        read_legacy_st(counts, spots, image)


def test_duplicated_genes_are_added_up_and_recorded(section, values):
    counts, spots, image = section
    write_counts(counts, [f"{x}x{y}" for x, y in SPOTS], ["A", "B", "A"], values)
    slide = read_legacy_st(counts, spots, image)
    assert list(slide.var_names) == ["A", "B"]
    np.testing.assert_array_equal(slide.X.toarray()[:, 0], values[:, 0] + values[:, 2])
    assert "'A', for example" in slide.uns["slide"]["repairs"][0]


@pytest.mark.parametrize(
    ("genes", "kept"),
    [
        (["GRCh38_TP53", "mm10_Trp53", "GRCh38_HLA-A"], ["TP53", "HLA-A"]),
        (["ENSG00000141510.1", "ENSMUSG00000059552.2", "MYC"], ["ENSG00000141510", "MYC"]),
    ],
)
def test_of_several_genomes_that_of_the_organism_is_read(section, values, genes, kept):
    write_counts(section[0], [f"{x}x{y}" for x, y in SPOTS], genes, values)

    slide = read_legacy_st(*section, organism="human")

    assert list(slide.var_names) == list(slide.var["gene_name"]) == kept
    np.testing.assert_array_equal(slide.X.toarray(), values[:, [0, 2]])
    assert slide.uns["slide"]["repairs"][0].startswith("Genes of other genomes than ")
    with pytest.raises(CountsError, match="holds genes of several genomes"):
        read_legacy_st(*section)


def test_without_table_or_image_there_are_no_positions(section):
    with pytest.raises(CoordinateError, match="neither a spot table nor an image"):
        read_legacy_st(section[0], None, None)


def test_a_missing_image_is_named(section):
    counts, spots, image = section
    image.unlink()
    with pytest.raises(ImageError, match=r"no image at .*image\.png"):
        read_legacy_st(counts, spots, image)


def test_a_staggered_array_has_neighbours_150_um_apart(section, values):
    counts, spots, image = section
    whole = read_legacy_st(counts, spots, image).uns["slide"]["um_per_px"]
    staggered = [(x, y) for x in range(2, 8) for y in range(2, 8) if (x + y) % 2 == 0]
    few = np.resize(values, (len(staggered), len(GENES)))
    write_counts(counts, [f"{x}x{y}" for x, y in staggered], GENES, few)
    write_spots(spots, staggered)
    slide = read_legacy_st(counts, spots, image)
    distances = np.linalg.norm(slide.obsm["spatial"] - slide.obsm["spatial"][0], axis=1)
    nearest = np.sort(distances)[1]
    assert whole == pytest.approx(200 / np.sqrt(WIDTH / 32 * HEIGHT / 34))
    assert slide.uns["slide"]["um_per_px"] * nearest == pytest.approx(150, rel=0.05)
    given = read_legacy_st(counts, spots, image, step_um=100).uns["slide"]["um_per_px"]
    assert given == pytest.approx(whole / 2)


def test_a_slide_of_one_spot_gets_its_scale_from_the_positions_beside_it(section, values):
    counts, spots, image = section
    write_counts(counts, ["3x4"], GENES, values[:1])
    slide = read_legacy_st(counts, spots, image)
    assert slide.n_obs == 1
    assert slide.uns["slide"]["um_per_px"] == pytest.approx(10)


@pytest.mark.parametrize("names", [("x", "y"), ("pixel_x", "pixel_y")])
def test_swapped_columns_of_a_spot_table_are_refused(section, names):
    counts, spots, image = section
    header, *lines = spots.read_text().splitlines()
    swapped = dict(zip(names, names[::-1], strict=True))
    if "x" in swapped:
        swapped |= {"new_x": "new_y", "new_y": "new_x"}
    header = "\t".join(swapped.get(name, name) for name in header.split("\t"))
    spots.write_text("\n".join([header, *lines]))
    with pytest.raises(CoordinateError, match=r"pixel_x grows with y.*columns are swapped"):
        read_legacy_st(counts, spots, image)


def test_an_image_of_another_shape_is_refused_unless_all_spots_are_on_it(section):
    counts, spots, image = section
    Image.new("RGB", (WIDTH, HEIGHT // 2)).save(image)
    assert read_legacy_st(counts, spots, image).uns["slide"]["image_scale"] == 1
    Image.new("RGB", (WIDTH, HEIGHT // 5)).save(image)
    with pytest.raises(ImageError, match=r"640 x 136 pixels, but .* on one of 640 x 680"):
        read_legacy_st(counts, spots, image)


def test_empty_lines_at_the_end_of_a_table_are_nothing(section, values):
    counts, spots, image = section
    counts.write_text(counts.read_text() + "\n\n")
    np.testing.assert_array_equal(read_legacy_st(counts, spots, image).X.toarray(), values)


@pytest.mark.parametrize("words", [("TRUE", "FALSE"), ("yes", "no"), ("1.0", "0.0")])
def test_words_say_which_spots_are_selected(section, words):
    counts, spots, image = section
    write_spots(spots, SPOTS, selected=lambda x, y: words[int(y == 8)])
    assert read_legacy_st(counts, spots, image).n_obs == 16
    write_spots(spots, SPOTS, selected=lambda x, y: "perhaps" if y == 8 else 1)
    with pytest.raises(CoordinateError, match=r"'selected' of .* holds 'perhaps' in 4 of 20 rows"):
        read_legacy_st(counts, spots, image)


def test_a_step_that_makes_spots_overlap_is_refused(section):
    with pytest.raises(CoordinateError, match=r"20 px apart, but 100 px wide.*or `step_um`"):
        read_legacy_st(*section, step_um=20)


@pytest.mark.parametrize(("across", "down"), [(3, 1), (1, 0.5)])
def test_pixels_of_which_one_axis_was_scaled_are_refused(section, across, down):
    counts, spots, _ = section
    lines = spots.read_text().splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    for row in rows:
        row[4], row[5] = str(float(row[4]) * across), str(float(row[5]) * down)
    spots.write_text("\n".join([lines[0], *map("\t".join, rows)]))
    with pytest.raises(CoordinateError, match="not in one scale: a step of the array"):
        read_legacy_st(counts, spots, None)


@pytest.mark.parametrize(
    ("which", "change", "error", "message"),
    [
        (
            1,
            lambda t: t + t.splitlines()[1].replace("60.0", "66"),
            CoordinateError,
            "3x4 two places",
        ),
        (0, lambda t: t.replace("FO538757.1", ""), CountsError, "Column 3 of .* has no name"),
        (0, lambda t: t.replace("\n3x5", "\n"), CountsError, "Row 3 of .* has no name"),
        (0, lambda t: t.replace("3x5\t", "3x5\t1_"), CountsError, "Row 3 of .* holds '1_"),
    ],
)
def test_tables_of_which_one_would_have_to_guess_are_refused(
    section, which, change, error, message
):
    counts, spots, _ = section
    check_tables(counts, spots)
    spots.write_text(spots.read_text() + spots.read_text().splitlines()[1] + "\n")
    check_tables(counts, spots)  # the same place twice
    check_tables(counts, None)
    section[which].write_text(change(section[which].read_text()))
    with pytest.raises(error, match=message):
        check_tables(counts, spots)


def test_names_with_underscores_are_no_numbers(tmp_path):
    write_counts(tmp_path / "counts.tsv", ["3_4", "3_5"], ["1_2", "AC_1"], [[1, 2], [3, 4]])
    check_tables(tmp_path / "counts.tsv", None)
