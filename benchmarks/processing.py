"""Time every step of processing against a plain, literal version of the same algorithm.

    python benchmarks/processing.py [--quick] | --whole | --published

The literal versions loop over spots and genes in Python, on lists, as the algorithm is told. Both
run on the same made-up counts in the same process, one after the other, and must agree; compiling
is done before the clock starts. ``--quick`` takes a tenth of the spots and of the genes.

``--whole`` prepares a made-up dataset of 14 slides, 44,000 spots and 32,000 genes, ``--published``
runs the package ``spared``, where it is installed, on the same input as ours.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import whole_datasets
from scipy.sparse import csr_matrix

from spared_bench.processing import filtering
from spared_bench.processing.annotation import gene_table
from spared_bench.processing.combat import combat
from spared_bench.processing.graph import neighbour_graph
from spared_bench.processing.median import median_filter
from spared_bench.processing.moran import mean_morans_i, most_autocorrelated
from spared_bench.processing.normalization import log2_tpm
from spared_bench.processing.pipeline import prepare
from spared_bench.protocol import Filtering, Protocol
from spared_bench.specs import DatasetSpec, SlideInfo

Rows = list[list[float]]

SLIDES = ("a", "b")
N_HOPS, N_KEPT = 4, 128


def made_up(n_spots: int, n_genes: int, seed: int = 0) -> dict[str, Any]:
    """Two slides on a hexagonal lattice, genes with gradients, about a third of zeros."""
    rng = np.random.default_rng(seed)
    side = math.ceil(math.sqrt(n_spots / 2))
    lattice = np.array([(r, c) for r in range(side) for c in range(side)])[: n_spots // 2]
    xy = 100.0 * np.column_stack([lattice[:, 1] + 0.5 * (lattice[:, 0] % 2), lattice[:, 0] * 0.866])
    waves = np.sin(xy / 700) @ rng.normal(size=(2, n_genes)) * rng.uniform(0, 0.7, n_genes)
    rates = np.exp(waves + rng.normal(0.5, 0.8, n_genes))
    counts = rng.poisson(np.concatenate([rates, rates * rng.lognormal(0, 0.2, n_genes)]))
    table = gene_table("human")
    genes = table[table["gene_type"] == "protein_coding"].iloc[:n_genes]
    order = np.argsort(genes.index)
    return {
        "counts": counts[:, order].astype(np.float32),
        "sparse": csr_matrix(counts[:, order].astype(np.float32)),
        "xy": np.concatenate([xy, xy]),
        "slide_ids": np.repeat(SLIDES, n_spots // 2),
        "gene_ids": genes.index.to_numpy(dtype=str)[order],
        "lengths": genes["length_bp"].to_numpy(dtype=float)[order],
    }


def literal_filter(counts: Rows, slide_ids: list[str], bounds: Filtering) -> tuple[Any, Any]:
    """Kept spots and genes, by loops over spots and genes."""
    spots = [
        i
        for i, row in enumerate(counts)
        if bounds.spot_min_counts < sum(row) < bounds.spot_max_counts
    ]
    candidates = []
    for gene in range(len(counts[0])):
        total, seen, seen_on, spots_on = 0.0, 0, dict.fromkeys(SLIDES, 0), dict.fromkeys(SLIDES, 0)
        for spot in spots:
            count = counts[spot][gene]
            total += count
            spots_on[slide_ids[spot]] += 1
            if count > 0:
                seen += 1
                seen_on[slide_ids[spot]] += 1
        if bounds.gene_min_counts < total < bounds.gene_max_counts:
            smallest = min(seen_on[slide] / spots_on[slide] for slide in SLIDES)
            candidates.append((-smallest, gene, seen / len(spots)))
    candidates.sort()
    kept, running = 0, 0.0
    for position, (_, _, overall) in enumerate(candidates, start=1):
        running += overall
        if running / position >= bounds.real_fraction:
            kept = position
    return spots, [gene for _, gene, _ in candidates[:kept]]


def literal_log2_tpm(counts: Rows, lengths: list[float]) -> Rows:
    """log2(TPM + 1), spot by spot and gene by gene."""
    out = []
    for row in counts:
        rates = [count / length for count, length in zip(row, lengths, strict=True)]
        total = sum(rates)
        out.append([math.log2(1e6 * rate / total + 1) if total else 0.0 for rate in rates])
    return out


def literal_windows(graph: csr_matrix) -> list[list[list[int]]]:
    """For each window size, for each spot: the spot and its neighbours."""
    adjacency = graph.toarray()
    power, reach, windows = np.eye(len(adjacency)), np.eye(len(adjacency)), []
    for _ in range(N_HOPS):
        power = power @ adjacency
        reach = reach + power
        windows.append([np.flatnonzero(row).tolist() for row in reach])
    return windows


def literal_median(values: Rows, graph: csr_matrix) -> Rows:
    """Every zero takes the first median that is not 0, else that of the gene's other values."""
    windows = literal_windows(graph)
    out = [list(row) for row in values]
    for gene in range(len(values[0])):
        seen = [row[gene] for row in values if row[gene] != 0]
        for spot in range(len(values)):
            if values[spot][gene] != 0:
                continue
            out[spot][gene] = statistics.median(seen) if seen else 0.0
            for window in windows:
                median = statistics.median([values[other][gene] for other in window[spot]])
                if median != 0:
                    out[spot][gene] = median
                    break
    return out


