"""`data add` tells where many spots were left out, since counts and positions name others."""

from __future__ import annotations

import gzip

import pytest

from spared_bench.sources.adding import add_description
from tests import made_slides

N_SPOTS = made_slides.SIDE**2
NO_POSITION = "Spots with counts but no position"
NO_COUNTS = "Positions under tissue but without counts"


def added(folder, form, entry):
    (folder / "own.yaml").write_text(
        f"{{name: own, format: {form}, organism: human, slides: {{A: {{{entry}}}}},"
        " split: {train: [A]}, parameters: {n_genes: 4}}"
    )
    lines: list[str] = []
    add_description(folder / "own.yaml", folder / "data", tell=lines.append)
    return [line for line in lines if "left out" in line]


def expected(what, number, read):
    return [
        f"Slide 'A': {what}: {number}, which are left out; {read} spots are read. Do the counts and"
        " the positions belong together, and is each of them whole?"
    ]


@pytest.mark.parametrize(("lacking", "told"), [(2, False), (30, True)])
def test_barcodes_without_a_position(tmp_path, lacking, told):
    made_slides.space_ranger(tmp_path / "A")
    table = tmp_path / "A/spatial/tissue_positions.csv"
    table.write_text("\n".join(table.read_text().split("\n")[:-lacking]))
    found = added(tmp_path, "space_ranger", "path: A")
    assert found == (expected(NO_POSITION, lacking, N_SPOTS - lacking) if told else [])


@pytest.mark.parametrize(("lacking", "told"), [(2, False), (30, True)])
def test_positions_under_tissue_without_counts(tmp_path, lacking, told):
    made_slides.space_ranger(tmp_path / "A")
    lines = [f"MORE{i}-1,1,{2 * i},40,{30 + i * 69.28},830" for i in range(lacking)]
    with (tmp_path / "A/spatial/tissue_positions.csv").open("a") as file:
        file.write("\n" + "\n".join(lines))
    found = added(tmp_path, "space_ranger", "path: A")
    assert found == (expected(NO_COUNTS, lacking, N_SPOTS) if told else [])


@pytest.mark.parametrize("lacking", ["counts", "positions"])
def test_a_table_of_legacy_st_may_have_the_whole_array(tmp_path, lacking):
    names = made_slides.st_table(tmp_path / "A.tsv.gz")
    rows = [
        "\t".join(["x", "y", "pixel_x", "pixel_y"]),
        *(
            "\t".join([*name.split("x"), f"{x}", f"{y}"])
            for name, (x, y) in zip(names, made_slides.st_pixels(names), strict=True)
        ),
    ]
    if lacking == "counts":
        table = gzip.decompress((tmp_path / "A.tsv.gz").read_bytes()).decode().split("\n")
        (tmp_path / "A.tsv.gz").write_bytes(gzip.compress("\n".join(table[:-20]).encode()))
    else:
        rows = rows[:-20]
    (tmp_path / "spots.tsv").write_text("\n".join(rows))
    found = added(tmp_path, "legacy_st", "path: A.tsv.gz, spots: spots.tsv")
    assert found == (expected(NO_POSITION, 20, N_SPOTS - 20) if lacking == "positions" else [])
