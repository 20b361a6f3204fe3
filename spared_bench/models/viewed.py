"""The base of networks that look at several views of a spot.

A subclass declares the views and says what the network is, which is called with them by name:
``network(target=..., region=...)``.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.data import Slides
from spared_bench.data.viewed import Tiles
from spared_bench.data.views import View
from spared_bench.errors import PluginError
from spared_bench.models.augment import normalisation_of, normalise
from spared_bench.models.augmentation.augmenter import Augmentation, augmented
from spared_bench.models.augmentation.symmetries import Symmetries
from spared_bench.models.device_patches import DevicePatches, resident_budget
from spared_bench.models.moving import to_device
from spared_bench.models.torch_predictor import TorchPredictor
from spared_bench.models.units import target_and_mask

_HIGHEST = 2**63 - 1


@dataclass(frozen=True)
class ViewBatch:
    """The spots of one step.

    Parameters
    ----------
    views : dict of str to Tensor of float32
        By name, normalised: (n_spots, 3, size, size); of tiles (n_spots, tiles * tiles, 3, size,
        size); of a grid the window in which each spot lies, (n_spots, 3, size, size).
    target, mask : Tensor of shape (n_spots, n_genes)
        As in ``Batch``.
    """

    views: dict[str, Tensor]
    target: Tensor
    mask: Tensor


class ViewUnits:
    """Spots, each with what it is seen in.

    Parameters
    ----------
    slides : Slides
        With or without their expression, and with the views.
    declared : mapping of str to View
    device : str
    budget : int, optional
        Bytes of windows that may stay on the device, of all views together; tiles never do.
    normalisation, augmentation
        As ``PatchUnits`` takes them.
    """

    def __init__(
        self,
        slides: Slides,
        declared: Mapping[str, View],
        device: str = "cpu",
        budget: int | None = None,
        normalisation: str = "imagenet",
        augmentation: Augmentation | None = None,
    ) -> None:
        self._normalisation = normalisation_of(normalisation)
        self._augmentation = augmentation or Symmetries()
        self._device = torch.device(device)
        share = (resident_budget(device) if budget is None else budget) // max(1, len(declared))
        self._seen: dict[str, _Windows | _Tiles] = {}
        for name, view in declared.items():
            if view.tiles > 1:
                self._seen[name] = _Tiles(slides.tiles(name), device)
            elif view.grid:
                windows = slides.windows(name)
                stored = DevicePatches(windows.patches, device, share)
                self._seen[name] = _Windows(stored, torch.from_numpy(windows.of_spot))
            else:
                stored = DevicePatches(slides.view(name), device, share)
                self._seen[name] = _Windows(stored, torch.arange(len(slides)))
        self._target, self._mask = target_and_mask(slides, device)

    def __len__(self) -> int:
        return len(self._target)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> ViewBatch:
        """Return these spots; with a generator, each view augmented.

        The windows of one spot share their draws, so that they are turned the same way; its tiles
        are drawn one by one.
        """
        seed = None if augment is None else int(torch.randint(_HIGHEST, (), generator=augment))
        here = to_device(rows, self._device)
        views = {name: self._look(each, rows, seed) for name, each in self._seen.items()}
        return ViewBatch(views, self._target[here], self._mask[here])

    def _look(self, seen: _Windows | _Tiles, rows: Tensor, seed: int | None) -> Tensor:
        images = seen.read(rows)
        flat = images.flatten(0, -4)  # (n, size, size, 3), tile after tile
        if seed is not None:
            flat = augmented(flat, self._augmentation, torch.Generator().manual_seed(seed))
        normal = normalise(flat, *self._normalisation)
        return normal.unflatten(0, images.shape[:-3]) if images.dim() > 4 else normal


@dataclass(frozen=True)
class _Windows:
    """One window for every spot, several spots perhaps the same."""

    stored: DevicePatches
    of_spot: Tensor

    def read(self, rows: Tensor) -> Tensor:
        return self.stored[self.of_spot[rows]]


@dataclass(frozen=True)
class _Tiles:
    tiles: Tiles
    device: str

    def read(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self.tiles[rows.numpy()]).to(self.device)


@dataclass
class ViewPredictor(TorchPredictor):
    """A network that is given several views of every spot, by their names.

    A subclass has ``views``, a mapping of names to ``View`` (a class attribute, or a property where
    it depends on fields), and implements ``build``; the network's ``forward`` has an argument of
    the name of each view. ``View(size=0)`` is the protocol's own patch. What else may be overridden
    is that of ``TorchPredictor``; a batch is a ``ViewBatch``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from torch import nn
    >>> from spared_bench import View
    >>> from spared_bench.models import ViewPredictor
    >>> class Net(nn.Module):
    ...     def __init__(self, n_genes):
    ...         super().__init__()
    ...         self.head = nn.Linear(6, n_genes)
    ...
    ...     def forward(self, target, region):
    ...         means = [each.mean(dim=(2, 3)) for each in (target, region)]
    ...         return self.head(torch.cat(means, dim=1))
    >>> @dataclass
    ... class TwoViews(ViewPredictor):
    ...     views = {"target": View(size=0), "region": View(scale=4.6, size=64)}
    ...
    ...     def build(self, n_genes):
    ...         return Net(n_genes)
    """

    @abstractmethod
    def build(self, *sizes: Any, **others: Any) -> nn.Module:
        """``build(n_genes)``: the views by name -> (n_spots, n_genes)."""

    def new_network(self, n_genes: int) -> nn.Module:
        """Return what ``build`` returns.

        Raises
        ------
        PluginError
            If it takes other arguments than the views, and ``predict_batch`` is that of this class.
        """
        network = self.build(n_genes)
        declared = getattr(self, "views", None) or {}
        if declared and type(self).predict_batch is ViewPredictor.predict_batch:
            arguments = inspect.signature(network.forward)
            try:
                arguments.bind(**declared)
            except TypeError as error:
                raise PluginError(
                    f"{self._label}: the forward of its network takes {arguments}, and its views"
                    f" are {', '.join(declared)} ({error}). Give both the same names."
                ) from error
        return network

    def units(self, slides: Slides, device: str, resident: bool) -> ViewUnits:
        """Return spots with their views."""
        declared = getattr(self, "views", None)
        if not declared:
            raise PluginError(
                f"{type(self).__name__} declares no views. Give it an attribute, such as"
                ' `views = {"region": View(scale=4.6, size=224)}`.'
            )
        budget = None if resident else 0
        return ViewUnits(slides, declared, device, budget, self.normalisation, self.augmenter)

    def loss(self, network: nn.Module, batch: ViewBatch) -> Tensor:
        """Return the MSE over all entries, completed ones too."""
        return functional.mse_loss(network(**batch.views), batch.target)

    def predict_batch(self, network: nn.Module, batch: ViewBatch) -> Tensor:
        """Return the prediction of a batch, (n_spots, n_genes)."""
        return network(**batch.views)
