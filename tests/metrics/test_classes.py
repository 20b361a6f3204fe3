"""Metrics of classes, held against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from spared_bench.errors import ShapeMismatchError
from spared_bench.metrics.classes import auc_class, class_numbers, confusion, f1_class


@pytest.fixture
def predicted(rng):
    """Labels of 200 spots, a few of them unlabelled, and probabilities with ties."""
    labels = rng.integers(-1, 4, 200)
    scores = np.round(rng.dirichlet(np.ones(4), 200) + 0.5 * np.eye(5)[labels][:, :4], 1)
    return labels, scores / scores.sum(axis=1, keepdims=True)


def test_f1_is_that_of_scikit_learn_over_labelled_spots(predicted):
    labels, probabilities = predicted
    seen = labels >= 0
    chosen = probabilities[seen].argmax(axis=1)
    expected = f1_score(labels[seen], chosen, average=None, labels=range(4))
    np.testing.assert_allclose(f1_class(labels, probabilities), expected)
    macro = f1_score(labels[seen], chosen, average="macro")
    assert f1_class(labels, probabilities).mean() == pytest.approx(macro)


def test_the_area_is_that_of_scikit_learn_with_ties(predicted):
    labels, probabilities = predicted
    seen = labels >= 0
    expected = [roc_auc_score(labels[seen] == c, probabilities[seen, c]) for c in range(4)]
    np.testing.assert_allclose(auc_class(labels, probabilities), expected)


def test_the_table_is_that_of_scikit_learn(predicted):
    labels, probabilities = predicted
    seen = labels >= 0
    expected = confusion_matrix(labels[seen], probabilities[seen].argmax(axis=1))
    np.testing.assert_array_equal(confusion(labels, probabilities), expected)


def test_a_class_that_nobody_has_is_undefined_and_one_never_right_is_zero():
    labels = np.array([0, 0, 1, -1])
    probabilities = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.7, 0.3, 0], [0, 0, 1.0]])
    f1 = f1_class(labels, probabilities)
    assert f1[0] == pytest.approx(0.8)
    assert f1[1] == 0
    assert np.isnan(f1[2])  # predicted of an unlabelled spot alone
    np.testing.assert_array_equal(np.isnan(auc_class(labels, probabilities)), [False, False, True])


def test_without_labels_all_is_undefined():
    labels, probabilities = np.full(3, -1), np.full((3, 2), 0.5)
    assert np.isnan(f1_class(labels, probabilities)).all()
    assert np.isnan(auc_class(labels, probabilities)).all()


def test_labels_become_columns_and_unlabelled_spots_none():
    numbers = class_numbers(np.array(["b", "", "a"], dtype=object), ("a", "b"))
    np.testing.assert_array_equal(numbers, [1, -1, 0])


def test_other_spots_and_columns_that_are_not_there_are_refused():
    with pytest.raises(ShapeMismatchError, match=r"labels \(2,\) and probabilities \(3, 2\)"):
        f1_class(np.zeros(2, int), np.ones((3, 2)))
    with pytest.raises(ShapeMismatchError, match="no column of the 2 probabilities"):
        auc_class(np.array([0, 2]), np.ones((2, 2)))
