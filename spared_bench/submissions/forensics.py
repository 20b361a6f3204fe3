"""What a prediction should not know: pure functions, arrays in and one number out.

Each returns a number that is large where something is odd. Odd is not wrong: a flag with the number
is shown beside the entry, and people judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

#: A gene and slide enter where this share of entries, and of the others, is measured.
_LEAST_SHARE = 0.05
_LEAST_SPOTS = 20


def mask_following(prediction: np.ndarray, mask: np.ndarray, slides: list[np.ndarray]) -> float:
    """How well predictions tell measured entries from unmeasured ones.

    Which entries are measured is part of the answer: a method does not see it. A good prediction
    tells something of it, since a gene of low expression is missed more often.

    Parameters
    ----------
    prediction : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured.
    slides : list of ndarray of int
        The rows of each slide.

    Returns
    -------
    float
        The median, over genes and slides, of the chance that a measured entry is predicted apart
        from an unmeasured one in the same direction: 0.5 for ignorance, 1 for knowledge. nan where
        no gene has enough entries of both kinds.
    """
    found = [
        _separation(prediction[rows][:, mixed], mask[rows][:, mixed])
        for rows in slides
        if (mixed := _mixed(mask[rows])).any()
    ]
    return float(np.median(np.concatenate(found))) if found else float("nan")


def _mixed(mask: np.ndarray) -> np.ndarray:
    share = mask.mean(axis=0)
    return (share > _LEAST_SHARE) & (share < 1 - _LEAST_SHARE) & (len(mask) >= _LEAST_SPOTS)


def _separation(prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each column, (n_genes,), mirrored to at least 0.5."""
    from scipy.stats import rankdata

    ranks = rankdata(prediction, axis=0)  # ties share their mean rank
    n_seen = mask.sum(axis=0)
    n_unseen = len(mask) - n_seen
    excess = np.where(mask, ranks, 0).sum(axis=0) - n_seen * (n_seen + 1) / 2
    area = excess / (n_seen * n_unseen)
    return np.maximum(area, 1 - area)


def library_following(
    prediction: np.ndarray, counts: np.ndarray, slides: list[np.ndarray]
) -> float:
    """How closely the mean prediction of a spot follows the number of its counts.

    Parameters
    ----------
    prediction, counts : ndarray of shape (n_spots, n_genes)
    slides : list of ndarray of int
        The rows of each slide.

    Returns
    -------
    float
        Median over slides of the absolute Spearman correlation; nan where the mean prediction or
        the counts are constant. A slide shows where cells are dense, so it is seldom near 0.
    """
    from scipy.stats import rankdata

    found = []
    for rows in slides:
        level = rankdata(prediction[rows].mean(axis=1))
        total = rankdata(counts[rows].sum(axis=1))
        if len(rows) >= _LEAST_SPOTS and np.ptp(level) > 0 and np.ptp(total) > 0:
            found.append(abs(float(np.corrcoef(level, total)[0, 1])))
    return float(np.median(found)) if found else float("nan")


def equal_pairs(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the pairs of names that hold equal values, each name with the first that equals it."""
    first: dict[object, str] = {}
    return [
        (first[value], name)
        for name, value in values.items()
        if first.setdefault(value, name) != name
    ]


def same_scores(scores: Mapping[str, Mapping[str, float | None]]) -> list[tuple[str, str]]:
    """Return the pairs of datasets whose scores agree in six digits of every defined metric.

    Scores of 0 and undefined ones, which constant predictions have everywhere, are left out.
    """
    told = {
        dataset: tuple(
            (name, f"{value:.6g}") for name, value in sorted(each.items()) if value not in (None, 0)
        )
        for dataset, each in scores.items()
    }
    return equal_pairs({dataset: each for dataset, each in told.items() if each})


def thinned_rows(slides: Sequence[np.ndarray], most: int = 1_000) -> list[np.ndarray]:
    """Return at most so many rows of each slide, evenly spaced: enough for a median."""
    return [rows[:: max(1, -(-len(rows) // most))] for rows in slides]
