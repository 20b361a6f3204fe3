"""Transforms of torchvision as they are: on one patch after the other, drawn from our seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spared_bench.models.seeded import seeded

_HIGHEST = 2**63 - 1


class PerPatch:
    """A transform of single images, applied to every patch by its own draw.

    Parameters
    ----------
    transform : callable
        ``(3, size, size) uint8 -> the same``, drawing from torch's global random state, as those of
        ``torchvision.transforms.v2`` do. The state is seeded for each batch from the generator, and
        put back: results do not depend on what else ran, and nothing else depends on them.
    """

    def __init__(self, transform: Callable[[Tensor], Any]) -> None:
        self.transform = transform

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Transform bytes, (n_patches, 3, size, size), patch after patch.

        What is no tensor, or of several shapes or types, comes back unstacked or of those of the
        first, so that the caller can tell what is wrong.
        """
        seed = int(torch.randint(_HIGHEST, (), generator=generator))
        with seeded(seed, str(images.device)):
            made = [self.transform(image) for image in images]
        for each in made:
            if not isinstance(each, Tensor) or each.shape != images.shape[1:]:
                return each[None] if isinstance(each, Tensor) else each
        return torch.stack(made) if made else images


def is_torchvision(wanted: Any) -> bool:
    """Return whether something is a transform of torchvision, or of a class made from one."""
    kinds = type(wanted).__mro__
    return any(each.__module__.startswith("torchvision.transforms") for each in kinds)
