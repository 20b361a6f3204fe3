"""Tables of legacy ST as Excel, R and pandas write them: read as meant, and recorded."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from spared_bench.errors import ContractError, CoordinateError, CountsError
from spared_bench.sources.adding import add_description
from spared_bench.sources.described import read_slide
from tests import made_slides

N_GENES = 12
WORDS = {",": "commas", ";": "semicolons", " ": "blanks"}
TURNED = "The table of counts has genes as rows and spots as columns: it was turned."


@pytest.fixture
def tables(tmp_path):
    """Counts and positions, as frames; the image and the description lie there."""
    names = made_slides.st_table(tmp_path / "unused", N_GENES, 1)
    counts = pd.DataFrame(
        made_slides.counts(N_GENES, 1), index=names, columns=made_slides.gene_ids(N_GENES)
    )
    places = np.array([list(map(int, name.split("x"))) for name in names])
    spots = pd.DataFrame(
        np.column_stack([places, places, made_slides.st_pixels(names)]),
        columns=["x", "y", "new_x", "new_y", "pixel_x", "pixel_y"],
    )
    made_slides.picture(0).save(tmp_path / "he.png")
    return counts, spots


def written(folder, counts, spots):
    """Describe two tables, given as text."""
    (folder / "counts").write_bytes(counts if isinstance(counts, bytes) else counts.encode())
    (folder / "spots").write_text(spots)
    (folder / "mine.yaml").write_text(
        "name: mine\nformat: legacy_st\norganism: human\nsplit: {train: [A]}\n"
        "slides: {A: {path: counts, spots: spots, image: he.png}}\n"
    )
    add_description(folder / "mine.yaml", folder / "data")
    return read_slide(folder / "data/mine", "A")


def check(slide, repairs):
    np.testing.assert_array_equal(slide.X.toarray(), made_slides.counts(N_GENES, 1))
    assert list(slide.var_names) == made_slides.gene_ids(N_GENES)
    assert slide.obs_names[9] == "3x3"
    assert slide.uns["slide"]["repairs"] == repairs


@pytest.mark.parametrize("separator", ["\t", ",", ";", " "])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("corner", ["", "gene", None])
@pytest.mark.parametrize("quoted", [0, 2])  # none, or all that is no number
@pytest.mark.parametrize("packed", [False, True])
def test_counts_are_read_as_meant_and_what_was_changed_is_recorded(
    tmp_path, tables, separator, turned, corner, quoted, packed
):
    counts, spots = tables
    table = counts.T if turned else counts
    text = table.to_csv(sep=separator, index_label=corner or "", quoting=quoted)
    if corner is None:  # as R writes it
        text = text.partition(separator)[2]
    raw = text.encode()
    slide = written(tmp_path, gzip.compress(raw) if packed else raw, spots.to_csv(sep="\t"))
    notes = [TURNED] * turned
    if separator != "\t":
        what = WORDS[separator]
        notes = [f"The table of counts has {what} between its fields, and no tabs.", *notes]
    check(slide, notes)


@pytest.mark.parametrize("separator", [",", ";", " "])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("index", [False, True])
def test_positions_are_read_as_meant_and_what_was_changed_is_recorded(
    tmp_path, tables, separator, ends, index
):
    counts, spots = tables
    text = spots.to_csv(sep=separator, index=index, lineterminator=ends)
    slide = written(tmp_path, counts.to_csv(sep="\t"), text)
    what = WORDS[separator]
    check(slide, [f"The table of positions has {what} between its fields, and no tabs."])


@pytest.mark.parametrize("separator", ["\t", ","])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("corner", ["gene", None])
@pytest.mark.parametrize("name", ["1_{}", "{}_1", "A1:{}", "spot_{}", "10 {}-b"])
def test_what_stands_around_the_positions_in_all_names_is_left_out(
    tmp_path, tables, separator, turned, corner, name
):
    counts, spots = tables
    counts.index = [name.format(spot) for spot in counts.index]
    text = (counts.T if turned else counts).to_csv(sep=separator, index_label=corner or "")
    if corner is None:
        text = text.partition(separator)[2]
    slide = written(tmp_path, text, spots.to_csv(sep="\t"))
    told = f"Spots are named {name.format('<x>x<y>')} in the table of counts: read as <x>x<y>."
    assert slide.uns["slide"]["repairs"][-1] == told
    check(slide, slide.uns["slide"]["repairs"])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", ["1_{}", "{}", "2_{}"])
def test_labels_may_name_spots_as_the_table_of_counts_does(tmp_path, tables, name, turned):
    counts, spots = tables
    labels = [f"{name.format(spot)},L{at % 2}" for at, spot in enumerate(counts.index)]
    (tmp_path / "labels.csv").write_text("\n".join(["spot,layer", *labels]))
    counts.index = [f"1_{spot}" for spot in counts.index]
    (tmp_path / "counts").write_text((counts.T if turned else counts).to_csv(sep=","))
    (tmp_path / "spots").write_text(spots.to_csv(sep="\t"))
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nformat: legacy_st\norganism: human\nsplit: {train: [A]}\nlabel_column: layer\n"
        "slides: {A: {path: counts, spots: spots, image: he.png, labels: labels.csv}}\n"
    )
    if name == "2_{}":  # of another section
        with pytest.raises(ContractError, match="'2_2x2' for example, and none of them is among"):
            add_description(tmp_path / "mine.yaml", tmp_path / "data")
        return
    add_description(tmp_path / "mine.yaml", tmp_path / "data")
    assert list(read_slide(tmp_path / "data/mine", "A").obs["label"]) == ["L0", "L1"] * 32


@pytest.mark.parametrize("turned", [False, True])
def test_a_table_of_several_sections_is_refused(tmp_path, tables, turned):
    counts, spots = tables
    counts.index = [f"{1 + at // 40}_{name}" for at, name in enumerate(counts.index)]
    told = r"2 ways \(1_<x>x<y>, 2_<x>x<y>\), as a table of several sections does"
    with pytest.raises(CountsError, match=told):
        written(tmp_path, (counts.T if turned else counts).to_csv(sep="\t"), spots.to_csv(sep="\t"))


@pytest.mark.parametrize("separator", ["\t", ";"])
@pytest.mark.parametrize("named", [True, False])
def test_positions_need_no_adjusted_ones(tmp_path, tables, separator, named):
    counts, spots = tables
    text = spots.drop(columns=["new_x", "new_y"]).to_csv(sep=separator)
    if not named:  # rows, as R writes them
        text = text.removeprefix(separator)
    slide = written(tmp_path, counts.to_csv(sep="\t"), text)
    told = (
        "The table of positions has no adjusted ones (new_x, new_y), and those of the array were"
        " taken."
    )
    assert slide.uns["slide"]["repairs"][-1] == told
    check(slide, slide.uns["slide"]["repairs"])


@pytest.mark.parametrize("name", ["in_tissue", "under_tissue", "Selected"])
def test_a_column_beside_selected_that_may_tell_of_the_tissue_is_told(tmp_path, tables, name):
    counts, spots = tables
    spots[name] = ["FALSE"] * 4 + ["TRUE"] * 60
    slide = written(tmp_path, counts.to_csv(sep="\t"), spots.to_csv(sep="\t", index=False))
    told = (
        f"Column {name!r} calls 4 of 64 spots beside the tissue, and was not used: if it is right,"
        " call it `selected`."
    )
    check(slide, [told])


def test_a_column_that_agrees_with_selected_is_not_told(tmp_path, tables):
    counts, spots = tables
    spots["selected"] = spots["in_tissue"] = [0] * 4 + [1] * 60
    slide = written(tmp_path, counts.to_csv(sep="\t"), spots.to_csv(sep="\t", index=False))
    assert slide.uns["slide"]["repairs"] == ["Spots with counts but beside the tissue, dropped: 4."]


def test_decimal_points_written_as_commas_between_semicolons_are_told_by_line(tmp_path, tables):
    counts, spots = tables
    text = counts.astype(float).to_csv(sep=";", decimal=",")
    with pytest.raises(CountsError, match=rf"{tmp_path}/counts, line 2 \('2x2'\): .*'\d,0'"):
        written(tmp_path, text, spots.to_csv(sep="\t"))
    text = spots.to_csv(sep=";", decimal=",")
    with pytest.raises(
        CoordinateError, match=f"{tmp_path}/spots: column '.*' holds '2,0' in 64 of"
    ):
        written(tmp_path, counts.to_csv(sep=";"), text.replace(".0", ",0"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("\n3x3,", "\n3x3,0,"), "Line 11 of .* has 14 fields between"),
        (lambda text: text.replace("\n3x3,", "\nthird,"), "begins with ',ENSG.*name spots by"),
        (lambda text: text.replace(",", "|"), r"begins with '\|ENSG.*Expected fields between tabs"),
        (lambda text: text.replace("\n3x3,", "\n3x3,-"), "negative values .* of spot '3x3'"),
        (lambda text: text.partition("\n")[0], "begins with ',ENSG"),
    ],
)
def test_what_can_be_meant_in_no_way_is_refused(tmp_path, tables, change, told):
    counts, spots = tables
    with pytest.raises(CountsError, match=told) as refused:
        written(tmp_path, change(counts.to_csv()), spots.to_csv(sep="\t"))
    assert f"{tmp_path}/counts" in str(refused.value)
