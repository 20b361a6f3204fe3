"""VGG16 (Simonyan and Zisserman, ICLR 2015) in any width."""

from __future__ import annotations

import torch
from torch import nn

from spared_bench.models import build_backbone
from spared_bench.models.freezing import mark_body

#: Convolutions of each group, and how many times the width of the first group they have.
_GROUPS = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))


def narrow_vgg(
    n_outputs: int, channels: int = 64, wide: int = 4096, pool: int = 7, dropout: float = 0.5
) -> nn.Module:
    """Build a VGG16 of random weights.

    Parameters
    ----------
    n_outputs : int
    channels : int
        Of the first group of convolutions; 64 is VGG16.
    wide : int
        Width of the two layers before the last one.
    pool : int
        Side of the maps that they see, in pixels.
    dropout : float
        After each of these layers.

    Returns
    -------
    nn.Module
        (n, 3, size, size) -> (n, n_outputs), for images of 32 px or more.
    """
    layers: list[nn.Module] = []
    before = 3
    for number, times in _GROUPS:
        for _ in range(number):
            layers += [nn.Conv2d(before, channels * times, 3, padding=1), nn.ReLU()]
            before = channels * times
        layers.append(nn.MaxPool2d(2))
    head = [nn.Linear(before * pool**2, wide), nn.ReLU(), nn.Dropout(dropout)]
    head += [nn.Linear(wide, wide), nn.ReLU(), nn.Dropout(dropout), nn.Linear(wide, n_outputs)]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(pool), nn.Flatten(), *head)
    for part in list(network)[:-1]:  # without normalisation, default weights lose the signal
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            part.bias.data.zero_()  # type: ignore[union-attr]
    return mark_body(network, [str(len(network) - 1)])


@torch.no_grad()
def pretrained_vgg16(
    n_outputs: int, weights: str, dropout: float = 0.5, name: str = "vgg16.tv_in1k"
) -> nn.Module:
    """Build the plain VGG16 with weights of timm's, but for the last layer, which is fresh.

    Parameters
    ----------
    n_outputs : int
    weights, name : str
        As ``build_backbone`` takes them.
    dropout : float

    Raises
    ------
    WeightsUnavailableError
        If the weights cannot be had.
    """
    network = narrow_vgg(n_outputs, dropout=dropout)
    theirs = list(build_backbone(name, weights, n_outputs).parameters())[:-2]
    for ours, value in zip(network.parameters(), theirs, strict=False):  # convolutions as layers
        ours.copy_(value.view_as(ours))
    return network
