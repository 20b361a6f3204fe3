"""What a method keeps of its training: a network and the names of its genes, saved and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spared_bench.errors import CorruptEntryError, UsageError
from spared_bench.models.arrays import load_arrays, save_arrays


class SavedNetwork(ABC):
    """The part of a predictor or a completer that is there once it is fitted.

    Attributes
    ----------
    network_ : nn.Module
    gene_names_ : list of str
        In the order of the columns.
    """

    network_: nn.Module
    gene_names_: list[str]
    _device: str

    @abstractmethod
    def build(self, *sizes: Any, **others: Any) -> nn.Module:
        """Return the network that the fields describe, of fresh weights: ``build(n_genes)``.

        Written so that a base may ask its subclasses for other sizes, too.
        """

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self._fitted().parameters() if p.requires_grad)

    def save(self, folder: Path) -> None:
        """Write the trained weights into a folder, as safetensors: without pickle."""
        state = {name: value.cpu().numpy() for name, value in self._fitted().state_dict().items()}
        facts = self._saved_by() | self._learnt()
        save_arrays(folder, state, genes=self.gene_names_, **facts)

    def load(self, folder: Path, device: str = "cpu") -> None:
        """Read what ``save`` wrote, in place of ``fit``; the fields must be those it had.

        Raises
        ------
        MissingFileError, CorruptEntryError
            If the folder does not hold what ``save`` wrote for the same method and fields.
        """
        arrays, facts = load_arrays(folder)
        for kind, name in self._saved_by().items():
            if facts.get(kind) != name:
                raise CorruptEntryError(
                    f"{folder} holds the weights of {facts.get(kind, 'something')!r}, not of"
                    f" {kind} {name!r}. Name the file that {name!r} saved."
                )
        self._recall(facts)
        network = self._unfilled(len(facts["genes"]))
        try:
            network.load_state_dict({name: torch.from_numpy(each) for name, each in arrays.items()})
        except RuntimeError as error:
            raise CorruptEntryError(
                f"{folder} holds the weights of another network than {self} builds; construct it"
                f" with the parameters it was fitted with. {error}"
            ) from error
        self.network_ = self._place(network, device)
        self.gene_names_ = list(facts["genes"])

    def _saved_by(self) -> dict[str, str]:
        """Kind and name of the method, where the file says whose weights it holds."""
        return {}

    def _learnt(self) -> dict[str, Any]:
        """Plain facts from the training slides that ``build`` needs beside the number of genes."""
        return {}

    def _recall(self, facts: dict[str, Any]) -> None:
        """Take back what ``_learnt`` told, before the network is built to be filled."""
        return None

    def _unfilled(self, n_genes: int) -> nn.Module:
        """Return the network whose weights are about to be read."""
        return self.build(n_genes)

    def _place(self, network: nn.Module, device: str) -> nn.Module:
        """Return the network on the device on which the method works from now on."""
        self._device = device
        return network.to(device)

    def _fitted(self) -> nn.Module:
        if not hasattr(self, "network_"):
            raise UsageError(
                f"{type(self).__name__} has not been fitted, so it has no network. Call `fit`, or"
                " `load` with a folder that `save` wrote."
            )
        return self.network_
