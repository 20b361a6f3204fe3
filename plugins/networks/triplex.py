"""The network of TRIPLEX: a target patch, the tiles around it and the whole slide, fused.

Chung et al., CVPR 2024; github.com/NEXGEM/TRIPLEX, in the forms of 2024 and 2025. The projections
of the 2025 form's global blocks are stored in another order there, which changes no network that
is trained anew: rows of q, k and v follow each other here in both forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.errors import UsageError
from spared_bench.models.attention import Block, feed_forward
from spared_bench.models.backbones import build_backbone
from spared_bench.models.units import Batch

SIDE = 5  # tiles of the neighbourhood, in a row and in a column
CENTRE = SIDE * SIDE // 2
_HIDDEN = -65504.0  # the score of a key that is masked, as in the authors' code


class Sizes(NamedTuple):
    """Of one of the three transformers: blocks, heads, hidden width over width, dropout."""

    depth: int
    heads: int
    ratio: float
    dropout: float


class Outputs(NamedTuple):
    """The four predictions, each (n_spots, n_genes); that of the fusion is the method's."""

    fusion: Tensor
    target: Tensor
    neighbour: Tensor
    slide: Tensor


@dataclass(frozen=True)
class SlideContext:
    """All spots of a slide, as the global encoder sees them.

    Parameters
    ----------
    features : Tensor of float32, of shape (n_spots, feature_width)
    cell : Tensor of int64, of shape (n_spots,)
        The occupied cell of the slide's grid in which a spot lies.
    around : Tensor of int64, of shape (n_cells, 9)
        The cells around a cell, row by row, its own in the middle; ``n_cells`` where none is
        occupied.
    """

    features: Tensor
    cell: Tensor
    around: Tensor


@dataclass(frozen=True)
class TriplexBatch(Batch):
    """Spots with their neighbourhoods and the slides that they lie on.

    Parameters
    ----------
    neighbours : Tensor of float32, of shape (n_spots, 25, feature_width)
    inside : Tensor of bool, of shape (n_spots, 25)
        Whether a tile lies in the image.
    slides : sequence of SlideContext
        Every slide once.
    token : Tensor of int64, of shape (n_spots,)
        Which row of the stacked slides is the global token of a spot.
    """

    neighbours: Tensor
    inside: Tensor
    slides: Sequence[SlideContext]
    token: Tensor


