"""Losses beside the mean squared error."""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-8


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
