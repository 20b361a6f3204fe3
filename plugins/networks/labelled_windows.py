"""Windows of a slide with the tissue class of every spot, and the loss of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spared_bench.data import TARGET, Slides
from spared_bench.models.window_units import WindowBatch, WindowUnits

UNLABELLED = -1


@dataclass(frozen=True)
class LabelledBatch(WindowBatch):
    """A window.

    Parameters
    ----------
    classes : Tensor of int64, of shape (n_core,)
        Index of each spot's class, -1 where it has no label or none is visible.
    """

    classes: Tensor


class LabelledUnits:
    """Windows with the classes of their spots.

    Parameters
    ----------
    windows : WindowUnits
        Of the same slides.
    slides : Slides
        Their labels are read where their expression is visible.
    device : str
    """

    def __init__(self, windows: WindowUnits, slides: Slides, device: str) -> None:
        self._windows, self.predicted = windows, windows.predicted
        visible = TARGET in slides.adata.layers
        of_spots = class_indices(slides.labels, slides.classes) if visible else None
        numbers = np.full(len(slides), UNLABELLED) if of_spots is None else of_spots
        self._classes = torch.from_numpy(numbers).to(device)

    def __len__(self) -> int:
        return len(self._windows)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> LabelledBatch:
        """Return one window; with a generator, augmented."""
        plain = self._windows.batch(rows, augment)
        predicted = torch.from_numpy(self.predicted[int(rows)]).to(self._classes.device)
        return LabelledBatch(**vars(plain), classes=self._classes[predicted])


class ClassUnits:
    """The same windows with the classes, as indicators, in place of the expression."""

    def __init__(self, units: LabelledUnits, n_classes: int) -> None:
        self._units, self._n_classes = units, n_classes

    def __len__(self) -> int:
        return len(self._units)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> LabelledBatch:
        """Return one window; unlabelled spots are unmeasured."""
        plain = self._units.batch(rows, augment)
        known = plain.classes != UNLABELLED
        indicators = functional.one_hot(plain.classes.clamp(min=0), self._n_classes).float()
        mask = known[:, None].expand_as(indicators)
        return replace(plain, target=indicators, mask=mask)


def class_indices(labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return the index of each label among the classes, (n_spots,), int64; -1 for any other."""
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers.get(label, UNLABELLED) for label in labels], dtype=np.int64)


def class_loss(
    outputs: Tensor, classes: Tensor, weights: Tensor | None = None, undetermined: int = UNLABELLED
) -> Tensor:
    """Cross-entropy of the labelled spots of a window.

    Parameters
    ----------
    outputs : Tensor of shape (n_spots, n_classes)
        Taken for logits.
    classes : Tensor of int64, of shape (n_spots,)
        -1 where unlabelled.
    weights : Tensor of shape (n_classes,), optional
    undetermined : int
        The class of spots that could not be told.

    Returns
    -------
    Tensor, a scalar
        Weighted mean over the labelled spots; 0 where none of them is of another class than
        ``undetermined``, or all weights are 0.
    """
    outputs = outputs.float()
    weights = torch.ones(outputs.shape[1]) if weights is None else weights
    weights = weights.to(outputs)
    known = classes != UNLABELLED
    told = known & (classes != undetermined)
    counted = weights[classes.clamp(min=0)] * known
    if not bool(told.any()) or not bool(counted.any()):
        return outputs.sum() * 0  # a part of the graph, whose gradient is 0
    return functional.cross_entropy(outputs, classes, weights, ignore_index=UNLABELLED)
