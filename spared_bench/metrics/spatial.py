"""Moran's I of predicted against measured expression: is a predicted map as smooth as the true one.

A regression smooths: its maps vary less between neighbours than measured ones do, and may have a
good correlation all the same.
"""

from __future__ import annotations

import numpy as np

from spared_bench.metrics.arrays import checked
from spared_bench.metrics.pearson import pearson_gene
from spared_bench.metrics.tissue import Tissue, over_slides
from spared_bench.processing.graph import neighbour_graph

_LEAST_GENES = 3


def moran_error(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    """Distance between Moran's I of a gene's prediction and of its truth, over measured spots.

    Parameters
    ----------
    truth, prediction, mask : ndarray of shape (n_spots, n_genes)
    tissue : Tissue
        Slides are looked at one by one, and the mean over them is taken.

    Returns
    -------
    ndarray of shape (n_genes,)
        0 or more. A prediction that is constant where the truth varies counts as one without any
        structure, whose I is 0. nan for a gene of constant truth, and where no measured spot has a
        measured neighbour.

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    """
    return over_slides(_error, *checked(truth, prediction, mask), tissue)


def moran_pcc(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    """Pearson correlation, over genes, of Moran's I of the prediction with that of the truth.

    Whether the genes with the clearest patterns are those predicted to have them. Parameters as
    ``moran_error``.

    Returns
    -------
    ndarray of shape ()
        The mean over slides; 0 where all predictions of a slide have the same I, nan where fewer
        than three genes have one, or all true ones are the same.
    """
    return over_slides(_correlation, *checked(truth, prediction, mask), tissue)


def masked_morans_i(values: np.ndarray, mask: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Moran's I of every gene over the spots where it was measured, of one slide.

    Weights are those of ``spared_bench.processing.moran`` (six neighbours, rows divided by their
    sums), of which only pairs of measured spots count.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
    places : ndarray of shape (n_spots, 2)

    Returns
    -------
    ndarray of shape (n_genes,)
        nan for a gene that is constant over its measured spots, or without measured neighbours.
    """
    graph = neighbour_graph(places)
    z = np.where(mask, values, 0.0).astype(np.float64)
    n_seen = mask.sum(axis=0)
    z = np.where(mask, z - z.sum(axis=0) / np.maximum(n_seen, 1), 0.0)
    highest = np.where(mask, values, -np.inf).max(axis=0, initial=-np.inf)
    lowest = np.where(mask, values, np.inf).min(axis=0, initial=np.inf)
    sums = np.where(mask, graph @ mask.astype(np.float64), 0.0)
    lag = np.divide(graph @ z, sums, out=np.zeros_like(z), where=sums > 0)
    connected = (sums > 0).sum(axis=0)
    above, below = (z * lag).sum(axis=0) * n_seen, (z * z).sum(axis=0) * connected
    defined = (highest > lowest) & (below > 0)
    return np.divide(above, below, out=np.full(len(n_seen), np.nan), where=defined)


def _both(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> tuple[np.ndarray, np.ndarray]:
    of_truth = masked_morans_i(truth, mask, tissue.places)
    of_prediction = masked_morans_i(prediction, mask, tissue.places)
    structureless = np.isnan(of_prediction) & ~np.isnan(of_truth)
    return of_truth, np.where(structureless, 0.0, of_prediction)


def _error(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    of_truth, of_prediction = _both(truth, prediction, mask, tissue)
    distance: np.ndarray = np.abs(of_prediction - of_truth)
    return distance


def _correlation(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    of_truth, of_prediction = _both(truth, prediction, mask, tissue)
    seen = ~np.isnan(of_truth)
    if seen.sum() < _LEAST_GENES or np.ptp(of_truth[seen]) == 0:
        return np.asarray(np.nan)
    if np.ptp(of_prediction[seen]) == 0:
        return np.asarray(0.0)
    columns = (of_truth[:, None], of_prediction[:, None], seen[:, None])
    return np.asarray(pearson_gene(*columns)[0])
