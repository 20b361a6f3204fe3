"""EGN: a vision transformer over the tiles of a patch, told by exemplars what to look for.

Yang et al., "Exemplar Guided Deep Neural Network for Spatial Transcriptomics Analysis of Gene
Expression Prediction", WACV 2023; github.com/Yan98/EGN. Also in the benchmark of Mejia et al.,
MICCAI 2024. The network is that of the authors' code, which the equations of the paper differ from
(there the query keeps its first update, and the exemplars are not normalised).

Differs from the authors' code: batches are drawn from all training spots, for the loss correlates
over a batch; patches are normalised by ImageNet's mean and deviation; the rate has no warm-up, and
its first cycle is half the budget, as in the benchmark; exemplars come from other slides wherever
there are others; numbers of tiles and genes are nowhere written into a reshape. Patches of another
size than ``image_size`` are resized on the device. The configuration ``spared`` normalises by the
authors' constants, turns no patch, and takes exemplars from a spot's own slide, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LRScheduler

from spared_bench import PredictorSpec
from spared_bench.bounds import Positive, Size
from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.interfaces import Budget
from spared_bench.models.attention import Attention, feed_forward
from spared_bench.models.device_patches import resized
from spared_bench.models.exemplars import (
    ExemplarBatch,
    ExemplarPredictor,
    ExemplarUnits,
    find_exemplars,
)
from spared_bench.models.losses import pearson_loss
from spared_bench.models.units import Units

SPEC = PredictorSpec(
    "egn",
    f"{__name__}:EGN",
    summary="Transformer over tiles of the patch, guided by training spots that look alike",
    citation="Yang et al., WACV 2023, github.com/Yan98/EGN",
    licence="MIT",
    pretraining="ImageNet-1k classification",
    encoder="encoder",
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_CHANNELS = 64  # of a head


class Projector(nn.Module):
    """Query and exemplars as tokens, refined by two residual steps."""

    def __init__(self, n_genes: int, feature_width: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(feature_width, width)
        self.key = nn.Linear(feature_width + n_genes, width)
        self.value = nn.Linear(n_genes, width)
        self.steps = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), feed_forward(width, width)) for _ in range(2)
        )

    def forward(self, batch: ExemplarBatch) -> tuple[Tensor, Tensor, Tensor]:
        exemplars = torch.cat([batch.exemplar_features, batch.exemplar_expression], dim=2)
        z = torch.cat([self.query(batch.features)[:, None], self.key(exemplars)], dim=1)
        for step in self.steps:
            z = z + step(z)  # (n_spots, 1 + n_exemplars, width)
        return z[:, 0], z[:, 1:], self.value(batch.exemplar_expression)


class Bridge(nn.Module):
    """Exemplars gate the map of a patch; what passes informs the tiles and the query."""

    def __init__(self, width: int, heads: int, n_tiles: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * _CHANNELS
        self.value = nn.Linear(width, width)
        self.compare = nn.Sequential(
            nn.Linear(2 * width, width // 4), nn.SiLU(), nn.Linear(width // 4, 2 * width)
        )
        self.key_norm = nn.LayerNorm(width)
        self.gate = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, heads * n_tiles))
        self.map = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner))
        self.to_tiles = nn.Linear(inner, width, bias=False)
        self.to_query = nn.Linear(inner, width, bias=False)
        # The authors' bridge owns this layer and never calls it: it counts, and does nothing.
        self.idle = nn.Linear(inner, width)

    def forward(
        self, x: Tensor, query: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        n_spots, n_tiles, _ = x.shape
        u = self.value(values)  # (n_spots, n_exemplars, width)
        pairs = torch.cat([query[:, None] - keys, keys], dim=2)
        a, b = self.compare(pairs).sigmoid().chunk(2, dim=2)
        told = query + (a * u).mean(dim=1)
        keys = self.key_norm(keys + b * u)
        gate = self.gate(told).view(n_spots, self.heads, n_tiles).sigmoid()
        maps = self.map(x).view(n_spots, n_tiles, self.heads, _CHANNELS)
        gated = (maps * gate.transpose(1, 2)[..., None]).flatten(2)  # (n_spots, n_tiles, inner)
        return x + self.to_tiles(gated), query + self.to_query(gated.mean(dim=1)), keys


class Layer(nn.Module):
    """Attention among tiles, a bridge in every second layer, a feed-forward network."""

    def __init__(self, width: int, heads: int, bridge: Bridge | None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, _CHANNELS)
        self.bridge = bridge
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = feed_forward(width, 4 * width)

    def forward(
        self, x: Tensor, position: Tensor, query: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = x + self.attention(self.norm1(x + position))
        if self.bridge is not None:
            x, query, keys = self.bridge(x, query, keys, values)
        return x + self.feed_forward(self.norm2(x)), query, keys


class EGNNet(nn.Module):
    """An ``ExemplarBatch`` -> expression of its spots."""

    def __init__(self, n_genes: int, feature_width: int, settings: EGN) -> None:
        super().__init__()
        width, heads, tile = settings.width, settings.heads, settings.tile
        n_tiles = (settings.image_size // tile) ** 2
        self.image_size, self.tile = settings.image_size, tile
        self.embed = nn.Linear(3 * tile**2, width)
        # One row more than tiles, as the authors have it for a token that they do not use.
        self.position = nn.Parameter(torch.randn(1, n_tiles + 1, width))
        self.projector = Projector(n_genes, feature_width, width)
        self.layers = nn.ModuleList(
            Layer(width, heads, Bridge(width, settings.bridge_heads, n_tiles) if i % 2 else None)
            for i in range(settings.depth)
        )
        self.pool = nn.Linear(width, width)
        self.head = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, n_genes))

    def forward(self, batch: ExemplarBatch) -> Tensor:
        images = resized(batch.images, self.image_size)
        tiles = images.unfold(2, self.tile, self.tile).unfold(3, self.tile, self.tile)
        tiles = tiles.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)  # row, column, channel
        x = self.embed(tiles)  # (n_spots, n_tiles, width)
        position = self.position[:, : x.shape[1]]
        x = x + position
        query, keys, values = self.projector(batch)
        for layer in self.layers:
            x, query, keys = layer(x, position, query, keys, values)
        s = self.pool(x)
        pooled = s.mean(dim=1) + 0.5 * (s * (0.1 * s).softmax(dim=1)).sum(dim=1)
        return self.head(torch.cat([pooled, query], dim=1))  # (n_spots, n_genes)


@dataclass
class EGN(ExemplarPredictor):
    """Predict the expression of a spot from its patch and from training spots that look alike.

    Parameters
    ----------
    image_size, tile : int
        Side that patches are resized to, and of the tiles they are cut into, in pixels.
    width, depth, heads, bridge_heads : int
        Of the transformer; every second layer has a bridge.
    """

    name: ClassVar[str] = "egn"
    head_parts: ClassVar[tuple[str, ...]] = ("head",)
    loss_name: ClassVar[str] = "mse_and_pcc"
    separable: ClassVar[bool] = False  # it correlates over the spots of a step
    tiny: ClassVar[dict[str, Any]] = {
        "encoder": "color", "n_exemplars": 3, "image_size": 12, "tile": 6,
        "width": 32, "depth": 2, "heads": 1, "bridge_heads": 1, "lr": 1e-3,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "encoder": "color", "image_size": 48, "tile": 16,
            "width": 64, "depth": 4, "heads": 1, "bridge_heads": 2,
        },
        "spared": {"lr": 1e-2, "normalisation": "egn", "augment": False, "own_slide": True},
    }  # fmt: skip

    lr: Positive = 5e-4
    image_size: Size = 256
    tile: Size = 32
    width: Size = 1024
    depth: Size = 8
    heads: Size = 16
    bridge_heads: Size = 8

    def check_parameters(self) -> None:
        """Refuse tiles that are larger than the image.

        Raises
        ------
        UsageError
        """
        if self.tile > self.image_size:
            raise UsageError(
                f"egn has tile={self.tile} and image_size={self.image_size}; expected a tile that"
                " fits into the image."
            )

    def build(self, n_genes: int) -> nn.Module:
        # ExemplarBatch -> (n_spots, n_genes)
        return EGNNet(n_genes, self.frozen.width, self)

    def units(self, slides: Slides, device: str, resident: bool) -> Units:
        """Return spots with their exemplars, which are found once."""
        features = slides.features(self.frozen)
        exemplars = find_exemplars(
            features, slides, self.bank_, self.n_exemplars, 2.0, device, self.own_slide
        )
        budget = None if resident else 0
        return ExemplarUnits(
            slides, features, self.bank_, exemplars, device, budget, self.normalisation,
            self.augmenter,
        )  # fmt: skip

    def predict_batch(self, network: nn.Module, batch: ExemplarBatch) -> Tensor:
        """Return the prediction, (n_spots, n_genes)."""
        return network(batch)

    def loss(self, network: nn.Module, batch: ExemplarBatch) -> Tensor:
        """Return MSE + 0.5 (1 - correlation over the batch), weighted as in the authors' code."""
        prediction = network(batch)
        mse = functional.mse_loss(prediction, batch.target)
        return mse + 0.5 * pearson_loss(prediction, batch.target)

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """AdamW, as published."""
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=1e-4, fused=True)

    def schedule(self, optimizer: Optimizer, budget: Budget) -> LRScheduler:
        """Two cosine cycles over the budget, down to a fifth of the rate."""
        cycle = max(1, budget.iterations // 2)
        return CosineAnnealingWarmRestarts(optimizer, cycle, eta_min=self.lr / 5)
