"""Shuffled: the linear probe's own values, dealt at random to the spots of each slide.

Each gene keeps the mean, spread and shape that the probe predicts on a slide; only the places are
lost. Given the values, a random deal correlates with the truth by 0 on average, so what correlation
is left on a leaderboard is chance or a fault of the score.

Every gene has a deal of its own. A single deal for all genes has the same expectation, but genes
that vary together would then be right or wrong together: the mean over genes would vary about as
much as a single gene, by 1/sqrt(n_spots - 1). Independent deals divide that by sqrt(n_genes).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from spared_bench import PredictorSpec
from spared_bench.data import Slides
from spared_bench.interfaces import Context
from spared_bench.models.arrays import load_arrays, save_arrays
from spared_bench_plugins.predictors.linear_probe import LinearProbe

SPEC = PredictorSpec(
    "shuffled",
    f"{__name__}:Shuffled",
    summary="Control: the linear probe's values dealt to random spots of the slide",
    licence="MIT",
    control=True,
    scope="slide",
)


@dataclass
class Shuffled(LinearProbe):
    """Predict what the linear probe predicts, elsewhere on the slide.

    ``alpha`` is not searched for: of values at random places, those that vary least have the
    lowest error, so a search would end at a constant.
    """

    name: ClassVar[str] = "shuffled"

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Fit the probe and remember the seed of the deals."""
        super().fit(train, val, context)
        self.seed_ = context.seed

    def predict(self, slides: Slides) -> np.ndarray:
        """Return (n_spots, n_genes); a slide's deal does not depend on the other slides."""
        prediction = super().predict(slides)
        slide_ids = slides.slide_ids
        for slide_id in np.unique(slide_ids):
            here = slide_ids == slide_id
            rng = np.random.default_rng([self.seed_, zlib.crc32(slide_id.encode())])
            prediction[here] = rng.permuted(prediction[here], axis=0)
        return prediction

    def save(self, folder: Path) -> None:
        """Write the coefficients and the seed into a folder."""
        arrays = {"coefficients": self.coefficients_, "intercept": self.intercept_}
        save_arrays(folder, arrays, seed=self.seed_)

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        super().load(folder)
        self.seed_ = load_arrays(folder)[1]["seed"]
