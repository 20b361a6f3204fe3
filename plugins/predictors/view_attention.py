"""View attention: frozen features of several views, attention over neighbours, and a variance.

A method of this benchmark's own. A spot is seen in its patch and in windows of 2, 4 and 8 spot
diameters; features of a frozen encoder are standardised within each slide, which takes away what
the stain of a slide adds to all its spots, and makes a prediction depend on the other spots of the
slide as they look, never on their expression. Attention over the spots nearby, whose weight also
falls with their distance, joins them. Five small networks, each trained with the whole budget of
the protocol on four fifths of the training spots, are averaged; their variances and the spread of
their means make the variance of the prediction, as deep ensembles do (Lakshminarayanan et al.,
NeurIPS 2017). The mean is trained by the squared error alone and the variance by the likelihood at
measured entries, as the joint likelihood weighs down what is hard to predict (Seitzer et al., ICLR
2022); the variance is then scaled to the errors at the fifth that a network has not seen, because
the errors at those it has are too small.

The defaults (views, width, reach) were chosen on the validation error of the embedded slides. No
weights are needed with the colour features, and a training takes seconds on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spared_bench import PredictorSpec
from spared_bench.bounds import Count, CountOrZero, NotNegative, Positive, Share, Size
from spared_bench.data import Slides
from spared_bench.data.views import View
from spared_bench.errors import UsageError
from spared_bench.interfaces import Context
from spared_bench.models import TorchPredictor, trainer
from spared_bench.models.encoders import FrozenEncoder, frozen_encoder
from spared_bench.models.neighbour_units import (
    NeighbourBatch,
    NeighbourUnits,
    standardised_by_slide,
)
from spared_bench.models.seeded import seeded
from spared_bench.models.units import Units

SPEC = PredictorSpec(
    "view-attention",
    f"{__name__}:ViewAttention",
    summary="Frozen features of four views, attention over neighbours, and a variance",
    licence="MIT",
    scope="slide",
    encoder="encoder",
    search={"lr": (1e-2, 3e-3, 1e-3)},
)

_CHUNK = 2048  # spots that are predicted at a time
_LOWEST_VARIANCE = 1e-6  # of a gene that is constant in training
_FOLDS = 5  # parts of the training spots, one of which a network does not see


class Member(nn.Module):
    """One network: a NeighbourBatch to mean and log-variance, (n_spots, n_genes) each.

    The log-variance is relative to ``spread``, the variance of the training target.
    """

    spread: Tensor

    def __init__(self, inputs: int, n_genes: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Dropout(dropout))
        self.before = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.joined = nn.Linear(width, width)
        # How fast attention falls with distance: from far to near sighted, and learnt.
        self.decay = nn.Parameter(torch.logspace(-1, 0.5, heads))
        self.between = nn.LayerNorm(width)
        self.forward_ = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.mean = nn.Linear(width, n_genes)
        self.log_variance = nn.Linear(width, n_genes)
        for last in (self.mean, self.log_variance):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.register_buffer("spread", torch.ones(n_genes))

    def forward(self, batch: NeighbourBatch) -> tuple[Tensor, Tensor]:
        seen = self.embed(batch.features)  # (n_seen, width)
        n, k = batch.around.shape
        own = seen[batch.around[:, 0]]
        normed = self.before(seen)
        query = self.query(normed[batch.around[:, 0]]).view(n, 1, self.heads, -1)
        pairs = self.key_value(normed)[batch.around].view(n, k, 2, self.heads, -1)
        key, value = pairs.unbind(2)  # (n, k, heads, width / heads)
        score = (query * key).sum(-1) / key.shape[-1] ** 0.5
        score = score - self.decay.abs() * batch.distance[..., None]
        score = score.masked_fill(~batch.there[..., None], float("-inf")).softmax(dim=1)
        hidden = own + self.joined((score[..., None] * value).sum(1).flatten(1))
        hidden = hidden + self.forward_(self.between(hidden))
        return self.mean(hidden), self.log_variance(hidden)


class Ensemble(nn.Module):
    """Members whose means are averaged."""

    def __init__(self, members: Iterable[Member]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, batch: NeighbourBatch) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the mixture of the members, (n_spots, n_genes) each."""
        means, variances = [], []
        for member in self.members:
            mean, log_variance = member(batch)
            means.append(mean.float())
            variances.append(member.spread * log_variance.float().exp())
        mean = torch.stack(means).mean(0)
        spread = (torch.stack(means) - mean).square().mean(0)
        return mean, torch.stack(variances).mean(0) + spread


