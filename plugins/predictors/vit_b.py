"""ViT-B: a vision transformer over the patch of each spot, one linear output per gene.

Network: Dosovitskiy et al., ICLR 2021, ViT-B/16 as in torchvision. As a baseline:
Mejia et al., MICCAI 2024; github.com/BCV-Uniandes/SpaRED. Differs from the code there in the
augmentation, drawn for every patch and not once for a whole batch; and patches of another size than
the network's are resized to it, where torchvision refuses them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.models import TorchPredictor, build_backbone


@dataclass
class ViTB(TorchPredictor):
    """Predict the expression of a spot from its own patch.

    Parameters
    ----------
    backbone : str
        Any network of timm or torchvision.
    image_size : int
        Side of the images that the network sees, in pixels.
    options : dict
        Of the network's constructor, for a variant of it.
    """

    name: ClassVar[str] = "vit-b"
    tiny: ClassVar[dict[str, Any]] = {
        "backbone": "test_vit",
        "image_size": 32,
        "options": {"depth": 2},
        "weights": "random",
        "lr": 1e-3,
    }
    small: ClassVar[dict[str, Any]] = {
        "backbone": "test_vit",  # 0.3 million parameters, 16 px tiles, 64 wide, 6 layers
        "image_size": 48,
        "weights": "random",
    }

    lr: float = 1e-4
    backbone: str = "vit_b_16"
    image_size: int = 224
    options: dict[str, Any] = field(default_factory=dict)

    def build(self, n_genes: int) -> nn.Module:
        return nn.Sequential(
            Resize(self.image_size),  # (n_spots, 3, image_size, image_size)
            build_backbone(
                self.backbone,
                self.weights,
                n_genes,
                image_size=self.image_size if self.image_size != 224 else 0,
                **self.options,
            ),  # (n_spots, n_genes)
        )


class Resize(nn.Module):
    """Resize images bilinearly; those of the right size pass untouched."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 3, size, size)."""
        if images.shape[-2:] == torch.Size((self.size, self.size)):
            return images
        shape = (self.size, self.size)
        return functional.interpolate(images, size=shape, mode="bilinear", antialias=True)
