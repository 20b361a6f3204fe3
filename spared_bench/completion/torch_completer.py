"""The base of completers that are a network: say what it is and what it sees; the rest is here."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from spared_bench.bounds import Part, Positive
from spared_bench.completion.masking import draw_hidden, hiding_probabilities
from spared_bench.completion.neighbourhoods import NeighbourTable, two_hops
from spared_bench.completion.spots import Neighbourhoods, SpotUnits
from spared_bench.data import Slides
from spared_bench.errors import ShapeMismatchError, UsageError
from spared_bench.interfaces import Context
from spared_bench.models import trainer
from spared_bench.models.saved_network import SavedNetwork
from spared_bench.models.seeded import seeded
from spared_bench.models.units import Units

_INFERENCE_BATCH = 256
# So that validation masks are not the noise of the first training batches.
_VALIDATION_STREAM = 1 << 20


@dataclass
class TorchCompleter(SavedNetwork):
    """A network that is asked for hidden entries, trained by the shared trainer.

    Training slides are learnt from; validation slides choose among the weights, by entries that are
    hidden once and stay so. A subclass implements ``build``, ``loss`` and ``predict_batch``, and
    may say what the units are.

    Parameters
    ----------
    lr : float
        Learning rate of Adam.
    weights : str
        A file that ``save`` wrote, to be used in place of training; none by default.
    mask_rate : float
        Part of all entries that is hidden in training and validation.

    Attributes
    ----------
    network_ : nn.Module
        With the weights of the lowest validation error.
    gene_names_ : list of str
    """

    name: ClassVar[str]
    #: As that of ``TorchPredictor``.
    replayable: ClassVar[bool] = False

    lr: Positive = 1e-3
    weights: str = ""
    mask_rate: Part = 0.3

    def check_parameters(self) -> None:
        """Refuse weights that are no file, before anything runs.

        Raises
        ------
        UsageError
        """
        if self.weights:
            _existing(self.weights)

    @abstractmethod
    def build(self, n_genes: int) -> nn.Module:
        """Return the network, of fresh weights."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Neighbourhoods) -> Tensor:
        """Return the loss of a batch, some entries of which are hidden."""

    @abstractmethod
    def predict_batch(self, network: nn.Module, batch: Neighbourhoods) -> Tensor:
        """Return what the network says of the centres, (n_spots, n_genes)."""

    def table(self, slides: Slides) -> NeighbourTable:
        """Return who is near whom."""
        return two_hops(slides)

    def expressed(self, train: Slides) -> np.ndarray:
        """Return in which share of the spots each gene is seen, (n_genes,), for the mask rates."""
        share: np.ndarray = train.mask.mean(axis=0)
        return share

    def training_units(self, train: Slides, device: str) -> Units:
        """Return spots whose entries are hidden anew at every step."""
        chances = hiding_probabilities(self.expressed(train), rate=self.mask_rate)
        table = self.table(train)
        return SpotUnits(train.prefilled, train.mask, table, device, probabilities=chances)

    def validation_units(self, val: Slides, expressed: np.ndarray, context: Context) -> Units:
        """Return spots whose entries are hidden once; ``expressed`` is that of training."""
        chances = hiding_probabilities(expressed, rate=self.mask_rate)
        hidden = draw_hidden(val.mask, chances, context.seed + _VALIDATION_STREAM)
        table = self.table(val)
        return SpotUnits(val.prefilled, val.mask, table, context.device, hidden=hidden)

    def prepare(self, network: nn.Module, train: Slides) -> nn.Module:
        """Return the network with what it must know of the training slides; here as it is."""
        return network

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Train a network of fresh weights, or read those of ``weights``.

        Raises
        ------
        DivergedError
            If the loss or a validation prediction is no longer finite.
        UsageError, CorruptEntryError, ShapeMismatchError
            If the file of weights is absent, or of another network or of other genes.
        """
        if self.weights:
            self.load(_existing(self.weights), context.device)
            self._check_genes(train)
            return
        with seeded(context.seed, context.device):
            network = self.build(train.n_genes)
        network = self._place(self.prepare(network, train), context.device)
        trainer.train(
            network,
            self.loss,
            self.training_units(train, context.device),
            self.validation_units(val, self.expressed(train), context),
            lr=self.lr,
            context=context,
            predict=self.predict_batch,
            # A network that computes in less says so itself, and then in use too.
            recipe=trainer.Recipe(precision="float32", replay=self.replayable),
        )
        self.network_ = network
        self.gene_names_ = train.gene_names

    def complete(self, slides: Slides, batch_size: int = _INFERENCE_BATCH) -> np.ndarray:
        """Return the filled target, (n_spots, n_genes), float32.

        Only the target is looked at: what the median filter says of an entry is not.
        """
        network = self._fitted().eval()
        self._check_genes(slides)
        units = SpotUnits(slides.target, slides.mask, self.table(slides), self._device)
        with torch.inference_mode():
            parts = [
                self.predict_batch(network, units.batch(rows)).float().cpu()
                for rows in torch.arange(len(units)).split(batch_size)
            ]
        return np.where(slides.mask, slides.target, torch.cat(parts).numpy())

    def _saved_by(self) -> dict[str, str]:
        return {"completer": self.name}

    def _check_genes(self, slides: Slides) -> None:
        if slides.gene_names != self.gene_names_:
            odd = sorted(set(slides.gene_names) ^ set(self.gene_names_))
            raise ShapeMismatchError(
                f"The weights of completer {self.name!r} are for {len(self.gene_names_)} genes and"
                f" these slides have {len(slides.gene_names)}, or others, or in another order"
                f" ({', '.join(odd[:3]) or 'the same names'}). Use the weights of this dataset and"
                " protocol, or none, to train."
            )


def _existing(weights: str) -> Path:
    path = Path(weights).expanduser()
    if not path.exists():
        raise UsageError(f"weights must name a file that a completer saved; {weights!r} is none.")
    return path