class PartOfUnits:
    """Some of the spots of units.

    Parameters
    ----------
    units : Units
    chosen : ndarray of bool, of shape (n_spots,)
    """

    def __init__(self, units: Units, chosen: np.ndarray) -> None:
        self._units, self._rows = units, torch.from_numpy(np.flatnonzero(chosen))

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> NeighbourBatch:
        """Return these spots of the part."""
        found: NeighbourBatch = self._units.batch(self._rows[rows], augment)
        return found


def fold_of_spots(n_spots: int, seed: int) -> np.ndarray:
    """Return which of five parts each spot is in, (n_spots,); all in none where there are few."""
    if n_spots < 2 * _FOLDS:
        return np.full(n_spots, -1)
    return np.random.default_rng(seed).permutation(n_spots) % _FOLDS


@torch.no_grad()
def scale_variance(member: Member, unseen: PartOfUnits) -> None:
    """Scale a network's variance to its squared errors at the measured entries of these spots."""
    ratios = []
    for rows in torch.arange(len(unseen)).split(_CHUNK):
        batch = unseen.batch(rows)
        mean, log_variance = member(batch)
        error = (batch.target - mean).square() / (member.spread * log_variance.exp())
        ratios.append(error[batch.mask])
    if ratios and sum(map(len, ratios)):
        ratio = torch.cat(ratios).double().mean()
        member.log_variance.bias.add_(ratio.clamp(min=_LOWEST_VARIANCE).log().float())


