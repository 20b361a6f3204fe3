"""STimage: a ResNet-50 and a negative binomial distribution of the counts of every gene.

Tan et al., Nat. Commun. 2026, doi:10.1038/s41467-026-68487-0;
github.com/BiomedicalMachineLearning/STimage. From the features of a patch, two values for each
gene: through softplus the n, through a sigmoid the p of a negative binomial distribution, whose
mean n (1 - p) / p is the prediction, and whose variance n (1 - p) / p^2 says how sure it is.
Several networks of other seeds make an ensemble (``members``): the mean of their means, and of the
mixture the variance, that of the counts and that among the networks together.

By default the authors' Keras form: the two values straight from the 2,048 features of a ResNet-50
whose convolutions have biases, a loss that is a sum over genes and a mean over spots. The
configuration ``pytorch`` is the form that the same group gives in the review of Jiang et al.,
bioRxiv 2023.09.20.558624: a layer of 512 before, a mean over genes, dropout of a half.
``ensemble`` is the ensemble script: its rate of 1e-4, and five members.

What it learns (``fits``) are counts, which a likelihood of counts needs; the expected count is that
at the median depth of the training spots, scaled by the depth of each spot as it is learnt from,
and ``context.transform`` makes the protocol's target of it and of its variance. Where a completer
has filled the target, what it says counts, as a count. ``fits="log1p_counts"`` learns their
logarithms and no depths, as released; these are no integers, so that the likelihood is one in name
only. Where the target is none of counts (batch-corrected, say), there is no way back:
``fits="shifted_target"`` then learns the target less its least training value per gene (the
configuration ``of_target``, which also looks at the protocol's patch).

Clamped: p to [1e-6, 1 - 1e-6], since the mean grows without bound as p falls to 0; n to
[1e-4, 1e4]; logarithms of counts to 20 before they are taken back to counts.

Differs from the authors' code: dropout acts on the features, where theirs (PyTorch) acts on the
values that n and p are made of (``dropout_on="parameters"`` in the configuration
``pytorch-released``); n and p begin at the moments of the training counts of each gene; patches are
normalised as the weights expect, where theirs are fed as bytes; augmentation is drawn anew at every
step and never in validation, where theirs keeps the first draw; weights are chosen by the squared
error on validation slides. The convolutions start as torchvision's ResNet-50 (strides in the 3 x 3
convolutions), whose biases begin at 0. No stain normalisation, and no spot is dropped for showing
little tissue: which spots count is the protocol's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from spared_bench import PredictorSpec
from spared_bench.bounds import Count, CountOrZero, Positive, Share
from spared_bench.data import Slides
from spared_bench.data.views import View
from spared_bench.errors import UsageError
from spared_bench.interfaces import Context, Prediction
from spared_bench.models import TorchPredictor, build_backbone
from spared_bench.models.encoders import expected_input, feature_width
from spared_bench.models.losses import negative_binomial_loss
from spared_bench.models.precision import mixed, precision_of
from spared_bench_plugins.networks.count_units import CountBatch, CountTarget, CountUnits
from spared_bench_plugins.networks.negative_binomial import (
    NegativeBinomialNet,
    add_biases,
    at_depth,
    moments,
)

SPEC = PredictorSpec(
    "stimage",
    f"{__name__}:STimage",
    summary="ResNet-50 with a negative binomial distribution of each gene's counts",
    citation="Tan et al., Nat. Commun. 2026, doi:10.1038/s41467-026-68487-0",
    licence="MIT",
    pretraining="ImageNet-1k classification",
    gpu=True,
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_SMALLEST_INPUT = 64  # px, to see how wide the features of a network are


@dataclass
class STimage(TorchPredictor):
    """Predict a distribution of every gene's counts from the spot's own patch.

    Parameters
    ----------
    backbone : str
        Any network of timm or torchvision.
    options : dict
        Of the network's constructor, for a variant of it.
    biases : bool
        Whether the convolutions have biases, as in Keras.
    hidden : int
        Width of a layer between features and distribution; 0: none.
    dropout : float
    dropout_on : {"features", "parameters"}
        What it acts on: what enters the last layer, or what leaves it.
    reduction : {"sum", "mean"}
        Of the loss, over genes; over spots it is a mean.
    fits : {"counts", "log1p_counts", "shifted_target"}
        What is learnt.
    members : int
        Networks of the ensemble, each trained for the whole budget.
    pixels : int
        Side of the patch in full-resolution pixels, which the network sees as it is; 0: the
        protocol's patch.
    """

    name: ClassVar[str] = "stimage"
    replayable: ClassVar[bool] = True
    loss_name: ClassVar[str] = "negative_log_likelihood"
    tiny: ClassVar[dict[str, Any]] = {
        "backbone": "test_resnet", "weights": "random", "hidden": 8, "reduction": "mean",
        "members": 2, "lr": 1e-3, "pixels": 0,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "backbone": "test_resnet", "weights": "random", "biases": False, "members": 2,
            "reduction": "mean", "pixels": 0, "lr": 1e-3,
        },
        "pytorch": {"biases": False, "hidden": 512, "dropout": 0.5, "reduction": "mean"},
        "pytorch-released": {
            "biases": False, "hidden": 512, "dropout": 0.5, "reduction": "mean",
            "dropout_on": "parameters", "fits": "log1p_counts", "normalisation": "raw",
        },
        "ensemble": {"members": 5, "lr": 1e-4},
        "of_target": {"fits": "shifted_target", "pixels": 0},
    }  # fmt: skip

    lr: Positive = 1e-5
    backbone: str = "resnet50.tv_in1k"
    options: dict[str, Any] = field(default_factory=dict)
    biases: bool = True
    hidden: CountOrZero = 0
    dropout: Share = 0.0
    dropout_on: Literal["features", "parameters"] = "features"
    reduction: Literal["sum", "mean"] = "sum"
    fits: Literal["counts", "log1p_counts", "shifted_target"] = "counts"
    members: Count = 1
    pixels: CountOrZero = 299

    @property
    def views(self) -> Mapping[str, View]:
        """The patch that is looked at, where it is not the protocol's."""
        return {"target": View(size=self.pixels, pixels=self.pixels)} if self.pixels else {}

    def build(self, n_genes: int) -> nn.Module:
        # (n_spots, 3, patch_size, patch_size) -> n and p, each (n_spots, n_genes)
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise UsageError(f"stimage.{name} must be one of {known}; found {found!r}.")
        body = build_backbone(self.backbone, self.weights, 0, **self.options)
        if self.biases:
            add_biases(body)
        width = feature_width(body, expected_input(body)[2] or _SMALLEST_INPUT)
        on_features = self.dropout_on == "features"
        dropout = (self.dropout, 0.0) if on_features else (0.0, self.dropout)
        return NegativeBinomialNet(body, width, n_genes, self.hidden, dropout)

    @torch.no_grad()
    def start(self, network: Any, train: Slides) -> None:
        """Let n and p of every gene begin at the moments of what is learnt of it."""
        n, p = self.learns_.moments(train)
        pair = np.stack([np.log(np.expm1(n)), np.log(p / (1 - p))], axis=1)
        network.pair.bias.copy_(torch.from_numpy(pair.reshape(-1)))

    def units(self, slides: Slides, device: str, resident: bool) -> CountUnits:
        """Return spots with what is learnt of them, where it is visible."""
        budget = None if resident else 0
        augmenter = self.augmenter
        return CountUnits(slides, self.learns_, device, budget, self.normalisation, augmenter)

    def loss(self, network: nn.Module, batch: CountBatch) -> Tensor:
        """Return the negative log likelihood of the counts."""
        n, p = network(batch.images)
        loss = negative_binomial_loss(batch.counts, n, at_depth(p, batch.size_factors))
        return loss.mean() if self.reduction == "mean" else loss.sum(dim=1).mean()

    def predict_batch(self, network: nn.Module, batch: Any) -> Tensor:
        """Return the mean in the unit of the protocol's target, (n_spots, n_genes)."""
        mean, _ = self._moments(network, batch)
        return torch.from_numpy(mean).to(batch.images)

    def _moments(self, network: nn.Module, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        found = moments(*network(batch.images))
        return self.learns_.returned(*(each.detach().double().cpu().numpy() for each in found))

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Train the members one after the other.

        Raises
        ------
        ContractError
            If counts are to be learnt, and the protocol's target is none of counts.
        WeightsUnavailableError, DivergedError
            As any network.
        """
        self.learns_ = CountTarget.fitted(self.fits, train, context.transform)
        members = []
        for member in range(self.members):
            scratch = None if context.scratch is None else context.scratch / f"member_{member}"
            report = _reported(context, member)
            seed = context.seed + member
            super().fit(train, val, replace(context, seed=seed, scratch=scratch, report=report))
            members.append(self.network_)
        self.network_ = nn.ModuleList(members)

    def predict(self, slides: Slides, batch_size: int = 256) -> Prediction:
        """Predict mean and variance, each (n_spots, n_genes), float32."""
        units = self.units(slides, self._device, resident=False)
        found = [self._of_member(each, units, batch_size) for each in self._members()]
        means, variances = (np.stack(each) for each in zip(*found, strict=True))
        mean, variance = means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)
        return Prediction(mean.astype(np.float32), variance.astype(np.float32))

    def _of_member(
        self, network: nn.Module, units: CountUnits, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        network.eval()
        with torch.inference_mode(), mixed(network, self._device, self.precision):
            parts = [
                self._moments(network, units.batch(rows))
                for rows in torch.arange(len(units)).split(batch_size)
            ]
        mean, variance = (np.concatenate(each) for each in zip(*parts, strict=True))
        return mean, variance

    def _members(self) -> list[nn.Module]:
        networks: Any = self._fitted()
        return list(networks)

    @property
    def precision_used(self) -> str:
        """How the members are computed: each on its own."""
        return precision_of(self._members()[0], self._device, self.precision)

    def save(self, folder: Path) -> None:
        """Write the weights of all members, and the way back to the target, into a folder."""
        super().save(folder)
        self.learns_.save(folder / "target")

    def load(self, folder: Path, device: str = "cpu") -> None:
        """Read what ``save`` wrote."""
        super().load(folder, device)
        self.learns_ = CountTarget.load(folder / "target")

    def _unfilled(self, n_genes: int) -> nn.Module:
        member = super()._unfilled
        return nn.ModuleList([member(n_genes) for _ in range(self.members)])


_CHOICES = {
    "dropout_on": ("features", "parameters"),
    "reduction": ("sum", "mean"),
    "fits": CountTarget.KINDS,
}


def _reported(context: Context, member: int) -> Any:
    """Let the steps of a member follow those of the members before it."""
    done = member * context.budget.iterations
    return lambda step, values: context.report(done + step, values)
