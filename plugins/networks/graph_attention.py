"""Attention over the edges of a graph, in memory that grows with the edges and not with all pairs.

Velickovic et al., ICLR 2018, in the form of the GAT variant of Hist2ST (Jiang et al., bioRxiv
2023.09.20.558624), whose code holds a matrix of all pairs of spots: 5,000 spots would take 800 MB
per layer and pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_SLOPE = 0.2
_GAIN = 1.414


class GraphAttention(nn.Module):
    """A spot's new row is a weighted sum of its neighbours' projected ones, for each head.

    Parameters
    ----------
    width : int
        Divisible by ``heads``.
    heads : int
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, width)
        self.attention = nn.Parameter(torch.empty(heads, 2 * width // heads))
        nn.init.xavier_uniform_(self.project.weight, gain=_GAIN)
        nn.init.xavier_uniform_(self.attention, gain=_GAIN)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Return the new rows.

        Parameters
        ----------
        x : Tensor of shape (n_spots, width)
        edges : Tensor of int64, of shape (2, n_edges)
            From neighbours (row 0) to spots (row 1).

        Returns
        -------
        Tensor of shape (n_spots, width)
            Of a spot without neighbours: the mean over all spots, as in the released code, where
            all of its scores are the same.
        """
        p = self.project(x).view(len(x), self.heads, -1)
        mixed = weighted_sum(self.weights(p, edges), p, edges)
        alone = torch.bincount(edges[1], minlength=len(x)) == 0
        return torch.where(alone[:, None, None], p.mean(dim=0), mixed).flatten(1)

    def weights(self, p: Tensor, edges: Tensor) -> Tensor:
        """(n_spots, heads, d) -> what each edge counts for its spot, (n_edges, heads)."""
        of_spot, of_neighbour = self.attention.chunk(2, dim=1)
        score = (p * of_spot).sum(dim=2)[edges[1]] + (p * of_neighbour).sum(dim=2)[edges[0]]
        return softmax_of_edges(functional.leaky_relu(score, _SLOPE), edges[1], len(p))


def softmax_of_edges(scores: Tensor, spots: Tensor, n_spots: int) -> Tensor:
    """Softmax over the edges of each spot.

    Parameters
    ----------
    scores : Tensor of shape (n_edges, heads)
    spots : Tensor of int64, of shape (n_edges,)
        The spot that each edge leads to.
    n_spots : int

    Returns
    -------
    Tensor of shape (n_edges, heads)
    """
    rows = spots[:, None].expand_as(scores)
    highest = scores.new_full((n_spots, scores.shape[1]), -torch.inf)
    highest = highest.scatter_reduce(0, rows, scores.detach(), "amax")
    exponential = (scores - highest[spots]).exp()
    total = torch.zeros_like(highest).index_add(0, spots, exponential)
    return exponential / total[spots]


def weighted_sum(weights: Tensor, values: Tensor, edges: Tensor) -> Tensor:
    """Sum over the edges of each spot of weight times the neighbour's values.

    Parameters
    ----------
    weights : Tensor of shape (n_edges, heads)
    values : Tensor of shape (n_spots, heads, d)
    edges : Tensor of int64, of shape (2, n_edges)

    Returns
    -------
    Tensor of shape (n_spots, heads, d)
        Zeros for a spot without neighbours. For the gradient only the arguments are kept: messages
        along edges, each d wide, are made again.
    """
    found: Tensor = _WeightedSum.apply(weights, values.to(weights.dtype), *edges)
    return found


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, values: Tensor, neighbours: Tensor, spots: Tensor
    ) -> Tensor:
        ctx.save_for_backward(weights, values, neighbours, spots)
        messages = weights[..., None] * values[neighbours]
        return torch.zeros_like(values).index_add_(0, spots, messages)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, values, neighbours, spots = ctx.saved_tensors
        (gradient,) = gradients
        arriving = gradient[spots]
        of_weights = (arriving * values[neighbours]).sum(dim=2)
        messages = weights[..., None] * arriving
        of_values = torch.zeros_like(values).index_add_(0, neighbours, messages)
        return of_weights, of_values, None, None
