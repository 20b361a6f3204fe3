"""Completers: they fill the unmeasured entries of what is to be learnt."""

from __future__ import annotations

from spared_bench import CompleterSpec, hookimpl

_HERE = "spared_bench_plugins.completers"
_SPARED = "Mejia et al., SpaRED, MICCAI 2024"
_STLEARN = "Pham et al., Nat. Commun. 2023, doi:10.1038/s41467-023-43120-6"


COMPLETERS: tuple[CompleterSpec, ...] = (
    CompleterSpec("none", f"{_HERE}.none:Unchanged", summary="Leaves zeros at unmeasured entries"),
    CompleterSpec(
        "median",
        f"{_HERE}.median:Median",
        summary="Median of the measured neighbourhood, widened hop by hop",
        citation=_SPARED,
    ),
    CompleterSpec(
        "gene-mean",
        f"{_HERE}.gene_mean:GeneMean",
        summary="Mean of the gene's measured values on the training slides",
    ),
    CompleterSpec(
        "knn-spatial",
        f"{_HERE}.knn_spatial:KNNSpatial",
        summary="Mean of the measured neighbours, the nearer ones weighing more",
    ),
    CompleterSpec(
        "spackle",
        f"{_HERE}.spackle:SpaCKLE",
        summary="Transformer over a spot and its two rings of neighbours, as the paper says",
        citation=_SPARED,
    ),
    CompleterSpec(
        "spackle-released",
        f"{_HERE}.spackle_released:SpaCKLEReleased",
        summary="What SpaCKLE's published code computes: attention over the batch",
        citation=_SPARED,
    ),
    CompleterSpec(
        "stlearn",
        f"{_HERE}.stlearn:StLearn",
        summary="Three spots that are near, look alike and express alike, itself among them",
        citation=_STLEARN,
        encoder="backbone",
    ),
    CompleterSpec(
        "stlearn-corrected",
        f"{_HERE}.stlearn:CorrectedStLearn",
        summary="stLearn's imputation with the spot itself left out",
        citation=_STLEARN,
        encoder="backbone",
    ),
    CompleterSpec(
        "graph-mae",
        f"{_HERE}.graph_mae:GraphMAE",
        summary="Masked graph auto-encoder on averages over the rings of neighbours",
        citation="After Hou et al., GraphMAE, KDD 2022, and Frasca et al., arXiv:2004.11198",
    ),
)


@hookimpl
def spared_bench_completers() -> list[CompleterSpec]:
    return list(COMPLETERS)
