"""The stages of the published package ``spared`` beside ours, on the same input in one run.

Needs ``spared`` 2.2.1 in the environment, without its dependencies' old versions:
``pip install --no-deps spared lightning lightning-utilities pytorch-lightning torchmetrics combat
positional-encodings opencv-python-headless wget plotly narwhals imageio umap-learn pynndescent
torch_geometric``.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.errors import MissingFileError
from spared_bench.processing import filtering
from spared_bench.processing.annotation import gene_table, is_mitochondrial
from spared_bench.processing.combat import combat
from spared_bench.processing.graph import neighbour_graph
from spared_bench.processing.joining import join_slides
from spared_bench.processing.median import median_filter
from spared_bench.processing.moran import mean_morans_i, most_autocorrelated
from spared_bench.processing.normalization import log2_tpm
from spared_bench.protocol import Protocol

N_KEPT = 32
PARAMETERS = {
    "cell_min_counts": 10,
    "cell_max_counts": 1_000_000,
    "gene_min_counts": 10,
    "gene_max_counts": 1_000_000,
    "min_exp_frac": -1,
    "min_glob_exp_frac": -1,
    "real_data_percentage": 0.7,
    "wildcard_genes": "None",
    "organism": "mouse",
    "hex_geometry": True,
}


def compare_with_published(scale: float) -> None:
    """Run both pipelines and print each stage's seconds, ratio and largest difference."""
    from whole_datasets import made_up_dataset

    stages = _published_stages()
    slides, spec = made_up_dataset(scale)
    joined, _ = join_slides(slides, spec)
    print(f"{joined.n_obs:,} spots x {joined.n_vars:,} genes on {len(slides)} slides")
    # Compiled, and scikit-learn imported, before the clock starts.
    warm = neighbour_graph(np.random.default_rng(0).normal(size=(30, 2)))
    median_filter(np.zeros((30, 2)), np.ones((30, 2), dtype=bool), warm)
    mean_morans_i([(np.random.default_rng(0).normal(size=(30, 2)), warm)])

    published = joined.copy()
    published.var["gene_ids"] = published.var_names
    published.uns["spatial"] = {slide: {} for slide in slides}
    print(f"{'stage':<16}{'spared s':>12}{'ours s':>12}{'ratio':>10}   largest difference")
    total, mine = 0.0, 0.0
    before, ours = published, _our_stages()
    for name, stage in stages.items():
        given = before.copy()
        before, slow = _timed(lambda: stage(before))  # noqa: B023
        result, fast = _timed(lambda: ours[name](given))  # noqa: B023
        total, mine = total + slow, mine + fast
        told = _difference(name, before, *result)
        print(f"{name:<16}{slow:>12.2f}{fast:>12.4f}{slow / fast:>9.0f}x   {told}", flush=True)
    print(f"{'whole pipeline':<16}{total:>12.2f}{mine:>12.4f}{total / mine:>9.0f}x")
    print("Each stage was given what the published one before it had made.")


