"""From counts to expression that is comparable between spots, logged or not.

All scales but `log_share` and `pearson_residuals` keep 0 at 0, so that an unmeasured entry stays
recognisable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spared_bench.data.targets import TARGETS


def transcripts_per_million(counts: np.ndarray, lengths_bp: np.ndarray) -> np.ndarray:
    """Scale counts by gene length and to one million per spot.

    The million is shared among the given genes only, so a value depends on which genes they are.

    Parameters
    ----------
    counts : ndarray of shape (n_spots, n_genes)
    lengths_bp : ndarray of shape (n_genes,)
        Positive.

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        A spot without counts is 0 throughout.
    """
    rates = np.asarray(counts, dtype=np.float64) / np.asarray(lengths_bp, dtype=np.float64)
    per_spot = rates.sum(axis=1, keepdims=True)
    rates *= 1e6
    return np.divide(rates, per_spot, out=rates, where=per_spot > 0)


def log2_tpm(counts: np.ndarray, lengths_bp: np.ndarray) -> np.ndarray:
    """Return log2(TPM + 1), (n_spots, n_genes)."""
    tpm = transcripts_per_million(counts, lengths_bp)
    tpm += 1
    return np.log2(tpm, out=tpm)


def per_library(counts: np.ndarray, library_sizes: np.ndarray, per: float) -> np.ndarray:
    """Return counts per so many counts of the spot.

    Parameters
    ----------
    counts : ndarray of shape (n_spots, n_genes)
    library_sizes : ndarray of shape (n_spots,)
        All counts of each spot, over more genes than the given ones, so that a value does not
        depend on the choice of genes. A spot of size 0 is 0 throughout.
    per : float
        1e4, or 1e6 for counts per million.
    """
    values = np.asarray(counts, dtype=np.float64) * per
    sizes = np.asarray(library_sizes, dtype=np.float64)[:, None]
    np.divide(values, sizes, out=values, where=sizes > 0)
    return values


def log1p_cp10k(counts: np.ndarray, library_sizes: np.ndarray) -> np.ndarray:
    """Return ln(1 + counts per 10,000 counts of the spot); see ``per_library``."""
    values = per_library(counts, library_sizes, 1e4)
    return np.log1p(values, out=values)


def log_share(counts: np.ndarray) -> np.ndarray:
    """Return ln((1 + counts) / sum over genes of (1 + counts)), as the released code of ASIGN does.

    The sum is over the given genes alone, so a value depends on which genes they are; every entry
    counts as measured, a count of 0 as well.

    Parameters
    ----------
    counts : ndarray of shape (n_spots, n_genes)

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        Negative; 0 where there is one gene.
    """
    more = np.asarray(counts, dtype=np.float64) + 1
    return np.log(more / more.sum(axis=1, keepdims=True))


def pearson_residuals(
    counts: np.ndarray, library_sizes: np.ndarray, fitted: np.ndarray, theta: float = 100.0
) -> np.ndarray:
    """Return analytic Pearson residuals of counts (Lause et al., Genome Biol. 2021).

    A count is expected to be its spot's library times its gene's share of all counts, and to vary
    as a negative binomial of one overdispersion; the residual is the difference from that, in
    standard deviations. The shares are those of the fitted spots, so that no other spot has a part
    in them. For the spots that are fitted, it equals scanpy's
    ``experimental.pp.normalize_pearson_residuals`` of all their genes.

    Parameters
    ----------
    counts : ndarray of shape (n_spots, n_genes)
    library_sizes : ndarray of shape (n_spots,)
        All counts of each spot, over more genes than the given ones.
    fitted : ndarray of bool, of shape (n_spots,)
    theta : float
        The overdispersion: a variance is the mean plus its square over this.

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        Cut to plus and minus the root of the number of fitted spots; 0 where no count is expected.
    """
    counts = np.asarray(counts, dtype=np.float64)
    sizes = np.asarray(library_sizes, dtype=np.float64)
    total = sizes[fitted].sum()
    shares = counts[fitted].sum(axis=0) / total if total > 0 else np.zeros(counts.shape[1])
    expected = sizes[:, None] * shares
    deviation = np.sqrt(expected + expected**2 / theta)
    residuals = np.zeros_like(counts)
    np.divide(counts - expected, deviation, out=residuals, where=deviation > 0)
    bound = np.sqrt(fitted.sum())
    return residuals.clip(-bound, bound)


def normalised(
    target: str, counts: np.ndarray, library_sizes: np.ndarray, lengths_bp: np.ndarray
) -> np.ndarray:
    """Return counts as a target of a protocol (``spared_bench.data.targets``).

    Parameters
    ----------
    target : str
    counts : ndarray of shape (n_spots, n_genes)
    library_sizes : ndarray of shape (n_spots,)
    lengths_bp : ndarray of shape (n_genes,)
        Looked at for TPM alone.

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        0 where the count is 0.
    """
    scale = TARGETS[target]
    if scale.depth == "length":
        values = transcripts_per_million(counts, lengths_bp)
    elif scale.depth == "library":
        values = per_library(counts, library_sizes, scale.per)
    else:
        values = np.array(counts, dtype=np.float64)
    if not scale.base:
        return values
    if scale.base == 2:
        values += 1
        return np.log2(values, out=values)
    return np.log1p(values, out=values)


@dataclass(frozen=True)
class MinMax:
    """The range of each gene, fitted on some spots, that becomes 0 to 1.

    Parameters
    ----------
    low, width : ndarray of shape (n_genes,)
        A gene that is constant there has width 1 and becomes 0.
    """

    low: np.ndarray
    width: np.ndarray

    @classmethod
    def fitted(cls, values: np.ndarray, counted: np.ndarray) -> MinMax:
        """Fit to the entries that count.

        Parameters
        ----------
        values : ndarray of shape (n_spots, n_genes)
        counted : ndarray of bool, of the same shape
            A gene without any keeps its values.
        """
        low = np.where(counted, values, np.inf).min(axis=0, initial=np.inf)
        high = np.where(counted, values, -np.inf).max(axis=0, initial=-np.inf)
        known = np.isfinite(low)
        low, high = np.where(known, low, 0.0), np.where(known, high, 1.0)
        return cls(low, np.where(high > low, high - low, 1.0))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Scale values; those beyond the fitted range lie beyond 0 to 1."""
        return np.asarray((values - self.low) / self.width)
