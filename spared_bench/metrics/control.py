"""Which genes are predicted better than the negative control: the same values at random spots."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from spared_bench.metrics.arrays import checked, constant_rows
from spared_bench.metrics.pearson import pearson_gene
from spared_bench.metrics.tissue import Tissue, over_slides

#: How many of the random deals a gene must be better than.
LEVEL = 0.95
_LEAST_SPOTS = 20


def above_control(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    """Whether each gene's correlation is above that of 95 % of random deals of its prediction.

    The negative control keeps a gene's predicted values and deals them to random spots of the
    slide. Over all
    deals the correlation with the truth has mean 0 and variance 1 / (n - 1), whatever the two
    distributions are (Pitman, J. R. Stat. Soc. Suppl. 1937, doi:10.2307/2984124), and is close to
    normal from a few dozen spots on. The mean over genes is the share that is above; of a method
    that knows nothing it is 0.05.

    Neighbouring spots resemble each other, so a method that is right about large regions alone is
    above the control too: this asks whether there is any signal, not how fine it is.

    Parameters
    ----------
    truth, prediction, mask : ndarray of shape (n_spots, n_genes)
        As ``pearson_gene`` takes them.
    tissue : Tissue
        Slides are looked at one by one, and the mean over them is taken.

    Returns
    -------
    ndarray of shape (n_genes,)
        1 or 0 on a slide; 0 for a prediction that is constant where the truth varies, or not
        finite. nan for a gene with fewer than 20 measured entries, or with constant truth.

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    """
    return over_slides(_of_slide, *checked(truth, prediction, mask), tissue)


def _of_slide(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, _: Tissue) -> np.ndarray:
    n_seen = mask.sum(axis=0)
    correlation = pearson_gene(truth, prediction, mask)
    correlation = np.nan_to_num(correlation, nan=0.0)
    bound = NormalDist().inv_cdf(LEVEL) / np.sqrt(np.maximum(n_seen - 1, 1))
    undefined = (n_seen < _LEAST_SPOTS) | constant_rows(truth.T, mask.T)
    return np.where(undefined, np.nan, (correlation > bound).astype(np.float64))
