from __future__ import annotations

import gzip
from collections import Counter
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from spared_bench.errors import DataError
from spared_bench.processing.annotation import TABLES, annotate, gene_table, is_mitochondrial


def test_a_gene_is_the_same_by_symbol_by_id_and_by_versioned_id():
    for name in ("TP53", "ENSG00000141510", "ENSG00000141510.18"):
        gene = annotate([name], "human").genes.iloc[0]
        assert (gene.gene_id, gene.gene_name) == ("ENSG00000141510", "TP53")
        assert gene.gene_length_bp == gene_table("human").loc["ENSG00000141510", "length_bp"]


def test_unknown_names_keep_their_place_and_have_no_length():
    note = annotate(["TP53", "NoSuchGene", "ENSG99999999901.2"], "human")
    assert note.unknown == ("NoSuchGene", "ENSG99999999901.2")
    assert note.genes["gene_id"].tolist() == ["ENSG00000141510", "NoSuchGene", "ENSG99999999901"]
    assert np.isnan(note.genes["gene_length_bp"]).tolist() == [False, True, True]


def test_a_symbol_that_several_genes_share_is_reported_and_has_no_length():
    symbols = gene_table("human")["gene_name"]
    shared = symbols[symbols.duplicated()].iloc[0]
    note = annotate(["TP53", shared], "human")
    assert note.ambiguous == (shared,)
    assert np.isnan(note.genes["gene_length_bp"].iloc[1])


def test_a_gene_that_is_named_twice_is_reported():
    note = annotate(["TP53", "ENSG00000141510.18", "ACTB"], "human")
    assert note.repeated == ("ENSG00000141510.18",)


def test_of_ids_that_repeat_without_their_version_the_first_row_is_kept():
    path = files("spared_bench.processing") / "gene_lengths" / TABLES["human"]
    first: dict[str, str] = {}
    with path.open("rb") as raw, gzip.open(raw, "rt") as lines:
        next(lines)
        rows = [line.rstrip("\n").split("\t") for line in lines]
    for gene_id, _, _, length in rows:
        first.setdefault(gene_id.split(".")[0], length)

    lengths = gene_table("human")["length_bp"]

    assert len(first) < len(rows)  # so that there are repeats
    assert lengths.astype(str).to_dict() == first


def test_a_wrong_organism_is_refused_with_the_one_it_looks_like():
    with pytest.raises(DataError, match=r"declared as human, but they look like mouse \('Trp53'"):
        annotate(["Trp53", "Actb", "H19"], "human")
    with pytest.raises(DataError, match=r"look like human \('ENSG00000141510'.*Correct `organism`"):
        annotate(["ENSG00000141510.1"], "mouse")


def test_ids_of_an_organism_without_a_table_are_told_by_their_prefix():
    fish = [f"ENSDARG{number:011d}" for number in range(9)]
    with pytest.raises(DataError, match=r"9 of 10 ids begin with 'ENSDARG'.*begin with 'ENSMUSG'"):
        annotate([*fish, "Actb"], "mouse")
    assert len(annotate(fish, "zebrafish").unknown) == 9  # declared as what it is
    assert annotate(["TP53", "ACTB", "GAPDH", *fish[:2]], "human").unknown == tuple(fish[:2])


def test_names_that_no_organism_knows_are_unknown_not_an_error():
    assert annotate(["gene_1", "gene_2"], "mouse").unknown == ("gene_1", "gene_2")
    assert annotate(["TP53"], "").unknown == ("TP53",)


def test_an_organism_without_lengths_is_refused_with_what_to_do():
    with pytest.raises(DataError, match=r"organism 'rat'.*known: human, mouse.*log1p_cp10k"):
        gene_table("rat")


@pytest.mark.parametrize(("organism", "rows"), [("human", 62_666), ("mouse", 56_847)])
def test_without_the_37_of_the_mitochondrion_the_tables_are_the_published_ones(organism, rows):
    path = files("spared_bench.processing") / "gene_lengths" / TABLES[organism]
    with path.open("rb") as raw, gzip.open(raw, "rt") as lines:
        table = [line.split("\t") for line in lines][1:]
    theirs = is_mitochondrial(pd.Series([row[1] for row in table]))

    assert len(table) - theirs.sum() == rows
    kinds = Counter(row[2] for row, found in zip(table, theirs, strict=True) if found)
    assert kinds == {"protein_coding": 13, "Mt_tRNA": 22, "Mt_rRNA": 2}  # the whole chromosome


def test_a_mitochondrial_gene_is_known_by_symbol_id_and_as_r_writes_it():
    given = ["MT-ND1", "ENSG00000198888.2", "MT1X", "MTOR", "TP53"]
    symbols = annotate(given, "human").genes["gene_name"]
    assert is_mitochondrial(symbols).tolist() == [True, True, False, False, False]
    assert is_mitochondrial(pd.Series(["mt-Nd1", "Mt-nd1", "MT.CO1", "mtor"])).sum() == 3