class PositionLayer(nn.Module):
    """A depthwise 3 by 3 convolution over the grid of a slide, read at the cells of the spots.

    Spots in one cell are averaged. Empty cells are zero and are not held in memory.
    """

    def __init__(self, width: int, shortcut: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.shortcut = shortcut

    def forward(self, x: Tensor, slide: SlideContext) -> Tensor:
        n_cells = len(slide.around)
        # In float32 whatever the tokens are in; the last row stands for all empty cells.
        total = torch.zeros(n_cells + 1, x.shape[1], device=x.device)
        total = total.index_add(0, slide.cell, x.float())
        number = torch.bincount(slide.cell, minlength=n_cells + 1).clamp(min=1)
        maps = (total / number[:, None])[slide.around]  # (n_cells, 9, width)
        kernel = self.convolution.weight.flatten(1).T  # (9, width)
        assert self.convolution.bias is not None
        here = ((maps * kernel).sum(dim=1) + self.convolution.bias)[slide.cell]
        return x + here if self.shortcut else here


class GlobalEncoder(nn.Module):
    """All spots of a slide as one sequence: (n_spots, width) -> (n_spots, width).

    ``released`` keeps the dropout of the authors' code on at evaluation: in 2024 that of the
    output, in 2025 all of it.
    """

    def __init__(self, width: int, sizes: Sizes, version: str, released: bool) -> None:
        super().__init__()
        hidden = int(sizes.ratio * width)
        self.blocks = nn.ModuleList(
            Block(width, sizes.heads, width // sizes.heads, hidden, sizes.dropout)
            for _ in range(sizes.depth)
        )
        self.position = PositionLayer(width, shortcut=version == "2024")
        self.norm = nn.LayerNorm(width)
        self.output_dropout = sizes.dropout if released and version == "2024" else 0.0
        self.always_training = released and version == "2025"

    def forward(self, slide: SlideContext, x: Tensor) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = block(x[None])[0]
            if i == 0:
                x = self.position(x, slide)
        return functional.dropout(self.norm(x), self.output_dropout, training=True)

    def train(self, mode: bool = True) -> GlobalEncoder:
        """Switch to training or evaluation; as released in 2025, always to training."""
        return super().train(mode or self.always_training)


class NeighbourEncoder(nn.Module):
    """The tiles around a spot, aware of how far apart they are: (n, 25, width) -> the same."""

    offset: Tensor

    def __init__(self, width: int, sizes: Sizes) -> None:
        super().__init__()
        places = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE))
        apart = (places[:, None] - places).abs()
        self.register_buffer("offset", SIDE * apart[..., 0] + apart[..., 1], persistent=False)
        self.bias = nn.ParameterList(
            nn.Parameter(torch.zeros(sizes.heads, SIDE * SIDE)) for _ in range(sizes.depth)
        )
        hidden = int(sizes.ratio * width)
        self.blocks = nn.ModuleList(
            Block(width, sizes.heads, width // sizes.heads, hidden, sizes.dropout)
            for _ in range(sizes.depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        outside = ~inside[:, None, None]  # (n, 1, 1, 25): of the keys
        for bias, block in zip(self.bias, self.blocks, strict=True):
            scores = bias[:, self.offset].expand(len(x), -1, -1, -1)
            x = block(x, scores.masked_fill(outside, _HIDDEN))
        return self.norm(x)


class CrossBlock(nn.Module):
    """One query attends to tokens; then a feed-forward network; each added to the query."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = feed_forward(width, hidden, dropout)

    def forward(self, query: Tensor, tokens: Tensor, inside: Tensor | None) -> Tensor:
        n, n_tokens, width = tokens.shape
        q = self.q(self.norm1(query)).view(n, 1, self.heads, -1).transpose(1, 2)
        kv = self.kv(self.norm1(tokens)).view(n, n_tokens, 2, self.heads, -1)
        k, v = kv.permute(2, 0, 3, 1, 4)  # each (n, heads, n_tokens, width of a head)
        mask = None if inside is None else inside[:, None, None]
        seen = functional.scaled_dot_product_attention(q, k, v, mask)
        query = query + self.dropout(self.out(seen.transpose(1, 2).reshape(n, width)))
        return query + self.feed_forward(self.norm2(query))


class TriplexNet(nn.Module):
    """A ``TriplexBatch`` -> expression of its spots.

    Parameters
    ----------
    n_genes, width : int
    feature_width : int
        Of the frozen features; where it is not ``width``, they are projected.
    fusion, slide, neighbour : Sizes
        Of the three transformers.
    backbone : nn.Module
        ``(n, 3, size, size) -> (n, channels, rows, columns)``, of the target.
    channels : int
    version : {"2024", "2025"}
    released : bool
        With the faults of the authors' code that a network can have.
    """

    def __init__(
        self,
        n_genes: int,
        width: int,
        feature_width: int,
        fusion: Sizes,
        slide: Sizes,
        neighbour: Sizes,
        backbone: nn.Module,
        channels: int,
        version: str = "2024",
        released: bool = False,
    ) -> None:
        super().__init__()
        self.clamped = released and version == "2025"
        self.backbone = backbone
        same = channels == width and version == "2024"
        self.target = nn.Identity() if same else nn.Linear(channels, width)
        fits = feature_width == width
        self.features = nn.Identity() if fits else nn.Linear(feature_width, width)
        self.neighbour = NeighbourEncoder(width, neighbour)
        self.slide = GlobalEncoder(width, slide, version, released)
        self.fusion = nn.ModuleList(
            CrossBlock(width, fusion.heads, int(fusion.ratio * width), fusion.dropout)
            for _ in range(fusion.depth)
        )
        self.fusion_norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, n_genes) for name in Outputs._fields})

    def slide_tokens(self, slide: SlideContext) -> Tensor:
        """Return the global token of every spot of a slide, (n_spots, width)."""
        return self.slide(slide, self.features(slide.features))

    def forward(self, batch: TriplexBatch) -> Outputs:
        tokens = torch.cat([self.slide_tokens(each) for each in batch.slides])
        return self.fuse(self.backbone(batch.images), batch, tokens[batch.token])

    def fuse(self, maps: Tensor, batch: TriplexBatch, token: Tensor) -> Outputs:
        """Return the predictions from the maps of the targets and the spots' global tokens."""
        target = self.target(maps.flatten(2).transpose(1, 2))  # (n_spots, rows * columns, width)
        neighbour = self.neighbour(self.features(batch.neighbours), batch.inside)
        fused = self._through(token, target, None) + self._through(token, neighbour, batch.inside)
        summaries = self.fusion_norm(fused), target.mean(dim=1), neighbour.mean(dim=1), token
        found = Outputs(
            *(head(each) for head, each in zip(self.heads.values(), summaries, strict=True))
        )
        return Outputs(*(each.clamp(min=0) for each in found)) if self.clamped else found

    def _through(self, query: Tensor, tokens: Tensor, inside: Tensor | None) -> Tensor:
        for layer in self.fusion:
            query = layer(query, tokens, inside)
        return query


def triplex_loss(outputs: Outputs, target: Tensor) -> Tensor:
    """Mean squared errors: of the fusion, and of the others from truth and fusion, 7 to 3.

    Neither side of the distillation is detached, as in the authors' code.
    """
    loss = functional.mse_loss(outputs.fusion, target)
    for other in outputs[1:]:
        loss = loss + 0.7 * functional.mse_loss(other, target)
        loss = loss + 0.3 * functional.mse_loss(other, outputs.fusion)
    return loss


class FeatureMap(nn.Module):
    """A convolutional network of timm up to its last map.

    Parameters
    ----------
    name, weights : str
        As ``build_backbone`` takes them.

    Raises
    ------
    UsageError
        If the network gives no map.
    """

    def __init__(self, name: str, weights: str) -> None:
        super().__init__()
        network: Any = build_backbone(name, weights)
        if not (hasattr(network, "forward_features") and hasattr(network, "feature_info")):
            raise UsageError(
                f"{name!r} gives no map of its last layer, which TRIPLEX reads as tokens. Take a"
                " convolutional network of timm, 'resnet18.tv_in1k' for example."
            )
        self.network, self.channels = network, int(network.num_features)

    def forward(self, images: Tensor) -> Tensor:
        # (n, 3, size, size) -> (n, channels, rows, columns)
        return self.network.forward_features(images)
