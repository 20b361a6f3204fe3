"""Spots with their neighbours, as the units of the shared trainer.

Expression, masks and index tables live on the device, and neighbourhoods are gathered and hidden
there: a step costs no Python per spot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spared_bench.completion.neighbourhoods import NeighbourTable
from spared_bench.models.moving import to_device


@dataclass(frozen=True)
class Neighbourhoods:
    """Spots, each with its neighbours; the first slot is the spot itself, the centre.

    Parameters
    ----------
    values : Tensor of float32, of shape (n_spots, n_slots, n_genes)
    measured : Tensor of bool, of that shape
        True where a value was measured.
    hidden : Tensor of bool, of that shape
        Measured entries that the network is not to see, and is asked for.
    present : Tensor of bool, of shape (n_spots, n_slots)
        False where there is no such neighbour; its values mean nothing.
    distance : Tensor of float32, of shape (n_spots, n_slots)
    """

    values: Tensor
    measured: Tensor
    hidden: Tensor
    present: Tensor
    distance: Tensor

    @property
    def target(self) -> Tensor:
        """Values of the centres, (n_spots, n_genes): what a validation compares with."""
        return self.values[:, 0]

    @property
    def mask(self) -> Tensor:
        """Hidden entries of the centres, (n_spots, n_genes): where it compares."""
        return self.hidden[:, 0]


class SpotUnits:
    """The spots of some slides as units of training, validation or completion.

    Parameters
    ----------
    values : ndarray of float, of shape (n_spots, n_genes)
    measured : ndarray of bool, of that shape
    table : NeighbourTable
    device : str
    probabilities : ndarray of shape (n_genes,) or (n_rates, n_genes), optional
        With which a measured entry is hidden, drawn anew for every neighbourhood of every batch
        from torch's random state; of several rows, each neighbourhood takes one at random.
    hidden : ndarray of bool, of shape (n_spots, n_genes), optional
        Entries that are hidden in every batch, wherever their spot appears.
    """

    def __init__(
        self,
        values: np.ndarray,
        measured: np.ndarray,
        table: NeighbourTable,
        device: str,
        *,
        probabilities: np.ndarray | None = None,
        hidden: np.ndarray | None = None,
    ) -> None:
        self._device = torch.device(device)
        self._values = torch.tensor(values, dtype=torch.float32, device=device)
        self._measured = torch.tensor(measured, device=device)
        self._index = torch.tensor(table.index, device=device)
        self._present = torch.tensor(table.present, device=device)
        self._distance = torch.tensor(table.distance, device=device)
        self._hidden = None if hidden is None else torch.tensor(hidden, device=device)
        rates = None if probabilities is None else np.atleast_2d(probabilities)
        self._rates = None if rates is None else torch.tensor(rates, dtype=torch.float32).to(device)

    def __len__(self) -> int:
        return len(self._index)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> Neighbourhoods:
        """Return these spots with their neighbours; there is nothing to augment."""
        rows = to_device(rows, self._device)
        index, present = self._index[rows], self._present[rows]
        measured = self._measured[index]
        hidden = self._draw(measured, index) & measured & present[..., None]
        values = self._values[index]
        return Neighbourhoods(values, measured, hidden, present, self._distance[rows])

    def _draw(self, measured: Tensor, index: Tensor) -> Tensor:
        if self._hidden is not None:
            return self._hidden[index]
        if self._rates is None:
            return torch.zeros_like(measured)
        rates = self._rates
        if len(rates) > 1:
            chosen = torch.randint(len(rates), (len(index),), device=self._device)
            rates = rates[chosen][:, None, :]
        return torch.rand(measured.shape, device=self._device) < rates
