"""What `data add` says of slides whose places were filled, or counts or names changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from spared_bench.errors import CoordinateError, CountsError
from spared_bench.processing.annotation import TABLES, gene_table
from spared_bench.readers.anndata_file import read_anndata
from spared_bench.readers.filled_places import require_places
from spared_bench.sources.adding import add_description
from spared_bench.sources.no_genes import require_one_organism
from spared_bench.sources.odd_counts import odd_counts
from spared_bench.sources.unknown_names import crossed_names
from tests import made_slides

NAMES = [str(n) for n in range(64)]


def slide(counts):
    return AnnData(sparse.csr_matrix(counts, dtype=np.float32))


@pytest.mark.parametrize(
    ("rows", "point", "told"),
    [
        ([], 0, ""),
        ([40], 0, "1 spot of 64 lies exactly at x=0, y=0 ('40', for example)"),
        ([40, 50], 0, "2 spots of 64 lie exactly at x=0, y=0 ('40', for example)"),
        ([0, 1, 2], 77, "3 spots of 64 lie exactly at x=77, y=77 ('0', for example)"),
        ([0, 1], 77, ""),  # by rounding
    ],
)
def test_spots_at_one_point_are_refused(rows, point, told):
    _, centres = made_slides.lattice()
    centres = centres + 200
    centres[rows] = point
    if told:
        with pytest.raises(CoordinateError) as refused:
            require_places(centres, NAMES)
        assert told in str(refused.value)
    else:
        require_places(centres, NAMES)


@pytest.mark.parametrize("told", ["array", "pixels"])
def test_they_are_told_as_that_beside_array_positions_too(tmp_path, told):
    array, centres = made_slides.lattice()
    centres[40:50] = 0
    obs = pd.DataFrame(array, columns=["array_row", "array_col"], index=NAMES)
    adata = AnnData(
        sparse.csr_matrix(made_slides.counts(12, 1), dtype=np.float32),
        obs=obs if told == "array" else obs[[]],
        var=pd.DataFrame(index=made_slides.gene_ids(12)),
        obsm={"spatial": centres},
        uns={"spatial": {"": {"scalefactors": {"spot_diameter_fullres": 22.0}}}},
    )
    adata.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(CoordinateError, match="10 spots of 64 lie exactly at x=0, y=0"):
        read_anndata(tmp_path / "a.h5ad")


def test_a_lattice_may_begin_at_zero():
    _, centres = made_slides.lattice()
    require_places(centres - centres[0], NAMES)


def test_counts_of_one_sum_or_of_ones_are_told():
    counts = made_slides.counts(200, 1)
    normalised = np.rint(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    assert not odd_counts(slide(counts))
    assert "nearly the same sum of counts" in odd_counts(slide(normalised))[0]
    assert "No count is above 1" in odd_counts(slide(counts > 3))[0]


def test_ids_beside_the_symbols_of_other_genes_are_told():
    table = gene_table("human")
    table = table[table["gene_type"] == "protein_coding"][:100]
    ids, symbols = list(table.index), list(table["gene_name"])
    assert not crossed_names(ids, symbols, "human")
    assert not crossed_names(ids, ids, "human")
    assert not crossed_names(ids, [f"OLD{n}" for n in range(100)], "human")
    told = crossed_names(ids, symbols[1:] + symbols[:1], "human")
    assert "100 of 100 ids and symbols are those of different genes" in told[0]
    assert f"({ids[0]} is {symbols[0]!r}, and {symbols[1]!r} stands beside it)" in told[0]


def test_they_are_told_of_a_slide_that_is_added(tmp_path):
    array, centres = made_slides.lattice()
    table = gene_table("mouse")
    table = table[table["gene_type"] == "protein_coding"][:20]
    adata = AnnData(
        sparse.csr_matrix(made_slides.counts(20, 1) > 2, dtype=np.float32),
        obs=pd.DataFrame(index=[f"s{i}" for i in range(len(array))]),
        var=pd.DataFrame({"gene_ids": list(table.index[::-1])}, index=table["gene_name"].tolist()),
        obsm={"spatial": centres},
    )
    adata.write_h5ad(tmp_path / "a.h5ad")
    described = tmp_path / "mine.yaml"
    described.write_text(
        "{name: mine, format: h5ad, organism: mouse, split: {train: [T1]},"
        " slides: {T1: {path: a.h5ad}}}"
    )
    doubts: list[str] = []
    add_description(described, tmp_path / "data", tell=doubts.append)

    assert [told.startswith("Slide 'T1': ") for told in doubts] == [True, True]
    assert "those of different genes" in doubts[0]
    assert "No count is above 1" in doubts[1]


@pytest.mark.parametrize(
    ("factors", "place", "told"),
    [
        ({}, "images", "The image 'hires' of the file, 400 x 400 px, was not used: its scale is"),
        ({"tissue_hires_scalef": 1.0}, "pictures", "The file holds what may be an image, 400 x"),
        ({"tissue_hires_scalef": 1.0}, "images", ""),
        ({}, "", ""),
    ],
)
def test_an_image_that_is_not_used_is_told_of_when_its_slide_is_added(
    tmp_path, factors, place, told
):
    _, centres = made_slides.lattice()
    genes = gene_table("human")
    genes = genes[genes["gene_type"] == "protein_coding"][:12]
    adata = AnnData(
        sparse.csr_matrix(made_slides.counts(12, 1), dtype=np.float32),
        obs=pd.DataFrame(index=[f"s{i}" for i in range(len(centres))]),
        var=pd.DataFrame({"gene_ids": list(genes.index)}, index=genes["gene_name"].tolist()),
        obsm={"spatial": centres},
    )
    library = {"scalefactors": {"spot_diameter_fullres": 22.0, **factors}}
    if place:
        library[place] = {"hires": np.asarray(made_slides.picture(1))}
    adata.uns["spatial"] = {"one": library}
    adata.write_h5ad(tmp_path / "a.h5ad")
    described = tmp_path / "mine.yaml"
    described.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1]},"
        " slides: {T1: {path: a.h5ad}}}"
    )
    doubts: list[str] = []
    add_description(described, tmp_path / "data", tell=doubts.append)
    assert [f"Slide 'T1': {told}" in each for each in doubts] == [True] * bool(told)


@pytest.mark.parametrize(
    ("human", "mouse", "told"),
    [
        (
            "Hs_{}",
            "Mm_{}",
            "40 have 'Hs_' ('Hs_OR4F5'), 20 have 'Mm_' ('Mm_Xkr4') before or behind",
        ),
        ("h.{}", "m.{}", "40 have 'h.' ('h.OR4F5'), 20 have 'm.' ('m.Xkr4') before or behind"),
        ("{}", "{}_m", "20 have '_m' ('Xkr4_m'), 40 have nothing before or behind"),
        ("{}.hs", "{}.mm", "40 have '.hs' ('OR4F5.hs'), 20 have '.mm' ('Xkr4.mm') before or"),
        (
            "homo_sapiens_{}",
            "mus_musculus_{}",
            "40 have 'homo_sapiens_' ('homo_sapiens_OR4F5'), 20",
        ),
        (
            "[hg38]{}",
            "[mm39]{}",
            "40 have '[hg38]' ('[hg38]OR4F5'), 20 have '[mm39]' ('[mm39]Xkr4')",
        ),
        (
            "9606.{}",
            "{} (Mus musculus)",
            "40 have '9606.' ('9606.OR4F5'), 20 have ' (Mus musculus)'",
        ),
        ("Hs_{}", None, ""),  # of one genome
        ("{}", "{}-AS1", ""),  # known, or unknown
    ],
)
def test_genes_that_are_marked_apart_are_refused(human, mouse, told):
    def symbols(organism, n_genes):
        table = gene_table(organism)
        return table[table["gene_type"] == "protein_coding"]["gene_name"][:n_genes]

    names = [human.format(name) for name in symbols("human", 40)]
    names += [mouse.format(name) for name in symbols("mouse", 20)] if mouse else []
    if mouse == "{}-AS1":
        names = [*gene_table("human")["gene_name"].unique()]
    if told:
        with pytest.raises(CountsError) as refused:
            require_one_organism(names, "human")
        assert told in str(refused.value)
    else:
        require_one_organism(names, "human")


@pytest.mark.parametrize("change", [str.lower, str.upper])
@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_genes_of_two_organisms_are_refused_in_whatever_capitals(change, organism):
    parts = {each: gene_table(each)["gene_name"].unique()[5_000:8_000] for each in TABLES}
    names = [change(str(name)) for part in parts.values() for name in part]
    with pytest.raises(CountsError, match=f"called as in .* and not as in {organism}"):
        require_one_organism(sorted(set(names)), organism)
    require_one_organism([str(name).lower() for name in parts[organism]], organism)


@pytest.mark.parametrize(("organism", "declared"), [("human", "mouse"), ("mouse", "human")])
def test_genes_of_one_organism_declared_as_another_are_not_called_two(organism, declared):
    names = [str(name).lower() for name in gene_table(organism)["gene_name"].unique()[:300]]
    others = {name.lower() for name in gene_table(declared)["gene_name"].astype(str)}
    names = [*sorted(set(names) - others), "actb", "gapdh"]
    with pytest.raises(CountsError, match="and none the other way: correct `organism`"):
        require_one_organism(names, declared)


def test_so_is_one_of_another_name_beside_the_positions_of_space_ranger(tmp_path):
    spatial = made_slides.space_ranger(tmp_path / "T1") / "spatial"
    (spatial / "tissue_hires_image.png").rename(spatial / "my_image.png")
    described = tmp_path / "mine.yaml"
    described.write_text(
        "{name: mine, format: space_ranger, organism: human, split: {train: [T1]},"
        " slides: {T1: {path: T1}}}"
    )
    doubts: list[str] = []
    add_description(described, tmp_path / "data", tell=doubts.append)
    assert any("No image was used" in each and "my_image.png" in each for each in doubts)
