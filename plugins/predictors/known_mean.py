"""Known mean: every unknown spot gets the mean of the known spots of its sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spared_bench import PredictorSpec
from spared_bench.data import Slides
from spared_bench.models.known import KnownPredictor

SPEC = PredictorSpec(
    "known-mean",
    f"{__name__}:KnownMean",
    summary="Control: the mean of the known spots of the sample",
    licence="MIT",
    scope="slide",
    control=True,
    needs_known=True,
)


@dataclass
class KnownMean(KnownPredictor):
    """Predict the mean of what is known."""

    name: ClassVar[str] = "known-mean"

    def from_known(self, spots: Slides, known: Slides) -> np.ndarray:
        """Return (n_spots, n_genes), every row the same."""
        return np.tile(known.target.mean(axis=0), (len(spots), 1))
