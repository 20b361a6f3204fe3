"""What a network is fed, cut into the units of a training step.

``PatchUnits`` serves networks that see one patch at a time. A method whose unit is a graph or a
whole slide brings another class with the same two methods, and the trainer need not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from spared_bench.data import MASK, TARGET, Slides
from spared_bench.models.augment import normalisation_of, normalise
from spared_bench.models.augmentation.augmenter import Augmentation, augmented
from spared_bench.models.augmentation.symmetries import Symmetries
from spared_bench.models.device_patches import DevicePatches
from spared_bench.models.moving import to_device


@dataclass(frozen=True)
class Batch:
    """The spots of one step.

    Parameters
    ----------
    images : Tensor of float32, of shape (n_spots, 3, size, size)
        Normalised.
    target : Tensor of float32, of shape (n_spots, n_genes)
    mask : Tensor of bool, of shape (n_spots, n_genes)
        True where measured. Where expression is not visible, neither has any columns.
    """

    images: Tensor
    target: Tensor
    mask: Tensor


def target_and_mask(slides: Slides, device: str) -> tuple[Tensor, Tensor]:
    """Return target, float32, and mask, bool, both (n_spots, n_genes), on a device.

    Where expression is not visible, neither has any columns.
    """
    if TARGET not in slides.adata.layers or MASK not in slides.adata.layers:
        nothing = torch.empty(len(slides), 0, device=device)
        return nothing, nothing.bool()
    return torch.tensor(slides.target).to(device), torch.tensor(slides.mask).to(device)


class Units(Protocol):
    """What the trainer asks of its data."""

    def __len__(self) -> int:
        """Return the number of units."""
        ...

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> Any:
        """Return a ``Batch``, or more, of these units; augmented if a generator is given."""
        ...


class PatchUnits:
    """Spots, each with its own patch.

    Parameters
    ----------
    slides : Slides
        With or without their expression.
    device : str
    budget : int, optional
        Bytes of patches that may stay on the device (``DevicePatches``).
    normalisation : str
        A name in ``spared_bench.models.augment.NORMALISATIONS``.
    augmentation : callable, optional
        What is done to patches where they are augmented (``spared_bench.models.augmentation``);
        by default the eight symmetries.
    """

    def __init__(
        self,
        slides: Slides,
        device: str = "cpu",
        budget: int | None = None,
        normalisation: str = "imagenet",
        augmentation: Augmentation | None = None,
    ) -> None:
        self._normalisation = normalisation_of(normalisation)
        self._augmentation = augmentation or Symmetries()
        self._patches = DevicePatches(slides.patches, device, budget)
        self._device = torch.device(device)
        self._target, self._mask = target_and_mask(slides, device)

    def __len__(self) -> int:
        return len(self._patches)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> Batch:
        """Return these spots; with a generator, each patch augmented by a draw of its own."""
        images = self._patches[rows]
        if augment is not None:
            images = augmented(images, self._augmentation, augment)
        here = to_device(rows, self._device)
        return Batch(normalise(images, *self._normalisation), self._target[here], self._mask[here])
