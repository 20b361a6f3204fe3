"""Raw slides in, a prepared dataset out, as a protocol says.

With ``fit_on: train``, what training sees depends on nothing else. Genes are filtered and chosen by
the training spots. Where a strip of a training slide is held out for validation, strip and rest are
processed as if they were two slides, each with a neighbour graph of its own, so that no value of
one fills or ranks anything of the other. Only which genes were measured at all is asked of every
slide. Batches are corrected as the training spots say; a batch without training spots stays as it
is. ``fit_on: all`` is as published: all spots choose and correct, and slides are processed whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from spared_bench import data
from spared_bench.data.targets import OF_MORE, TARGETS, depth_of
from spared_bench.errors import CountsError
from spared_bench.processing import normalization
from spared_bench.processing.combat import fit_combat
from spared_bench.processing.graph import neighbour_graph
from spared_bench.processing.joining import join_slides
from spared_bench.processing.known_spots import put_known
from spared_bench.processing.moran import mean_morans_i, most_autocorrelated
from spared_bench.processing.selection import (
    BESIDES,
    PASSED,
    Steps,
    drop_empty_spots,
    further_columns,
    keep_genes,
    keep_listed_genes,
    keep_spots,
    leave_out_mitochondrial,
    require_lengths,
)
from spared_bench.processing.smoothing import array_mean
from spared_bench.processing.splitting import assign_splits
from spared_bench.processing.variable import highest_mean, most_variable

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    from spared_bench.protocol import Processing, Protocol
    from spared_bench.specs import DatasetSpec


def prepare(slides: Mapping[str, AnnData], spec: DatasetSpec, protocol: Protocol) -> AnnData:
    """Filter, normalise and correct a dataset's raw slides.

    Parameters
    ----------
    slides : mapping of str to AnnData
        Raw slides by id (first contract of ``spared_bench.data``); all of the dataset's split.
    spec : DatasetSpec
        Organism, donors and split.
    protocol : Protocol
        Its ``processing``, with what it takes from the dataset, and its ``validation``.

    Returns
    -------
    AnnData
        The second contract of ``spared_bench.data``: slides in lexicographic order, the best
        ranked gene first. ``uns["spared_bench"]`` tells what each step left.

    Raises
    ------
    SplitError, CountsError, CoordinateError, ContractError
        For slides that cannot be used.
    CountsError
        If no spot of a slide, or no gene, passes the filters.
    DataError
        If the genes are not of the declared organism, or have no known length and need one.
    """
    spec = protocol.divide(spec)
    settings = _with_listed_genes(protocol.processing.for_dataset(spec), slides, spec)
    adata, report = join_slides(slides, spec)
    spots, genes = Steps(), Steps()
    fraction = protocol.validation.held_out_fraction
    # Before a spot is dropped: counts of held-out spots must not decide where the strip ends.
    adata.obs["split"] = assign_splits(
        adata.obs["slide_id"].to_numpy(), adata.obsm[data.SPATIAL], spec.split, fraction
    )
    if protocol.known is not None:
        put_known(adata, spec, protocol.known, fraction)
    adata = keep_spots(adata, settings.filtering, spots)
    if settings.listed_genes:
        adata = keep_listed_genes(adata, _fitted(adata, settings), settings, genes)
    else:
        adata = keep_genes(adata, _fitted(adata, settings), settings, genes)
    adata = drop_empty_spots(adata, settings, spots)
    adata = leave_out_mitochondrial(adata, settings, genes)
    adata = require_lengths(adata, spec, settings, genes)
    adata.obsm[data.DEPTH] = _depths(adata, settings)
    adata, n_ranked = _to_layers(adata, settings)
    fitted = adata.obs["slide_id"][_fitted(adata, settings)]
    # Measured, and obs is visible to those who predict.
    adata.obs = adata.obs.drop(columns=["library_size", "mitochondrial_counts"], errors="ignore")
    genes.add("chosen" if settings.listed_genes else _RANKED_BY[settings.ranking], n_ranked)
    if n_ranked < adata.n_vars:
        genes.add(BESIDES, adata.n_vars)
    adata.uns["spared_bench"] = {
        "dataset": spec.name,
        "dataset_version": spec.version,
        "raw_counts": spec.raw_counts,
        "image": spec.image,
        "classes": list(spec.classes),
        "donors_verified": spec.donors_verified,
        "notes": list(spec.notes),
        "protocol": protocol.id,
        "processing": settings.model_dump(mode="json"),
        "fitted_slides": sorted(set(map(str, fitted))),
        "held_out_fraction": 0.0 if spec.split.get("val") else float(fraction),
        "shared_donors": list(spec.shared_donors),
        "spots": {"after": spots.names, "left": spots.counts},
        "genes": {"after": genes.names, "left": genes.counts},
        "fewer_genes_than_asked": bool(n_ranked < (len(settings.listed_genes) or settings.n_genes)),
        **report,
    }
    data.validate_prepared(adata)
    return adata


_TOGETHER = 4096  # spots that are normalised at once
_RANKED_BY = {
    "moran": "highest Moran's I",
    "variable": "most variable",
    "mean": "highest mean",
}


def _with_listed_genes(
    settings: Processing, slides: Mapping[str, AnnData], spec: DatasetSpec
) -> Processing:
    """Return settings with the genes that the dataset's own files list, where they are asked for.

    Raises
    ------
    CountsError
        If they list none, or not the same ones.
    """
    if not settings.takes_genes_of_dataset:
        return settings
    lists = {tuple(map(str, s.uns["slide"].get("listed_genes", ()))) for s in slides.values()}
    if len(lists) != 1 or not (genes := lists.pop()):
        raise CountsError(
            f"The protocol takes the genes that a dataset lists (`gene_list: dataset`), and"
            f" {spec.name!r} lists none, or others for every slide. Name them in"
            " `processing.genes`, or use a protocol that chooses genes."
        )
    return settings.model_copy(update={"genes": genes, "gene_list": ""})


def _fitted(adata: AnnData, settings: Processing) -> np.ndarray:
    """Return where a spot has a say in which genes stay: (n_spots,), bool."""
    return (adata.obs["split"] == "train").to_numpy() | (settings.fit_on == "all")


def _pieces(adata: AnnData, settings: Processing) -> list[np.ndarray]:
    """Return the rows of each slide, or of each split of each slide, that is processed as one."""
    labels = adata.obs["slide_id"].astype(str)
    if settings.fit_on == "train":
        labels = labels + "\n" + adata.obs["split"].astype(str)
    return [np.flatnonzero(labels == label) for label in dict.fromkeys(labels)]


def _to_layers(adata: AnnData, settings: Processing) -> tuple[AnnData, int]:
    """Make the layers, for the genes that the protocol chooses; and say how many by their rank."""
    expression = _normalise(adata, settings.target)
    pieces = _pieces(adata, settings)
    filled, graphs = _fill(adata, expression, pieces, settings)
    fitted = _fitted(adata, settings)
    ranked, ranked_filled = expression, filled
    ranked_target: str = settings.target
    if settings.ranked_on not in ("target", settings.target):
        ranked_target = settings.ranked_on
        ranked = _normalise(adata, ranked_target)
        ranked_filled, _ = _fill(adata, ranked, pieces, settings)
    scores = mean_morans_i(
        (ranked_filled[rows], graph)
        for rows, graph in zip(pieces, graphs, strict=True)
        if fitted[rows].any()
    )
    best = _choose(adata, ranked, fitted, scores, settings, ranked_target)
    n_ranked = len(best)
    if settings.further_genes:
        best = np.array(list(dict.fromkeys([*best, *further_columns(adata, settings)])))
    adata = adata[:, best].copy()
    adata.var = adata.var.drop(columns=PASSED, errors="ignore")
    adata.var["moran_i"] = scores[best]
    prefilled, expression = filled[:, best], expression[:, best]
    if settings.target in OF_MORE:  # of the genes that were chosen by something else
        prefilled = expression = _of_more(adata, settings.target, fitted)
    if settings.batch_correction != "none":
        published = settings.batch_correction == "combat_published"
        batches = adata.obs[settings.batch_key].to_numpy(dtype=str)
        correction = fit_combat(prefilled[fitted], batches[fitted], published)
        prefilled = correction.apply(prefilled, batches)
    if settings.smoothing == "array_neighbours":
        array = adata.obs[["array_row", "array_col"]].to_numpy()
        for rows in pieces:
            prefilled[rows] = array_mean(prefilled[rows], array[rows])
    mask = adata.X.toarray() > 0
    if settings.zeros == "measured":
        mask[:] = True
    if settings.scaling == "min_max":
        range_of = normalization.MinMax.fitted(prefilled[fitted], mask[fitted])
        prefilled = range_of.apply(prefilled)
    adata.layers[data.COUNTS] = adata.X.copy()
    adata.layers[data.EXPRESSION] = expression
    adata.layers[data.MASK] = mask
    adata.layers[data.PREFILLED] = prefilled
    adata.layers[data.TARGET] = np.where(mask, prefilled, 0.0)
    return adata, n_ranked


def _choose(
    adata: AnnData,
    expression: np.ndarray,
    fitted: np.ndarray,
    scores: np.ndarray,
    settings: Processing,
    target: str,
) -> np.ndarray:
    """Return the columns of the genes to keep, the best first, by expression as that target."""
    passed = np.flatnonzero(adata.var[PASSED])
    if len(passed) < adata.n_vars:  # the others are named besides
        some = adata[:, passed], expression[:, passed], fitted, scores[passed]
        return passed[_choose(*some, settings, target)]
    if settings.listed_genes:
        return passed  # in the order of the list
    names = adata.var_names.to_numpy(dtype=str)
    if settings.ranking == "moran":
        return most_autocorrelated(scores, names, settings.n_genes)
    if settings.ranking == "mean":
        return highest_mean(expression[fitted], names, settings.n_genes)
    slide_ids = adata.obs["slide_id"].to_numpy(dtype=str)[fitted]
    values, base = expression[fitted], TARGETS[target].base
    if not base:  # dispersion is of logged values
        values, base = np.log1p(values), math.e
    natural = None if base == math.e else base
    return most_variable(values, slide_ids, names, settings.n_genes, natural)


def _normalise(adata: AnnData, target: str) -> np.ndarray:
    lengths = adata.var["gene_length_bp"] if "gene_length_bp" in adata.var else np.empty(0)
    target = "counts" if target in OF_MORE else target  # genes are chosen before these are made
    sizes = adata.obs["library_size"].to_numpy()
    values = np.empty(adata.shape)
    for start in range(0, adata.n_obs, _TOGETHER):  # no spot's values depend on another's
        some = slice(start, start + _TOGETHER)
        counts = adata.X[some].toarray()
        values[some] = normalization.normalised(target, counts, sizes[some], np.asarray(lengths))
    return values


def _of_more(adata: AnnData, target: str, fitted: np.ndarray) -> np.ndarray:
    counts = adata.X.toarray()
    if target == "log_share":
        return normalization.log_share(counts)
    sizes = adata.obs["library_size"].to_numpy()
    return normalization.pearson_residuals(counts, sizes, fitted)


def _depths(adata: AnnData, settings: Processing) -> np.ndarray:
    """Return what the counts of each spot are divided by, (n_spots, 1)."""
    depth = depth_of(settings.target)
    if depth == "library":
        return adata.obs["library_size"].to_numpy(dtype=np.float64)[:, None]
    if depth == "none":
        return np.ones((adata.n_obs, 1))
    return np.asarray(adata.X @ (1 / adata.var["gene_length_bp"].to_numpy()))[:, None]


def _fill(
    adata: AnnData, expression: np.ndarray, pieces: list[np.ndarray], settings: Processing
) -> tuple[np.ndarray, list[csr_matrix]]:
    """Median-filter every piece; return the filled values and the graph of each piece."""
    from spared_bench.processing.median import median_filter

    filled, graphs = expression.copy(), []
    for rows in pieces:
        graph = neighbour_graph(adata.obsm[data.SPATIAL][rows], settings.n_neighbours)
        if settings.zeros == "unmeasured":
            values = expression[rows]
            filled[rows] = median_filter(values, values == 0, graph, settings.median_hops)
        graphs.append(graph)
    return filled, graphs
