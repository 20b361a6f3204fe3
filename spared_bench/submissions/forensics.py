"""What a prediction should not know: pure functions, arrays in and one number out.

Each returns a number that is large where something is odd. Odd is not wrong: a flag with the number
is shown beside the entry, and people judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spared_bench.submissions.truth import slide_mean

#: A gene and slide enter where this share of entries, and of the others, is measured.
_LEAST_SHARE = 0.05
_LEAST_SPOTS = 20
_FEW_MEANS = 5
_FEW_OTHERS = 3
#: Of a gene's deviation: what counts as the same value, and within what honest errors are as dense.
_SAME, _AROUND = 0.005, 0.05
_FEW_VALUES = 1_000


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


def values_held(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray) -> float:
    """Which share of the measured values stand in a prediction as they are.

    Errors of a method are as dense at 0 as around it: as many as those around let expect are no
    sign. Nor are values that a gene has twice, such as those of one count at one depth.

    Parameters
    ----------
    prediction, target : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured.

    Returns
    -------
    float
        Of all genes together; nan where fewer than 1,000 values can be looked at.
    """
    same = around = n = 0
    for truth, predicted, seen in zip(target.T, prediction.T, mask.T, strict=True):
        values, at, times = np.unique(truth[seen], return_inverse=True, return_counts=True)
        alone = times[at] == 1
        scale = values[at].std() if alone.any() else 0.0
        if scale > 0:
            off = np.abs(predicted[seen] - truth[seen])[alone] / scale
            same += int((off < _SAME).sum())
            around += int(((off >= _SAME) & (off < _AROUND)).sum())
            n += off.size
    by_chance = around * _SAME / (_AROUND - _SAME)
    return (same - by_chance) / n if n >= _FEW_VALUES else float("nan")


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


def slide_means_known(
    prediction: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray,
    slides: Sequence[np.ndarray],
    training_means: np.ndarray,
) -> float:
    """How much a prediction knows of the means of the tested slides beyond the training slides.

    How high a gene is on a slide as a whole depends on its preparation and depth, which an image
    hardly tells: the best guess is the mean over training slides. Genes enter whose mean lies
    further from that guess than three standard errors of the slide's own mean.

    Parameters
    ----------
    prediction, target : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
    slides : sequence of ndarray of int
        The rows of each tested slide.
    training_means : ndarray of shape (n_training_slides, n_genes)
        Means of the target; nan where a slide has none of a gene.

    Returns
    -------
    float
        1 - (squared error of the prediction's means) / (squared error of the guess): 0 or less for
        ignorance, 1 for knowledge. nan where fewer than five pairs of gene and slide enter.
    """
    n_known = np.isfinite(training_means).sum(axis=0)
    total = np.where(np.isfinite(training_means), training_means, 0).sum(axis=0)
    guess = np.divide(total, n_known, out=np.full(len(total), np.nan), where=n_known > 0)
    own, wrong = [np.empty(0)], [np.empty(0)]
    for rows in slides:
        seen, truth = mask[rows], target[rows].astype(np.float64)
        n_seen = seen.sum(axis=0)
        mean, said = slide_mean(truth, seen), slide_mean(prediction[rows], seen)
        variance = slide_mean(np.square(truth - np.nan_to_num(mean)), seen)
        with np.errstate(invalid="ignore"):
            told = np.square(guess - mean) > 9 * variance / np.maximum(n_seen, 1)
        own.append((said - mean)[told])
        wrong.append((guess - mean)[told])
    errors, guesses = np.concatenate(own), np.concatenate(wrong)
    if len(errors) < _FEW_MEANS:
        return float("nan")
    return float(1 - np.square(errors).sum() / np.square(guesses).sum())


def far_above(score: float, others: Sequence[float], least: float) -> bool:
    """Whether a score lies above the best of others by more than they lie apart themselves.

    Parameters
    ----------
    score : float
        Higher is better.
    others : sequence of float
        At least three; of fewer nothing is said.
    least : float
        A smaller lead is none.
    """
    known = [each for each in others if np.isfinite(each)]
    if len(known) < _FEW_OTHERS or not np.isfinite(score):
        return False
    best = max(known)
    return score - best > max(least, best - float(np.median(known)))


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
