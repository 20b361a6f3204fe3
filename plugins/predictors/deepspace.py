"""DeepSpaCE: VGG16 over a wide patch of each spot, by a smooth absolute error.

Monjo et al., Sci. Rep. 2022, doi:10.1038/s41598-022-07685-4; github.com/tmonjo/DeepSpaCE (whose
licence is GPL-3.0: written here from a description of it). VGG16 with ImageNet's weights and a last
layer of its own sees a square whose half side is the spot's radius and 150 % more, in 224 px. It
learns every gene between its least and its largest value, by smooth L1, which is a squared error up
to 1. The paper's VGG16 is the default; the command line of the released code has DenseNet-121
(``backbone``).

The optional stage of teacher and student (``students``, how many rounds): the network labels
further images, and a fresh one is trained on the measured and the labelled ones together, round
after round, each for the whole budget. The images are those of the validation slides, whose
expression is not looked at (``unlabelled="validation"``), or the eight squares around each training
spot (``"around"``).

Differs from the authors' code: least and largest values are those of the training slides, where
theirs are of all, tests included; the target is the protocol's, where theirs is the logarithm of
SCTransform's; weights are chosen by the squared error on validation slides, where theirs are by a
correlation that is summed over batches, in folds of random spots; augmentation is the benchmark's;
no patch is dropped for being pale, and which spots count is the protocol's. Adam's rate of 1e-4 and
decay of 1e-4 are theirs, and so is dropout of a half.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from spared_bench import PredictorSpec
from spared_bench.bounds import CountOrZero, NotNegative, Positive, Share, Size
from spared_bench.data import MASK, Slides
from spared_bench.data.views import View
from spared_bench.errors import UsageError
from spared_bench.interfaces import Context
from spared_bench.models import TorchPredictor, build_backbone
from spared_bench.models.device_patches import resized
from spared_bench.models.units import Batch, Units
from spared_bench_plugins.networks.stages import fresh_network, reported, train_stage
from spared_bench_plugins.networks.tiles import tiles_as_spots
from spared_bench_plugins.networks.vgg import narrow_vgg, pretrained_vgg16

SPEC = PredictorSpec(
    "deepspace",
    f"{__name__}:DeepSpaCE",
    summary="VGG16 on a wide patch of the spot, with smooth L1; optionally teacher and student",
    citation="Monjo et al., Sci. Rep. 2022, doi:10.1038/s41598-022-07685-4",
    licence="MIT",
    pretraining="ImageNet-1k classification",
    gpu=True,
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_VGG16 = "vgg16"
_LEAST_SIDE = 32  # px; five times halved, nothing is left of less


class RangedNet(nn.Module):
    """A network that predicts each gene between its least and largest training value, as 0 and 1.

    Parameters
    ----------
    body : nn.Module
        (n_spots, 3, size, size) -> (n_spots, n_genes).
    n_genes : int
    """

    low: Tensor
    span: Tensor

    def __init__(self, body: nn.Module, n_genes: int) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("low", torch.zeros(n_genes))
        self.register_buffer("span", torch.ones(n_genes))

    def set_range(self, target: Tensor) -> None:
        """Take the range of each column of (n_spots, n_genes); one that does not vary spans 1."""
        self.low.copy_(target.min(dim=0).values)
        span = target.max(dim=0).values - self.low
        self.span.copy_(torch.where(span > 0, span, 1.0))

    def ranged(self, target: Tensor) -> Tensor:
        """Return where values of the target lie within the ranges."""
        return (target - self.low) / self.span

    def forward(self, images: Tensor) -> Tensor:
        """(n_spots, 3, size, size) -> (n_spots, n_genes), in the unit of the target."""
        if images.shape[-1] < _LEAST_SIDE:
            images = resized(images, _LEAST_SIDE)
        return self.low + self.span * self.body(images).float()


class JoinedUnits:
    """The units of two sets, one after the other."""

    def __init__(self, first: Units, second: Units) -> None:
        self._parts = first, second

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> Batch:
        """Return these units; those of the first set come first."""
        first, second = self._parts
        own = rows < len(first)
        chosen = ((first, rows[own]), (second, rows[~own] - len(first)))
        found = [units.batch(here, augment) for units, here in chosen if len(here)]
        parts = zip(*((each.images, each.target, each.mask) for each in found), strict=True)
        return Batch(*map(torch.cat, parts))


@dataclass
class DeepSpaCE(TorchPredictor):
    """Predict the expression of a spot from a patch wider than the spot.

    Parameters
    ----------
    backbone : str
        VGG16, or any network of timm or torchvision.
    options : dict
        Of the constructor of a backbone that is no VGG16.
    channels, wide, pool : int
        Of a VGG16: channels of the first group, width of the last layers but one, side of the maps
        that they see. Others than 64, 4,096 and 7 have random weights.
    dropout : float
        Of a VGG16.
    min_max : bool
        Whether genes are learnt between their least and largest value.
    start_at_mean : bool
        Whether the last layer begins with the training mean as its bias.
    weight_decay : float
    view_scale : float
        Side of the patch in spot diameters: 1 and the extra 150 %; 0: the protocol's patch.
    students : int
        Rounds of the stage of teacher and student.
    unlabelled : {"validation", "around"}
        The images that the teacher labels.
    """

    name: ClassVar[str] = "deepspace"
    replayable: ClassVar[bool] = True
    loss_name: ClassVar[str] = "smooth_l1"
    tiny: ClassVar[dict[str, Any]] = {
        "channels": 4, "wide": 16, "pool": 1, "weights": "random", "view_scale": 0.0, "lr": 3e-3,
        "dropout": 0.0,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "channels": 8, "wide": 128, "pool": 2, "weights": "random", "view_scale": 0.0,
            "start_at_mean": True, "lr": 1e-3,
        },
        "densenet": {"backbone": "densenet121.tv_in1k"},
        "student": {"students": 1},
    }  # fmt: skip

    lr: Positive = 1e-4
    backbone: str = "vgg16.tv_in1k"
    options: dict[str, Any] = field(default_factory=dict)
    channels: Size = 64
    wide: Size = 4096
    pool: Size = 7
    dropout: Share = 0.5
    min_max: bool = True
    start_at_mean: bool = False
    weight_decay: NotNegative = 1e-4
    view_scale: NotNegative = 2.5
    students: CountOrZero = 0
    unlabelled: Literal["validation", "around"] = "validation"

    @property
    def views(self) -> Mapping[str, View]:
        """The patch that is looked at, where it is not the protocol's, and those around it."""
        views = {}
        if self.view_scale:
            views["target"] = View(scale=self.view_scale)
        if self.students and self.unlabelled == "around":
            views["around"] = View(
                size=0 if not self.view_scale else 224, scale=self.view_scale, tiles=3
            )
        return views

    def check_parameters(self) -> None:
        """Refuse sizes of a VGG16 of which there are no weights, and images that are none.

        Raises
        ------
        UsageError
        """
        if self.unlabelled not in ("validation", "around"):
            raise UsageError(
                f"deepspace.unlabelled must be 'validation' or 'around'; found {self.unlabelled!r}."
            )
        published = (self.channels, self.wide, self.pool) == (64, 4096, 7)
        if self.backbone.startswith(_VGG16) and self.weights != "random" and not published:
            raise UsageError(
                f"There are no pretrained weights for a VGG16 of channels={self.channels},"
                f" wide={self.wide}, pool={self.pool}. Set weights to 'random', or leave these at"
                " 64, 4096 and 7."
            )

    def build(self, n_genes: int) -> nn.Module:
        # (n_spots, 3, patch_size, patch_size) -> (n_spots, n_genes)
        self.check_parameters()
        return RangedNet(self._body(n_genes), n_genes)

    def _body(self, n_genes: int) -> nn.Module:
        if not self.backbone.startswith(_VGG16):
            return build_backbone(self.backbone, self.weights, n_genes, **self.options)
        if self.weights == "random":
            return narrow_vgg(n_genes, self.channels, self.wide, self.pool, self.dropout)
        return pretrained_vgg16(n_genes, self.weights, self.dropout, self.backbone)

    @torch.no_grad()
    def start(self, network: Any, train: Slides) -> None:
        """Take the range of every gene from the training slides."""
        target = torch.from_numpy(train.target.copy())
        if self.min_max:
            network.set_range(target)
        if self.start_at_mean:
            last = _last_layer(network.body)
            nn.init.zeros_(last.weight)
            last.bias.copy_(network.ranged(target).mean(dim=0))

    def loss(self, network: Any, batch: Any) -> Tensor:
        """Return the smooth L1 between values within the ranges."""
        found = network.ranged(network(batch.images))
        return functional.smooth_l1_loss(found, network.ranged(batch.target))

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Adam with the authors' decay."""
        decay = self.weight_decay
        return torch.optim.Adam(parameters, lr=self.lr, weight_decay=decay, fused=True)

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Train the network, then its students, each on what the one before says of more images."""
        report = reported(context.report, "teacher" if self.students else "", 0)
        super().fit(train, val, replace(context, report=report))
        for student in range(1, self.students + 1):
            images = self._further_images(train, val)
            told = self.predict(images)
            assert isinstance(told, np.ndarray)  # it has no variance
            labelled = images.with_target(told)
            labelled.adata.layers[MASK] = np.ones(labelled.target.shape, dtype=bool)
            here = replace(
                context,
                seed=context.seed + student,
                report=reported(
                    context.report,
                    f"student_{student}" if student < self.students else "",
                    student * context.budget.iterations,
                ),
            )
            network = fresh_network(self, train, here)
            units = [self.units(each, context.device, True) for each in (train, labelled, val)]
            joined = JoinedUnits(units[0], units[1])
            train_stage(self, network, joined, units[2], here, f"student_{student}")
            self.network_ = network

    def _further_images(self, train: Slides, val: Slides) -> Slides:
        """Return spots without expression whose patches the teacher labels."""
        if self.unlabelled == "around":
            return tiles_as_spots(train, "around")
        return val.without_expression()


def _last_layer(network: nn.Module) -> nn.Linear:
    return [part for part in network.modules() if isinstance(part, nn.Linear)][-1]
