"""Raw slides in, a prepared dataset out, as a protocol says.

With ``fit_on: train`` the gene filters, the sparsity prefix and Moran's I see the slides that the
dataset lists for training, and nothing else; their choice is then applied to all slides. The slides
are used whole, with the strip that is held out for validation: Moran's I needs the neighbours of
every spot, and a strip cut out would give its border other neighbours. So the strip takes part in
the choice of genes; test slides do not. ``fit_on: all`` is as published.

ComBat has no such choice: a batch can only be corrected with its own spots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench import data
from spared_bench.processing import normalization
from spared_bench.processing.combat import combat
from spared_bench.processing.graph import neighbour_graph
from spared_bench.processing.joining import join_slides
from spared_bench.processing.moran import mean_morans_i, most_autocorrelated
from spared_bench.processing.selection import (
    Steps,
    drop_empty_spots,
    keep_genes,
    keep_spots,
    require_lengths,
)
from spared_bench.processing.splitting import assign_splits

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
        Its ``processing`` and ``validation``; a dataset's overrides must have been applied.

    Returns
    -------
    AnnData
        The second contract of ``spared_bench.data``: slides in lexicographic order, genes in
        descending order of Moran's I. ``uns["spared_bench"]`` tells what each step left.

    Raises
    ------
    SplitError, CountsError, CoordinateError, ContractError
        For slides that cannot be used.
    CountsError
        If no spot of a slide, or no gene, passes the filters.
    DataError
        If the genes are not of the declared organism, or have no known length and need one.
    """
    settings = protocol.processing
    adata, report = join_slides(slides, spec)
    spots, genes = Steps(), Steps()
    adata = keep_spots(adata, settings.filtering, spots)
    fraction = protocol.validation.held_out_fraction
    adata.obs["split"] = assign_splits(
        adata.obs["slide_id"].to_numpy(), adata.obsm[data.SPATIAL], spec.split, fraction
    )
    fitted = spec.split["train"] if settings.fit_on == "train" else report["slides"]
    adata = keep_genes(adata, adata.obs["slide_id"].isin(fitted).to_numpy(), settings, genes)
    adata = drop_empty_spots(adata, spots)
    adata = require_lengths(adata, spec, settings, genes)
    adata = _to_layers(adata, settings, fitted)
    del adata.obs["library_size"]  # measured, and obs is visible to those who predict
    genes.add("highest Moran's I", adata.n_vars)
    adata.uns["spared_bench"] = {
        "dataset": spec.name,
        "dataset_version": spec.version,
        "raw_counts": spec.raw_counts,
        "image": spec.image,
        "donors_verified": spec.donors_verified,
        "notes": list(spec.notes),
        "protocol": protocol.id,
        "processing": settings.model_dump(mode="json"),
        "fitted_slides": sorted(map(str, fitted)),
        "held_out_fraction": 0.0 if spec.split.get("val") else float(fraction),
        "spots": {"after": spots.names, "left": spots.counts},
        "genes": {"after": genes.names, "left": genes.counts},
        "fewer_genes_than_asked": bool(adata.n_vars < settings.n_genes),
        **report,
    }
    data.validate_prepared(adata)
    return adata


def _to_layers(adata: AnnData, settings: Processing, fitted: Any) -> AnnData:
    """Make the layers, for the genes of highest Moran's I."""
    expression = _normalise(adata, settings)
    filled, graphs = _fill(adata, expression, settings)
    slide_ids = adata.obs["slide_id"].to_numpy()
    scores = mean_morans_i((filled[slide_ids == s], graphs[s]) for s in sorted(fitted))
    names = adata.var_names.to_numpy(dtype=str)
    best = most_autocorrelated(scores, names, settings.n_genes)
    adata = adata[:, best].copy()
    adata.var["moran_i"] = scores[best]
    prefilled = filled[:, best]
    if settings.batch_correction != "none":
        published = settings.batch_correction == "combat_published"
        prefilled = combat(prefilled, adata.obs[settings.batch_key].to_numpy(), published)
    mask = adata.X.toarray() > 0
    adata.layers[data.COUNTS] = adata.X.copy()
    adata.layers[data.EXPRESSION] = expression[:, best]
    adata.layers[data.MASK] = mask
    adata.layers[data.PREFILLED] = prefilled
    adata.layers[data.TARGET] = np.where(mask, prefilled, 0.0)
    return adata


def _normalise(adata: AnnData, settings: Processing) -> np.ndarray:
    counts = adata.X.toarray()
    if settings.target == "log2_tpm":
        return normalization.log2_tpm(counts, adata.var["gene_length_bp"].to_numpy())
    return normalization.log1p_cp10k(counts, adata.obs["library_size"].to_numpy())


def _fill(
    adata: AnnData, expression: np.ndarray, settings: Processing
) -> tuple[np.ndarray, dict[str, csr_matrix]]:
    """Median-filter every slide; return the filled values and the graph of each slide."""
    from spared_bench.processing.median import median_filter

    filled, graphs = np.empty_like(expression), {}
    slide_ids = adata.obs["slide_id"].to_numpy()
    for slide_id in np.unique(slide_ids):
        here = slide_ids == slide_id
        graph = neighbour_graph(adata.obsm[data.SPATIAL][here], settings.n_neighbours)
        values = expression[here]
        filled[here] = median_filter(values, values == 0, graph, settings.median_hops)
        graphs[slide_id] = graph
    return filled, graphs