def literal_moran(values: Rows, graph: csr_matrix) -> list[float]:
    """Moran's I by its formula, with rows of the graph that add up to 1."""
    neighbours = [np.flatnonzero(row).tolist() for row in graph.toarray()]
    scores = []
    for gene in range(len(values[0])):
        column = [row[gene] for row in values]
        mean = sum(column) / len(column)
        z = [value - mean for value in column]
        above = below = weights = 0.0
        for spot, others in enumerate(neighbours):
            below += z[spot] ** 2
            for other in others:
                above += z[spot] * z[other] / len(others)
                weights += 1 / len(others)
        scores.append(len(column) / weights * above / below)
    return scores


def literal_combat(values: Rows, batches: list[str]) -> Rows:
    """Textbook ComBat with every sum written out; only the few moments over genes use numpy."""
    n_genes, labels = len(values[0]), sorted(set(batches))
    rows = {b: [i for i, label in enumerate(batches) if label == b] for b in labels}
    z = [[0.0] * n_genes for _ in values]
    alphas, sigmas = [], []
    for g in range(n_genes):
        means = {b: sum(values[i][g] for i in rows[b]) / len(rows[b]) for b in labels}
        alphas.append(sum(len(rows[b]) * means[b] for b in labels) / len(values))
        residual = sum((values[i][g] - means[batches[i]]) ** 2 for i in range(len(values)))
        sigmas.append(math.sqrt(residual / len(values)))
        for i in range(len(values)):
            z[i][g] = (values[i][g] - alphas[g]) / sigmas[g]
    out = [[0.0] * n_genes for _ in values]
    for b in labels:
        gamma, delta = _literal_effects([z[i] for i in rows[b]])
        for i in rows[b]:
            for g in range(n_genes):
                out[i][g] = sigmas[g] * (z[i][g] - gamma[g]) / math.sqrt(delta[g]) + alphas[g]
    return out


def _literal_effects(z: Rows) -> tuple[list[float], list[float]]:
    n, n_genes = len(z), len(z[0])
    gamma_hat = [sum(row[g] for row in z) / n for g in range(n_genes)]
    delta_hat = [sum((row[g] - gamma_hat[g]) ** 2 for row in z) / n for g in range(n_genes)]
    gamma_bar, tau2 = float(np.mean(gamma_hat)), float(np.var(gamma_hat))
    mean, spread = float(np.mean(delta_hat)), float(np.var(delta_hat))
    a, b = (2 * spread + mean**2) / spread, (mean * spread + mean**3) / spread
    gamma, delta, change = gamma_hat, delta_hat, 1.0
    while change > 1e-4:
        old = gamma + delta
        gamma = [
            (tau2 * n * gamma_hat[g] + delta[g] * gamma_bar) / (tau2 * n + delta[g])
            for g in range(n_genes)
        ]
        squares = [sum((row[g] - gamma[g]) ** 2 for row in z) for g in range(n_genes)]
        delta = [(squares[g] / 2 + b) / (n / 2 + a - 1) for g in range(n_genes)]
        change = max(abs(x - y) / y for x, y in zip(gamma + delta, old, strict=True))
    return gamma, delta


def our_filter(raw: dict[str, Any], bounds: Filtering) -> tuple[np.ndarray, np.ndarray]:
    """Kept spots and genes, by our functions."""
    counts = raw["sparse"]
    spots = filtering.between(
        filtering.totals(counts, axis=1), bounds.spot_min_counts, bounds.spot_max_counts
    )
    counts = counts[spots]
    enough = np.flatnonzero(
        filtering.between(
            filtering.totals(counts, axis=0), bounds.gene_min_counts, bounds.gene_max_counts
        )
    )
    smallest, overall = filtering.expressed_fractions(counts, raw["slide_ids"][spots])
    order = filtering.gene_order(smallest[enough], raw["gene_ids"][enough], "published")
    prefix = filtering.sparsity_prefix(order, overall[enough], bounds.real_fraction)
    return np.flatnonzero(spots), enough[prefix]


