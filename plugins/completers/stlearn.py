"""stLearn's imputation: from spots that are near, look alike and express alike.

Pham et al., Nat. Commun. 2023 (doi:10.1038/s41467-023-43120-6). The SpaRED benchmark compares with
it and publishes no configuration; what is done here is what the function that fills zeros computes:

- the weight of two spots is 1 if they are less than 3 units apart, else 0; times the cosine of
  their image features, 0 if negative; times the Pearson correlation of their expression after PCA;
- the unit comes from two straight lines, pixel over array index. Both fits share one object, so
  the second replaces the first and its slope is used twice;
- a zero takes the weighted mean over the three spots of highest weight. The spot itself is one of
  them, with a weight no other exceeds, and it brings its own zero.

``correct`` leaves the spot itself out and uses both slopes.

Differs from that function on a slide whose array lies turned on its image, where both lines would
be flat, the unit next to 0 and nothing filled: a step of the array is as long there as on one that
lies upright. And in the image features: by default they are 24 numbers of colour, each standardised
over the slide, which need no weights. The configuration ``resnet50`` takes features of a ResNet-50,
reduced to their first 50 principal components and not standardised, as the function does, with
torchvision's weights where that has Keras's; and its reach, which is 3 units on Visium and 1.5 on
legacy arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spared_bench import CompleterSpec
from spared_bench.bounds import Count, CountOrZero, NotNegative
from spared_bench.errors import UsageError

if TYPE_CHECKING:
    from spared_bench.data import Encoder, Slides
    from spared_bench.interfaces import Context

_ROUNDING = 1e-6  # on an exact lattice, spots lie 3 units away, and are not nearer by rounding


@dataclass
class StLearn:
    """Fill from three spots of the same slide.

    Parameters
    ----------
    backbone : str
        Image features: ``"color"``, or any network of timm or torchvision.
    weights : str
        Of the network: ``"pretrained"``, ``"random"`` or a file; ``"color"`` has none.
    n_components : int
        Of the PCA of expression; as many as there can be where there are fewer.
    n_image_components : int
        Of a PCA of the image features, whose scores take their place; 0: none.
    standardise : bool
        Whether image features are scaled to the same deviation over the slide, or only centred.
    n_similar : int
        Spots in the mean.
    reach : float
        How far they may be, in units; 0: 3 on a hexagonal array, 1.5 on a square one.
    correct : bool
        Leave the spot itself out, and fit the unit as it was meant.
    """

    name: ClassVar[str] = "stlearn"
    tiny: ClassVar[dict[str, Any]] = {}
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "resnet50": {
            "backbone": "resnet50.tv_in1k",
            "n_image_components": 50,
            "standardise": False,
            "reach": 0.0,
        },
    }

    backbone: str = "color"
    weights: str = "pretrained"
    n_components: Count = 50
    n_image_components: CountOrZero = 0
    standardise: bool = True
    n_similar: Count = 3
    reach: NotNegative = 3.0
    correct: bool = False

    def check_parameters(self) -> None:
        """Refuse what finds no spot to fill from, which would pass for a mean of none."""
        if self.n_similar < 1 or self.n_components < 1 or self.reach < 0:
            raise UsageError(
                f"n_similar={self.n_similar}, n_components={self.n_components} and"
                f" reach={self.reach:g}; expected 1, 1 and 0 or more."
            )

    @property
    def encoder(self) -> Encoder:
        """What turns patches into features."""
        from spared_bench.models.encoders import frozen_encoder

        return frozen_encoder(self.backbone, self.weights)

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """There is nothing to learn: every slide is filled from itself."""

    def complete(self, slides: Slides) -> np.ndarray:
        """Return the target with its zeros replaced, (n_spots, n_genes), float32.

        Where no spot has a positive weight, entries stay 0.
        """
        completed = slides.target.copy()
        for slide_id, slide in slides.each():
            mask, values = slide.mask, slide.target
            index, weight = self.similar_spots(slide)
            mean = np.einsum("sk,skg->sg", weight, values[index])
            completed[slides.slide_ids == slide_id] = np.where(mask, values, mean)
        return completed

    def similar_spots(self, slide: Slides) -> tuple[np.ndarray, np.ndarray]:
        """Return the spots of highest weight and their weights, which add up to 1 or are all 0.

        Returns
        -------
        index : ndarray of int64, of shape (n_spots, n_similar)
        weight : ndarray of float64, of that shape
        """
        from scipy.spatial import cKDTree

        looks, expression = self._looks(slide), self._expression(slide)
        radius = self.reach_on(slide) * self.unit(slide)
        around = cKDTree(slide.coordinates).query_ball_point(slide.coordinates, radius)
        index = np.zeros((len(slide), self.n_similar), dtype=np.int64)
        weight = np.zeros(index.shape)
        for spot, near in enumerate(around):
            others = np.sort(np.asarray(near, dtype=np.int64))
            gap = np.linalg.norm(slide.coordinates[others] - slide.coordinates[spot], axis=1)
            others = others[gap < radius * (1 - _ROUNDING)]
            if self.correct:
                others = others[others != spot]
            alike = np.maximum(looks[others] @ looks[spot], 0)
            weights = alike * (expression[others] @ expression[spot])
            best = np.argsort(-weights, kind="stable")[: self.n_similar]
            best = best[weights[best] > 0]
            index[spot, : len(best)] = others[best]
            weight[spot, : len(best)] = weights[best] / weights[best].sum() if len(best) else 0
        return index, weight

    def reach_on(self, slide: Slides) -> float:
        """Return how far similar spots may be on this slide, in units."""
        from spared_bench.models.graphs import is_square

        return self.reach or (1.5 if is_square(slide.array_coordinates) else 3.0)

    def unit(self, slide: Slides) -> float:
        """Return the unit of distance in pixels, from the steps of the array, however it lies."""
        down, along = _steps(slide.array_coordinates, slide.coordinates)
        return float(np.hypot(along, down if self.correct else along))

    def _looks(self, slide: Slides) -> np.ndarray:
        """Image features, centred over the slide, as rows of length 1."""
        features = slide.features(self.encoder).astype(np.float64)
        centred = features - features.mean(axis=0)
        if self.standardise:
            spread = features.std(axis=0)
            centred = np.divide(centred, spread, out=centred * 0, where=spread > 1e-9)
        if self.n_image_components:
            centred = _principal(centred, self.n_image_components)
        return _of_length_one(centred)

    def _expression(self, slide: Slides) -> np.ndarray:
        """Principal components, as centred rows of length 1: a product is a correlation."""
        scores = _principal(slide.target.astype(np.float64), self.n_components)
        return _of_length_one(scores - scores.mean(axis=1, keepdims=True))


@dataclass
class CorrectedStLearn(StLearn):
    """The same with the spot itself left out, and the unit fitted as it was meant."""

    name: ClassVar[str] = "stlearn-corrected"

    correct: bool = True


def _steps(array: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Pixels from an array row to the next, and from a column to the next: (2,).

    Of the least-squares plane of pixels over array indices; 0 for an index that is constant.
    """
    centred = array - array.mean(axis=0)
    slopes = np.linalg.lstsq(centred, pixels - pixels.mean(axis=0), rcond=None)[0]
    steps: np.ndarray = np.linalg.norm(slopes, axis=1)
    return steps


def _principal(values: np.ndarray, n_components: int) -> np.ndarray:
    """Scores of the first principal components, as many as there can be; of one row, the row."""
    from sklearn.decomposition import PCA

    if len(values) < 2:
        return values
    return PCA(min(n_components, *values.shape), svd_solver="full").fit_transform(values)


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-12)


SPEC = CompleterSpec(
    "stlearn",
    f"{__name__}:StLearn",
    summary="Three spots that are near, look alike and express alike, itself among them",
    citation="Pham et al., Nat. Commun. 2023, doi:10.1038/s41467-023-43120-6",
    encoder="backbone",
)
CORRECTED_SPEC = CompleterSpec(
    "stlearn-corrected",
    f"{__name__}:CorrectedStLearn",
    summary="stLearn's imputation with the spot itself left out",
    citation="Pham et al., Nat. Commun. 2023, doi:10.1038/s41467-023-43120-6",
    encoder="backbone",
)
