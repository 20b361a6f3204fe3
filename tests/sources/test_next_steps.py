"""Adding data says what to do about errors of tables, whatever their readers leave out."""

from __future__ import annotations

import pytest

from spared_bench.errors import DataError
from spared_bench.sources.adding import add_description
from tests import made_slides

POSITIONS = "spatial/tissue_positions.csv"
FACTORS = "spatial/scalefactors_json.json"


def legacy(folder):
    names = [f"{x}x{y}" for x in range(8) for y in range(8)]
    genes = "\t".join(made_slides.gene_ids(3))
    (folder / "counts.tsv").write_text(
        "\n".join(["\t" + genes, *(f"{name}\t3\t4\t5" for name in names)])
    )


@pytest.mark.parametrize(
    ("file", "before", "after", "step"),
    [
        (POSITIONS, ",30.0", ",", "or take them out: a spot without a position is left out."),
        (POSITIONS, ",30.0", ',"30,25"', "A comma stands there for the point"),
        (POSITIONS, "pxl_row_in_fullres", "imagerow", "Call its columns so, or copy the file"),
        (FACTORS, "}", ",}", "Copy the file again from its source."),
        ("counts.tsv", "\t4\t", "\tNA\t", "A count is written with digits alone"),
        ("counts.tsv", "\t4\t", "\t1,004\t", "A count is written with digits alone"),
    ],
)
def test_an_error_of_a_table_says_what_to_do(tmp_path, file, before, after, step):
    form = "legacy_st" if file == "counts.tsv" else "space_ranger"
    if form == "legacy_st":
        (tmp_path / "T1").mkdir()
        legacy(tmp_path / "T1")
    else:
        made_slides.space_ranger(tmp_path / "T1")
    path = tmp_path / "T1" / file
    path.write_text(path.read_text().replace(before, after))
    place = "T1/counts.tsv" if form == "legacy_st" else "T1"
    (tmp_path / "mine.yaml").write_text(
        f"name: mine\nformat: {form}\norganism: human\nslides: {{T1: {{path: {place}}}}}\n"
        "split: {train: [T1]}\n"
    )
    with pytest.raises(DataError) as refused:
        add_description(tmp_path / "mine.yaml", tmp_path / "data")
    assert step in str(refused.value)
    assert str(refused.value).count(step) == 1
