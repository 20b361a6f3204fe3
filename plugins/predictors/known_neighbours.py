"""Means of the nearest known spots in the frame of the sample, and controls of the registration.

The controls are the mean of the 8 nearest with another frame: sections as they lie on their slides,
known spots turned by 90 degrees about their middle, and known spots that have changed places. What
a method gains over them is what the registration is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.spatial import cKDTree

from spared_bench import PredictorSpec
from spared_bench.bounds import Count, NotNegative
from spared_bench.data import Slides
from spared_bench.models.known import KnownPredictor

NEAREST_SPEC = PredictorSpec(
    "known-nearest",
    f"{__name__}:Nearest",
    summary="The nearest known spot of the registered sections",
    licence="MIT",
    scope="slide",
    needs_known=True,
)
EIGHT_SPEC = PredictorSpec(
    "known-nearest-8",
    f"{__name__}:NearestEight",
    summary="The mean of the 8 nearest known spots of the registered sections",
    licence="MIT",
    scope="slide",
    needs_known=True,
)
TWENTY_SPEC = PredictorSpec(
    "known-nearest-20",
    f"{__name__}:NearestTwenty",
    summary="The mean of the 20 nearest known spots of the registered sections",
    licence="MIT",
    scope="slide",
    needs_known=True,
)
INVERSE_SPEC = PredictorSpec(
    "known-inverse-distance",
    f"{__name__}:InverseDistance",
    summary="The 20 nearest known spots, weighed by the inverse of their squared distance",
    licence="MIT",
    scope="slide",
    needs_known=True,
)
IDENTITY_SPEC = PredictorSpec(
    "known-unregistered",
    f"{__name__}:Unregistered",
    summary="Control: the 8 nearest known spots with sections as they lie on their slides",
    licence="MIT",
    scope="slide",
    control=True,
    needs_known=True,
)
TURNED_SPEC = PredictorSpec(
    "known-turned",
    f"{__name__}:Turned",
    summary="Control: the 8 nearest known spots, these turned by 90 degrees",
    licence="MIT",
    scope="slide",
    control=True,
    needs_known=True,
)
PERMUTED_SPEC = PredictorSpec(
    "known-permuted",
    f"{__name__}:Permuted",
    summary="Control: the 8 nearest known spots, these at one another's places",
    licence="MIT",
    scope="slide",
    control=True,
    needs_known=True,
)

_NEAREST_UM = 1.0  # no spot is nearer than that in a weight


@dataclass
class Nearest(KnownPredictor):
    """Predict the mean of the nearest known spots.

    Parameters
    ----------
    k : int
        How many; all where fewer are known.
    power : float
        Of the inverse distance by which they are weighed; 0: all alike.
    """

    name: ClassVar[str] = "known-nearest"

    k: Count = 1
    power: NotNegative = 0.0

    def places(self, spots: Slides, known: Slides) -> tuple[np.ndarray, np.ndarray]:
        """Return where spots and known spots lie, (n, 3) each, in um."""
        return spots.spatial_3d, known.spatial_3d

    def from_known(self, spots: Slides, known: Slides) -> np.ndarray:
        """Return (n_spots, n_genes)."""
        here, there = self.places(spots, known)
        k = min(self.k, len(known))
        distance, found = cKDTree(there).query(here, k=k)
        distance, found = distance.reshape(len(here), k), found.reshape(len(here), k)
        weights = np.maximum(distance, _NEAREST_UM) ** -self.power
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("sk,skg->sg", weights, known.target[found]))


@dataclass
class NearestEight(Nearest):
    """Predict the mean of the 8 nearest."""

    name: ClassVar[str] = "known-nearest-8"

    k: Count = 8


@dataclass
class NearestTwenty(Nearest):
    """Predict the mean of the 20 nearest."""

    name: ClassVar[str] = "known-nearest-20"

    k: Count = 20


@dataclass
class InverseDistance(Nearest):
    """Predict the mean of the 20 nearest by the inverse of their squared distance."""

    name: ClassVar[str] = "known-inverse-distance"

    k: Count = 20
    power: NotNegative = 2.0


@dataclass
class Unregistered(Nearest):
    """Take sections as they lie on their slides, their own pixels in um."""

    name: ClassVar[str] = "known-unregistered"

    k: Count = 8

    def places(self, spots: Slides, known: Slides) -> tuple[np.ndarray, np.ndarray]:
        """Return the coordinates of each section's own image, in um, and the depth."""
        return _on_slide(spots), _on_slide(known)


def _on_slide(slides: Slides) -> np.ndarray:
    sections = slides.sections
    um = np.array([float(sections[slide]["um_per_px"]) for slide in slides.slide_ids.tolist()])
    return np.concatenate([slides.coordinates * um[:, None], slides.spatial_3d[:, 2:]], axis=1)


@dataclass
class Turned(Nearest):
    """Turn the known spots by 90 degrees about their middle."""

    name: ClassVar[str] = "known-turned"

    k: Count = 8

    def places(self, spots: Slides, known: Slides) -> tuple[np.ndarray, np.ndarray]:
        """Return the places in the frame, those of the known spots turned."""
        there = known.spatial_3d.copy()
        middle = there[:, :2].mean(axis=0)
        x, y = (there[:, :2] - middle).T
        there[:, :2] = np.stack([-y, x], axis=1) + middle
        return spots.spatial_3d, there


@dataclass
class Permuted(Nearest):
    """Let the known spots change places, by a draw that is always the same."""

    name: ClassVar[str] = "known-permuted"

    k: Count = 8

    def places(self, spots: Slides, known: Slides) -> tuple[np.ndarray, np.ndarray]:
        """Return the places in the frame, those of the known spots dealt anew."""
        return spots.spatial_3d, np.random.default_rng(0).permutation(known.spatial_3d)
