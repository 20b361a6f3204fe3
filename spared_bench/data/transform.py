"""The way between counts and the target of a protocol, for methods that learn counts.

Most targets of a protocol are the logarithm of a spot's counts over its depth::

    target = log(1 + counts * scale / size_factor) / log(base) - offset

``scale`` is of a gene, ``size_factor`` of a spot: its depth over the median depth of the training
spots. Targets without a logarithm (``counts``, ``cpm``, ``tpm``) are ``counts * scale /
size_factor - offset``. A predictor cannot know the depth of a spot that it has not seen; without
size factors, a count is taken for one at that median depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data.targets import TARGETS
from spared_bench.errors import ContractError, ShapeMismatchError

if TYPE_CHECKING:
    from typing import Any

    from spared_bench.data.slides import Slides

_EMPTY = np.empty(0)
_NOT_GIVEN = "this context was made without a transform of the target"


@dataclass(frozen=True, eq=False)
class TargetTransform:
    """Counts to the target that ``predict`` must return, and back; fitted on training slides.

    Parameters
    ----------
    undefined : str
        Why counts cannot be turned into the target; empty where they can. Every other member but
        ``gene_means`` then raises ``ContractError`` with it.
    gene_means : ndarray of shape (n_genes,)
        Mean of the training target over measured entries; nan for a gene without any.
    count_means : ndarray of shape (n_genes,)
        Mean of the training spots' counts over size factor, zeros included.
    scale : ndarray of shape (n_genes,)
        What one count adds under the logarithm, at the reference depth.
    base : float
        Of the logarithm: 2 or e; 0 where none is taken.
    depth : float
        The reference depth, the median over training spots: of the total counts where the target
        is ``log1p_cp10k`` or ``cpm``, of the total counts per base where it is TPM, else 1.
    offset : ndarray of shape (n_genes,)
        What the harness subtracted from the target that ``fit`` sees (``training.delta``), else 0.
    """

    undefined: str = _NOT_GIVEN
    gene_means: np.ndarray = field(default_factory=lambda: _EMPTY)
    count_means: np.ndarray = field(default_factory=lambda: _EMPTY)
    scale: np.ndarray = field(default_factory=lambda: _EMPTY)
    base: float = math.e
    depth: float = math.nan
    offset: np.ndarray = field(default_factory=lambda: _EMPTY)

    def size_factors(self, slides: Slides) -> np.ndarray:
        """Return the depth of these spots over the reference depth, (n_spots,), float64.

        Raises
        ------
        WithheldError
            For slides whose expression is hidden: their depth is measured.
        """
        self._require()
        return slides.depth / self.depth

    def to_target(self, counts: np.ndarray, size_factors: np.ndarray | None = None) -> np.ndarray:
        """Turn counts, measured or expected, into what ``predict`` must return.

        Parameters
        ----------
        counts : ndarray of shape (n_spots, n_genes)
            Not negative; fractions are expected counts.
        size_factors : ndarray of shape (n_spots,), optional
            Of the spots; 1 where not given.

        Returns
        -------
        ndarray of float64, of shape (n_spots, n_genes)
            ``fit``'s target where the counts are those measured, up to rounding.

        Raises
        ------
        ContractError
            Where it is undefined, or counts are negative or nan.
        """
        values = self._checked(counts)
        if not (values >= 0).all():
            raise ContractError(
                "Negative or nan counts have no logarithm. Return expected counts, which are not"
                " negative; clamp them at 0."
            )
        scaled = values * self.scale / _column(size_factors, len(values))
        if not self.base:
            return np.asarray(scaled - self.offset)
        return np.log1p(scaled) / math.log(self.base) - self.offset

    def to_counts(self, target: np.ndarray, size_factors: np.ndarray | None = None) -> np.ndarray:
        """Turn values of the target into counts, the inverse of ``to_target``, in float64.

        Values below the target of 0 counts become 0.
        """
        values = np.maximum(self._checked(target) + self.offset, 0)
        scaled = np.expm1(values * math.log(self.base)) if self.base else values
        return scaled / self.scale * _column(size_factors, len(values))

    def to_target_variance(
        self, counts: np.ndarray, variance: np.ndarray, size_factors: np.ndarray | None = None
    ) -> np.ndarray:
        """Turn the variance of counts into that of the target, to first order (delta method).

        Parameters
        ----------
        counts : ndarray of shape (n_spots, n_genes)
            Expected counts.
        variance : ndarray of shape (n_spots, n_genes)
            Of the counts.
        size_factors : ndarray of shape (n_spots,), optional

        Returns
        -------
        ndarray of float64, of shape (n_spots, n_genes)
            The variance times the squared slope of ``to_target`` at the expected counts. It says
            little where counts are few: the logarithm bends within one standard deviation.
        """
        values = self._checked(counts)
        per_count = self.scale / _column(size_factors, len(values))
        slope = np.broadcast_to(per_count, values.shape)
        if self.base:
            slope = per_count / (1 + values * per_count) / math.log(self.base)
        return np.asarray(variance, dtype=np.float64) * slope**2

    def save(self, path: Path) -> None:
        """Write it as ``.npz``, for the ``save`` of a method that turns counts at prediction."""
        with path.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                undefined=np.array(self.undefined),
                base=np.array(self.base),
                depth=np.array(self.depth),
                **{name: getattr(self, name) for name in _ARRAYS},
            )

    @classmethod
    def load(cls, path: Path) -> TargetTransform:
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in _ARRAYS}
            said, base, depth = str(file["undefined"]), float(file["base"]), float(file["depth"])
        return cls(undefined=said, base=base, depth=depth, **arrays)

    @classmethod
    def fitted(cls, train: Slides, offset: np.ndarray | None = None) -> TargetTransform:
        """Fit it to training slides.

        Parameters
        ----------
        train : Slides
            With their expression, and with the target of the protocol, nothing subtracted.
        offset : ndarray of shape (n_genes,), optional
            What is subtracted from the target before a method sees it; 0 where not given.
        """
        target, mask = train.target.astype(np.float64), train.mask
        seen = mask.sum(axis=0)
        total = np.where(mask, target, 0).sum(axis=0)
        means = np.divide(total, seen, out=np.full(len(total), np.nan), where=seen > 0)
        offset = np.zeros(train.n_genes) if offset is None else np.asarray(offset, np.float64)
        reason = _why_undefined(train)
        if reason:
            return cls(undefined=reason, gene_means=means, offset=offset)
        depths = train.depth
        reference = float(np.median(depths[depths > 0]))
        made = TARGETS[_processing(train)["target"]]
        scale, base = np.full(train.n_genes, made.per / reference), made.base
        if made.depth == "length":
            scale = scale / train.adata.var["gene_length_bp"].to_numpy(dtype=np.float64)
        factors = np.where(depths > 0, depths / reference, np.inf)[:, None]
        counts = (train.counts / factors).mean(axis=0, dtype=np.float64)
        return cls("", means, counts, scale, base, reference, offset)

    def _require(self) -> None:
        if self.undefined:
            raise ContractError(
                f"Counts cannot be turned into this protocol's target: {self.undefined}. A method"
                " that learns counts cannot be used with it; ask `context.transform.undefined`"
                " first, or learn the target itself."
            )

    def _checked(self, values: np.ndarray) -> np.ndarray:
        self._require()
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.scale):
            raise ShapeMismatchError(
                f"Expected an array of shape (n_spots, {len(self.scale)}), found {values.shape}."
            )
        return values


_ARRAYS = ("gene_means", "count_means", "scale", "offset")


def _column(size_factors: np.ndarray | None, n_spots: int) -> np.ndarray | float:
    if size_factors is None:
        return 1.0
    factors = np.asarray(size_factors, dtype=np.float64)
    if factors.shape != (n_spots,):
        raise ShapeMismatchError(
            f"Expected one size factor for each of {n_spots} spots, found shape {factors.shape}."
        )
    return factors[:, None]


def _processing(slides: Slides) -> dict[str, Any]:
    found: dict[str, Any] = slides.adata.uns.get("spared_bench", {}).get("processing", {})
    return found


def _why_undefined(train: Slides) -> str:
    """Say why the target is no function of a spot's counts and depth; empty where it is one."""
    settings = _processing(train)
    batches, scaling = (settings.get(at, "none") for at in ("batch_correction", "scaling"))
    reasons = (
        (
            not train.adata.uns["spared_bench"].get("raw_counts", True),
            "the dataset publishes normalised values and no counts",
        ),
        (
            batches != "none",
            f"it is batch-corrected (`batch_correction: {batches}`), which shifts values by gene"
            " and batch and makes some negative",
        ),
        (
            scaling != "none",
            f"it is scaled by gene (`scaling: {scaling}`) after it was made",
        ),
        (
            settings.get("smoothing", "none") != "none",
            "it is smoothed over neighbouring spots (`smoothing`), so no spot's counts give it",
        ),
        (
            settings.get("target") == "log_share",
            "it is a share among the chosen genes (`target: log_share`), of no one spot's depth",
        ),
        (
            settings.get("target") == "pearson_residuals",
            "it is a residual from what all training spots lead to expect (`target:"
            " pearson_residuals`)",
        ),
        (
            "target" not in settings or not train.has_depth,
            "these slides do not tell how their target was made (`spared-bench data prepare`)",
        ),
    )
    return next((reason for holds, reason in reasons if holds), "")
