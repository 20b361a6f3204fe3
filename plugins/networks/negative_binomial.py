"""A head that predicts a negative binomial distribution of every gene's counts, as STimage's.

Tan et al., Nat. Commun. 2026, doi:10.1038/s41467-026-68487-0. One linear layer to two values per
gene is the same function as the authors' layer of its own for each gene.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

#: Where n and p are clamped: as p falls to 0, the mean grows without bound.
N_RANGE = (1e-4, 1e4)
P_RANGE = (1e-6, 1 - 1e-6)


class NegativeBinomialNet(nn.Module):
    """Patches -> n and p of every spot and gene.

    Parameters
    ----------
    body : nn.Module
        (n_spots, 3, size, size) -> (n_spots, width).
    width : int
        Of the features.
    n_genes : int
    hidden : int
        Width of a layer between; 0: none.
    dropout : tuple of 2 floats
        On what enters the last layer, and on what leaves it.
    """

    def __init__(
        self,
        body: nn.Module,
        width: int,
        n_genes: int,
        hidden: int = 0,
        dropout: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__()
        self.body = body
        self.hidden: nn.Module = nn.Identity()
        if hidden:
            self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU())
        self.before, self.after = map(nn.Dropout, dropout)
        self.pair = nn.Linear(hidden or width, 2 * n_genes)

    def distribution(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(n_spots, width) -> n and p, each (n_spots, n_genes), float32, clamped."""
        pairs = self.after(self.pair(self.before(self.hidden(features)))).float()
        first, second = pairs.unflatten(1, (-1, 2)).unbind(dim=2)
        n = functional.softplus(first).clamp(*N_RANGE)
        return n, second.sigmoid().clamp(*P_RANGE)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.distribution(self.body(images))


def moments(n: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of negative binomial distributions, of the shape of n and p."""
    mean = n * (1 - p) / p
    return mean, mean / p


def at_depth(p: Tensor, size_factors: Tensor) -> Tensor:
    """Return p, (n_spots, n_genes), of means that are size factors, (n_spots,), times as large.

    n is the same.
    """
    return p / (p + size_factors[:, None] * (1 - p))


def add_biases(network: nn.Module) -> None:
    """Give every convolution a bias, of zeros, in place."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d) and part.bias is None:
            part.bias = nn.Parameter(part.weight.new_zeros(part.out_channels))
