"""Ridge regression on image features, trained on the known spots alone, and its mean with others.

The second one, half of it the mean of the 8 nearest known spots, is simple and hard to beat: image
and place err differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spared_bench import PredictorSpec
from spared_bench.bounds import NotNegative
from spared_bench.data import Slides
from spared_bench_plugins.predictors.known_neighbours import NearestEight
from spared_bench_plugins.predictors.known_similar import KnownOnFeatures, features_by_section

RIDGE_SPEC = PredictorSpec(
    "known-ridge",
    f"{__name__}:KnownRidge",
    summary="Ridge regression on image features, trained on the known spots of the sample alone",
    licence="MIT",
    scope="slide",
    encoder="encoder",
    needs_known=True,
)
BOTH_SPEC = PredictorSpec(
    "known-ridge-and-nearest-8",
    f"{__name__}:RidgeAndNearest",
    summary="The mean of the ridge regression of the known spots and of the 8 nearest ones",
    licence="MIT",
    scope="slide",
    encoder="encoder",
    needs_known=True,
)


@dataclass
class KnownRidge(KnownOnFeatures):
    """Predict expression as a linear function of features, learnt where it is known.

    Features are standardised within each section. On the ones of a few hundred spots the penalty
    matters little between 10 and 1,000.

    Parameters
    ----------
    alpha : float
        Weight of the squared coefficients beside the squared error summed over spots.
    """

    name: ClassVar[str] = "known-ridge"

    alpha: NotNegative = 100.0

    def from_known(self, spots: Slides, known: Slides) -> np.ndarray:
        """Return (n_spots, n_genes)."""
        from sklearn.linear_model import Ridge

        learnt, asked = (features_by_section(each, self.frozen) for each in (known, spots))
        ridge = Ridge(self.alpha).fit(learnt, known.target.astype(np.float64))
        return np.asarray(ridge.predict(asked)).reshape(len(spots), -1)


@dataclass
class RidgeAndNearest(KnownRidge):
    """Predict the mean of the ridge and of the 8 nearest known spots."""

    name: ClassVar[str] = "known-ridge-and-nearest-8"

    def from_known(self, spots: Slides, known: Slides) -> np.ndarray:
        """Return (n_spots, n_genes)."""
        ridge = super().from_known(spots, known)
        return np.asarray((ridge + NearestEight().from_known(spots, known)) / 2)
