"""Turns by 0, 90, 180 or 270 degrees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.models.augment import apply_symmetries

#: Turns by 0 to 3 quarters, anticlockwise, as the codes of symmetries: both flips are half a turn.
_CODES = torch.tensor([0, 4, 3, 7])


@dataclass(frozen=True)
class QuarterTurns:
    """Turn each patch by a multiple of 90 degrees, the four equally likely."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Turn bytes, (n_patches, 3, size, size)."""
        codes = _CODES[torch.randint(4, (len(images),), generator=generator)]
        return apply_symmetries(images.permute(0, 2, 3, 1), codes).permute(0, 3, 1, 2)
