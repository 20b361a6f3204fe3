"""Completers: they fill the unmeasured entries of what is to be learnt."""

from __future__ import annotations

from spared_bench import CompleterSpec, hookimpl

_SPARED = "Mejia et al., SpaRED, MICCAI 2024"
_STLEARN = "Pham et al., Nat. Commun. 2023, doi:10.1038/s41467-023-43120-6"


@hookimpl
def spared_bench_completers() -> list[CompleterSpec]:
    here = "spared_bench_plugins.completers"
    return [
        CompleterSpec(
            "none", f"{here}.none:Unchanged", summary="Leaves zeros at unmeasured entries"
        ),
        CompleterSpec(
            "median",
            f"{here}.median:Median",
            summary="Median of the measured neighbourhood, widened hop by hop",
            citation=_SPARED,
        ),
        CompleterSpec(
            "gene-mean",
            f"{here}.gene_mean:GeneMean",
            summary="Mean of the gene's measured values on the training slides",
        ),
        CompleterSpec(
            "knn-spatial",
            f"{here}.knn_spatial:KNNSpatial",
            summary="Mean of the measured neighbours, the nearer ones weighing more",
        ),
        CompleterSpec(
            "spackle",
            f"{here}.spackle:SpaCKLE",
            summary="Transformer over a spot and its two rings of neighbours, as the paper says",
            citation=_SPARED,
        ),
        CompleterSpec(
            "spackle-released",
            f"{here}.spackle_released:SpaCKLEReleased",
            summary="What SpaCKLE's published code computes: attention over the batch",
            citation=_SPARED,
        ),
        CompleterSpec(
            "stlearn",
            f"{here}.stlearn:StLearn",
            summary="Three spots that are near, look alike and express alike, itself among them",
            citation=_STLEARN,
            encoder="backbone",
        ),
        CompleterSpec(
            "stlearn-corrected",
            f"{here}.stlearn:CorrectedStLearn",
            summary="stLearn's imputation with the spot itself left out",
            citation=_STLEARN,
            encoder="backbone",
        ),
        CompleterSpec(
            "graph-mae",
            f"{here}.graph_mae:GraphMAE",
            summary="Masked graph auto-encoder on averages over the rings of neighbours",
            citation="After Hou et al., GraphMAE, KDD 2022, and Frasca et al., arXiv:2004.11198",
        ),
    ]
