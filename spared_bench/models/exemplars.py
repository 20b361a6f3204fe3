"""Exemplars: for each spot, the training spots whose patches resemble its own.

A spot never has exemplars from its own slide, so that training looks like prediction on a new
slide. Where all training spots are of one slide there are no others: then a spot is left out of its
own exemplars, and no more.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spared_bench.bounds import Count
from spared_bench.data import Slides
from spared_bench.errors import ContractError
from spared_bench.geometry import rows_by_slide
from spared_bench.interfaces import Context
from spared_bench.models.arrays import load_arrays, save_arrays
from spared_bench.models.augmentation.augmenter import Augmentation
from spared_bench.models.encoders import FrozenEncoder, frozen_encoder
from spared_bench.models.moving import to_device
from spared_bench.models.torch_predictor import TorchPredictor
from spared_bench.models.units import Batch, PatchUnits
from spared_bench.processing.compiled import compiled

_CHUNK_ENTRIES = 1 << 24  # of a block of distances: 64 MiB of float32
# Differences from which on compiling a loop for them pays.
_COMPILED_FROM = 1 << 32
_BLOCK = 64  # rows of the reference that stay in the cache while the queries pass
_FOLDER = "exemplars"


@dataclass(frozen=True)
class Bank:
    """The training spots that exemplars are taken from.

    Parameters
    ----------
    features : ndarray of float32, of shape (n_spots, width)
    expression : ndarray of float32, of shape (n_spots, n_genes)
        The target that was trained towards.
    slide_ids, spots : ndarray of str, of shape (n_spots,)
    """

    features: np.ndarray
    expression: np.ndarray
    slide_ids: np.ndarray
    spots: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    def save(self, folder: Path) -> None:
        """Write the bank into a folder."""
        arrays = {"features": self.features, "expression": self.expression}
        names = {"slide_ids": self.slide_ids.tolist(), "spots": self.spots.tolist()}
        save_arrays(folder, arrays, **names)

    @classmethod
    def load(cls, folder: Path) -> Bank:
        """Read what ``save`` wrote."""
        arrays, facts = load_arrays(folder)
        names = {key: np.array(facts[key], dtype=str) for key in ("slide_ids", "spots")}
        return cls(**arrays, **names)


def find_exemplars(
    features: np.ndarray,
    slides: Slides,
    bank: Bank,
    number: int,
    norm: float,
    device: str = "cpu",
    own_slide: bool = False,
) -> np.ndarray:
    """Find the training spots of the most similar features, slide by slide.

    Parameters
    ----------
    features : ndarray of float32, of shape (n_spots, width)
        Of the spots of ``slides``.
    slides : Slides
    bank : Bank
    number : int
        Of exemplars per spot. Where there are fewer, the nearest are repeated.
    norm : float
        2 for Euclidean distance, 1 for the sum of absolute differences.
    device : str
    own_slide : bool
        Search the spot's own slide, too, as SpaRED's code does; only the spot itself is left out.

    Returns
    -------
    ndarray of int64, of shape (n_spots, number)
        Positions in the bank, the nearest first.

    Raises
    ------
    ContractError
        If the only training spot is the one that seeks an exemplar.
    """
    found = np.empty((len(slides), number), dtype=np.int64)
    slide_ids, names = slides.slide_ids, slides.adata.obs_names.to_numpy(dtype=str)
    for here in rows_by_slide(slide_ids):
        others = np.flatnonzero(bank.slide_ids != slide_ids[here[0]])
        own = np.empty(0, dtype=np.int64)
        if own_slide or not len(others):
            others = np.arange(len(bank))
            place = {name: i for i, name in enumerate(bank.spots)}
            own = np.array([place.get(name, -1) for name in names[here]])
        reference = torch.from_numpy(bank.features[others]).to(device)
        queries = torch.from_numpy(features[here]).to(device)
        found[here] = others[_nearest(queries, reference, own, number, norm)]
    return found


def _nearest(
    queries: Tensor, reference: Tensor, own: np.ndarray, number: int, norm: float
) -> np.ndarray:
    """Positions in ``reference``, (n_queries, number); ``own`` is that of the query, or -1."""
    available = len(reference) - bool(len(own) and (own >= 0).any())
    if available < 1:
        raise ContractError(
            "There is one training spot, and it cannot be its own exemplar. Train on two or more."
        )
    kept = min(number, available)
    parts = []
    step = max(1, _CHUNK_ENTRIES // len(reference))
    for start in range(0, len(queries), step):
        distances = _distances(queries[start : start + step], reference, norm)
        if len(own):
            itself = torch.from_numpy(own[start : start + step]).to(distances.device)
            row = (itself >= 0).nonzero().squeeze(1)
            distances[row, itself[row]] = torch.inf
        parts.append(distances.topk(kept, dim=1, largest=False).indices.cpu())
    return torch.cat(parts)[:, torch.arange(number) % kept].numpy()


def _distances(queries: Tensor, reference: Tensor, norm: float) -> Tensor:
    """All distances, (n_queries, n_reference)."""
    work = queries.numel() * len(reference)
    if norm == 1 and queries.device.type == "cpu" and work > _COMPILED_FROM:
        return torch.from_numpy(_absolute_differences(queries.numpy(), reference.numpy()))
    return torch.cdist(queries, reference, p=norm)


def _absolute_differences(queries: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Sum of absolute differences of all pairs, many times as fast as torch on a CPU."""
    out = np.empty((len(queries), len(reference)), dtype=np.float32)
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        parts = [np.array_split(each, threads) for each in (queries, out)]
        list(pool.map(_fill, parts[0], [reference] * threads, parts[1]))
    return out


