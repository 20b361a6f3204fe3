"""The most similar known spots by image features: what ASIGN's authors compare themselves with.

Zhu et al., CVPR 2025, supplement, "3D sample-level similarity-based imputation": the mean of the 20
most similar known spots. Features are standardised within each section, since sections are stained
differently; theirs are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spared_bench import PredictorSpec
from spared_bench.bounds import Count
from spared_bench.data import Slides
from spared_bench.models.encoders import FrozenEncoder, frozen_encoder
from spared_bench.models.known import KnownPredictor
from spared_bench.models.section_graphs import most_similar, standardised

SPEC = PredictorSpec(
    "known-similar-20",
    f"{__name__}:MostSimilar",
    summary="The mean of the 20 known spots that look most alike, wherever they lie",
    citation="Zhu et al., CVPR 2025, supplement",
    licence="MIT",
    scope="slide",
    encoder="encoder",
    needs_known=True,
)


@dataclass
class KnownOnFeatures(KnownPredictor):
    """What looks at the patches of known spots through a frozen network.

    Parameters
    ----------
    encoder : str
        The frozen network; ``"color"`` for 24 numbers of colour and texture.
    weights : str
        Of the network.
    """

    encoder: str = "color"
    weights: str = "pretrained"

    @property
    def frozen(self) -> FrozenEncoder:
        """What turns patches into features."""
        return frozen_encoder(self.encoder, self.weights)


@dataclass
class MostSimilar(KnownOnFeatures):
    """Predict the mean of the known spots whose patches look most alike.

    Parameters
    ----------
    k : int
    """

    name: ClassVar[str] = "known-similar-20"

    k: Count = 20

    def from_known(self, spots: Slides, known: Slides) -> np.ndarray:
        """Return (n_spots, n_genes)."""
        _, place = most_similar(
            features_by_section(spots, self.frozen), features_by_section(known, self.frozen), self.k
        )
        return np.asarray(known.target[place].mean(axis=1))


def features_by_section(slides: Slides, encoder: FrozenEncoder) -> np.ndarray:
    """Return features of the patches, standardised within each section, (n_spots, width).

    Of a section with a single spot all are 0.
    """
    features = np.array(slides.features(encoder), dtype=np.float64)
    slide_ids = slides.slide_ids
    for slide in np.unique(slide_ids):
        here = slide_ids == slide
        features[here] = standardised(features[here])
    return features
