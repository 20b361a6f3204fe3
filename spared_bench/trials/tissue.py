"""What metrics of maps, domains and pathways are told of the spots and genes of a split."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import EXPRESSION, LABEL, SPATIAL
from spared_bench.metrics.tissue import Tissue
from spared_bench.processing.gene_choice import spatial_genes, variable_genes
from spared_bench.specs import MetricSpec

if TYPE_CHECKING:
    from anndata import AnnData


def wants_tissue(bench: Bench) -> bool:
    """Return whether a metric of the protocol needs to know more than values."""
    return any(
        spec.given == "tissue" or spec.genes != "all" for spec in map(bench.metric, _names(bench))
    )


def tissue_of(
    bench: Bench, table: AnnData, rows: np.ndarray, columns: np.ndarray | None = None
) -> Tissue:
    """Describe the spots of a split and its scored genes.

    Parameters
    ----------
    bench : Bench
    table : AnnData
        The prepared dataset, all splits.
    rows : ndarray of bool, of shape (n_obs,)
        The split.
    columns : ndarray of int, optional
        The scored genes; all by default. Genes are chosen among them.

    Returns
    -------
    Tissue
    """
    columns = np.arange(table.n_vars) if columns is None else columns
    obs = table.obs
    symbols = table.var["gene_name"].to_numpy(dtype=str)
    return Tissue(
        slide_ids=obs["slide_id"].to_numpy(dtype=str)[rows],
        places=np.asarray(table.obsm[SPATIAL], dtype=np.float64)[rows],
        array=obs[["array_row", "array_col"]].to_numpy(dtype=np.float64)[rows],
        symbols=tuple(symbols[columns]),
        labels=obs[LABEL].to_numpy(dtype=str)[rows] if LABEL in obs else None,
        chosen=_chosen(bench, table, columns),
    )


def chosen_genes(table: AnnData, choice: str, columns: np.ndarray | None = None) -> np.ndarray:
    """Return which genes are ``"variable"`` or ``"spatial"``, (n_genes,) of bool.

    By the measured expression of the training slides (``spared_bench.processing.gene_choice``).
    """
    columns = np.arange(table.n_vars) if columns is None else columns
    train = table.obs["split"].to_numpy(dtype=str) == "train"
    layer: Any = table.layers[EXPRESSION]
    values = np.asarray(layer, dtype=np.float64)[np.ix_(train, columns)]
    slide_ids = table.obs["slide_id"].to_numpy(dtype=str)[train]
    genes = np.asarray(table.var_names, dtype=str)[columns]
    if choice == "variable":
        return variable_genes(values, slide_ids, genes)
    places = np.asarray(table.obsm[SPATIAL], dtype=np.float64)[train]
    return spatial_genes(values, slide_ids, places, genes)


def _chosen(bench: Bench, table: AnnData, columns: np.ndarray) -> dict[str, np.ndarray]:
    metric: Callable[[str], MetricSpec] = bench.metric
    wanted = {metric(name).genes for name in _names(bench)} - {"all"}
    return {choice: chosen_genes(table, choice, columns) for choice in sorted(wanted)}


def _names(bench: Bench) -> list[str]:
    """Return the metrics of the protocol that are known here."""
    known = bench.registry.names("metric")
    return [name for name in bench.scored_metrics if name in known]
