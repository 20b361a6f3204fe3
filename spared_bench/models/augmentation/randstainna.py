"""RandStainNA: every patch normalised to a look that is drawn among those of other patches.

Shen et al., MICCAI 2022; github.com/yiqings/RandStainNA. Mean and deviation of each channel of a
patch, in one of three colour spaces, are replaced by draws from distributions of such means and
deviations. The source measures these on a training set before; they are parameters here, by default
those that it publishes for colorectal cancer (NCT-CRC-HE-100K), and ``looks`` measures others.

Differs from the source's code: a drawn deviation below 0 counts as 0, where there the channel is
turned over; LAB and HSV are not rounded to bytes on the way; its uniform distribution, which draws
nothing (its two ends are the same number), is left out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.errors import UsageError, did_you_mean
from spared_bench.models.augmentation.colour_spaces import SPACES, ColourSpace
from spared_bench.models.augmentation.drawing import in_chunks, on_some, require_between
from spared_bench.models.moving import to_device

#: Of the source's files ``CRC_*_randomTrue_n0.yaml``: over patches, the mean of each channel's mean
#: and deviation, and their deviations; the three means first.
PUBLISHED: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "lab": (
        (158.033, 151.187, 116.812, 36.899, 8.134, 6.129),
        (48.792, 10.958, 6.643, 14.383, 2.822, 2.013),
    ),
    "hsv": (
        (144.115, 79.862, 185.404, 22.595, 30.394, 32.755),
        (20.718, 43.756, 41.451, 16.568, 12.883, 14.146),
    ),
    "hed": (
        (0.033, 0.021, 0.029, 0.025, 0.013, 0.013),
        (0.031, 0.014, 0.023, 0.019, 0.016, 0.009),
    ),
}
DISTRIBUTIONS = ("normal", "laplace")


@dataclass(frozen=True)
class RandStainNA:
    """Give each patch a look of its own, drawn as the looks of patches are distributed.

    Parameters
    ----------
    space : {"lab", "hsv", "hed"}
    p : float
        Share of the patches that are changed (the source's ``probability``).
    spread : float
        Multiplies the width of all distributions (the source's ``std_hyper`` plus 1).
    distribution : {"normal", "laplace"}
    means, deviations : sequence of float
        Six numbers each: of the three channels' means over a patch, then of their deviations.
        Location and width of what is drawn, in units of the space (``colour_spaces``). Empty: those
        that the source publishes.
    """

    space: str = "lab"
    p: float = 1.0
    spread: float = 1.0
    distribution: str = "normal"
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _require("space", self.space, SPACES)
        _require("distribution", self.distribution, DISTRIBUTIONS)
        require_between("p", self.p, 0, 1)
        require_between("spread", self.spread, 0, 10)
        for name in ("means", "deviations"):
            if len(getattr(self, name)) not in (0, 6):
                raise UsageError(
                    f"{name} of RandStainNA has {len(getattr(self, name))} numbers; expected six:"
                    " of three channels' means, then of their deviations."
                )
            for value in getattr(self, name):
                # A width is no less than 0; places are of what the spaces' channels hold.
                require_between(name, value, 0 if name == "deviations" else -1000, 1000)
        if bool(self.means) != bool(self.deviations):
            raise UsageError(
                "RandStainNA has one of means and deviations. Give both, or neither for those that"
                " its source publishes."
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Stain bytes, (n_patches, 3, size, size), anew."""
        location, width = (self.means, self.deviations) if self.means else PUBLISHED[self.space]
        space = SPACES[self.space]

        def stain(patches: Tensor, rows: Tensor) -> Tensor:
            drawn = self._drawn(len(rows), generator) * self.spread * torch.tensor(width)
            wanted = to_device(torch.tensor(location) + drawn, patches.device)
            return in_chunks(patches, lambda some, part: _stained(some, wanted[part], space))

        return on_some(images, self.p, generator, stain)

    def _drawn(self, n: int, generator: torch.Generator) -> Tensor:
        """Return draws of location 0 and width 1 for every patch, (n, 6)."""
        if self.distribution == "normal":
            return torch.randn(n, 6, generator=generator)
        even = torch.rand(n, 6, generator=generator, dtype=torch.float64) - 0.5
        return (-even.sign() * torch.log1p(-2 * even.abs())).float()


def looks(images: Tensor, space: str = "lab") -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel over each patch, (n, 3) each.

    Parameters
    ----------
    images : Tensor of uint8, of shape (n, 3, height, width)
    space : {"lab", "hsv", "hed"}
    """
    _require("space", space, SPACES)
    means, deviations = _looks(SPACES[space].channels(images.float()))
    return means, deviations


def _looks(channels: Tensor) -> tuple[Tensor, Tensor]:
    mean = channels.mean(dim=(2, 3))
    centred = (channels - mean[:, :, None, None]).flatten(2)
    return mean, torch.linalg.vector_norm(centred, dim=2) / centred.shape[2] ** 0.5


def _stained(images: Tensor, wanted: Tensor, space: ColourSpace) -> Tensor:
    """Return patches of the wanted means and deviations, (n, 6), as colours from 0 to 255."""
    channels = space.channels(images)
    mean, deviation = _looks(channels)
    factor = wanted[:, 3:].clamp(min=0) / deviation.clamp(min=1e-4)
    shift = wanted[:, :3] - mean * factor
    channels.mul_(factor[:, :, None, None]).add_(shift[:, :, None, None])
    if space.bounded:
        channels.clamp_(0, 255)
    return space.colours(channels)


def _require(what: str, given: str, known: Collection[str]) -> None:
    if given not in known:
        hint = did_you_mean(str(given), known)
        told = f"{what} of RandStainNA is {given!r}. {hint} Expected one of {', '.join(known)}."
        raise UsageError(told.replace("  ", " "))
