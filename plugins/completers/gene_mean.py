"""Every unmeasured entry takes the mean of what was measured of its gene on the training slides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spared_bench import CompleterSpec

if TYPE_CHECKING:
    from spared_bench.data import Slides
    from spared_bench.interfaces import Context


@dataclass
class GeneMean:
    """The mean of measured entries; 0 for a gene without any."""

    name: ClassVar[str] = "gene-mean"
    tiny: ClassVar[dict[str, Any]] = {}

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Take the means over the training slides, (n_genes,)."""
        self.mean_ = measured_mean(train.target, train.mask)

    def complete(self, slides: Slides) -> np.ndarray:
        """Return the filled target, (n_spots, n_genes), float32."""
        return np.where(slides.mask, slides.target, self.mean_)

    def save(self, folder: Path) -> None:
        """Write the means into a folder."""
        from spared_bench.models.arrays import save_arrays

        save_arrays(folder, {"mean": self.mean_})

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        from spared_bench.models.arrays import load_arrays

        self.mean_ = load_arrays(folder)[0]["mean"]


def measured_mean(target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean of the measured entries of each gene, (n_genes,), float32; 0 where there are none."""
    n_seen = mask.sum(axis=0)
    total = np.where(mask, target, 0).sum(axis=0, dtype=np.float64)
    out = np.zeros(len(n_seen))
    return np.divide(total, n_seen, out=out, where=n_seen > 0).astype(np.float32)


SPEC = CompleterSpec(
    "gene-mean",
    f"{__name__}:GeneMean",
    summary="Mean of the gene's measured values on the training slides",
)
