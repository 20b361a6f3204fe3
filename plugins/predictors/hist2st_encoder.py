"""Hist2ST on a pretrained encoder: its transformer and graph layers over frozen features.

A variant of the review of Jiang et al., bioRxiv 2023.09.20.558624
(github.com/BiomedicalMachineLearning/DeepHis2Exp), on Hist2ST (Zeng et al., Brief. Bioinform. 2022,
doi:10.1093/bib/bbac297). A patch's features of ResNet-50 (2,048 wide, the default),
EfficientNetV2-S (1,280) or Swin-S (768) with ImageNet's weights take the place of the ConvMixer;
there are no augmented views, and no distillation. The paper says that the last layer of each
encoder is fine-tuned; the code keeps all of it frozen, and so does this.

As published, the features are as wide as the network, so that its capacity changes with the
encoder: 219.6, 101.8 or 46.9 million parameters. ``project`` begins with a linear layer to one
width instead, and the configuration ``projected`` sets it to Hist2ST's own 1,024.

Differs from the authors' code: 128 positions, which Visium's array needs, where their tables of 64
are too short for it; dropout draws another mask at every step, where theirs resets the seed and
repeats one; patches are normalised as the encoder's weights expect. A spot without neighbours,
equally near spots, the start of the counts and large slides are as in ``hist2st``. Their early
stopping is the choice of the weights on the validation slides, and their rate is constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

from spared_bench import PredictorSpec
from spared_bench.bounds import CountOrZero, Size
from spared_bench.interfaces import Budget
from spared_bench.models.attention import Block
from spared_bench.models.features import Standardised
from spared_bench.models.window_units import WindowBatch
from spared_bench_plugins.networks.encoded_hist2st import EncodedHist2ST
from spared_bench_plugins.networks.hist2st import GraphLayers, JoinedHeads

SPEC = PredictorSpec(
    "hist2st-encoder",
    f"{__name__}:Hist2STEncoder",
    summary="Hist2ST's transformer and graph layers over features of a pretrained network",
    citation="Jiang et al., bioRxiv 2023, doi:10.1101/2023.09.20.558624",
    licence="MIT",
    scope="slide",
    pretraining="ImageNet-1k classification",
    encoder="encoder",
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)


class EncodedNet(JoinedHeads):
    """Features, array coordinates and neighbours of a window -> expression of all its spots."""

    def __init__(self, n_genes: int, feature_width: int, settings: Hist2STEncoder) -> None:
        super().__init__()
        width = settings.project or feature_width
        projection = nn.Linear(feature_width, width) if settings.project else nn.Identity()
        first = nn.Sequential(projection, nn.Dropout(settings.dropout))
        self.first = Standardised(feature_width, first)
        self.column = nn.Embedding(settings.n_positions, width)
        self.row = nn.Embedding(settings.n_positions, width)
        self.blocks = nn.Sequential(
            *(
                Block(width, settings.heads, settings.head_width, width, settings.dropout)
                for _ in range(settings.depth)
            )
        )
        self.graphs = GraphLayers(width)
        self.add_heads(width, n_genes, weighted=False)

    def embed(self, features: Tensor, batch: WindowBatch) -> Tensor:
        """(n_spots, feature_width) -> (n_core, width)."""
        return self.along(self.first(features), batch)

    def forward(self, batch: WindowBatch) -> Tensor:
        return self.head(self.embed(batch.images, batch))  # (n_core, n_genes)


@dataclass
class Hist2STEncoder(EncodedHist2ST):
    """Predict the expression of all spots of a slide from features of all its patches.

    Parameters
    ----------
    project : int
        Width of a linear layer from the features to the network; 0: the network is as wide as they
        are, as published.
    depth, heads, head_width : int
        Of the transformer.
    """

    name: ClassVar[str] = "hist2st-encoder"
    loss_name: ClassVar[str] = "mse_and_zinb"
    tiny: ClassVar[dict[str, Any]] = {
        "encoder": "color", "standardise": True, "project": 16, "n_positions": 16,
        "depth": 1, "heads": 1, "head_width": 16, "lr": 1e-3,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"encoder": "color", "standardise": True, "project": 64, "depth": 2, "heads": 1},
        "efficientnet": {"encoder": "efficientnet_v2_s"},
        "swin": {"encoder": "swin_s"},
        "projected": {"project": 1024},
    }

    project: CountOrZero = 0
    depth: Size = 8
    heads: Size = 16
    head_width: Size = 64

    def build(self, n_genes: int) -> nn.Module:
        # WindowBatch, its images being features -> (n_core, n_genes)
        return EncodedNet(n_genes, self.frozen.width, self)

    def schedule(self, optimizer: Optimizer, budget: Budget) -> None:
        """The rate stays as it is."""
        return None
