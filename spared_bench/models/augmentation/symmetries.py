"""The eight symmetries of the square: what a protocol that augments asks for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.models.augment import apply_symmetries, draw_symmetries


@dataclass(frozen=True)
class Symmetries:
    """Turn every patch by one of the eight symmetries of the square, all equally likely."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Turn bytes, (n_patches, 3, size, size)."""
        codes = draw_symmetries(len(images), generator)
        return apply_symmetries(images.permute(0, 2, 3, 1), codes).permute(0, 3, 1, 2)
