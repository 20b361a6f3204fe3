"""The base of predictors that are a network: say what the network is, and the rest is done here."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spared_bench.bounds import CountOrZero, Positive
from spared_bench.data import Slides
from spared_bench.errors import PluginError, UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models import trainer
from spared_bench.models.augmentation.augmenter import Augmenter
from spared_bench.models.augmentation.names import Augment
from spared_bench.models.augmentation.symmetries import Symmetries
from spared_bench.models.freezing import freeze
from spared_bench.models.precision import mixed, precision_of
from spared_bench.models.saved_network import SavedNetwork
from spared_bench.models.seeded import seeded
from spared_bench.models.units import PatchUnits, Units
from spared_bench.prediction import Prediction

_INFERENCE_BATCH = 256


@dataclass
class TorchPredictor(SavedNetwork):
    """A network from patches to expression, trained by the shared trainer.

    A subclass implements ``build``. It may override ``loss`` (what is minimised), ``predict_batch``
    (how a prediction is made, in validation too), ``units`` (what a step is fed), ``optimizer`` and
    ``schedule`` (how the weights move), ``units_per_step`` (how many units a step has),
    ``augmentation`` (what is done to patches in training) and ``start`` (what the network takes
    from the training slides before the first step).

    Parameters
    ----------
    lr : float
        Learning rate of Adam.
    weights : str
        Initial weights of the backbone: ``"pretrained"``, ``"random"`` or the path of a file
        (see ``build_backbone``).
    micro_batch : int
        Units in memory at a time; 0 for all of a step. Where memory is short, a smaller number
        trains with the same gradients (``spared_bench.models.trainer.Recipe``).
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"``: bfloat16 where it is fast (``spared_bench.models.precision``).
    compile : bool
        Whether ``torch.compile`` translates the network first: minutes at the start, faster after.
    normalisation : {"imagenet", "egn", "unit", "raw"}
        Of the patches (``spared_bench.models.augment.NORMALISATIONS``).
    augment : bool, str or list
        What is done to patches in training where the protocol augments: ``True``, the method's own
        ``augmentation``; ``False``, nothing; or names with or without parameters
        (``spared_bench.models.augmentation.names``), one after the other.
    freeze : bool
        Whether the body of the network keeps its weights and statistics, so that its head alone is
        trained (``spared_bench.models.freezing``).

    Attributes
    ----------
    network_ : nn.Module
        Trained, with the weights of the lowest validation MSE.
    gene_names_ : list of str
        The genes it predicts, in the order of the columns.
    """

    #: Of the curve of the training loss; a subclass with another loss names it.
    loss_name: ClassVar[str] = "mse"
    #: Whether the loss is a mean over units, so that a step can be cut into micro-batches.
    separable: ClassVar[bool] = True
    #: Whether the loss does the same work on the device for every batch, and nothing in Python that
    #: depends on its numbers: a GPU then records a step once and replays it (``models.replay``).
    replayable: ClassVar[bool] = False
    #: Parts of the network that train under ``freeze``; none: all but what ``build_backbone`` made.
    head_parts: ClassVar[tuple[str, ...]] = ()

    lr: Positive = 1e-4
    weights: str = "pretrained"
    micro_batch: CountOrZero = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    normalisation: Literal["imagenet", "egn", "unit", "raw"] = "imagenet"
    augment: Augment = True
    freeze: bool = False

    @abstractmethod
    def build(self, *sizes: Any, **others: Any) -> nn.Module:
        """``build(n_genes)``: (n_spots, 3, patch_size, patch_size) -> (n_spots, n_genes)."""

    def new_network(self, n_genes: int) -> nn.Module:
        """Return the network with fresh weights; what ``build`` returns."""
        return self.build(n_genes)

    def start(self, network: nn.Module, train: Slides) -> None:
        """Set what depends on the training slides, in place, before the first step."""
        return None

    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch: as published, MSE over all entries, completed ones too."""
        return functional.mse_loss(network(batch.images), batch.target)

    def predict_batch(self, network: nn.Module, batch: Any) -> Tensor:
        """Return the prediction of a ``Batch``, (n_spots, n_genes)."""
        return trainer.on_images(network, batch)

    def predict_with_variance(self, network: nn.Module, batch: Any) -> tuple[Tensor, Tensor] | None:
        """Return mean and variance of a ``Batch``, each (n_spots, n_genes), in one pass.

        ``None``, the default: the method has no variance. The mean is that of ``predict_batch``,
        by which validation chooses the weights.
        """
        return None

    def augmentation(self) -> Any:
        """Return what is done to patches in training: the eight symmetries of the square.

        A subclass may return, or have as an attribute of this name, a callable
        ``(images, generator) -> images`` on bytes of shape (n_patches, 3, size, size) that draws
        for every patch, and from the generator alone; a transform of
        ``torchvision.transforms.v2``, which is applied patch by patch; or a list of such.
        """
        return Symmetries()

    @property
    def augmenter(self) -> Augmenter:
        """What ``units`` hands to its patches: what ``augment`` names, or ``augmentation``.

        Raises
        ------
        UsageError
            For a name or a parameter that there is not.
        PluginError
            For what can augment nothing.
        """
        wanted: Any = self.augment
        if wanted is True:
            own = self.augmentation
            makes_it = inspect.ismethod(own) and not inspect.signature(own).parameters
            wanted = own() if makes_it else own
        return Augmenter(wanted, self._label)

    def units(self, slides: Slides, device: str, resident: bool) -> Units:
        """Return the units of a step; ``resident`` where they will be read over and over."""
        budget = None if resident else 0
        return PatchUnits(slides, device, budget, self.normalisation, self.augmenter)

    def units_per_step(self, budget: Budget) -> int:
        """Return how many units a step has: the batch size, where the unit is a spot."""
        return budget.batch_size

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Return what moves the weights: Adam with PyTorch's settings, as in the benchmark."""
        return torch.optim.Adam(parameters, lr=self.lr, fused=True)

    def schedule(self, optimizer: Optimizer, budget: Budget) -> LRScheduler | None:
        """Return what changes the learning rate after every step; nothing by default."""
        return None

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Train a network of fresh weights, all of it determined by ``context.seed``.

        Raises
        ------
        WeightsUnavailableError
            If pretrained weights cannot be had.
        DivergedError
            If the loss or a validation prediction is no longer finite.
        """
        with seeded(context.seed, context.device):
            network = self.new_network(train.n_genes)
            self.start(network, train)
            network = self._place(network, context.device)
        trainer.train(
            network,
            self.loss,
            self.units(train, context.device, resident=True),
            self.units(val, context.device, resident=True),
            lr=self.lr,
            context=replace(
                context,
                budget=replace(
                    context.budget, augment=bool(context.budget.augment and self.augment)
                ),
            ),
            predict=self.predict_batch,
            loss_name=self.loss_name,
            recipe=self.recipe(context.budget),
        )
        self.network_ = network
        self.gene_names_ = train.gene_names

    def recipe(self, budget: Budget, stage: str = "training") -> trainer.Recipe:
        """Return how this method trains; ``stage`` tells several trainings of one ``fit`` apart.

        Raises
        ------
        UsageError
            If micro-batches are asked for and the loss is no mean over units.
        """
        if self.micro_batch and not self.separable:
            raise UsageError(
                f"{type(self).__name__} cannot train with micro_batch={self.micro_batch}: its loss"
                " compares the spots of a step with each other, so parts of a step give another"
                " gradient. Leave micro_batch at 0 and choose a protocol with a smaller batch."
            )
        return trainer.Recipe(
            optimizer=self.optimizer,
            schedule=self.schedule,
            units_per_step=self.units_per_step(budget),
            micro_batch=self.micro_batch,
            precision=self.precision,
            stage=stage,
            replay=self.replayable and not self.compile,
        )

    def predict(
        self, slides: Slides, batch_size: int = _INFERENCE_BATCH
    ) -> np.ndarray | Prediction:
        """Predict (n_spots, n_genes), float32; the batch size changes rounding at most.

        With variances, where the method has them (``predict_with_variance``).
        """
        network = self._fitted().eval()
        units = self.units(slides, self._device, resident=False)
        with torch.inference_mode(), mixed(network, self._device, self.precision):
            parts = [
                [part.float().cpu() for part in self._outputs(network, units.batch(rows))]
                for rows in torch.arange(len(units)).split(batch_size)
            ]
        mean, *variance = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        return Prediction(mean, variance[0]) if variance else mean

    def _outputs(self, network: nn.Module, batch: Any) -> tuple[Tensor, ...]:
        found = self.predict_with_variance(network, batch)
        if found is None:
            return (self.predict_batch(network, batch),)
        pair = isinstance(found, tuple | list) and all(isinstance(each, Tensor) for each in found)
        if not pair or len(found) != 2:
            kinds = ", ".join(type(each).__name__ for each in found) if pair else ""
            raise PluginError(
                f"{self._label}: predict_with_variance returned a {type(found).__name__}"
                f"{f' of {kinds}' if kinds else ''}; expected two tensors, mean and variance, each"
                " (n_spots, n_genes), or None."
            )
        return found[0], found[1]

    @property
    def _label(self) -> str:
        return f"predictor {getattr(self, 'name', type(self).__name__)!r}"

    @property
    def precision_used(self) -> str:
        """``"float32"`` or ``"bfloat16"``: how the network is computed on the device it is on."""
        return precision_of(self._fitted(), self._device, self.precision)

    def _unfilled(self, n_genes: int) -> nn.Module:
        # Every weight comes from the folder, so the backbone's own need not be fetched.
        return replace(self, weights="random").new_network(n_genes)

    def _place(self, network: nn.Module, device: str) -> nn.Module:
        # Channels last is how the patches are stored, and the faster layout for convolutions.
        network = super()._place(network, device).to(memory_format=torch.channels_last)
        if self.freeze is True:  # a stranger's field of this name may mean something else
            freeze(network, self.head_parts, self._label)
        if self.compile:
            network.compile()  # in place: the names of the weights stay as they are
        return network
