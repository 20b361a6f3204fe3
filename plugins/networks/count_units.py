"""Counts, or what stands for them, as a method learns them, and the way back to the target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from spared_bench.data import TARGET, Slides
from spared_bench.errors import UsageError, did_you_mean
from spared_bench.interfaces import TargetTransform
from spared_bench.models.arrays import load_arrays, save_arrays
from spared_bench.models.units import Batch, PatchUnits

_LEAST_FACTOR = 1e-3  # a spot without any counts has a depth of 0
_MOST_LOG = 20.0  # 500 million counts
_N_RANGE = (0.05, 100.0)


@dataclass(frozen=True, eq=False)
class CountTarget:
    """What is learnt in place of the target.

    Parameters
    ----------
    kind : {"counts", "log1p_counts", "shifted_target"}
        Counts, by the depth of each spot; the logarithm of one more, whatever the depth; the target
        less its least training value per gene.
    transform : TargetTransform
        Of the protocol's target; for the last kind, it may be undefined.
    low : ndarray of shape (n_genes,)
        That least value; 0 for the other kinds.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("counts", "log1p_counts", "shifted_target")

    kind: str
    transform: TargetTransform
    low: np.ndarray

    @classmethod
    def fitted(cls, kind: str, train: Slides, transform: TargetTransform) -> CountTarget:
        """Fit it to training slides.

        Raises
        ------
        UsageError
            For an unknown kind, or where the target is none of counts.
        """
        if kind not in cls.KINDS:
            raise UsageError(
                f"What is learnt must be one of {', '.join(cls.KINDS)}; found {kind!r}."
                f" {did_you_mean(kind, list(cls.KINDS))}"
            )
        if kind == "shifted_target":
            return cls(kind, transform, train.target.min(axis=0).astype(np.float64))
        if transform.undefined:
            raise UsageError(
                f"This method was told to learn {kind}, and cannot return the protocol's target"
                f" then: {transform.undefined}. Set its parameter `fits` to 'shifted_target', or"
                " choose a protocol whose target is made of counts."
            )
        return cls(kind, transform, np.zeros(train.n_genes))

    def learnt(self, slides: Slides) -> tuple[np.ndarray, np.ndarray]:
        """Return what is learnt, (n_spots, n_genes), and size factors, (n_spots,), float32.

        An unmeasured entry is the count that the target stands for there, which is 0 unless a
        completer has filled it, and at most the gene's highest measured one.
        """
        factors = np.ones(len(slides))
        if self.kind == "shifted_target":
            values = np.maximum(slides.target - self.low, 0)
            return values.astype(np.float32), factors.astype(np.float32)
        depths = np.maximum(self.transform.size_factors(slides), _LEAST_FACTOR)
        measured = np.where(slides.mask, slides.counts, 0)
        with np.errstate(over="ignore"):
            filled = self.transform.to_counts(slides.target, depths)
        filled = np.minimum(filled, measured.max(axis=0, initial=0))
        counts = np.where(slides.mask, measured, filled)
        if self.kind == "log1p_counts":
            return np.log1p(counts).astype(np.float32), factors.astype(np.float32)
        return counts.astype(np.float32), depths.astype(np.float32)

    def moments(self, train: Slides) -> tuple[np.ndarray, np.ndarray]:
        """Return n and p of every gene by the moments of what is learnt, each (n_genes,).

        p is that of a spot whose size factor is 1. A gene that varies no more than a Poisson
        distribution gets an n of 100, a gene without counts the mean of 1 in 100,000.
        """
        values, factors = self.learnt(train)
        mean = np.maximum(values.sum(axis=0, dtype=np.float64) / factors.sum(), 1e-5)
        variance = (values / factors[:, None]).var(axis=0, dtype=np.float64)
        beyond = np.maximum(variance - mean, 1e-12)
        n = np.clip(mean**2 / beyond, *_N_RANGE)
        return n, n / (n + mean)

    def returned(self, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn mean and variance of what is learnt, at a size factor of 1, into the target's.

        The variance to first order (delta method).
        """
        if self.kind == "shifted_target":
            return mean + self.low, variance
        if self.kind == "log1p_counts":
            mean = np.minimum(mean, _MOST_LOG)
            variance = variance * np.exp(mean) ** 2
            mean = np.expm1(mean)
        return self.transform.to_target(mean), self.transform.to_target_variance(mean, variance)

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        save_arrays(folder, {"low": self.low}, kind=self.kind)
        self.transform.save(folder / "transform.npz")

    @classmethod
    def load(cls, folder: Path) -> CountTarget:
        """Read what ``save`` wrote."""
        arrays, facts = load_arrays(folder)
        transform = TargetTransform.load(folder / "transform.npz")
        return cls(facts["kind"], transform, arrays["low"])


@dataclass(frozen=True)
class CountBatch(Batch):
    """The spots of one step.

    Parameters
    ----------
    counts : Tensor of float32, of shape (n_spots, n_genes)
        What is learnt; no columns where expression is not visible.
    size_factors : Tensor of float32, of shape (n_spots,)
    """

    counts: Tensor
    size_factors: Tensor


class CountUnits(PatchUnits):
    """Spots, each with its own patch and its counts.

    Parameters
    ----------
    slides : Slides
    learns : CountTarget
    device, *rest
        As ``PatchUnits`` takes them.
    """

    def __init__(self, slides: Slides, learns: CountTarget, device: str, *rest: object) -> None:
        super().__init__(slides, device, *rest)  # type: ignore[arg-type]
        counts, factors = np.empty((len(slides), 0), np.float32), np.ones(len(slides), np.float32)
        if TARGET in slides.adata.layers:
            counts, factors = learns.learnt(slides)
        self._counts = torch.from_numpy(counts).to(device)
        self._size_factors = torch.from_numpy(factors).to(device)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> CountBatch:
        """Return these spots."""
        plain = super().batch(rows, augment)
        here = rows.to(self._counts.device)
        return CountBatch(
            **vars(plain), counts=self._counts[here], size_factors=self._size_factors[here]
        )