@compiled(fastmath=True)
def _fill(queries: np.ndarray, reference: np.ndarray, out: np.ndarray) -> None:
    for start in range(0, reference.shape[0], _BLOCK):
        for i in range(queries.shape[0]):
            for j in range(start, min(start + _BLOCK, reference.shape[0])):
                total = np.float32(0)
                for d in range(queries.shape[1]):
                    total += abs(queries[i, d] - reference[j, d])
                out[i, j] = total


@dataclass(frozen=True)
class ExemplarBatch(Batch):
    """Spots with their exemplars.

    Parameters
    ----------
    features : Tensor of shape (n_spots, width)
        Of the frozen encoder.
    exemplar_features : Tensor of shape (n_spots, n_exemplars, width)
    exemplar_expression : Tensor of shape (n_spots, n_exemplars, n_genes)
    """

    features: Tensor
    exemplar_features: Tensor
    exemplar_expression: Tensor


class ExemplarUnits(PatchUnits):
    """Spots, each with its patch, the features of it, and its exemplars.

    Parameters
    ----------
    slides, device, budget, normalisation, augmentation
        As ``PatchUnits`` takes them.
    features : ndarray of shape (n_spots, width)
    bank : Bank
    exemplars : ndarray of int64, of shape (n_spots, n_exemplars)
    """

    def __init__(
        self,
        slides: Slides,
        features: np.ndarray,
        bank: Bank,
        exemplars: np.ndarray,
        device: str = "cpu",
        budget: int | None = None,
        normalisation: str = "imagenet",
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__(slides, device, budget, normalisation, augmentation)
        self._features = torch.from_numpy(features).to(device)
        self._bank_features = torch.from_numpy(bank.features).to(device)
        self._bank_expression = torch.from_numpy(bank.expression).to(device)
        self._exemplars = torch.from_numpy(exemplars).to(device)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> ExemplarBatch:
        """Return these spots; the features are of the patch as it is, turned or not."""
        plain = super().batch(rows, augment)
        here = to_device(rows, self._device)
        theirs = self._exemplars[here]
        return ExemplarBatch(
            plain.images,
            plain.target,
            plain.mask,
            self._features[here],
            self._bank_features[theirs],
            self._bank_expression[theirs],
        )


@dataclass
class ExemplarPredictor(TorchPredictor):
    """A network that is shown exemplars; it keeps the training spots they come from.

    Parameters
    ----------
    encoder : str
        Frozen network whose features tell which patches are similar, ``"color"`` for 24 numbers of
        colour and texture; ``weights`` are its weights.
    n_exemplars : int
        Per spot.
    own_slide : bool
        Whether exemplars may come from the spot's own slide (``find_exemplars``).
    """

    encoder: str = "resnet50.tv_in1k"
    n_exemplars: Count = 6
    own_slide: bool = False

    @property
    def frozen(self) -> FrozenEncoder:
        """What turns patches into features."""
        return frozen_encoder(self.encoder, self.weights)

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Keep the training spots, then train."""
        names = train.adata.obs_names.to_numpy(dtype=str)
        self.bank_ = Bank(train.features(self.frozen), train.target, train.slide_ids, names)
        super().fit(train, val, context)

    def save(self, folder: Path) -> None:
        """Write the weights and the training spots into a folder."""
        super().save(folder)
        self.bank_.save(folder / _FOLDER)

    def load(self, folder: Path, device: str = "cpu") -> None:
        """Read what ``save`` wrote."""
        super().load(folder, device)
        self.bank_ = Bank.load(folder / _FOLDER)
