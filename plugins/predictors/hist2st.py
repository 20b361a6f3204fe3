"""Hist2ST: ConvMixer within patches, a transformer over the slide, graph layers among neighbours.

Zeng et al., Brief. Bioinform. 2022, doi:10.1093/bib/bbac297; github.com/biomed-AI/Hist2ST. By
default with the authors' 112 px, and with 128 positions, since Visium's array needs them. The
configuration ``spared`` is the variant of Mejia et al., MICCAI 2024: 224 px, heads 128 wide, no
dropout, bytes that are not normalised, slides in 2 by 2 pieces, neighbours however far, rows of
patches first, counts that start at 1, a rate that falls every 50 epochs.

Differs from the authors' code: a spot without neighbours gets zeros from them instead of nan; spots
that are equally near are all neighbours, where storage order would choose; patches are normalised
by ImageNet's mean and deviation, and augmented where the protocol says so; each patch of an
augmented view has its own draw, and its corners get the mean colour; validation slides choose the
weights; the mean of the counts starts at that of the training slides, since from 1 the gradient of
their loss drowns that of the expression for hundreds of steps; the rate falls by a tenth at each
seventh of the budget, as it does over their 350 epochs; a slide of more than ``max_spots`` spots is
seen in windows with a margin. Patches of another size than ``image_size`` are resized on the
device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from spared_bench import PredictorSpec
from spared_bench.data import Slides
from spared_bench.interfaces import Budget
from spared_bench.models.attention import Block
from spared_bench.models.augment import normalisation_of
from spared_bench.models.device_patches import resized
from spared_bench.models.graphs import nearest
from spared_bench.models.losses import zinb_loss
from spared_bench.models.window_units import WindowBatch, WindowUnits, size_factors
from spared_bench.models.windows import WindowPredictor

SPEC = PredictorSpec(
    "hist2st",
    f"{__name__}:Hist2ST",
    summary="ConvMixer, transformer over the slide and graph layers, with ZINB loss",
    citation="Zeng et al., Brief. Bioinform. 2022, doi:10.1093/bib/bbac297",
    licence="MIT",
    scope="slide",
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_TILE = 7  # px
_MAPS = 32


def neighbours(array_coordinates: np.ndarray, reach: float = 2.0) -> np.ndarray:
    """Connect every spot to the 4 nearest in the array, at most ``reach`` away; 0: however far."""
    return nearest(array_coordinates, 4, max_distance=reach or np.inf)


class Mixer(nn.Module):
    """ConvMixer block: two depthwise convolutions with a shortcut, then one across channels."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Sequential(*_depthwise(), *_depthwise())
        self.pointwise = nn.Sequential(nn.Conv2d(_MAPS, _MAPS, 1), nn.GELU(), nn.BatchNorm2d(_MAPS))

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x) + x)


def _depthwise() -> list[nn.Module]:
    convolution = nn.Conv2d(_MAPS, _MAPS, 5, padding="same", groups=_MAPS)
    return [convolution, nn.BatchNorm2d(_MAPS), nn.GELU()]


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


