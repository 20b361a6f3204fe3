"""The adaptive median filter as a completer.

The SpaRED benchmark (Mejia et al., MICCAI 2024) compares its own completion with this filter, which
comes from SEPAL (Mejia et al., ICCV Workshops 2023). Here it sees what every completer sees, the
target: where a protocol corrects batches, that is after the correction, while the layer
``prefilled`` is filled before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from spared_bench.data import Slides
    from spared_bench.interfaces import Context


@dataclass
class Median:
    """Fill from the neighbourhood on the same slide; see ``spared_bench.processing.median``."""

    n_hops: int = 4
    n_neighbours: int = 6

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """There is nothing to learn: every slide is filled from itself."""

    def complete(self, slides: Slides) -> np.ndarray:
        """Return the filled target, (n_spots, n_genes), float32.

        A gene that was never measured on a slide stays 0 there.
        """
        from spared_bench.processing.graph import neighbour_graph
        from spared_bench.processing.median import median_filter

        completed, unmeasured = slides.target.copy(), ~slides.mask
        slide_ids, coordinates = slides.slide_ids, slides.coordinates
        for slide_id in dict.fromkeys(slide_ids):
            here = slide_ids == slide_id
            graph = neighbour_graph(coordinates[here], self.n_neighbours)
            completed[here] = median_filter(completed[here], unmeasured[here], graph, self.n_hops)
        return completed