def our_prepare(raw: dict[str, Any]) -> np.ndarray:
    """The whole pipeline, from slides to the prepared layer."""
    import pandas as pd
    from anndata import AnnData

    slides = {}
    for slide in SLIDES:
        here = raw["slide_ids"] == slide
        position = np.arange(here.sum())
        slides[slide] = AnnData(
            raw["sparse"][here],
            obs=pd.DataFrame(
                {"array_row": position, "array_col": position}, index=position.astype(str)
            ),
            var=pd.DataFrame(index=raw["gene_ids"]),
            obsm={"spatial": raw["xy"][here]},
            uns={
                "slide": {
                    "image_path": "",
                    "image_scale": 1.0,
                    "spot_diameter_px": 55.0,
                    "um_per_px": 1.0,
                }
            },
        )
    spec = DatasetSpec(
        "made_up",
        factory="nothing:nothing",
        organism="human",
        slides=tuple(SlideInfo(slide) for slide in SLIDES),
        split={"train": ("a",), "val": ("b",)},
    )
    settings = {"fit_on": "all", "n_genes": N_KEPT, "batch_correction": "combat"}
    protocol = Protocol.model_validate({"name": "made-up", "version": 1, "processing": settings})
    return prepare(slides, spec, protocol).layers["prefilled"]


def timed(what: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns, and its seconds."""
    start = time.perf_counter()
    result = what()
    return result, time.perf_counter() - start


class Table:
    """The lines of the comparison, printed as they come."""

    def __init__(self) -> None:
        self.total_literal = 0.0
        print(f"{'step':<16}{'literal s':>12}{'ours s':>12}{'ratio':>10}{'largest difference':>22}")

    def line(self, step: str, literal: float, ours: float, difference: float) -> None:
        """Print one comparison."""
        print(
            f"{step:<16}{literal:>12.3f}{ours:>12.4f}{literal / ours:>9.0f}x{difference:>22.2g}",
            flush=True,
        )

    def compare(
        self,
        step: str,
        literal: Callable[[], Any],
        ours: Callable[[], Any],
        as_array: Callable[[Any], np.ndarray] = np.asarray,
    ) -> Any:
        """Time both, check that they agree, and return our result."""
        theirs, slow = timed(literal)
        mine, fast = timed(ours)
        self.total_literal += slow
        difference = float(np.abs(as_array(theirs) - as_array(mine)).max())
        assert difference < 1e-6, f"{step}: the two versions differ by {difference}"
        self.line(step, slow, fast, difference)
        return mine


def compare_all(raw: dict[str, Any]) -> None:
    """Run every step in both versions, each on our result of the step before."""
    bounds, table = Filtering(), Table()
    slide_list, count_list = raw["slide_ids"].tolist(), raw["counts"].tolist()
    spots, genes = table.compare(
        "filters",
        lambda: literal_filter(count_list, slide_list, bounds),
        lambda: our_filter(raw, bounds),
        lambda kept: np.concatenate([np.asarray(part) for part in kept]),
    )
    counts = raw["counts"][np.ix_(spots, genes)].astype(float)
    lengths = raw["lengths"][genes]
    logged = table.compare(
        "TPM and log",
        lambda: literal_log2_tpm(counts.tolist(), lengths.tolist()),
        lambda: log2_tpm(counts, lengths),
    )
    rows = [np.flatnonzero(raw["slide_ids"][spots] == slide) for slide in SLIDES]
    graphs = [neighbour_graph(raw["xy"][spots][here]) for here in rows]
    pairs = list(zip(rows, graphs, strict=True))
    filled = table.compare(
        "median filter",
        lambda: np.concatenate([literal_median(logged[h].tolist(), g) for h, g in pairs]),
        lambda: np.concatenate([median_filter(logged[h], logged[h] == 0, g) for h, g in pairs]),
    )
    scores = table.compare(
        "Moran's I",
        lambda: np.mean([literal_moran(filled[h].tolist(), g) for h, g in pairs], axis=0),
        lambda: mean_morans_i((filled[h], g) for h, g in pairs),
    )
    best = most_autocorrelated(scores, raw["gene_ids"][genes], N_KEPT)
    batches = raw["slide_ids"][spots]
    corrected = table.compare(
        "ComBat",
        lambda: literal_combat(filled[:, best].tolist(), batches.tolist()),
        lambda: combat(filled[:, best], batches),
    )
    whole, seconds = timed(lambda: our_prepare(raw))
    difference = float(np.abs(whole - corrected).max())
    table.line("whole pipeline", table.total_literal, seconds, difference)
    print(
        f"{len(spots)} spots and {len(genes)} of {raw['counts'].shape[1]} genes passed the filters;"
        f" {float((logged == 0).mean()):.0%} of their entries were unmeasured."
    )


def main() -> None:
    """Parse the command line, compile, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="300 spots x 200 genes")
    whole_datasets.add_arguments(parser)
    choices = parser.parse_args()
    quick = choices.quick
    if whole_datasets.run(choices):
        return
    warnings.simplefilter("ignore")
    _, compiling = timed(lambda: our_prepare(made_up(200, 300)))
    print(f"imports and compiling: {compiling:.1f} s, not counted below")
    compare_all(made_up(300, 200) if quick else made_up(3000, 2000))


if __name__ == "__main__":
    main()
