"""Pathways: is the activity that a prediction gives a spot that of its measured expression.

The sets are some of the Hallmark collection of MSigDB (Liberzon et al., Cell Syst. 2015,
doi:10.1016/j.cels.2015.12.004; version 6.2, CC BY 4.0), kept beside this file as they were
published.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from spared_bench.metrics.arrays import checked
from spared_bench.metrics.pearson import pearson_gene
from spared_bench.metrics.tissue import Tissue, over_slides, standardised

#: Of a pathway, among the genes that are scored; of fewer, it is left out.
LEAST_GENES = 3
_FILE = Path(__file__).with_name("hallmark.tsv")


@cache
def hallmark_sets() -> dict[str, frozenset[str]]:
    """Return the genes of each set, as human symbols."""
    rows = (line.split("\t") for line in _FILE.read_text(encoding="utf-8").splitlines())
    return {name: frozenset(genes.split()) for name, genes in rows}


def pcc_pathway(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    """Mean over pathways of the Pearson correlation of their activities across spots.

    The activity of a pathway at a spot is the mean of its genes that are measured there, each
    standardised over the measured spots of the slide. Symbols are compared in capitals, so that
    mouse genes count as the human genes of the same name.

    Parameters
    ----------
    truth, prediction, mask : ndarray of shape (n_spots, n_genes)
    tissue : Tissue
        Slides are looked at one by one, and the mean over them is taken.

    Returns
    -------
    ndarray of shape ()
        In [-1, 1]. A pathway whose predicted activity is constant where the measured one varies
        counts 0. One with fewer than three genes among those scored is left out; nan where all are.

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    """
    return over_slides(_of_slide, *checked(truth, prediction, mask), tissue)


def pathway_correlations(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> dict[str, float]:
    """Return the correlation of each pathway on one slide; see ``pcc_pathway``."""
    capitals = np.array([symbol.upper() for symbol in tissue.symbols])
    measured, predicted = standardised(truth, mask), standardised(prediction, mask)
    found = {}
    for name, genes in hallmark_sets().items():
        columns = np.flatnonzero(np.isin(capitals, list(genes)))
        if len(columns) < LEAST_GENES:
            continue
        n_seen = mask[:, columns].sum(axis=1)
        seen = n_seen > 0
        first, second = (
            np.divide(part[:, columns].sum(axis=1), n_seen, out=np.zeros(len(part)), where=seen)
            for part in (measured, predicted)
        )
        if seen.sum() < 2 or np.ptp(first[seen]) == 0:
            continue
        constant = np.ptp(second[seen]) == 0
        score = pearson_gene(first[:, None], second[:, None], seen[:, None])[0]
        found[name] = 0.0 if constant else float(score)
    return found


def _of_slide(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    found = list(pathway_correlations(truth, prediction, mask, tissue).values())
    return np.asarray(np.mean(found) if found else np.nan)
