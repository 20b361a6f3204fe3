"""Bases of methods that see a whole slide at once, or a large window of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spared_bench.bounds import CountOrZero, NotNegative, Size
from spared_bench.data import Slides
from spared_bench.interfaces import Budget
from spared_bench.models.precision import mixed
from spared_bench.models.torch_predictor import TorchPredictor
from spared_bench.models.window_units import WindowBatch, WindowUnits
from spared_bench.prediction import Prediction


@dataclass
class SlidePredictor(TorchPredictor):
    """A network whose unit is a slide, a window or a graph of many spots, one of them per step.

    A subclass implements ``build`` and ``units`` (which returns ``SlideUnits``).
    """

    def units_per_step(self, budget: Budget) -> int:
        """One, whatever the batch size: a step is a slide, as published."""
        return 1

    def predict(self, slides: Slides, batch_size: int = 1) -> np.ndarray | Prediction:
        """Predict (n_spots, n_genes), float32, unit after unit; ``batch_size`` has no effect.

        With variances, where the method has them (``predict_with_variance``).
        """
        network = self._fitted().eval()
        units: Any = self.units(slides, self._device, resident=False)
        parts: list[np.ndarray] = []
        with torch.inference_mode(), mixed(network, self._device, self.precision):
            for unit, spots in enumerate(units.predicted):
                batch = units.batch(torch.tensor([unit]))
                for number, values in enumerate(self._outputs(network, batch)):
                    if number == len(parts):
                        shape = len(slides), len(self.gene_names_)
                        parts.append(np.empty(shape, dtype=np.float32))
                    parts[number][spots] = values.float().cpu().numpy()
        mean, *variance = parts
        return Prediction(mean, variance[0]) if variance else mean


@dataclass
class WindowPredictor(SlidePredictor):
    """A network of the patches and array positions of a window: ``network(images, positions)``.

    Parameters
    ----------
    n_positions : int
        Rows of each table of learned positions; Visium's array needs 128.
    max_spots : int
        Spots that the network sees at once; a larger slide is cut into windows; 0: no limit.
    margin : float
        Context around a window's core, in distances between neighbouring spots.
    """

    n_positions: Size = 128
    max_spots: CountOrZero = 2000
    margin: NotNegative = 4.0

    def units(self, slides: Slides, device: str, resident: bool) -> Any:
        """Return the windows of the slides."""
        budget = None if resident else 0
        return WindowUnits(
            slides,
            self.max_spots,
            self.margin,
            self.n_positions,
            device,
            budget,
            normalisation=self.normalisation,
            augmentation=self.augmenter,
        )

    def loss(self, network: nn.Module, batch: WindowBatch) -> Tensor:
        """Return the MSE over all entries of the core."""
        return nn.functional.mse_loss(self.predict_batch(network, batch), batch.target)

    def predict_batch(self, network: nn.Module, batch: WindowBatch) -> Tensor:
        """Return the prediction of the core, (n_core, n_genes)."""
        return network(batch.images, batch.positions)[batch.core]
