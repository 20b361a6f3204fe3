"""What a prediction should not know."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from spared_bench.submissions.forensics import (
    equal_pairs,
    far_above,
    library_following,
    mask_following,
    same_scores,
    slide_means_known,
    thinned_rows,
    values_held,
)

SLIDES = [np.arange(60), np.arange(60, 100)]


def test_mask_following_is_the_median_area_under_the_curve(rng):
    prediction = rng.normal(size=(100, 5)).round(1)  # with ties
    mask = rng.random((100, 5)) > 0.4
    expected = []
    for rows in SLIDES:
        for gene in range(5):
            area = roc_auc_score(mask[rows, gene], prediction[rows, gene])
            expected.append(max(area, 1 - area))
    assert mask_following(prediction, mask, SLIDES) == pytest.approx(np.median(expected))


def test_a_prediction_that_knows_the_mask_is_told_from_one_that_does_not(rng):
    mask = rng.random((100, 5)) > 0.4
    assert mask_following(np.where(mask, 2.0, 0.1), mask, SLIDES) == 1
    assert mask_following(rng.normal(size=(100, 5)), mask, SLIDES) < 0.65


def test_where_all_is_measured_nothing_can_be_said_of_the_mask(rng):
    assert np.isnan(mask_following(rng.normal(size=(100, 5)), np.ones((100, 5), bool), SLIDES))


@pytest.mark.parametrize("error", [0.1, 0.3, 1.0])
def test_values_are_held_where_they_stand_and_not_where_errors_are_small(rng, error):
    truth = rng.normal(size=(400, 10)) * np.arange(1, 11)
    honest = truth + error * truth.std(axis=0) * rng.normal(size=truth.shape)
    mask = rng.random(truth.shape) < 0.8
    assert abs(values_held(honest, truth, mask)) < 0.01
    for places in (np.s_[:, 3], np.s_[:40]):  # a gene, or a tenth of the spots
        held = honest.copy()
        held[places] = truth[places] * 1.0001
        assert values_held(held, truth, mask) == pytest.approx(0.1, abs=0.02)


def test_values_that_many_spots_share_are_not_held(rng):
    counts = np.log1p(rng.poisson(1.0, size=(400, 10)))
    assert np.isnan(values_held(counts, counts, np.ones(counts.shape, bool)))


def test_library_following_is_the_median_rank_correlation(rng):
    prediction, counts = rng.normal(size=(100, 5)), rng.poisson(4, size=(100, 5))
    expected = [
        abs(spearmanr(prediction[rows].mean(axis=1), counts[rows].sum(axis=1)).statistic)
        for rows in SLIDES
    ]
    assert library_following(prediction, counts, SLIDES) == pytest.approx(np.median(expected))


def test_a_constant_prediction_follows_no_library_size(rng):
    assert np.isnan(library_following(np.ones((100, 5)), rng.poisson(4, size=(100, 5)), SLIDES))


def test_equal_pairs_names_each_repetition_once():
    assert equal_pairs({"0": "a", "1": "b", "2": "a", "3": "a"}) == [("0", "2"), ("0", "3")]


def test_scores_are_the_same_only_if_all_of_them_agree_in_six_digits():
    scores = {
        "a": {"mse": 0.5, "pcc": 0.25},
        "b": {"mse": 0.5 + 1e-9, "pcc": 0.25},
        "c": {"mse": 0.5, "pcc": 0.2501},
        "constant": {"mse": None, "pcc": 0.0},
        "also constant": {"mse": None, "pcc": 0.0},
    }
    assert same_scores(scores) == [("a", "b")]


def test_thinned_rows_keeps_at_most_so_many_and_all_of_a_small_slide():
    large, small = thinned_rows([np.arange(2_500), np.arange(7)], most=1_000)
    assert len(large) == 834
    assert set(np.diff(large)) == {3}
    np.testing.assert_array_equal(small, np.arange(7))


def shifted(rng, shift=1.0):
    """Two slides whose genes lie off the training slides' means by a shift each."""
    offsets = rng.normal(scale=shift, size=(2, 8))
    target = rng.normal(size=(100, 8))
    for rows, offset in zip(SLIDES, offsets, strict=True):
        target[rows] += offset
    return target, rng.random(target.shape) > 0.2, np.zeros((3, 8))


def test_who_predicts_the_training_means_knows_nothing_of_the_slides(rng):
    target, mask, training = shifted(rng)
    known = slide_means_known(np.zeros(target.shape), target, mask, SLIDES, training)
    assert known == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("share", "expected"), [(1.0, 1.0), (0.5, 0.75), (0.0, 0.0), (-1, -3)])
def test_a_share_of_the_slides_own_means_is_known_as_its_square(rng, share, expected):
    target, mask, training = shifted(rng)
    prediction = np.zeros(target.shape)
    for rows in SLIDES:
        for gene in range(8):
            seen = mask[rows, gene]
            prediction[rows, gene] = share * target[rows, gene][seen].mean()
    known = slide_means_known(prediction, target, mask, SLIDES, training)
    assert known == pytest.approx(expected)


def test_where_slides_are_as_the_training_slides_nothing_can_be_said(rng):
    target, mask, training = shifted(rng, shift=0.0)
    assert np.isnan(slide_means_known(target, target, mask, SLIDES, training))
    assert np.isnan(slide_means_known(target, target, mask, SLIDES, np.full((1, 8), np.nan)))


@pytest.mark.parametrize(
    ("score", "others", "expected"),
    [
        (0.9, [0.5, 0.4, 0.3], True),
        (0.59, [0.5, 0.4, 0.3], False),  # no more than the best leads the median, or 0.1
        (0.65, [0.5, 0.4, 0.3], True),
        (0.65, [0.5, 0.2, 0.1], False),
        (0.9, [0.5, 0.4], False),
        (0.9, [0.5, 0.4, -np.inf], False),
        (-np.inf, [0.5, 0.4, 0.3], False),
        (np.nan, [0.5, 0.4, 0.3], False),
    ],
)
def test_a_score_is_far_above_where_its_lead_is_larger_than_that_of_the_best(
    score, others, expected
):
    assert far_above(score, others, least=0.1) is expected