class Hist2STNet(nn.Module):
    """Patches, array coordinates and neighbours of a window -> expression of all its spots."""

    def __init__(self, n_genes: int, settings: Hist2ST) -> None:
        super().__init__()
        self.image_size, self.columns_first = settings.image_size, settings.columns_first
        width = (settings.image_size // _TILE) ** 2 * 4
        self.maps = nn.Sequential(
            nn.Conv2d(3, _MAPS, _TILE, stride=_TILE),
            nn.Dropout(settings.dropout),
            Mixer(),
            Mixer(),
            nn.Conv2d(_MAPS, 4, 1),
            nn.Flatten(),
        )
        self.column = nn.Embedding(settings.n_positions, width)
        self.row = nn.Embedding(settings.n_positions, width)
        self.blocks = nn.Sequential(
            *(
                Block(width, settings.heads, settings.head_width, width, settings.dropout)
                for _ in range(settings.depth)
            )
        )
        self.graphs = nn.ModuleList(GraphMean(width) for _ in range(4))
        self.jump = nn.LSTM(width, width, num_layers=2)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_genes))
        self.mean = nn.Linear(width, n_genes)
        self.dispersion = nn.Linear(width, n_genes)
        self.zero = nn.Linear(width, n_genes)
        self.weigh = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def embed(self, images: Tensor, batch: WindowBatch) -> Tensor:
        """(n_spots, 3, size, size) -> (n_core, width)."""
        images = resized(images, self.image_size)
        x = self.maps(images.transpose(2, 3) if self.columns_first else images)
        x = x + self.column(batch.positions[:, 0]) + self.row(batch.positions[:, 1])
        x = self.blocks(x[None])[0]  # the spots are one sequence
        levels = []
        for graph in self.graphs:
            x = graph(x, batch.edges)
            levels.append(x)
        jumped, _ = self.jump(torch.stack(levels))  # the layers are the time: (4, n_spots, width)
        return jumped.mean(dim=0)[batch.core]

    def forward(self, batch: WindowBatch) -> Tensor:
        return self.head(self.embed(batch.images, batch))  # (n_core, n_genes)

    def zinb(self, h: Tensor, batch: WindowBatch) -> Tensor:
        """Return the loss of the counts, given the embedding of their spots."""
        mean = self.mean(h).float().exp().clamp(1e-5, 1e6)
        dispersion = functional.softplus(self.dispersion(h).float()).clamp(1e-4, 1e4)
        dropout = self.zero(h).float().sigmoid()
        return zinb_loss(batch.counts, mean, dispersion, dropout, batch.size_factors)


