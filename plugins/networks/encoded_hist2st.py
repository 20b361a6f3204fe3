"""The base of the variants of Hist2ST that begin with a frozen network of images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from spared_bench.bounds import CountOrZero, NotNegative, Positive, Share
from spared_bench.data import Slides
from spared_bench.interfaces import Budget
from spared_bench.models.encoders import FrozenEncoder, TimmEncoder, frozen_encoder
from spared_bench.models.feature_windows import FeatureWindowUnits
from spared_bench.models.window_units import WindowBatch
from spared_bench.models.windows import WindowPredictor
from spared_bench_plugins.networks.hist2st import hist2st_loss, neighbours, start_counts


@dataclass
class EncodedHist2ST(WindowPredictor):
    """A network of frozen features, array positions and neighbours of a window.

    Parameters
    ----------
    encoder : str
        Frozen network whose features of a patch are a spot's token: any of timm or torchvision,
        ``"color"`` for 24 numbers of colour and texture; ``weights`` are its weights.
    dropout : float
        On what enters the first layer, and in the transformer where there is one.
    reach : float
        How far a spot's 4 neighbours may be, in steps of the array; 0: however far.
    standardise : bool
        Whether features are standardised by the training spots' first. Features of colour vary by
        a few hundredths, beside which positions, drawn with a deviation of 1, are all.
    """

    # They are no parameters here: a frozen encoder sees each patch as it is.
    normalisation: ClassVar[Any] = "imagenet"  # type: ignore[misc]
    augment: ClassVar[bool] = False  # type: ignore[misc]
    freeze: ClassVar[bool] = False  # type: ignore[misc]

    lr: Positive = 1e-5
    encoder: str = "resnet50.tv_in1k"
    max_spots: CountOrZero = 1000
    dropout: Share = 0.2
    reach: NotNegative = 2.0
    standardise: bool = False

    #: Side that patches are resized to before the encoder, and of the middle that it sees; 0: none.
    framing: ClassVar[tuple[int, int]] = (0, 0)

    @property
    def frozen(self) -> FrozenEncoder:
        """What turns patches into features; a registered encoder has its own framing."""
        found = frozen_encoder(self.encoder, self.weights)
        if isinstance(found, TimmEncoder):
            return TimmEncoder(self.encoder, self.weights, *self.framing)
        return found

    def start(self, network: Any, train: Slides) -> None:
        """Let every gene's count begin at its training mean; measure the features."""
        start_counts(network, train)
        if self.standardise:
            network.first.learn(train.features(self.frozen))

    def connect(self, array_coordinates: np.ndarray) -> np.ndarray:
        """Return the edges among the spots of one slide."""
        return neighbours(array_coordinates, self.reach)

    def units(self, slides: Slides, device: str, resident: bool) -> FeatureWindowUnits:
        """Return windows of features with neighbours and, where they are visible, raw counts."""
        make = partial(FeatureWindowUnits, slides, slides.features(self.frozen))
        return make(
            self.max_spots,
            self.margin,
            self.n_positions,
            device,
            counts=True,
            neighbours=self.connect,
        )

    def predict_batch(self, network: nn.Module, batch: WindowBatch) -> Tensor:
        """Return the prediction of the core, (n_core, n_genes)."""
        return network(batch)

    def loss(self, network: Any, batch: WindowBatch) -> Tensor:
        """Return MSE + 0.25 ZINB."""
        return hist2st_loss(network, network.embed(batch.images, batch), [], batch)

    def schedule(self, optimizer: Optimizer, budget: Budget) -> LRScheduler | None:
        """Down by a tenth at every seventh of the budget, as Hist2ST itself."""
        return StepLR(optimizer, max(1, budget.iterations // 7), gamma=0.9)
