"""What a predictor returns where it has more to say than one value per spot and gene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Prediction:
    """Expected expression, and optionally how sure the method is of it, and tissue classes.

    ``predict`` may return it in place of an array, which stands for ``mean`` alone. Each part may
    also be a DataFrame, whose rows (spots) and columns (genes, classes) are found by name.

    Parameters
    ----------
    mean : ndarray of shape (n_spots, n_genes)
        In the unit of the protocol's target.
    variance : ndarray of shape (n_spots, n_genes), optional
        Of what would be measured, in the squared unit of the target; not negative. Metrics of
        uncertainty take the distribution for a normal one with this mean and variance.
    classes : ndarray of shape (n_spots, n_classes), optional
        Probability of each class of ``slides.classes``, in that order; a row sums to 1.
    """

    mean: np.ndarray
    variance: np.ndarray | None = None
    classes: np.ndarray | None = None