def _timed(what: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns, and its seconds; keep what it prints to itself."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        started = time.perf_counter()
        result = what()
        return result, time.perf_counter() - started


def _difference(stage: str, published: Any, genes: np.ndarray, values: Any) -> str:
    """Say how a stage's result differs from the published one."""
    if stage == "filters":
        shared = len(set(published.var_names) & set(genes))
        # Where genes tie at the end of the list, its order, and so its length, is undefined there.
        return f"{shared} of {published.n_vars} genes the same"
    if stage == "Moran's I":
        return f"same {len(genes)} genes, same order: {list(genes) == list(published.var_names)}"
    layer = {"TPM and log": "log1p", "median filter": "d_log1p", "ComBat": "c_d_log1p"}[stage]
    columns = [list(genes).index(name) for name in published.var_names]
    return f"{np.abs(np.asarray(published.layers[layer]) - values[:, columns]).max():.2g}"


def _published_stages() -> dict[str, Callable[..., Any]]:
    # The package has a top-level module `spackle`, and this folder has one, too.
    here = str(Path(__file__).parent)
    sys.path[:] = [place for place in sys.path if place != here]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            from spared.denoising.denoising import median_cleaner
            from spared.filtering.filtering import filter_by_moran, filter_dataset
            from spared.gene_features.gene_features import compute_moran
            from spared.layer_operations.layer_operations import (
                combat_transformation,
                log1p_transformation,
                tpm_normalization,
            )
    except ImportError as error:
        raise MissingFileError(
            f"The package `spared` cannot be imported here ({error}). Install it as the docstring"
            " of benchmarks/published.py says."
        ) from error
    finally:
        sys.path.insert(0, here)

    def moran(adata: Any) -> Any:
        adata = compute_moran(adata, hex_geometry=True, from_layer="d_log1p")
        return filter_by_moran(adata, n_keep=N_KEPT, from_layer="d_log1p")

    def tpm(adata: Any) -> Any:
        adata.layers["counts"] = adata.X.toarray()
        adata = tpm_normalization(adata, "mouse", from_layer="counts", to_layer="tpm")
        return log1p_transformation(adata, from_layer="tpm", to_layer="log1p")

    return {
        "filters": lambda adata: filter_dataset(adata, PARAMETERS),
        "TPM and log": tpm,
        "median filter": lambda adata: median_cleaner(adata, "log1p", "d_log1p", 4, True),
        "Moran's I": moran,
        "ComBat": lambda adata: combat_transformation(adata, "slide_id", "d_log1p", "c_d_log1p"),
    }


def _our_stages() -> dict[str, Callable[[Any], tuple[np.ndarray, Any]]]:
    """Return our stages; each takes the published input and returns genes and values."""
    bounds = Protocol.model_validate({"name": "x", "version": 1}).processing.filtering

    def filters(adata: Any) -> tuple[np.ndarray, Any]:
        counts, labels = adata.X, adata.obs["slide_id"].to_numpy()
        spots = filtering.between(
            filtering.totals(counts, axis=1), bounds.spot_min_counts, bounds.spot_max_counts
        )
        counts, labels = counts[spots], labels[spots]
        per_gene = filtering.totals(counts, axis=0)
        enough = np.flatnonzero(
            filtering.between(per_gene, bounds.gene_min_counts, bounds.gene_max_counts)
        )
        smallest, overall = filtering.expressed_fractions(counts, labels)
        names = adata.var_names.to_numpy(dtype=str)
        order = filtering.gene_order(smallest[enough], names[enough], "published")
        prefix = filtering.sparsity_prefix(order, overall[enough], bounds.real_fraction)
        counts = counts[:, enough[prefix]]
        return names[enough[prefix]], counts[filtering.totals(counts, axis=1) > 0]

    def tpm(adata: Any) -> tuple[np.ndarray, Any]:
        known = adata.var_names[adata.var_names.isin(lengths.index)]
        counts = adata[:, known].X.toarray()
        return known.to_numpy(), log2_tpm(counts, lengths.loc[known].to_numpy(dtype=float))

    def pieces(adata: Any) -> list[np.ndarray]:
        labels = adata.obs["slide_id"].to_numpy()
        return [np.flatnonzero(labels == slide) for slide in np.unique(labels)]

    def median(adata: Any) -> tuple[np.ndarray, Any]:
        values = np.asarray(adata.layers["log1p"])
        filled = np.empty_like(values)
        for here in pieces(adata):
            graph = neighbour_graph(adata.obsm["spatial"][here])
            filled[here] = median_filter(values[here], values[here] == 0, graph)
        return adata.var_names.to_numpy(), filled

    def moran(adata: Any) -> tuple[np.ndarray, Any]:
        values, names = np.asarray(adata.layers["d_log1p"]), adata.var_names.to_numpy(dtype=str)
        scores = mean_morans_i(
            (values[here], neighbour_graph(adata.obsm["spatial"][here])) for here in pieces(adata)
        )
        return names[most_autocorrelated(scores, names, N_KEPT)], None

    def correct(adata: Any) -> tuple[np.ndarray, Any]:
        values = np.asarray(adata.layers["d_log1p"])
        labels = adata.obs["slide_id"].to_numpy()
        return adata.var_names.to_numpy(), combat(values, labels, published=True)

    table = gene_table("mouse")
    lengths = table["length_bp"][~is_mitochondrial(table["gene_name"])]
    return {
        "filters": filters,
        "TPM and log": tpm,
        "median filter": median,
        "Moran's I": moran,
        "ComBat": correct,
    }
