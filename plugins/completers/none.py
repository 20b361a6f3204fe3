"""No completion: a method learns from zeros where nothing was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spared_bench import CompleterSpec

if TYPE_CHECKING:
    import numpy as np

    from spared_bench.data import Slides
    from spared_bench.interfaces import Context


@dataclass
class Unchanged:
    """Return the target as it is."""

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """There is nothing to learn."""

    def complete(self, slides: Slides) -> np.ndarray:
        """Return the target, (n_spots, n_genes), 0 at unmeasured entries."""
        return slides.target.copy()


SPEC = CompleterSpec(
    "none",
    f"{__name__}:Unchanged",
    summary="Leaves zeros at unmeasured entries",
)
