"""The loss of ASIGN: errors of spots, and correlations across genes at three resolutions.

Zhu et al., CVPR 2025, with the weights of the released code (supplement: others).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from spared_bench_plugins.networks.asign import LEVELS, Levels

#: Of the released code, in a section and across sections.
WEIGHTS_2D = (0.75, 0.1, 0.1, 0.1)
WEIGHTS_3D = (0.75, 0.25, 0.125, 0.125)


def row_correlation_loss(prediction: Tensor, label: Tensor) -> Tensor:
    """1 minus the mean over rows of the correlation across genes, a scalar in [0, 2]."""
    p = prediction - prediction.mean(dim=1, keepdim=True)
    t = label - label.mean(dim=1, keepdim=True)
    scale = (p.square().sum(dim=1) * t.square().sum(dim=1) + 1e-8).sqrt()
    return 1 - ((p * t).sum(dim=1) / scale).mean()


@dataclass(frozen=True)
class LossParts:
    """The parts of ASIGN's loss, scalars; correlation is across genes, 1 minus it is meant.

    Parameters
    ----------
    mse, spots : Tensor
        Of the spots.
    coarse : Tensor
        Of the regions plus that of the global patches.
    consistency : Tensor
        Of what a spot's region and global patch are predicted with the label of the spot, both.
    """

    mse: Tensor
    spots: Tensor
    coarse: Tensor
    consistency: Tensor

    def total(self, weights: tuple[float, float, float, float]) -> Tensor:
        """Return the weighted sum."""
        parts = (self.mse, self.spots, self.coarse, self.consistency)
        return torch.stack([w * p for w, p in zip(weights, parts, strict=True)]).sum()


def asign_loss(found: Levels, labels: Levels, of_spot: dict[str, Tensor]) -> LossParts:
    """Compare predictions of all resolutions with their labels.

    ``of_spot`` has, for regions and global patches, in which of them each spot lies.
    """
    pairs = [(getattr(found, name), getattr(labels, name)) for name in LEVELS[1:]]
    coarse = [row_correlation_loss(*pair) for pair in pairs]
    of_spots = [
        row_correlation_loss(getattr(found, name)[of_spot[name]], labels.spot)
        for name in LEVELS[1:]
    ]
    return LossParts(
        functional.mse_loss(found.spot, labels.spot),
        row_correlation_loss(found.spot, labels.spot),
        coarse[0] + coarse[1],
        of_spots[0] + of_spots[1],
    )
