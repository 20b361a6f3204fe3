"""Hist2ST-GAT: frozen features, graph attention over neighbours, Hist2ST's heads and losses.

A variant of the review of Jiang et al., bioRxiv 2023.09.20.558624
(github.com/BiomedicalMachineLearning/DeepHis2Exp), on Hist2ST (Zeng et al., Brief. Bioinform. 2022,
doi:10.1093/bib/bbac297). The transformer and the graph layers give way to graph attention.

As released, and by default: the four layers are one and the same, passed through four times; a
spot is not its own neighbour, so that its patch enters only by way of the others; a spot without
neighbours attends to all spots evenly; two tables of positions have weights and are not looked at,
and stand here only in the number of parameters. The configuration ``corrected`` gives each layer
its own weights and each spot an edge to itself, and has no tables.

Differs from the authors' code: attention is computed along edges, with the same result, where
theirs holds a matrix of all pairs; passes through the network are made again for the gradient
(``spared_bench_plugins.networks.graph_attention``), so that memory grows with spots and edges;
patches are normalised as the encoder's weights expect, and resized to 256 px at once, where theirs
pass through 112 px; each patch of an augmented view has its own draw; the encoder is in evaluation
mode. A spot's neighbours, the start of the counts and the falling rate are as in ``hist2st``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spared_bench import PredictorSpec
from spared_bench.bounds import CountOrZero, Size
from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.models.augment import normalise
from spared_bench.models.device_patches import DevicePatches
from spared_bench.models.encoders import TimmEncoder, expected_input
from spared_bench.models.feature_windows import FeatureWindowUnits
from spared_bench.models.features import Standardised
from spared_bench.models.window_units import WindowBatch
from spared_bench_plugins.networks.encoded_hist2st import EncodedHist2ST
from spared_bench_plugins.networks.graph_attention import GraphAttention
from spared_bench_plugins.networks.hist2st import JoinedHeads, distort, hist2st_loss, neighbours

SPEC = PredictorSpec(
    "hist2st-gat",
    f"{__name__}:Hist2STGAT",
    summary="Features of a pretrained network, graph attention among neighbours, with ZINB loss",
    citation="Jiang et al., bioRxiv 2023, doi:10.1101/2023.09.20.558624",
    licence="MIT",
    scope="slide",
    pretraining="ImageNet-1k classification",
    encoder="encoder",
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_LAYERS = 4
_SPOTS = 500  # that go through the LSTM at a time: its gates are eight times as wide as a spot
_CHUNK = 64  # patches of a view that go through the encoder at a time


class GATNet(JoinedHeads):
    """Features and neighbours of a window -> expression of all its spots."""

    def __init__(self, n_genes: int, feature_width: int, settings: Hist2STGAT) -> None:
        super().__init__()
        width = settings.width
        first = nn.Sequential(nn.Linear(feature_width, width), nn.Dropout(settings.dropout))
        self.first = Standardised(feature_width, first)
        self.attention = nn.ModuleList(
            GraphAttention(width, settings.heads) for _ in range(1 if settings.shared else _LAYERS)
        )
        if settings.shared:
            # The released network has them and drops what it looks up: they move nothing.
            self.column = nn.Embedding(settings.n_positions, width)
            self.row = nn.Embedding(settings.n_positions, width)
        self.add_heads(width, n_genes)

    def embed(self, features: Tensor, batch: WindowBatch) -> Tensor:
        """(n_spots, feature_width) -> (n_core, width)."""
        x = self.first(features)
        levels = []
        for layer in range(_LAYERS):
            x = self.attention[layer % len(self.attention)](x, batch.edges)
            levels.append(x[batch.core])
        return self.join(levels)

    def join(self, levels: Sequence[Tensor]) -> Tensor:
        """Let the layers be the time of the LSTM, for some spots after the other."""
        parts = zip(*(level.split(_SPOTS) for level in levels), strict=True)
        joined = super().join
        return torch.cat([checkpoint(joined, part, use_reentrant=False) for part in parts])

    def forward(self, batch: WindowBatch) -> Tensor:
        return self.head(self.embed(batch.images, batch))  # (n_core, n_genes)


@dataclass(frozen=True)
class ViewedBatch(WindowBatch):
    """A window with a way to have its patches augmented and encoded.

    Parameters
    ----------
    view : callable
        ``() -> (n_spots, feature_width)``: features of the patches, each augmented by a fresh draw
        from torch's random state.
    """

    view: Callable[[], Tensor]


class ViewedUnits(FeatureWindowUnits):
    """Windows of features, whose patches can be augmented and encoded anew.

    Parameters
    ----------
    slides, features, max_spots, margin, n_positions, device, **settings
        As ``FeatureWindowUnits`` takes them.
    encoder : TimmEncoder
    """

    def __init__(
        self,
        slides: Slides,
        features: np.ndarray,
        max_spots: int,
        margin: float,
        n_positions: int,
        device: str,
        *,
        encoder: TimmEncoder,
        **settings: Any,
    ) -> None:
        super().__init__(slides, features, max_spots, margin, n_positions, device, **settings)
        self._encoder, self._where, self._bytes = encoder, device, slides.patches

    @cached_property
    def _network(self) -> nn.Module:
        return self._encoder.network().to(self._where)

    @cached_property
    def _pixels(self) -> DevicePatches:
        return DevicePatches(self._bytes, self._where)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> ViewedBatch:
        """Return one window."""
        plain = super().batch(rows, augment)
        spots = torch.from_numpy(self.windows[int(rows)].spots)
        return ViewedBatch(**vars(plain), view=partial(self._view, spots))

    @torch.no_grad()
    def _view(self, spots: Tensor) -> Tensor:
        mean, std, size = expected_input(self._network)
        parts = []
        for part in spots.split(_CHUNK):
            images = distort(normalise(self._pixels[part], mean, std), mean, std)
            parts.append(self._network(self._encoder.framed(images, size)).float())
        return torch.cat(parts)


@dataclass
class Hist2STGAT(EncodedHist2ST):
    """Predict the expression of a slide's spots from features of the patches around them.

    Parameters
    ----------
    width, heads : int
        Of the attention layers.
    shared : bool
        Whether all four layers are one, as released.
    self_loops : bool
        Whether a spot is its own neighbour, too.
    n_views : int
        Augmented views of self-distillation, all of which go through the encoder at every step; 0
        for none: then features are computed once.
    """

    name: ClassVar[str] = "hist2st-gat"
    loss_name: ClassVar[str] = "mse_zinb_and_distillation"
    framing: ClassVar[tuple[int, int]] = (256, 224)  # px
    tiny: ClassVar[dict[str, Any]] = {
        "encoder": "color", "standardise": True, "n_views": 0, "width": 16, "heads": 2,
        "n_positions": 16, "lr": 1e-3,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"encoder": "color", "standardise": True, "n_views": 0, "width": 64, "heads": 4},
        "efficientnet": {"encoder": "efficientnet_v2_s"},
        "swin": {"encoder": "swin_s"},
        "corrected": {"shared": False, "self_loops": True},
    }

    max_spots: CountOrZero = 5000
    width: Size = 1024
    heads: Size = 8
    shared: bool = True
    self_loops: bool = False
    n_views: CountOrZero = 5

    def check_parameters(self) -> None:
        """Refuse turned views with an encoder that gives none.

        Raises
        ------
        UsageError
        """
        if self.n_views and self.encoder == "color":
            raise UsageError(
                f"Hist2ST-GAT was asked for n_views={self.n_views} with the encoder 'color', which"
                " gives a patch and its turned image the same features. Set n_views to 0, or"
                " choose a network as encoder."
            )
        if self.n_views and not isinstance(self.frozen, TimmEncoder):
            raise UsageError(
                f"Hist2ST-GAT was asked for n_views={self.n_views} with the encoder"
                f" {self.encoder!r}, whose features of turned images are not made. Set n_views to"
                " 0, or choose a network of timm or torchvision."
            )

    def build(self, n_genes: int) -> nn.Module:
        # WindowBatch, its images being features -> (n_core, n_genes)
        self.check_parameters()
        return GATNet(n_genes, self.frozen.width, self)

    def connect(self, array_coordinates: np.ndarray) -> np.ndarray:
        """Return the edges among the spots of one slide."""
        edges = neighbours(array_coordinates, self.reach)
        if not self.self_loops:
            return edges
        itself = np.arange(len(array_coordinates))
        return np.concatenate([edges, np.stack([itself, itself])], axis=1)

    def units(self, slides: Slides, device: str, resident: bool) -> FeatureWindowUnits:
        """Return windows of features; with views, where they are asked for and trained on."""
        make: Callable[..., FeatureWindowUnits] = FeatureWindowUnits
        encoder = self.frozen
        if resident and self.n_views and isinstance(encoder, TimmEncoder):
            make = partial(ViewedUnits, encoder=encoder)
        # Positions are not looked at, so no slide is too large for the tables.
        rows = int(slides.array_coordinates.max(initial=0)) + 1
        return make(
            slides,
            slides.features(encoder),
            self.max_spots,
            self.margin,
            rows,
            device,
            counts=True,
            neighbours=self.connect,
        )

    def loss(self, network: Any, batch: Any) -> Tensor:
        """Return MSE + 0.25 ZINB + 0.5 MSE to the weighted mean of augmented views."""
        h = _again(network, batch.images, batch)
        views = [_again(network, batch.view(), batch) for _ in range(self.n_views)]
        return hist2st_loss(network, h, views, batch)


def _again(network: GATNet, features: Tensor, batch: WindowBatch) -> Tensor:
    """Embed, keeping nothing for the gradient but what is needed to embed once more."""
    found: Tensor = checkpoint(network.embed, features, batch, use_reentrant=False)
    return found
