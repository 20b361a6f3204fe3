"""The base of methods that predict the spots of a sample from what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spared_bench.data import Slides
from spared_bench.errors import PluginError
from spared_bench.geometry import spacing
from spared_bench.interfaces import Context
from spared_bench.models.arrays import load_arrays, save_arrays


def known_of(slides: Slides) -> Slides:
    """Return the known spots that come with slides.

    Raises
    ------
    PluginError
        If there are none, because the protocol has no ``known``.
    """
    if slides.known is None:
        raise PluginError(
            "Nothing is known of these slides: `slides.known` is None. This method predicts"
            " partially measured samples; run it under a protocol with `known`, such as `--suite"
            " partial`."
        )
    return slides.known


def by_sample(slides: Slides) -> Iterator[tuple[np.ndarray, Slides, Slides]]:
    """Yield, for each sample, the rows of its spots, these spots, and what is known of it."""
    known, samples = known_of(slides), slides.sample_ids
    known_samples = known.sample_ids if len(known) else np.empty(0, dtype=str)
    for sample in dict.fromkeys(samples.tolist()):
        rows = np.flatnonzero(samples == sample)
        yield rows, slides.subset(rows), known.subset(np.flatnonzero(known_samples == sample))


def pitch_um(slides: Slides) -> float:
    """Return the distance of neighbouring spots, in um: the largest over sections."""
    ids, sections = dict.fromkeys(slides.slide_ids.tolist()), slides.sections
    told = [float(sections[name]["pitch_um"]) for name in ids if name in sections]
    return max(told) if told else spacing(slides.spatial_3d[:, :2])


@dataclass
class KnownPredictor:
    """Predict each sample from its known spots; write ``from_known``.

    What is learnt in training is the mean of every gene, for samples of which nothing is known. A
    method that learns more extends ``fit``, ``arrays`` and ``load``.
    """

    tiny: ClassVar[dict[str, Any]] = {}

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Take the training means."""
        self.mean_ = train.target.mean(axis=0, dtype=np.float64).astype(np.float32)

    def from_known(self, spots: Slides, known: Slides) -> np.ndarray:
        """Return (n_spots, n_genes) for the unknown spots of one sample.

        Parameters
        ----------
        spots : Slides
            Without expression; their places are ``spots.spatial_3d`` in um.
        known : Slides
            At least one spot, with ``target``, of the same sample.
        """
        raise NotImplementedError

    def predict(self, slides: Slides) -> np.ndarray:
        """Return (n_spots, n_genes), float32."""
        found = np.tile(self.mean_, (len(slides), 1))
        for rows, spots, known in by_sample(slides):
            if len(known):
                found[rows] = self.from_known(spots, known)
        return found

    @property
    def n_parameters(self) -> int:
        """What is learnt in training."""
        return sum(values.size for values in self.arrays.values())

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What ``save`` writes."""
        return {"mean": self.mean_}

    def save(self, folder: Path) -> None:
        """Write what was learnt into a folder."""
        save_arrays(folder, self.arrays)

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        self.mean_ = load_arrays(folder)[0]["mean"]
