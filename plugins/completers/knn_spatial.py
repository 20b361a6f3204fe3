"""The mean of the measured values around a spot, nearer ones weighing more.

Unlike the median filter it leaves unmeasured neighbours out instead of counting their zeros, and
looks no further than its neighbours before it takes what is usual on the slide.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spared_bench import CompleterSpec
from spared_bench.bounds import Count
from spared_bench.errors import UsageError

if TYPE_CHECKING:
    from spared_bench.data import Slides
    from spared_bench.interfaces import Context


@dataclass
class KNNSpatial:
    """Weigh the nearest spots of the slide by 1 / distance.

    Parameters
    ----------
    n_neighbours : int
        Nearest spots by pixel distance, measured or not; 18 is two rings of a hexagonal lattice.
    """

    name: ClassVar[str] = "knn-spatial"
    tiny: ClassVar[dict[str, Any]] = {}

    n_neighbours: Count = 18

    def check_parameters(self) -> None:
        """Refuse to ask no neighbour: the mean of a gene would pass for theirs."""
        if self.n_neighbours < 1:
            raise UsageError(f"n_neighbours={self.n_neighbours}; expected 1 or more.")

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Take the mean of each gene, for slides on which it was never measured."""
        from spared_bench_plugins.completers.gene_mean import measured_mean

        self.mean_ = measured_mean(train.target, train.mask)

    def complete(self, slides: Slides) -> np.ndarray:
        """Return the filled target, (n_spots, n_genes), float32.

        Where no neighbour has a value: the mean of the slide; where the slide has none: that of
        the training slides.
        """
        completed = slides.target.copy()
        for slide_id, slide in slides.each():
            completed[slides.slide_ids == slide_id] = self._complete_slide(slide)
        return completed

    def _complete_slide(self, slide: Slides) -> np.ndarray:
        from spared_bench.completion.neighbourhoods import nearest
        from spared_bench_plugins.completers.gene_mean import measured_mean

        target, mask = slide.target, slide.mask
        table = nearest(slide, self.n_neighbours)
        total = np.zeros(target.shape)
        weight = np.zeros(target.shape)
        for column in range(1, table.index.shape[1]):  # a neighbour at a time: linear in memory
            other = table.index[:, column]
            nearness = 1 / np.maximum(table.distance[:, column], 1e-6)
            seen = mask[other] * (nearness * table.present[:, column])[:, None]
            total += seen * target[other]
            weight += seen
        usual = np.where(mask.any(axis=0), measured_mean(target, mask), self.mean_)
        around = np.divide(total, weight, out=np.tile(usual, (len(target), 1)), where=weight > 0)
        return np.where(mask, target, around.astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write the means into a folder."""
        from spared_bench.models.arrays import save_arrays

        save_arrays(folder, {"mean": self.mean_})

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        from spared_bench.models.arrays import load_arrays

        self.mean_ = load_arrays(folder)[0]["mean"]


SPEC = CompleterSpec(
    "knn-spatial",
    f"{__name__}:KNNSpatial",
    summary="Mean of the measured neighbours, the nearer ones weighing more",
)
