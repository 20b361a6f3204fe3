"""More or less haematoxylin and eosin, as between laboratories.

The scheme is that of Tellez et al., IEEE Trans. Med. Imaging 37 (2018) 2126, doi:
10.1109/TMI.2018.2820199: colours are taken apart into stains, every stain's amount is multiplied
and shifted by draws of its own, and put together again. The stains are those of Ruifrok and
Johnston (2001), with DAB as the third, as in scikit-image's ``rgb2hed``, which cuts negative
amounts off; here they stay, so that a draw of no change leaves a patch as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.models.augmentation.drawing import in_chunks, require_between
from spared_bench.models.augmentation.mixing import mixed
from spared_bench.models.moving import to_device

#: Density in red, green and blue (columns) of haematoxylin, eosin and DAB (rows).
_STAINS = torch.tensor(
    [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], dtype=torch.float64
)
_DARKEST = 1e-6 * 255  # black has a density, too


@dataclass(frozen=True)
class HedJitter:
    """Change the amounts of haematoxylin, eosin and DAB in each patch by draws of its own.

    Parameters
    ----------
    sigma : float
        Factors of a stain's amount lie evenly between 1 minus this and 1 plus this.
    bias : float
        What is added to it lies evenly between minus this and this, in units of natural optical
        density.
    """

    sigma: float = 0.05
    bias: float = 0.05

    def __post_init__(self) -> None:
        require_between("sigma", self.sigma, 0, 1)
        require_between("bias", self.bias, 0, 5)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Stain bytes, (n_patches, 3, size, size), anew."""
        drawn = 2 * torch.rand(2, len(images), 3, generator=generator) - 1
        return restain(images, 1 + self.sigma * drawn[0], self.bias * drawn[1])


def restain(images: Tensor, factors: Tensor, shifts: Tensor) -> Tensor:
    """Multiply the amounts of three stains in every patch, and add to them.

    Parameters
    ----------
    images : Tensor of uint8, of shape (n_patches, 3, height, width)
    factors, shifts : Tensor of shape (n_patches, 3)
        On the CPU; of haematoxylin, eosin and DAB. Shifts in units of natural optical density.
    """
    # Densities are linear in amounts: one matrix and one offset per patch do all of it.
    mix = torch.linalg.inv(_STAINS) @ (factors.double()[:, :, None] * _STAINS)  # (n, 3, 3)
    offset = -(shifts.double() @ _STAINS)  # (n, 3): of the logarithm of light
    mix = to_device(mix.float(), images.device).transpose(1, 2)
    offset = to_device(offset.float(), images.device)

    def change(patches: Tensor, part: slice) -> Tensor:
        light = patches.div_(255).clamp_(min=_DARKEST / 255).log_()
        return mixed(light, mix[part], offset[part]).exp_().mul_(255)

    return in_chunks(images, change)
