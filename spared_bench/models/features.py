"""The base of heads on frozen features: say what the network is; patches are encoded once for all.

Features come from the store where another method has asked for them before, lie on the device as
one table, and are standardised by the training slides. A training takes minutes on a CPU.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.data import Slides
from spared_bench.errors import ShapeMismatchError
from spared_bench.interfaces import Context
from spared_bench.models.encoders import FrozenEncoder, frozen_encoder
from spared_bench.models.moving import to_device
from spared_bench.models.torch_predictor import TorchPredictor
from spared_bench.models.units import target_and_mask


@dataclass(frozen=True)
class FeatureBatch:
    """The spots of one step.

    Parameters
    ----------
    features : Tensor of float32, of shape (n_spots, width)
        As the encoder gives them; the network standardises.
    target, mask : Tensor of shape (n_spots, n_genes)
        As in ``Batch``.
    """

    features: Tensor
    target: Tensor
    mask: Tensor


class FeatureUnits:
    """Spots, each with the features of its patch.

    Parameters
    ----------
    slides : Slides
        With or without their expression.
    features : ndarray of float32, of shape (n_spots, width)
    device : str
        Where the whole table lies.
    """

    def __init__(self, slides: Slides, features: np.ndarray, device: str = "cpu") -> None:
        self._features = torch.tensor(features).to(device)
        self._target, self._mask = target_and_mask(slides, device)

    def __len__(self) -> int:
        return len(self._features)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> FeatureBatch:
        """Return these spots; features are fixed, so nothing is augmented."""
        here = to_device(rows, self._features.device)
        return FeatureBatch(self._features[here], self._target[here], self._mask[here])


class Standardising(nn.Module):
    """A network that keeps the standardisation of its inputs, so that it is saved with it.

    Parameters
    ----------
    width : int
        Of the inputs.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def learn(self, features: np.ndarray) -> None:
        """Take mean and deviation from (n_spots, width); a constant feature is only shifted."""
        values = features.astype(np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        # Of a constant, rounding leaves a deviation that is not quite 0.
        deviation[deviation <= 1e-6 * np.abs(mean)] = 1.0
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))

    def standardised(self, features: Tensor) -> Tensor:
        """Return features, (n_spots, width), on the scale that was learnt."""
        return (features - self.mean) / self.scale


class Standardised(Standardising):
    """A network behind the standardisation of its inputs.

    Parameters
    ----------
    width : int
    head : nn.Module
        (n, width) -> (n, n_genes).
    """

    def __init__(self, width: int, head: nn.Module) -> None:
        super().__init__(width)
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.standardised(features))


@dataclass
class FeaturePredictor(TorchPredictor):
    """A network from the features of a frozen encoder to expression.

    A subclass implements ``build``; it may override what ``TorchPredictor`` lets override, and
    ``features`` with ``width``, where it looks at more than its patch's features. ``start``, where
    it is overridden, calls this class's. Nothing is augmented, and patches are normalised as the
    encoder expects.

    Parameters
    ----------
    encoder : str
        ``"color"`` for 24 numbers of colour and texture, which need no weights, or any network of
        timm or torchvision, frozen; ``weights`` are its weights.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from torch import nn
    >>> from spared_bench.models import FeaturePredictor
    >>> @dataclass
    ... class TwoLayers(FeaturePredictor):
    ...     hidden: int = 64
    ...
    ...     def build(self, width, n_genes):
    ...         return nn.Sequential(
    ...             nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, n_genes)
    ...         )
    >>> TwoLayers().width
    24
    """

    # They are no parameters here: there is no image to normalise or to augment, and no body in the
    # network that could be frozen: the encoder always is.
    normalisation: ClassVar[Any] = "imagenet"  # type: ignore[misc]
    augment: ClassVar[bool] = False  # type: ignore[misc]
    freeze: ClassVar[bool] = False  # type: ignore[misc]

    encoder: str = "color"

    @abstractmethod
    def build(self, width: int, n_genes: int) -> nn.Module:
        """Return the network: standardised features (n_spots, width) -> (n_spots, n_genes)."""

    @property
    def frozen(self) -> FrozenEncoder:
        """What turns patches into features."""
        return frozen_encoder(self.encoder, self.weights)

    @property
    def width(self) -> int:
        """How many features a spot has."""
        return self.frozen.width

    def features(self, slides: Slides) -> np.ndarray:
        """Return what the network sees of every spot, (n_spots, width), float32."""
        return slides.features(self.frozen)

    def new_network(self, n_genes: int) -> nn.Module:
        """Return the network of ``build`` behind a standardisation that ``start`` sets."""
        return Standardised(self.width, self.build(self.width, n_genes))

    def start(self, network: Any, train: Slides) -> None:
        """Standardise by the training slides."""
        network.learn(self._table(train))

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Encode what no method has encoded before, then train."""
        self._known = [(part, self.features(part)) for part in (train, val)]
        try:
            super().fit(train, val, context)
        finally:
            del self._known

    def units(self, slides: Slides, device: str, resident: bool) -> FeatureUnits:
        """Return spots with their features, all of them on the device."""
        return FeatureUnits(slides, self._table(slides), device)

    def loss(self, network: nn.Module, batch: FeatureBatch) -> Tensor:
        """Return the MSE over all entries, completed ones too."""
        return functional.mse_loss(network(batch.features), batch.target)

    def predict_batch(self, network: nn.Module, batch: FeatureBatch) -> Tensor:
        """Return the prediction of a batch, (n_spots, n_genes)."""
        return network(batch.features)

    def _table(self, slides: Slides) -> np.ndarray:
        """Return the features of some slides, those of a fit from memory."""
        for part, features in getattr(self, "_known", ()):
            if part is slides:
                return self._checked(features, slides)
        return self._checked(self.features(slides), slides)

    def _checked(self, features: np.ndarray, slides: Slides) -> np.ndarray:
        wanted = len(slides), self.width
        if features.shape != wanted:
            raise ShapeMismatchError(
                f"{type(self).__name__} has features of shape {features.shape}; expected {wanted}:"
                " a row per spot, and as many columns as `width` says. Override both together."
            )
        return np.asarray(features, dtype=np.float32)

    def _unfilled(self, n_genes: int) -> nn.Module:
        return self.new_network(n_genes)
