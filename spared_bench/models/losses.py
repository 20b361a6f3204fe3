"""Losses beside the mean squared error."""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-8
_TINY = 1e-10


def pearson_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 minus the mean over genes of the Pearson correlation over the spots of a batch.

    Parameters
    ----------
    prediction, target : Tensor of shape (n_spots, n_genes)

    Returns
    -------
    Tensor, a scalar in [0, 2]
        A gene that does not vary, in the truth or in the prediction, counts as uncorrelated and has
        a gradient of 0 rather than nan.
    """
    p = prediction - prediction.mean(dim=0)
    t = target - target.mean(dim=0)
    # vector_norm has the gradient 0 at 0, where a square root of a sum of squares has nan.
    scale = torch.linalg.vector_norm(p, dim=0) * torch.linalg.vector_norm(t, dim=0)
    return 1 - ((p * t).sum(dim=0) / (scale + _EPSILON)).mean()


def zinb_loss(
    counts: Tensor, mean: Tensor, dispersion: Tensor, dropout: Tensor, size_factors: Tensor
) -> Tensor:
    """Negative log likelihood of counts under a zero-inflated negative binomial distribution.

    Parameters
    ----------
    counts : Tensor of shape (n_spots, n_genes)
        Raw.
    mean, dispersion : Tensor of shape (n_spots, n_genes)
        Positive; the mean is that of a spot whose size factor is 1.
    dropout : Tensor of shape (n_spots, n_genes)
        Probability in [0, 1] of a zero that the negative binomial does not explain.
    size_factors : Tensor of shape (n_spots,)

    Returns
    -------
    Tensor, a scalar
        Mean over spots and genes, as in Hist2ST (Zeng et al., 2022).
    """
    mean = mean * size_factors[:, None]
    theta = dispersion + _TINY
    t1 = torch.lgamma(theta) + torch.lgamma(counts + 1) - torch.lgamma(counts + theta)
    t2 = (dispersion + counts) * torch.log1p(mean / theta)
    t3 = counts * (torch.log(theta) - torch.log(mean + _TINY))
    some = t1 + t2 + t3 - torch.log(1 - dropout + _TINY)
    no_count = (dispersion / (dispersion + mean + _TINY)) ** dispersion
    none = -torch.log(dropout + (1 - dropout) * no_count + _TINY)
    return torch.where(counts > _EPSILON, some, none).mean()


def negative_binomial_loss(counts: Tensor, n: Tensor, p: Tensor) -> Tensor:
    """Negative log likelihood of counts under negative binomial distributions.

    Parameters
    ----------
    counts : Tensor of shape (n_spots, n_genes)
        Not negative; they need not be integers (STimage's authors give their logarithms), but then
        the likelihood is one in name only.
    n : Tensor of shape (n_spots, n_genes)
        Positive. The mean is n (1 - p) / p, the variance n (1 - p) / p^2.
    p : Tensor of shape (n_spots, n_genes)
        In (0, 1).

    Returns
    -------
    Tensor of shape (n_spots, n_genes)
        In nats. Undefined (nan) where a count is negative.
    """
    constant = torch.lgamma(n) + torch.lgamma(counts + 1) - torch.lgamma(n + counts)
    loss = constant - n * torch.log(p) - counts * torch.log1p(-p)
    return torch.where(counts < 0, torch.nan, loss)
