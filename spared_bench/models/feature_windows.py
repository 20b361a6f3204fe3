"""Whole slides or windows of them, of which a method sees frozen features in place of patches."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spared_bench.data import Slides
from spared_bench.models.window_units import WindowUnits


class FeatureWindowUnits(WindowUnits):
    """Windows whose ``images`` are the features of the patches, (n_spots, width).

    Parameters
    ----------
    slides : Slides
    features : ndarray of float32, of shape (n_spots, width)
        ``slides.features(encoder)``. They are those of the patch as it is: turned in training or
        not, a spot has the same.
    max_spots, margin, n_positions, device, **settings
        As ``WindowUnits`` takes them; no patch is read.
    """

    def __init__(
        self,
        slides: Slides,
        features: np.ndarray,
        max_spots: int,
        margin: float,
        n_positions: int,
        device: str = "cpu",
        **settings: Any,
    ) -> None:
        super().__init__(slides, max_spots, margin, n_positions, device, budget=0, **settings)
        self._features = torch.from_numpy(np.asarray(features, dtype=np.float32)).to(device)

    def _images(self, spots: Tensor, augment: torch.Generator | None) -> Tensor:
        return self._features[spots.to(self._features.device)]
