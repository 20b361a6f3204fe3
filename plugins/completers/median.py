"""The adaptive median filter as a completer, in the three forms that are in circulation.

The SpaRED benchmark (Mejia et al., MICCAI 2024) compares its own completion with this filter, which
comes from SEPAL (Mejia et al., ICCV Workshops 2023). Its code takes windows of 1 to 4 hops, its
website speaks of 3 (``n_hops=3``), and SEPAL takes the seven smallest distances between array
indices (``n_distances=7``). Here it sees what every completer sees, the target: where a protocol
corrects batches, that is after the correction, while the layer ``prefilled`` is filled before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spared_bench import CompleterSpec
from spared_bench.bounds import Count, CountOrZero
from spared_bench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from spared_bench.data import Slides
    from spared_bench.interfaces import Context


@dataclass
class Median:
    """Fill from the neighbourhood on the same slide; see ``spared_bench.processing.median``.

    Parameters
    ----------
    n_hops : int
        Windows reach 1 to ``n_hops`` hops far.
    n_neighbours : int
        Of a spot in the graph that is hopped on.
    n_distances : int
        If not 0, windows reach to the so many smallest distances between array indices instead.
    """

    n_hops: Count = 4
    n_neighbours: Count = 6
    n_distances: CountOrZero = 0

    def __post_init__(self) -> None:
        if min(self.n_hops, self.n_neighbours) < 1 or self.n_distances < 0:
            raise UsageError(
                "n_hops and n_neighbours must be 1 or more and n_distances 0 or more; found"
                f" {self.n_hops}, {self.n_neighbours} and {self.n_distances}."
            )

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """There is nothing to learn: every slide is filled from itself."""

    def complete(self, slides: Slides) -> np.ndarray:
        """Return the filled target, (n_spots, n_genes), float32.

        A gene that was never measured on a slide stays 0 there.
        """
        from spared_bench.processing.median import fill_from, fill_slides, radial_windows

        if not self.n_distances:
            hops = self.n_hops, self.n_neighbours
            return fill_slides(
                slides.target, ~slides.mask, slides.slide_ids, slides.coordinates, *hops
            )
        completed = slides.target.copy()
        for slide_id, slide in slides.each():
            windows = radial_windows(slide.array_coordinates, self.n_distances)
            here = slides.slide_ids == slide_id
            completed[here] = fill_from(slide.target, ~slide.mask, *windows)
        return completed


SPEC = CompleterSpec(
    "median",
    f"{__name__}:Median",
    summary="Median of the measured neighbourhood, widened hop by hop",
    citation="Mejia et al., SpaRED, MICCAI 2024",
)