@dataclass
class ViewAttention(TorchPredictor):
    """Predict the expression of a spot from views of it and of its neighbours, with a variance.

    Parameters
    ----------
    encoder : str
        ``"color"``, or any network of timm or torchvision, frozen; ``weights`` are its weights.
    scales : tuple of float
        Sides of the windows beside the patch, in spot diameters.
    reach : float
        How far the neighbourhood goes, in distances between neighbouring spots.
    most : int
        Neighbours that are looked at.
    width, heads : int
        Of a network.
    dropout, weight_decay : float
    members : int
        Networks that are averaged, each trained with the whole budget.
    """

    # They are no parameters here: there is no image to normalise or to augment, and no body in the
    # network that could be frozen: the encoder always is.
    normalisation: ClassVar[Any] = "imagenet"  # type: ignore[misc]
    augment: ClassVar[bool] = False  # type: ignore[misc]
    freeze: ClassVar[bool] = False  # type: ignore[misc]

    name: ClassVar[str] = "view-attention"
    tiny: ClassVar[dict[str, Any]] = {"width": 16, "members": 2, "scales": (2.0,)}
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},  # it is small enough
    }

    lr: Positive = 3e-3
    encoder: str = "color"
    scales: tuple[Positive, ...] = (2.0, 4.0, 8.0)
    reach: NotNegative = 2.0
    most: CountOrZero = 18
    width: Size = 64
    heads: Size = 4
    dropout: Share = 0.2
    weight_decay: NotNegative = 1e-2
    members: Count = 5

    @property
    def views(self) -> Mapping[str, View]:
        """The windows beside the patch."""
        return {f"window-{scale:g}": View(size=0, scale=scale) for scale in self.scales}

    @property
    def frozen(self) -> FrozenEncoder:
        """What turns patches into features."""
        return frozen_encoder(self.encoder, self.weights)

    def check_parameters(self) -> None:
        """Refuse a width that the heads cannot share, and no network.

        Raises
        ------
        UsageError
        """
        if self.width % self.heads or self.members < 1:
            raise UsageError(
                f"view-attention has width={self.width}, heads={self.heads} and"
                f" members={self.members}; expected a width divisible by the heads, and a member."
            )

    def build(self, n_genes: int) -> Ensemble:
        # NeighbourBatch -> mean and variance, (n_spots, n_genes)
        self.check_parameters()
        inputs = self.frozen.width * (1 + len(self.scales))
        sizes = inputs, n_genes, self.width, self.heads, self.dropout
        return Ensemble(Member(*sizes) for _ in range(self.members))

    def features(self, slides: Slides) -> np.ndarray:
        """Return (n_spots, width times views), float32, standardised within each slide."""
        views = ["", *self.views]
        found = np.concatenate([slides.features(self.frozen, view) for view in views], axis=1)
        return standardised_by_slide(found, slides.slide_ids)

    def units(self, slides: Slides, device: str, resident: bool) -> NeighbourUnits:
        """Return spots with their neighbours, all of them on the device."""
        return NeighbourUnits(slides, self.features(slides), self.reach, self.most, device)

    def start(self, network: Any, train: Slides) -> None:
        """Let the first prediction be the training mean and variance of each gene."""
        target = train.target.astype(np.float64)
        spread = np.maximum(target.var(axis=0), _LOWEST_VARIANCE)
        with torch.no_grad():
            for member in network.members:
                member.mean.bias.copy_(torch.from_numpy(target.mean(axis=0)))
                member.spread.copy_(torch.from_numpy(spread))

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Train the members one after the other, from seeds of their own."""
        with seeded(context.seed, context.device):
            network: Any = self.new_network(train.n_genes)
            self.start(network, train)
            network = self._place(network, context.device)
        known, chosen_by = (self.units(part, context.device, True) for part in (train, val))
        folds = fold_of_spots(len(train), context.seed)
        for number, member in enumerate(network.members):
            unseen = folds == number % _FOLDS
            self._train(member, number, PartOfUnits(known, ~unseen), chosen_by, context)
            scale_variance(member, PartOfUnits(known, unseen))
        self.network_ = network
        self.gene_names_ = train.gene_names

    def _train(
        self, member: Member, number: int, known: Units, chosen_by: Units, context: Context
    ) -> None:
        def report(step: int, values: dict[str, float]) -> None:
            named = {f"member{number}_{name}": value for name, value in values.items()}
            context.report(step, named if number else values)

        trainer.train(
            member,
            self.loss,
            known,
            chosen_by,
            lr=self.lr,
            context=replace(context, seed=context.seed + number, report=report),
            predict=self.predict_batch,
            recipe=self.recipe(context.budget, f"member-{number}"),
        )

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Return AdamW, with the learning rate and the decay of the parameters."""
        decay = self.weight_decay
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=decay, fused=True)

    def loss(self, network: nn.Module, batch: NeighbourBatch) -> Tensor:
        """Return the error of the mean over the spread, plus the likelihood of the variance."""
        mean, log_variance = network(batch)
        spread: Any = network.spread
        error = (batch.target - mean).square() / spread
        told = error.detach() / log_variance.exp() + log_variance
        measured = batch.mask.float()
        likelihood = (told * measured).sum() / measured.sum().clamp(min=1)
        return error.mean() + likelihood / 2

    def predict_batch(self, network: nn.Module, batch: NeighbourBatch) -> Tensor:
        """Return the mean, (n_spots, n_genes)."""
        mean: Tensor = network(batch)[0]
        return mean

    def predict_with_variance(
        self, network: nn.Module, batch: NeighbourBatch
    ) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the ensemble, (n_spots, n_genes) each."""
        found: tuple[Tensor, Tensor] = network(batch)
        return found
