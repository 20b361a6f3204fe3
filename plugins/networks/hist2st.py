"""What Hist2ST and its variants share: mixers, graph layers, heads and losses.

Zeng et al., Brief. Bioinform. 2022, doi:10.1093/bib/bbac297; github.com/biomed-AI/Hist2ST. What
differs from the authors' code stands in ``hist2st.py`` of the predictors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.data import Slides
from spared_bench.models.augment import IMAGENET_MEAN, IMAGENET_STD
from spared_bench.models.graphs import nearest
from spared_bench.models.losses import zinb_loss
from spared_bench.models.window_units import WindowBatch, size_factors


def neighbours(array_coordinates: np.ndarray, reach: float = 2.0) -> np.ndarray:
    """Connect every spot to the 4 nearest in the array, at most ``reach`` away; 0: however far."""
    return nearest(array_coordinates, 4, max_distance=reach or np.inf)


class Mixer(nn.Module):
    """ConvMixer block: two depthwise convolutions with a shortcut, then one across channels."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.depthwise = nn.Sequential(*_depthwise(maps), *_depthwise(maps))
        self.pointwise = nn.Sequential(nn.Conv2d(maps, maps, 1), nn.GELU(), nn.BatchNorm2d(maps))

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x) + x)


def _depthwise(maps: int) -> list[nn.Module]:
    convolution = nn.Conv2d(maps, maps, 5, padding="same", groups=maps)
    return [convolution, nn.BatchNorm2d(maps), nn.GELU()]


class GraphMean(nn.Module):
    """Mean over the neighbours, a linear layer, ReLU, rows of length 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        total = torch.zeros_like(x).index_add(0, edges[1], x[edges[0]])
        number = torch.bincount(edges[1], minlength=len(x)).clamp(min=1)  # 0 / 1 where none
        y = functional.relu(self.linear(total / number[:, None]))
        return functional.normalize(y, dim=1, eps=1e-12)


class GraphLayers(nn.ModuleList):
    """Four graph layers in sequence."""

    def __init__(self, width: int) -> None:
        super().__init__(GraphMean(width) for _ in range(4))

    def forward(self, x: Tensor, edges: Tensor) -> list[Tensor]:
        """(n_spots, width) -> the outputs of the layers, each of that shape."""
        levels = []
        for graph in self:
            x = graph(x, edges)
            levels.append(x)
        return levels


class Zinb(NamedTuple):
    """Parameters of the distribution of every count, each (n_spots, n_genes)."""

    mean: Tensor
    dispersion: Tensor
    dropout: Tensor


class JoinedHeads(nn.Module):
    """An LSTM over the outputs of graph layers, and what is predicted from the mean of its own.

    A subclass makes ``column`` and ``row``, ``blocks``, ``graphs`` and what stands before them,
    then calls ``add_heads``.
    """

    column: nn.Embedding
    row: nn.Embedding
    blocks: nn.Sequential
    graphs: GraphLayers

    def add_heads(self, width: int, n_genes: int, weighted: bool = True) -> None:
        """Add the LSTM and the heads; ``weighted``: one that weighs augmented views, too."""
        self.jump = nn.LSTM(width, width, num_layers=2)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_genes))
        self.mean = nn.Linear(width, n_genes)
        self.dispersion = nn.Linear(width, n_genes)
        self.zero = nn.Linear(width, n_genes)
        if weighted:
            self.weigh = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def along(self, x: Tensor, batch: WindowBatch) -> Tensor:
        """Let spots see each other: (n_spots, width) -> those of the core, (n_core, width)."""
        x = x + self.column(batch.positions[:, 0]) + self.row(batch.positions[:, 1])
        x = self.blocks(x[None])[0]  # the spots are one sequence
        return self.join(self.graphs(x, batch.edges))[batch.core]

    def join(self, levels: Sequence[Tensor]) -> Tensor:
        """Let the layers, each (n_spots, width), be the time: (n_spots, width)."""
        jumped, _ = self.jump(torch.stack(list(levels)))
        return jumped.mean(dim=0)

    def distribution(self, h: Tensor) -> Zinb:
        """Return the distribution of the counts, given the embedding of their spots."""
        return Zinb(
            self.mean(h).float().exp().clamp(1e-5, 1e6),
            functional.softplus(self.dispersion(h).float()).clamp(1e-4, 1e4),
            self.zero(h).float().sigmoid(),
        )

    def zinb(self, h: Tensor, batch: WindowBatch) -> Tensor:
        """Return the loss of the counts, given the embedding of their spots."""
        return zinb_loss(batch.counts, *self.distribution(h), batch.size_factors)

    def distilled(self, views: Sequence[Tensor]) -> Tensor:
        """Return the weighted mean of what the embeddings of views predict, (n_spots, n_genes)."""
        share = torch.stack([self.weigh(view) for view in views]).softmax(dim=0)
        return (share * torch.stack([self.head(view) for view in views])).sum(dim=0)


def hist2st_loss(
    network: JoinedHeads, h: Tensor, views: Sequence[Tensor], batch: WindowBatch
) -> Tensor:
    """Return MSE + 0.25 ZINB + 0.5 MSE to what augmented views say together.

    Parameters
    ----------
    network : JoinedHeads
    h : Tensor of shape (n_core, width)
        Embedding of the spots.
    views : sequence of Tensor of shape (n_core, width)
        Embeddings of their augmented views; without any, the last term is left out.
    batch : WindowBatch
    """
    prediction = network.head(h)
    loss = functional.mse_loss(prediction, batch.target) + 0.25 * network.zinb(h, batch)
    if not views:
        return loss
    # Neither side is detached.
    return loss + 0.5 * functional.mse_loss(network.distilled(views), prediction)


@torch.no_grad()
def start_counts(network: JoinedHeads, train: Slides) -> None:
    """Let every gene's count begin at its training mean, in place."""
    counts = np.asarray(train.counts, dtype=np.float64)
    mean = counts.sum(axis=0) / size_factors(counts, train.slide_ids).sum()
    network.mean.bias.copy_(torch.as_tensor(np.log(np.maximum(mean, 1e-5))))


def distort(
    images: Tensor,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Tensor:
    """Draw a view of normalised patches: some in grey, turned by up to 90 degrees, some flipped.

    Parameters
    ----------
    images : Tensor of shape (n, 3, size, size)
    mean, std : sequence of 3 floats
        By which the patches are normalised.

    Returns
    -------
    Tensor of the same shape
        Each patch by its own draw from torch's random state.
    """
    n, device = len(images), images.device
    shift, scale = (torch.tensor(each, device=device).view(3, 1, 1) for each in (mean, std))
    luma = torch.tensor([0.299, 0.587, 0.114], device=device).view(3, 1, 1)
    grey = (((images * scale + shift) * luma).sum(dim=1, keepdim=True) - shift) / scale
    is_grey = torch.rand(n, 1, 1, 1, device=device) < 0.1
    angle = (torch.rand(n, device=device) - 0.5) * math.pi
    flip = torch.where(torch.rand(n, device=device) < 0.2, -1.0, 1.0)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [torch.stack([flip * cos, -sin, zero], 1), torch.stack([flip * sin, cos, zero], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(torch.where(is_grey, grey, images), grid, align_corners=False)