def distort(images: Tensor, normalisation: str = "imagenet") -> Tensor:
    """Draw a view of normalised patches: some in grey, turned by up to 90 degrees, some flipped.

    Parameters
    ----------
    images : Tensor of shape (n, 3, size, size)
    normalisation : str
        Of the patches.

    Returns
    -------
    Tensor of the same shape
        Each patch by its own draw from torch's random state.
    """
    n, device = len(images), images.device
    mean, std = (
        torch.tensor(each, device=device).view(3, 1, 1) for each in normalisation_of(normalisation)
    )
    luma = torch.tensor([0.299, 0.587, 0.114], device=device).view(3, 1, 1)
    grey = (((images * std + mean) * luma).sum(dim=1, keepdim=True) - mean) / std
    is_grey = torch.rand(n, 1, 1, 1, device=device) < 0.1
    angle = (torch.rand(n, device=device) - 0.5) * math.pi
    flip = torch.where(torch.rand(n, device=device) < 0.2, -1.0, 1.0)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [torch.stack([flip * cos, -sin, zero], 1), torch.stack([flip * sin, cos, zero], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(torch.where(is_grey, grey, images), grid, align_corners=False)


@dataclass
class Hist2ST(WindowPredictor):
    """Predict the expression of all spots of a slide from all its patches.

    Parameters
    ----------
    image_size : int
        Side that patches are resized to, in pixels; a multiple of 7. Its square determines the
        width of the network: 4 (image_size / 7)^2.
    depth, heads, head_width : int
        Of the transformer.
    n_views : int
        Augmented views of self-distillation; 0 for none.
    dropout : float
        On the first maps and in the transformer.
    pieces : int
        Every slide is cut into so many times so many, each a slide of its own; 1: it is whole.
    reach : float
        How far a spot's 4 neighbours may be, in steps of the array; 0: however far.
    columns_first : bool
        Whether the network sees patches with columns and rows exchanged, as the authors' does.
    start_at_mean : bool
        Whether the means of the counts start at those of the training slides, or at about 1.
    decay_epochs : int
        After how many passes over all training pieces the rate falls by a tenth; 0: at every
        seventh of the budget.
    """

    name: ClassVar[str] = "hist2st"
    loss_name: ClassVar[str] = "mse_zinb_and_distillation"
    tiny: ClassVar[dict[str, Any]] = {
        "image_size": 14, "n_positions": 16, "depth": 1, "heads": 1, "head_width": 16,
        "n_views": 2, "lr": 1e-3,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"image_size": 28, "depth": 2, "heads": 1, "n_views": 1},
        "spared": {  # 892,660,677 parameters; heads as wide as the table of positions is long
            "lr": 1e-3, "image_size": 224, "head_width": 128, "dropout": 0.0, "pieces": 2,
            "max_spots": 0, "reach": 0.0, "normalisation": "raw", "augment": False,
            "columns_first": False, "start_at_mean": False, "decay_epochs": 50,
        },
    }  # fmt: skip

    lr: float = 1e-5
    weights: str = "random"
    max_spots: int = 1000
    image_size: int = 112
    depth: int = 8
    heads: int = 16
    head_width: int = 64
    n_views: int = 5
    dropout: float = 0.2
    pieces: int = 1
    reach: float = 2.0
    columns_first: bool = True
    start_at_mean: bool = True
    decay_epochs: int = 0

    @property
    def weights_used(self) -> None:
        """No part of it has weights from elsewhere."""
        return None

    def build(self, n_genes: int) -> nn.Module:
        # WindowBatch -> (n_core, n_genes)
        return Hist2STNet(n_genes, self)

    @torch.no_grad()
    def start(self, network: Any, train: Slides) -> None:
        """Let every gene's count begin at its training mean, and count the steps of an epoch."""
        if self.decay_epochs:
            self.steps_per_epoch_ = len(self.units(train, "cpu", resident=False))
        if not self.start_at_mean:
            return
        counts = np.asarray(train.counts, dtype=np.float64)
        mean = counts.sum(axis=0) / size_factors(counts, train.slide_ids).sum()
        network.mean.bias.copy_(torch.as_tensor(np.log(np.maximum(mean, 1e-5))))

    def units(self, slides: Slides, device: str, resident: bool) -> WindowUnits:
        """Return windows with neighbours and, where expression is visible, raw counts."""
        return WindowUnits(
            slides,
            self.max_spots,
            self.margin,
            self.n_positions,
            device,
            budget=None if resident else 0,
            counts=True,
            neighbours=partial(neighbours, reach=self.reach),
            normalisation=self.normalisation,
            pieces=self.pieces,
            augmentation=self.augmenter,
        )

    def predict_batch(self, network: nn.Module, batch: WindowBatch) -> Tensor:
        """Return the prediction of the core, (n_core, n_genes)."""
        return network(batch)

    def loss(self, network: Any, batch: WindowBatch) -> Tensor:
        """Return MSE + 0.25 ZINB + 0.5 MSE to the weighted mean of augmented views."""
        h = network.embed(batch.images, batch)
        prediction = network.head(h)
        loss = functional.mse_loss(prediction, batch.target) + 0.25 * network.zinb(h, batch)
        if not self.n_views:
            return loss
        views = [network.embed(self._view(batch), batch) for _ in range(self.n_views)]
        share = torch.stack([network.weigh(view) for view in views]).softmax(dim=0)
        distilled = (share * torch.stack([network.head(view) for view in views])).sum(dim=0)
        return loss + 0.5 * functional.mse_loss(distilled, prediction)  # neither side detached

    def _view(self, batch: WindowBatch) -> Tensor:
        return distort(batch.images, self.normalisation)

    def schedule(self, optimizer: Optimizer, budget: Budget) -> LRScheduler:
        """Down by a tenth every ``decay_epochs``, or at every seventh of the budget."""
        steps = self.decay_epochs * getattr(self, "steps_per_epoch_", 1) or budget.iterations // 7
        return StepLR(optimizer, max(1, steps), gamma=0.9)
