"""How well predicted classes of spots agree with their labels.

Metrics are ``(labels, probabilities) -> array`` with one value per class, in the order of the
columns; spots without a label do not count. The predicted class is the most probable one, the first
of several.
"""

from __future__ import annotations

import numpy as np

from spared_bench.errors import ShapeMismatchError

UNLABELLED = -1


def class_numbers(labels: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Return the column of each label, (n_spots,), int64; -1 where a spot has none."""
    column = {name: number for number, name in enumerate(classes)}
    return np.array([column.get(str(label), UNLABELLED) for label in labels], dtype=np.int64)


def f1_class(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """F1 of each class: the harmonic mean of precision and recall.

    Parameters
    ----------
    labels : ndarray of int, of shape (n_spots,)
        Columns of ``probabilities``; -1 where unlabelled.
    probabilities : ndarray of shape (n_spots, n_classes)

    Returns
    -------
    ndarray of shape (n_classes,)
        In [0, 1]; 0 for a class that is predicted or present and never right, nan for one that is
        neither predicted nor present. Their mean is the macro F1.

    Raises
    ------
    ShapeMismatchError
        If there is not one row per label, or a label is no column.
    """
    table = confusion(labels, probabilities)
    right, present, predicted = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    both = (present + predicted).astype(np.float64)
    return np.divide(2.0 * right, both, out=np.full(len(right), np.nan), where=both > 0)


def auc_class(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Area under the receiver operating characteristic of each class against all others.

    The probability that a spot of the class is given a higher value for it than another spot; ties
    count half. Parameters and errors as for ``f1_class``.

    Returns
    -------
    ndarray of shape (n_classes,)
        In [0, 1]; nan for a class that no labelled spot has, or that all have.
    """
    from scipy.stats import rankdata

    labels, probabilities = _labelled(labels, probabilities)
    scores = np.full(probabilities.shape[1], np.nan)
    for column in range(len(scores)):
        of_class = labels == column
        n_in, n_out = int(of_class.sum()), int((~of_class).sum())
        if n_in and n_out:
            ranks = rankdata(probabilities[:, column])
            scores[column] = (ranks[of_class].sum() - n_in * (n_in + 1) / 2) / (n_in * n_out)
    return scores


def confusion(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Count labelled spots by label (rows) and predicted class (columns): (n_classes, n_classes).

    Parameters and errors as for ``f1_class``.
    """
    labels, probabilities = _labelled(labels, probabilities)
    n_classes = probabilities.shape[1]
    table = np.zeros((n_classes, n_classes), dtype=np.int64)
    if len(labels):
        np.add.at(table, (labels, probabilities.argmax(axis=1)), 1)
    return table


def _labelled(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ShapeMismatchError(
            f"labels {labels.shape} and probabilities {probabilities.shape} must be (n_spots,) and"
            " (n_spots, n_classes)."
        )
    seen = labels != UNLABELLED
    labels, probabilities = labels[seen], probabilities[seen]
    if len(labels) and (labels.min() < 0 or labels.max() >= probabilities.shape[1]):
        raise ShapeMismatchError(
            f"A label is no column of the {probabilities.shape[1]} probabilities: labels run from"
            f" {labels.min()} to {labels.max()}."
        )
    return labels, probabilities
