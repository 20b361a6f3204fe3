"""What was measured on one split of a prepared dataset, cut to the genes and spots of its maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import MASK, SPATIAL, TARGET
from spared_bench.leaderboard.packing import Budget, extremes, genes_per_file, packed
from spared_bench.leaderboard.site_data import plain
from spared_bench.specs import MetricSpec

if TYPE_CHECKING:
    from anndata import AnnData

MOST_GENES = 512
_FILE = "dataset.h5ad"


def size_of(folder: Path, split: str) -> tuple[int, int]:
    """Return the numbers of spots of a split and of genes that are drawn, without the matrices."""
    from anndata import read_h5ad

    adata = read_h5ad(folder / _FILE, backed="r")
    try:
        n_spots = int((adata.obs["split"].to_numpy() == split).sum())
        return n_spots, min(MOST_GENES, adata.n_vars)
    finally:
        adata.file.close()


@dataclass(frozen=True)
class Truth:
    """What the maps of one split share.

    Parameters
    ----------
    name, split : str
        Of its files, and of the split.
    rows : ndarray of int
        The spots that are kept, counted within the split.
    genes : ndarray of int
        The columns that are drawn, in the order in which the page offers them.
    ids, symbols : list of str
        Of these.
    slides : list of str
    slide : ndarray of int, of shape (n_spots,)
        Index of the slide of each kept spot.
    places : ndarray of shape (n_spots, 2)
        In full-resolution pixels.
    target : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
    totals : list of int
        Spots of each slide, the left out ones included.
    n_genes : int
        Of the dataset.
    budget : Budget
    diameters, um_per_px : dict of slide to float
    left : dict
        What processing left of the whole dataset (``facts_of``).
    """

    name: str
    split: str
    rows: np.ndarray
    genes: np.ndarray
    ids: list[str]
    symbols: list[str]
    slides: list[str]
    slide: np.ndarray
    places: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    totals: list[int]
    n_genes: int
    budget: Budget
    diameters: Mapping[str, float]
    um_per_px: Mapping[str, float]
    left: Mapping[str, Any]

    @classmethod
    def read(
        cls,
        folder: Path,
        split: str,
        gene_scores: Sequence[Mapping[str, Sequence[float]]],
        metric: MetricSpec | None,
        budget: Budget,
    ) -> Truth:
        """Read a prepared dataset.

        Parameters
        ----------
        folder : Path
            Of its entry.
        split : str
        gene_scores : sequence of mapping of metric to (n_genes) float
            Of the methods: genes are offered from the best predicted to the worst.
        metric : MetricSpec, optional
        budget : Budget
        """
        from anndata import read_h5ad

        adata = read_h5ad(folder / _FILE)
        whole = np.flatnonzero(adata.obs["split"].to_numpy() == split)
        genes = ordered_genes(gene_scores, metric, adata.n_vars)[:MOST_GENES]
        slide_ids = adata.obs["slide_id"].astype(str).to_numpy()[whole]
        kept = _thinned(slide_ids, budget.stride(len(whole), len(genes)))
        slides = list(dict.fromkeys(slide_ids.tolist()))
        facts = adata.uns["spared_bench"]
        diameters, scales = (_slide_fact(facts, key) for key in ("spot_diameter_px", "um_per_px"))
        return cls(
            f"truth-{folder.name[:12]}-{split}",
            split,
            kept,
            genes,
            [str(name) for name in adata.var_names[genes]],
            [str(name) for name in adata.var["gene_name"].to_numpy()[genes]],
            slides,
            np.array([slides.index(name) for name in slide_ids[kept]], dtype=int),
            np.asarray(adata.obsm[SPATIAL])[whole[kept]],
            np.asarray(adata.layers[TARGET], dtype=np.float64)[np.ix_(whole[kept], genes)],
            np.asarray(adata.layers[MASK], dtype=bool)[np.ix_(whole[kept], genes)],
            [int((slide_ids == name).sum()) for name in slides],
            int(adata.n_vars),
            budget,
            diameters,
            scales,
            facts_of(adata),
        )

    def header(self, pictures: Mapping[str, str]) -> dict[str, Any]:
        """Return what the page reads before any spot; ``pictures`` has the file of a slide."""
        return plain(
            {
                "split": self.split,
                "levels": self.budget.levels,
                "symbols": self.symbols,
                "ids": self.ids,
                "columns": self.genes.tolist(),
                "n_genes": self.n_genes,
                "slides": [
                    {
                        "name": name,
                        "spots": int((self.slide == number).sum()),
                        "of": self.totals[number],
                        "diameter": self.diameters.get(name, 0.0),
                        "um_per_px": self.um_per_px.get(name, 0.0),
                        "genes_per_file": genes_per_file(int((self.slide == number).sum())),
                        "picture": pictures.get(name),
                    }
                    for number, name in enumerate(self.slides)
                ],
            }
        )

    def files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield where the spots of each slide lie, and what was measured there."""
        for number in range(len(self.slides)):
            x, y = np.round(self.places[self.slide == number], 1).T
            yield f"{self.name}-s{number}", plain({"x": x.tolist(), "y": y.tolist()})
        yield from self.parts(self.name, self.target, self.mask)

    def parts(
        self, name: str, values: np.ndarray, seen: np.ndarray
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield values by slide and genes: files ``<name>-s<slide>-g<part>``.

        Parameters
        ----------
        name : str
        values, seen : ndarray of shape (n_spots, n_genes)
            At the kept spots, of the drawn genes.
        """
        low, high = extremes(values, seen)
        for number in range(len(self.slides)):
            here = self.slide == number
            step = genes_per_file(int(here.sum()))
            for part, first in enumerate(range(0, len(self.genes), step)):
                some = slice(first, first + step)
                value = packed(
                    values[here, some], seen[here, some], low[some], high[some], self.budget.levels
                )
                yield f"{name}-s{number}-g{part}", value


def _thinned(slide_ids: np.ndarray, stride: int) -> np.ndarray:
    """Return every so manieth spot of each slide, at least one of each."""
    places = [np.flatnonzero(slide_ids == name)[::stride] for name in dict.fromkeys(slide_ids)]
    return np.sort(np.concatenate(places)) if places else np.array([], dtype=int)


def _slide_fact(record: Mapping[str, Any], key: str) -> dict[str, float]:
    """Return a fact of each slide from the record of a prepared dataset; empty if it has none."""
    names, values = record.get("slides", ()), record.get("slide_facts", {}).get(key, ())
    known = dict(zip(map(str, names), map(float, values), strict=False))
    return {name: value for name, value in known.items() if math.isfinite(value)}


def facts_of(adata: AnnData) -> dict[str, Any]:
    """Return what processing left of a prepared dataset: genes, gaps, the spots of each slide.

    Returns
    -------
    dict
        ``genes``; ``missing``, the share of entries without a measurement; ``slides``, by name
        ``read``, ``kept`` (spots), ``split`` and ``um_per_px``.
    """
    record = adata.uns["spared_bench"]
    read = dict(zip(map(str, record["slides"]), map(int, record["spots_read"]), strict=True))
    scales = _slide_fact(record, "um_per_px")
    kept = adata.obs["slide_id"].astype(str).value_counts()
    split = adata.obs.groupby(adata.obs["slide_id"].astype(str))["split"].unique()
    return plain(
        {
            "genes": adata.n_vars,
            "missing": 1 - float(np.asarray(adata.layers[MASK]).mean()),
            "slides": {
                name: {
                    "read": n_spots,
                    "kept": int(kept.get(name, 0)),
                    "split": ", ".join(map(str, split.get(name, ()))),
                    "um_per_px": scales.get(name, 0.0),
                }
                for name, n_spots in read.items()
            },
        }
    )


def ordered_genes(
    gene_scores: Sequence[Mapping[str, Sequence[float]]], metric: MetricSpec | None, n_genes: int
) -> np.ndarray:
    """Return all columns, those first that all methods together predict best.

    By a metric averaged over methods; a gene that no method has a value for comes last. Without a
    metric, all are alike and stay in their order.
    """
    scores = [each.get(metric.name, ()) for each in gene_scores] if metric else []
    known = [each for each in scores if len(each) == n_genes]
    values = np.array(known, dtype=float).reshape(len(known), n_genes)
    seen = np.isfinite(values)
    means = np.where(seen, values, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    if metric and metric.better == "lower":
        means = -means
    means[~seen.any(axis=0)] = -np.inf
    return np.argsort(-means, kind="stable")
