"""Flips, left with right and up with down."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.models.augment import apply_symmetries
from spared_bench.models.augmentation.drawing import require_between


@dataclass(frozen=True)
class Flips:
    """Flip each patch with these probabilities.

    Parameters
    ----------
    horizontal, vertical : float
        That left and right, up and down change places.
    """

    horizontal: float = 0.5
    vertical: float = 0.5

    def __post_init__(self) -> None:
        require_between("horizontal", self.horizontal, 0, 1)
        require_between("vertical", self.vertical, 0, 1)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Flip bytes, (n_patches, 3, size, size)."""
        drawn = torch.rand(len(images), 2, generator=generator)
        chances = torch.tensor([self.horizontal, self.vertical])
        codes = (drawn < chances).long() @ torch.tensor([1, 2])
        return apply_symmetries(images.permute(0, 2, 3, 1), codes).permute(0, 3, 1, 2)
