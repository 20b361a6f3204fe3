"""Gene mean: the same value at every spot, the control that every method must beat.

The mean of a gene is taken over its *measured* training entries, since only such entries are
scored: of all constants, this one has the lowest error on the training slides. So it does not
depend on the completer. A gene that is measured nowhere in training gets the mean of its target.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spared_bench import PredictorSpec
from spared_bench.data import Slides
from spared_bench.interfaces import Context
from spared_bench.models.arrays import load_arrays, save_arrays

SPEC = PredictorSpec(
    "gene-mean",
    f"{__name__}:GeneMean",
    summary="Control: the training mean of each gene, whatever the patch",
    licence="MIT",
    control=True,
)


@dataclass
class GeneMean:
    """Predict the training mean of each gene."""

    name: ClassVar[str] = "gene-mean"
    tiny: ClassVar[dict[str, Any]] = {}  # for the contract tests

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Take the means; ``val`` is not looked at."""
        target, mask = train.target.astype(np.float64), train.mask
        n_measured = mask.sum(axis=0)
        measured = (target * mask).sum(axis=0) / np.maximum(n_measured, 1)
        self.mean_ = np.where(n_measured > 0, measured, target.mean(axis=0)).astype(np.float32)

    def predict(self, slides: Slides) -> np.ndarray:
        """Return (n_spots, n_genes), every row the same."""
        return np.tile(self.mean_, (slides.n_spots, 1))

    @property
    def n_parameters(self) -> int:
        """One mean per gene."""
        return self.mean_.size

    def save(self, folder: Path) -> None:
        """Write the means into a folder."""
        save_arrays(folder, {"mean": self.mean_})

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        arrays, _ = load_arrays(folder)
        self.mean_ = arrays["mean"]
