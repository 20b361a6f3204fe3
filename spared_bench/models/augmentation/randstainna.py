"""RandStainNA: every patch normalised to a look that is drawn among those of the training patches.

Shen et al., MICCAI 2022; github.com/yiqings/RandStainNA. Mean and deviation of each channel of a
patch are replaced by draws from normal distributions, which are those of the patches' own means and
deviations. Of the colour spaces of the source (LAB, HSV, HED), this is HED, the amounts of
haematoxylin, eosin and DAB: there, the change is one matrix per patch. The source measures the
distributions on the training set before. They are parameters here, and by default those of the
551 patches of three sections of one HER2+ tumour (``her2st_demo``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.errors import UsageError
from spared_bench.models.augmentation.drawing import require_between
from spared_bench.models.augmentation.hed_jitter import _STAINS, restain

_EVERY = 4  # pixel in each direction is looked at to measure a patch
_LEAST, _MOST = 0.2, 5.0  # factor of a stain's amounts


@dataclass(frozen=True)
class RandStainNA:
    """Give each patch a look of its own, drawn as the looks of patches are distributed.

    Parameters
    ----------
    spread : float
        Multiplies the deviations of both distributions (the source's ``std_hyper`` plus 1).
    means, deviations : sequence of float
        Of haematoxylin, eosin and DAB: mean and deviation over patches, six numbers each (first the
        three means), of the patches' means and of their deviations, in natural optical density.
        ``looks`` measures them.
    """

    spread: float = 1.0
    means: tuple[float, ...] = (0.99, -0.02, 0.20, 0.27, 0.07, 0.04)
    deviations: tuple[float, ...] = (0.71, 0.14, 0.10, 0.20, 0.03, 0.03)

    def __post_init__(self) -> None:
        require_between("spread", self.spread, 0, 10)
        for name in ("means", "deviations"):
            if len(getattr(self, name)) != 6:
                raise UsageError(
                    f"{name} of RandStainNA has {len(getattr(self, name))} numbers; expected six:"
                    " three means over patches, then three deviations."
                )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Stain bytes, (n_patches, 3, size, size), anew."""
        mean, deviation = looks(images)
        drawn = torch.randn(2, len(images), 3, generator=generator, dtype=torch.float64)
        new_mean = _drawn(self.means, self.spread, drawn[0])
        new_deviation = _drawn(self.deviations, self.spread, drawn[1]).clamp(min=1e-3)
        factors = (new_deviation / deviation.clamp(min=1e-4)).clamp(_LEAST, _MOST)
        return restain(images, factors, new_mean - factors * mean)


def looks(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of the amounts of three stains in each patch, (n, 3) each."""
    some = images[:, :, ::_EVERY, ::_EVERY].flatten(2).double().cpu()
    density = -some.div_(255).clamp_(min=1e-6).log_()  # (n, 3, n_pixels)
    amounts = torch.einsum("ncp,cs->nsp", density, torch.linalg.inv(_STAINS))
    mean = amounts.mean(dim=2)
    return mean, (amounts - mean[:, :, None]).square().mean(dim=2).sqrt()


def _drawn(known: tuple[float, ...], spread: float, normal: Tensor) -> Tensor:
    """Return a value for every patch and stain, (n, 3), distributed as is known."""
    numbers = torch.tensor(known, dtype=torch.float64)
    return numbers[:3] + spread * numbers[3:] * normal
