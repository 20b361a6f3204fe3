"""Which features are genes, and of which genome."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spared_bench.errors import CountsError
from spared_bench.readers.features import choose_genes


def chosen(ids, **told):
    found = choose_genes(ids, [f"{gene}x" for gene in ids], "m", **told)
    return found.columns.tolist(), found.ids, found.repairs


@pytest.mark.parametrize(
    "kinds",
    [
        ["Gene Expression", "Antibody Capture"],
        ["Gene Expression", np.nan],
        ["Gene Expression", None],
        pd.array(["Gene Expression", pd.NA], dtype="string"),
        pd.Categorical(["gene expression", "Multiplexing Capture"]),
        ["Gene.Expression", "Antibody.Capture"],
        ["Gene_Expression", "Gene"],
    ],
)
def test_features_of_another_type_are_left_out_and_counted(kinds):
    repairs = ["Features that are no genes, dropped: 1."]
    assert chosen(["ENSG1", "CD3"], kinds=kinds) == ([0], ["ENSG1"], repairs)


@pytest.mark.parametrize(
    "kinds",
    [
        *(None, [], ["", ""], [None, None], pd.Categorical([np.nan] * 2)),
        pd.Categorical(["lncRNA", "protein_coding"]),  # CELLxGENE's `feature_type`
    ],
)
def test_without_types_all_features_are_genes(kinds):
    assert chosen(["ENSG1", "CD3"], kinds=kinds) == ([0, 1], ["ENSG1", "CD3"], [])


@pytest.mark.parametrize(
    ("ids", "kept", "found"),
    [
        (["GRCh38_ENSG1", "GRCh38_MT", "mm10_ENSMUSG1"], [0, 1], ["ENSG1", "MT"]),
        (["mm10___Actb", "hg19_ACTB", "hg19_TP53"], [1, 2], ["ACTB", "TP53"]),
        (["GRCh38_ACTB", "GRCh38_TP53"], [0, 1], ["ACTB", "TP53"]),
        (["ENSMUSG1", "ENSG1.4", "ENSMUSG2"], [1], ["ENSG1.4"]),
        # Seurat makes dashes of underscores; others write colons.
        (["hg38-ACTB", "hg38-HLA-A", "mm10-Actb"], [0, 1], ["ACTB", "HLA-A"]),
        (["mm10---Actb", "GRCh38-ENSG1"], [1], ["ENSG1"]),
        (["human:ENSG1", "mouse:ENSMUSG1"], [0], ["ENSG1"]),
        (["ENSRNOG1", "ENSG1", "ENSG2"], [1, 2], ["ENSG1", "ENSG2"]),
        (["ENSG1", "ENSSSCG1", "ERCC-00002"], [0], ["ENSG1"]),
        # Beside the assembly of a human: one of another animal, a virus, a construct.
        (["GRCh38_TP53", "mRatBN7.2_Tp53", "GRCh38_HLA-A"], [0, 2], ["TP53", "HLA-A"]),
        (["Sscrofa11.1-TP53", "hg38-TP53", "hg38-MYC"], [1, 2], ["TP53", "MYC"]),
        (["hg19_TP53", "hg19_MYC", "HPV16_E6", "EGFP"], [0, 1], ["TP53", "MYC"]),
        (["T2T-CHM13v2.0_TP53", "T2T-CHM13v2.0_HLA-A", "mm10_Trp53"], [0, 1], ["TP53", "HLA-A"]),
        (["ENSG1", "ENSG2", "mm10_Trp53"], [0, 1], ["ENSG1", "ENSG2"]),
        (["GRCh38-2020-A_TP53", "mm10-2020-A_Trp53"], [0], ["TP53"]),
        (["GRCh38-3.0.0-HLA-A", "mm10-3.0.0---Trp53"], [0], ["HLA-A"]),
    ],
)
def test_genomes_that_only_the_ids_tell_are_told_apart(ids, kept, found):
    assert chosen(ids, organism="human")[:2] == (kept, found)


@pytest.mark.parametrize(
    "ids",
    [
        ["ENSG1", "ERCC-00002"],
        ["ENSG1", "HPV16_E6"],
        ["HLA_A", "MM1_B", "5S_rRNA"],
        ["ENSMUSG1", "ENSMUSG2"],
        [f"S{i}_ENSG{i}" for i in range(30_000)],
        [*(f"G{i}" for i in range(99)), "mouse_Mapt"],  # one construct is no genome
        [*(f"G{i}" for i in range(30)), "mouse_IgG1k", "mouse_IgG2a"],  # of a small panel, too
        [*(f"P{i}" for i in range(30)), "TERT_human", "IL2_human"],
    ],
    ids=lambda ids: ids[0],
)
def test_names_that_only_look_like_a_genomes_stay_as_they_are(ids):
    assert chosen(ids, organism="human") == (list(range(len(ids))), ids, [])


@pytest.mark.parametrize("mark", ["DEPRECATED_", "DEPRECATED-"])
def test_probes_that_were_withdrawn_are_no_genes(mark):
    told = ["Probes that are called deprecated, dropped: 1."]
    assert chosen(["ENSG1", f"{mark}ENSG1", "ENSG3"], organism="human") == (
        *([0, 2], ["ENSG1", "ENSG3"]),
        told,
    )
    found = choose_genes(["a", "b"], ["DEPRECATED_TP53", "TP53"], "m")
    assert (found.ids, found.symbols, found.repairs) == (["b"], ["TP53"], told)


def test_an_antibody_has_no_genome():
    found = chosen(
        ["ENSG1", "CD3"],
        kinds=["Gene Expression", "Antibody Capture"],
        genomes=["GRCh38", ""],
        organism="",
    )
    assert found == ([0], ["ENSG1"], ["Features that are no genes, dropped: 1."])


def test_one_name_of_a_reference_of_two_genomes_hides_neither():
    ids = ["GRCh38_ENSG1", "mm10___ENSMUSG1", "GRCh38_ENSG2"]
    found = chosen(ids, genomes=["GRCh38_and_mm10"] * 3, organism="mouse")
    assert found[:2] == ([1], ["ENSMUSG1"])
    ids = ["GRCh38_ENSG1", "GRCh38_ENSG2"]
    assert chosen(ids, genomes=["GRCh38"] * 2, organism="human")[1] == ["ENSG1", "ENSG2"]
    assert chosen(["ENSG1", "X"], genomes=["GRCh38"] * 2)[1] == ["ENSG1", "X"]


def test_a_gene_without_an_id_goes_by_its_symbol():
    found = choose_genes(["ENSG1", "NA", "nan", "NA"], ["a", "b", "c", "NA"], "m")
    assert (found.ids, found.symbols) == (["ENSG1", "b", "c", "NA"], ["a", "b", "c", "NA"])


@pytest.mark.parametrize("untold", [np.nan, None, pd.NA, pd.NaT])
def test_a_name_that_is_not_told_is_as_the_other(untold):
    found = choose_genes(["ENSG1", untold, "ENSG3"], ["a", "b", untold], "m")
    assert (found.ids, found.symbols) == (["ENSG1", "b", "ENSG3"], ["a", "b", "ENSG3"])
    with pytest.raises(CountsError, match="Feature 2 of m has neither an id nor a symbol"):
        choose_genes(["ENSG1", untold], ["a", untold], "m")


@pytest.mark.parametrize("untold", [np.nan, None, pd.NA, "", "nan", "NA"])
def test_genes_whose_genome_is_not_told_go_by_their_names(untold):
    ids = ["ENSG00000141510", "MYC", "ENSMUSG00000059552", "EGFP", "Myc"]
    genomes = ["GRCh38", untold, "mm10", untold, untold]
    found = chosen(ids, genomes=genomes, organism="human")
    told = "Genes of other genomes than GRCh38, dropped: 3 (without a name, mm10)."
    assert found == ([0, 1], ids[:2], [told])
    assert chosen(ids[:2], genomes=genomes[:2], organism="human") == ([0, 1], ids[:2], [])
    # Both have a C3: it is the other one where that has nameless genes of its own.
    assert chosen(["ENSG1", "C3", "ENSMUSG2"], organism="human")[0] == [0, 1]
    assert chosen(["ENSG1", "C3", "ENSMUSG2", "Myc"], organism="human")[0] == [0]


def test_which_genome_is_meant_must_be_clear():
    with pytest.raises(CountsError, match=r"without a name \(2 genes\), mm10 \(2 genes\); "):
        chosen(["TP53", "MYC", "mm10_Trp53", "mm10_Myc"], organism="human")
    with pytest.raises(CountsError, match=r"x \(1 gene\), y \(1 gene\); .* of human is unclear"):
        chosen(["g1", "g2"], genomes=["x", "y"], organism="human")
    with pytest.raises(CountsError, match="whose organism is not told, is unclear"):
        chosen(["ENSG1", "ENSMUSG2"])


@pytest.mark.parametrize(
    ("ids", "kept", "found"),
    [
        (["TP53_GRCh38", "HLA-A_GRCh38", "Trp53_mm10"], [0, 1], ["TP53", "HLA-A"]),
        (["TP53-hg19", "Trp53-mm10", "HLA-A-hg19"], [0, 2], ["TP53", "HLA-A"]),
        (["ENSG1:GRCh38", "ENSMUSG1:GRCm39"], [0], ["ENSG1"]),
        (["TP53.GRCh38", "Trp53.mm10"], [0], ["TP53"]),  # as R's data frames write them
        (["GRCh38.TP53", "GRCh38.P2RX7", "mm10.Trp53"], [0, 1], ["TP53", "P2RX7"]),
        (["TP53 (GRCh38)", "Trp53 (mm10)"], [0], ["TP53"]),
        (["TP53|hg38", "Trp53|mm10"], [0], ["TP53"]),
        (["TP53__human", "Trp53__mouse"], [0], ["TP53"]),
        (["TP53_GRCh38.p14", "MYC_GRCh38.p14", "Trp53_mm10"], [0, 1], ["TP53", "MYC"]),
        (["TP53_T2T-CHM13v2.0", "HLA-A_T2T-CHM13v2.0", "Trp53_mm39"], [0, 1], ["TP53", "HLA-A"]),
        (["TP53_GRCh38", "MYC_GRCh38"], [0, 1], ["TP53", "MYC"]),
        (["TP53_GRCh38", "MYC_GRCh38", "EGFP"], [0, 1], ["TP53", "MYC"]),
        (["GRCh38.p14_TP53", "GRCh38.p14_MYC"], [0, 1], ["TP53", "MYC"]),
    ],
)
def test_genomes_that_stand_behind_the_ids_are_told_apart(ids, kept, found):
    assert chosen(ids, organism="human")[:2] == (kept, found)


def test_a_genome_that_the_symbols_alone_name_is_no_part_of_them():
    ids, genomes = ["ENSG1", "ENSG2", "ENSMUSG1"], ["GRCh38", "GRCh38", "mm10"]
    for symbols in (
        [f"{name}_{genome}" for name, genome in zip("abc", genomes, strict=True)],
        [f"{genome}_{name}" for name, genome in zip("abc", genomes, strict=True)],
    ):
        assert choose_genes(ids, symbols, "m", organism="human").symbols == ["a", "b"]


def test_one_construct_behind_which_a_genome_stands_is_none():
    ids = [*(f"G{i}" for i in range(99)), "Mapt_mouse"]
    assert chosen(ids, organism="human") == (list(range(100)), ids, [])


@pytest.mark.parametrize("nothing", ["NA", "nan", "None", "<NA>"])
def test_several_genes_that_are_called_as_nothing_are_not_one(nothing):
    ids = ["TP53", nothing, "ACTB", nothing]
    with pytest.raises(CountsError, match=rf"2 features of m have no name, but '{nothing}' \(fea"):
        choose_genes(ids, ids, "m")
    kinds = ["Gene Expression", "", "Gene Expression", ""]
    assert choose_genes(ids, ids, "m", kinds=kinds).ids == ["TP53", "ACTB"]
    assert choose_genes(ids, ["a", "b", "c", "d"], "m").ids == ["TP53", "b", "ACTB", "d"]
