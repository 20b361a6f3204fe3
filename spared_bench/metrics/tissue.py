"""What is known of the spots and genes of a split beside their values: place, names, labels.

Metrics of maps, domains and pathways get it as a fourth argument (``MetricSpec.given`` is
``"tissue"``); which genes a metric of some genes alone is of stands in it too
(``MetricSpec.genes``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from spared_bench.geometry import rows_by_slide


@dataclass(frozen=True, eq=False)
class Tissue:
    """Spots and genes of what is scored.

    Parameters
    ----------
    slide_ids : ndarray of str, of shape (n_spots,)
    places : ndarray of float, of shape (n_spots, 2)
        Centres in full-resolution pixels, (x, y).
    array : ndarray of float, of shape (n_spots, 2)
        Row and column in the array of spots.
    symbols : tuple of str
        Of the genes, in the order of the columns.
    labels : ndarray of str, of shape (n_spots,), optional
        Classes that people gave, ``""`` where unlabelled; ``None`` where the dataset has none.
    chosen : mapping of str to ndarray of bool, of shape (n_genes,)
        ``"variable"`` and ``"spatial"``: which genes are, by the measured training slides.
    """

    slide_ids: np.ndarray
    places: np.ndarray
    array: np.ndarray
    symbols: tuple[str, ...]
    labels: np.ndarray | None = None
    chosen: Mapping[str, np.ndarray] = field(default_factory=dict)

    def rows(self, here: np.ndarray) -> Tissue:
        """Return the same of some spots."""
        return replace(
            self,
            slide_ids=self.slide_ids[here],
            places=self.places[here],
            array=self.array[here],
            labels=None if self.labels is None else self.labels[here],
        )

    def columns(self, here: np.ndarray) -> Tissue:
        """Return the same of some genes, by their numbers."""
        return replace(
            self,
            symbols=tuple(self.symbols[i] for i in here),
            chosen={name: flags[here] for name, flags in self.chosen.items()},
        )

    def each_slide(self) -> Iterator[tuple[np.ndarray, Tissue]]:
        """Yield the rows of every slide, with what is known of them."""
        for rows in rows_by_slide(self.slide_ids):
            yield rows, self.rows(rows)


def over_slides(
    score: Callable[..., np.ndarray],
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    tissue: Tissue,
) -> np.ndarray:
    """Return the mean over slides of what ``score`` gives of each; undefined values left out.

    ``score`` takes truth, prediction, mask and tissue of one slide. A place that is nan on every
    slide is nan.
    """
    found = np.stack(
        [
            np.asarray(score(truth[rows], prediction[rows], mask[rows], part), dtype=np.float64)
            for rows, part in tissue.each_slide()
        ]
    )
    defined = ~np.isnan(found)
    n_defined = defined.sum(axis=0)
    total = np.where(defined, found, 0.0).sum(axis=0)
    return np.divide(total, n_defined, out=np.full(total.shape, np.nan), where=n_defined > 0)


def standardised(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and deviation 1 over measured entries, float64, of one slide.

    0 where unmeasured, and for a gene that is constant.
    """
    from spared_bench.metrics.arrays import centred, constant_rows

    values = np.where(mask, values, 0.0).astype(np.float64)
    rows, seen = values.T, mask.T
    middle = np.where(constant_rows(rows, seen)[:, None], 0.0, centred(rows, seen))
    n_seen = seen.sum(axis=1, keepdims=True)
    spread = np.sqrt(np.square(middle).sum(axis=1, keepdims=True) / np.maximum(n_seen, 1))
    return np.divide(middle, spread, out=np.zeros_like(middle), where=spread > 0).T
