"""ASIGN in a section: spots, regions and global patches, each with its graph, read together.

Zhu et al., "ASIGN: An Anatomy-aware Spatial Imputation Graphic Network for 3D Spatial
Transcriptomics", CVPR 2025; github.com/hrlblab/ASIGN. The form for one section. In the released
code the image of a spot has no effect on its prediction. By default this is therefore a
correction, and no result of the authors' code: a spot attends to all regions and all global
patches of its slide and keeps its own features, graph layers build on each other, their three
results are transposed where the code reshapes them, and the encoder of spots begins with
pretrained weights. The configuration ``released`` has the released network with its faults.

Differs from the authors' code in both forms: a node without neighbours gets zeros where theirs
gives nan; the spots of a slide are put in the order of their places, which the released reshape
depends on; a slide is predicted as a whole, while a step of training sees at most ``max_spots`` of
its spots (released: random ones, drawn once; else a window, with a margin of context); validation
slides choose the weights; the protocol chooses genes and target; predictions begin at the training
means, since steps of this optimiser from far away diverge at the higher rates; regions and global
patches lie on grids. Their labels are the target of the summed counts of their training spots or,
where the target is no function of counts (``context.transform.undefined``), the mean of their
spots' targets; they are compared by correlation alone. Their features are projected by weights
that are learnt; as released, by random ones, anew for every slide. Edges of the correction are to
the 12 nearest, weighted by inverse distance, as in the paper, those of the code to the 8 nearest,
unweighted; of spots that are equally near, all are neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from spared_bench import PredictorSpec
from spared_bench.bounds import Count, CountOrZero, NotNegative, Positive, Size, require_heads
from spared_bench.data import TARGET, Slides
from spared_bench.data.transform import TargetTransform
from spared_bench.data.views import View
from spared_bench.interfaces import Budget, Context
from spared_bench.models.augment import normalisation_of, normalise
from spared_bench.models.backbones import build_backbone
from spared_bench.models.encoders import FrozenEncoder, frozen_encoder
from spared_bench.models.window_cutting import Window, cut_windows
from spared_bench.models.windows import SlidePredictor
from spared_bench_plugins.networks.asign import LEVELS, ASIGNNet, Graph, Levels
from spared_bench_plugins.networks.asign_loss import WEIGHTS_2D, asign_loss
from spared_bench_plugins.networks.sections import (
    Section,
    SectionBatch,
    SectionUnits,
    coarse_labels,
    graph_of,
    part_of,
    random_parts,
    sections_of,
)

SPEC = PredictorSpec(
    "asign-2d",
    f"{__name__}:ASIGN2D",
    summary="Graphs of spots, regions and global patches (corrected; `released` as published)",
    citation="Zhu et al., CVPR 2025, github.com/hrlblab/ASIGN",
    licence="MIT",
    scope="slide",
    pretraining="ImageNet-1k classification",
    encoder="encoder",
    gpu=True,
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_CHUNK = 256  # patches that are encoded at a time


@dataclass
class ASIGN2D(SlidePredictor):
    """Predict the expression of the spots of a slide from patches of three resolutions.

    Parameters
    ----------
    backbone : str
        Network of timm or torchvision that is trained on the patches of spots.
    encoder : str
        Frozen network for regions and global patches, ``"color"`` for 24 numbers of colour and
        texture.
    region_px, global_px : float
        Sides of regions and of global patches, in pixels of the full resolution.
    region_size : int
        Pixels of a side that both are resized to.
    width, heads : int
        Of the network.
    n_neighbours : int
        Of a node in its graph.
    max_spots : int
        Of a step of training; 0: all of a slide.
    margin : float
        Context around what a step predicts, in distances between neighbouring spots; released: 0,
        whatever it says.
    released : bool
        The network of the released code with its faults.
    """

    name: ClassVar[str] = "asign-2d"
    loss_name: ClassVar[str] = "mse_and_correlations"
    tiny: ClassVar[dict[str, Any]] = {
        "backbone": "test_resnet", "weights": "random", "encoder": "color", "region_px": 200.0,
        "global_px": 400.0, "region_size": 12, "width": 32, "heads": 2, "n_neighbours": 4,
        "max_spots": 30, "lr": 1e-2,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "backbone": "test_resnet", "weights": "random", "encoder": "color", "region_size": 64,
            "width": 64, "heads": 4, "lr": 0.03,
        },
        "released": {"released": True, "n_neighbours": 8},
    }  # fmt: skip

    lr: Positive = 1e-3
    backbone: str = "resnet50.tv_in1k"
    encoder: str = "resnet50.tv_in1k"
    region_px: Positive = 512.0
    global_px: Positive = 1024.0
    region_size: Size = 224
    width: Size = 1024
    heads: Size = 8
    n_neighbours: Count = 12
    max_spots: CountOrZero = 130
    margin: NotNegative = 2.0
    released: bool = False

    def check_parameters(self) -> None:
        """Refuse a width that the heads cannot share.

        Raises
        ------
        UsageError
        """
        require_heads(self.name, self.width, self.heads)

    @property
    def views(self) -> dict[str, View]:
        """Regions and global patches."""
        sides = {"region": self.region_px, "globe": self.global_px}
        return {
            name: View(size=self.region_size, pixels=side, grid=True)
            for name, side in sides.items()
        }

    @property
    def frozen(self) -> FrozenEncoder:
        """What turns regions and global patches into features."""
        return frozen_encoder(self.encoder, self.weights)

    def build(self, n_genes: int) -> nn.Module:
        # SectionBatch -> Levels
        weights = "random" if self.released else self.weights  # the released encoder has no effect
        encoder = build_backbone(self.backbone, weights, self.width)
        return ASIGNNet(n_genes, self.width, self.heads, encoder, self.frozen.width, self.released)

    @torch.no_grad()
    def start(self, network: Any, train: Slides) -> None:
        """Let every gene begin at its training mean."""
        network.head[1].bias.copy_(torch.from_numpy(train.target.mean(axis=0)))

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Train on parts of the training slides, with labels of regions and global patches."""
        self._training = (train, context)
        try:
            super().fit(train, val, context)
        finally:
            del self._training

    def units(self, slides: Slides, device: str, resident: bool) -> SectionUnits:
        """Return the parts of the slides that are trained on, or other slides as they are."""
        features = {name: slides.features(self.frozen, view=name) for name in LEVELS[1:]}
        project_to = self.width if self.released else 0
        graphs = self.n_neighbours, not self.released
        sections = sections_of(slides, features, *graphs, project_to, device)
        training = getattr(self, "_training", None)
        context = training[1] if training and training[0] is slides else None
        rng = np.random.default_rng(context.seed if context else 0)
        max_spots = self.max_spots if context else 0
        parts = [self._parts(each, max_spots, rng) for each in sections]
        return SectionUnits(
            slides,
            sections,
            parts,
            [self._graphs(*each) for each in zip(sections, parts, strict=True)],
            self._labels(slides, sections, context),
            images=not self.released,
            device=device,
            budget=None if resident else 0,
            augmentation=self.augmenter,
        )

    def _labels(
        self, slides: Slides, sections: list[Section], context: Context | None
    ) -> list[dict[str, np.ndarray]]:
        if TARGET not in slides.adata.layers:
            return []
        return coarse_labels(slides, sections, context.transform if context else TargetTransform())

    def _parts(self, section: Section, max_spots: int, rng: np.random.Generator) -> list[Window]:
        if self.released:
            return random_parts(len(section.spots), max_spots, rng)
        return cut_windows(section.coordinates, max_spots, self.margin)

    def _graphs(self, section: Section, parts: list[Window]) -> list[Graph]:
        places = section.coordinates
        if self.released:  # among the spots of a step, however far apart
            return [graph_of(places[each.spots], self.n_neighbours, False) for each in parts]
        whole = graph_of(places, self.n_neighbours, True)
        return [part_of(whole, each.spots, len(places)) for each in parts]

    def _levels(self, network: Any, batch: SectionBatch) -> Levels:
        constants = normalisation_of(self.normalisation)
        chunks = batch.images.split(_CHUNK)
        spots = torch.cat([network.encode(normalise(chunk, *constants)) for chunk in chunks])
        return network(spots, batch.nodes)

    def predict_batch(self, network: nn.Module, batch: SectionBatch) -> Tensor:
        """Return the prediction of the core, (n_core, n_genes)."""
        return self._levels(network, batch).spot[batch.core]

    def loss(self, network: nn.Module, batch: SectionBatch) -> Tensor:
        """Return the error of spots, and correlations of spots, regions and global patches."""
        found = self._levels(network, batch)
        found = Levels(found.spot[batch.core].float(), found.region.float(), found.globe.float())
        return asign_loss(found, batch.labels, batch.of_core).total(WEIGHTS_2D)

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Stochastic gradient descent with momentum, as published."""
        return torch.optim.SGD(parameters, lr=self.lr, momentum=0.9)

    def schedule(self, optimizer: Optimizer, budget: Budget) -> LRScheduler:
        """Down to 0 at the end of the budget, by the power 0.9."""

        def share(step: int) -> float:
            return max(0.0, 1 - step / budget.iterations) ** 0.9

        return LambdaLR(optimizer, share)
