"""Metrics that people ask for beside the mean correlation: ranks, maps, domains, pathways."""

from __future__ import annotations

import math

from spared_bench import MetricSpec
from spared_bench.specs.metric import Genes

_HERE = "spared_bench.metrics"
_BETWEEN = (-1.0, 1.0)


def tissue_metrics() -> list[MetricSpec]:
    """Return the specs of metrics of genes, of maps, and of domains and pathways."""
    return [*_of_genes(), *_of_maps(), *_of_domains()]


def _of_genes() -> list[MetricSpec]:
    choices: tuple[tuple[str, str, Genes, str], ...] = (
        ("pcc-hvg", "PCC-HVG", "variable", "vary most"),
        ("pcc-svg", "PCC-SVG", "spatial", "lie most in patterns (Moran's I)"),
    )
    chosen = [
        MetricSpec(
            name,
            f"{_HERE}.pearson:pearson_gene",
            summary=f"PCC-Gene of the half of the genes, 50 at most, that {what} on the measured"
            " training slides",
            per="gene",
            label=label,
            bounds=_BETWEEN,
            undefined="correlation",
            genes=genes,
        )
        for name, label, genes, what in choices
    ]
    return [
        MetricSpec(
            "spearman-gene",
            f"{_HERE}.spearman:spearman_gene",
            summary="Spearman rank correlation of each gene across spots",
            per="gene",
            label="Spearman",
            bounds=_BETWEEN,
            undefined="correlation",
        ),
        *chosen,
        MetricSpec(
            "above-control",
            f"{_HERE}.control:above_control",
            summary="Share of genes whose correlation is above that of 95 % of random deals of the"
            " same values",
            per="gene",
            label="Genes above control",
            bounds=(0.0, 1.0),
            given="tissue",
        ),
    ]


def _of_maps() -> list[MetricSpec]:
    return [
        MetricSpec(
            "ssim-gene",
            f"{_HERE}.structure:ssim_gene",
            summary="Structural similarity of the predicted and the measured map of each gene",
            per="gene",
            label="SSIM",
            bounds=_BETWEEN,
            given="tissue",
        ),
        MetricSpec(
            "moran-error",
            f"{_HERE}.spatial:moran_error",
            summary="Distance between Moran's I of each gene's prediction and of its truth",
            per="gene",
            better="lower",
            label="Moran error",
            bounds=(0.0, math.inf),
            given="tissue",
        ),
        MetricSpec(
            "moran-pcc",
            f"{_HERE}.spatial:moran_pcc",
            summary="Correlation over genes of Moran's I of the prediction with that of the truth",
            per="entry",
            label="Moran PCC",
            bounds=_BETWEEN,
            given="tissue",
        ),
    ]


def _of_domains() -> list[MetricSpec]:
    domains = [
        MetricSpec(
            f"{of}-{measure}",
            f"{_HERE}.domains:{of}_{measure}",
            summary=f"{title} of the clusters of the prediction and {against}",
            per="entry",
            label=f"{measure.upper()}, {of}",
            bounds=bounds,
            given="tissue",
        )
        for of, against in (
            ("domains", "those of the measured expression"),
            ("labels", "the labels that people gave"),
        )
        for measure, title, bounds in (
            ("ari", "Adjusted Rand index", (-0.5, 1.0)),
            ("nmi", "Normalised mutual information", (0.0, 1.0)),
        )
    ]
    pathways = MetricSpec(
        "pcc-pathway",
        f"{_HERE}.pathways:pcc_pathway",
        summary="Correlation across spots of the activity of pathways (Hallmark sets)",
        per="entry",
        label="PCC-Pathway",
        bounds=_BETWEEN,
        given="tissue",
    )
    return [pathways, *domains]
