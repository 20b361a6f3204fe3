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

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from spared_bench import PredictorSpec
from spared_bench.bounds import Count, CountOrZero, NotNegative, Positive, Share, Size
from spared_bench.data import Slides
from spared_bench.interfaces import Budget
from spared_bench.models.attention import Block
from spared_bench.models.augment import normalisation_of
from spared_bench.models.device_patches import resized
from spared_bench.models.window_units import WindowBatch, WindowUnits
from spared_bench.models.windows import WindowPredictor
from spared_bench_plugins.networks.hist2st import (
    GraphLayers,
    JoinedHeads,
    Mixer,
    distort,
    hist2st_loss,
    neighbours,
    start_counts,
)

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


class Hist2STNet(JoinedHeads):
    """Patches, array coordinates and neighbours of a window -> expression of all its spots."""

    def __init__(self, n_genes: int, settings: Hist2ST) -> None:
        super().__init__()
        self.image_size, self.columns_first = settings.image_size, settings.columns_first
        width = (settings.image_size // _TILE) ** 2 * 4
        self.maps = nn.Sequential(
            nn.Conv2d(3, _MAPS, _TILE, stride=_TILE),
            nn.Dropout(settings.dropout),
            Mixer(_MAPS),
            Mixer(_MAPS),
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
        self.graphs = GraphLayers(width)
        self.add_heads(width, n_genes)

    def embed(self, images: Tensor, batch: WindowBatch) -> Tensor:
        """(n_spots, 3, size, size) -> (n_core, width)."""
        images = resized(images, self.image_size)
        x = self.maps(images.transpose(2, 3) if self.columns_first else images)
        return self.along(x, batch)

    def forward(self, batch: WindowBatch) -> Tensor:
        return self.head(self.embed(batch.images, batch))  # (n_core, n_genes)


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
    head_parts: ClassVar[tuple[str, ...]] = ("head", "mean", "dispersion", "zero", "weigh")
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

    lr: Positive = 1e-5
    weights: str = "random"
    max_spots: CountOrZero = 1000
    image_size: Annotated[int, Ge(_TILE), Le(65_536)] = 112
    depth: Size = 8
    heads: Size = 16
    head_width: Size = 64
    n_views: CountOrZero = 5
    dropout: Share = 0.2
    pieces: Count = 1
    reach: NotNegative = 2.0
    columns_first: bool = True
    start_at_mean: bool = True
    decay_epochs: CountOrZero = 0

    @property
    def weights_used(self) -> None:
        """No part of it has weights from elsewhere."""
        return None

    def build(self, n_genes: int) -> nn.Module:
        # WindowBatch -> (n_core, n_genes)
        return Hist2STNet(n_genes, self)

    def start(self, network: Any, train: Slides) -> None:
        """Let every gene's count begin at its training mean, and count the steps of an epoch."""
        if self.decay_epochs:
            self.steps_per_epoch_ = len(self.units(train, "cpu", resident=False))
        if self.start_at_mean:
            start_counts(network, train)

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
        return hist2st_loss(network, *self.embeddings(network, batch), batch)

    def embeddings(self, network: Any, batch: WindowBatch) -> tuple[Tensor, list[Tensor]]:
        """Return the embedding of the spots, (n_core, width), and those of augmented views."""
        h = network.embed(batch.images, batch)
        return h, [network.embed(self._view(batch), batch) for _ in range(self.n_views)]

    def _view(self, batch: WindowBatch) -> Tensor:
        return distort(batch.images, *normalisation_of(self.normalisation))

    def schedule(self, optimizer: Optimizer, budget: Budget) -> LRScheduler:
        """Down by a tenth every ``decay_epochs``, or at every seventh of the budget."""
        steps = self.decay_epochs * getattr(self, "steps_per_epoch_", 1) or budget.iterations // 7
        return StepLR(optimizer, max(1, steps), gamma=0.9)
