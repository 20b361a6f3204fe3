"""What genes are called once slides are joined."""

from __future__ import annotations

import pytest

from spared_bench.errors import CountsError
from spared_bench.processing.pipeline import prepare
from spared_bench.protocol import Protocol

SPLIT = {"train": ("s1",), "test": ("s2",)}
OF_A_RAT = [f"ENSRNOG{number:011d}" for number in range(12)]
SYMBOLS = ["Mt-nd1", "MT-CO1", "Mt-cyb", *(f"Gene{number}" for number in range(9))]


def prepared(make_dataset, slides, organism, **settings):
    processing = {"target": "log1p_cp10k", "n_genes": 99, **settings}
    protocol = Protocol.model_validate({"name": "x", "version": 1, "processing": processing})
    return prepare(slides, make_dataset(SPLIT, organism), protocol)


@pytest.fixture
def made(make_slide, rng):
    """Slides whose genes have these names, and these symbols beside them."""

    def slides(names, symbols=None):
        found = {}
        for slide in ("s1", "s2"):
            counts = rng.poisson(5, (36, len(names)))
            counts[:, :3] *= 10
            found[slide] = make_slide(counts, list(names))
            if symbols is not None:
                found[slide].var["gene_name"] = symbols
        return found

    return slides


def test_mitochondrial_genes_of_an_organism_without_a_table_are_told_by_the_symbols_of_its_files(
    made, make_dataset
):
    slides = made(OF_A_RAT, SYMBOLS)
    adata = prepared(make_dataset, slides, "rat", mitochondrial="left_out")

    assert sorted(adata.var["gene_name"]) == SYMBOLS[3:]
    depth = slides["s1"].X.toarray()[:, 3:].sum(axis=1)
    assert adata.obsm["depth"][:36, 0].tolist() == depth.tolist()


def test_a_gene_that_no_table_knows_is_found_by_the_symbol_that_only_one_slide_tells(
    made, make_dataset
):
    slides = made(OF_A_RAT)
    slides["s2"].var["gene_name"] = SYMBOLS
    adata = prepared(make_dataset, slides, "rat", genes=["Gene3", OF_A_RAT[4]])

    assert adata.var["gene_name"].to_dict() == {OF_A_RAT[6]: "Gene3", OF_A_RAT[4]: "Gene1"}


def test_what_a_table_knows_keeps_its_own_symbol_and_no_other_gene_takes_it(made, make_dataset):
    names = ["ENSG00000075640", "ENSG00000075624", "ENSG00000111640", "ENSG99999999999"]
    slides = made(names, ["", "wrong", "GAPDH", "ACTB"])
    adata = prepared(make_dataset, slides, "human", filtering={"real_fraction": 0})

    called = dict(zip(names, [names[0], "ACTB", "GAPDH", names[3]], strict=True))
    assert adata.var["gene_name"].to_dict() == called


def test_a_listed_symbol_that_several_genes_have_is_refused_with_their_ids(made, make_dataset):
    two = ["ENSMUSG00000030695", "ENSMUSG00000114515"]  # both are Aldoa in GENCODE
    slides = made([*two, "ENSMUSG00000029580"])
    told = f"'Aldoa' is the symbol of 2 genes here .{two[0]}, {two[1]}.: name the id"
    with pytest.raises(CountsError, match=told):
        prepared(make_dataset, slides, "mouse", genes=["Aldoa", "Actb"])
    with pytest.raises(CountsError, match=told):
        prepared(make_dataset, slides, "mouse", further_genes=["Aldoa"])
    adata = prepared(make_dataset, slides, "mouse", genes=[two[0], "Actb"])
    assert list(adata.var_names) == [two[0], "ENSMUSG00000029580"]


def test_a_name_of_a_column_goes_before_the_symbol_of_others(made, make_dataset):
    slides = made(["Aldoa", "Actb", "Gapdh"])  # by symbols: one column, whose gene is not told
    adata = prepared(make_dataset, slides, "mouse", genes=["Aldoa", "Actb"])
    assert list(adata.var["gene_name"]) == ["Aldoa", "Actb"]
