import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from spared_bench.errors import UsageError
from spared_bench.models.ridge import PENALTIES, choose_penalty, reduce, solve


@pytest.fixture
def data(rng):
    features = rng.normal(size=(90, 20)) @ rng.normal(size=(20, 20)) + 3
    target = features[:, :4] @ rng.normal(size=(4, 5)) + rng.normal(size=(90, 5)) + 7
    return features, target


@pytest.mark.parametrize("width", [20, 200])
def test_reduction_is_the_principal_components_of_standardised_features(rng, width):
    features = rng.normal(size=(60, width)) @ rng.normal(size=(width, width))
    reduction, scores = reduce(features, 8)
    expected = PCA(8, svd_solver="full").fit_transform(StandardScaler().fit_transform(features))
    np.testing.assert_allclose(np.abs(scores), np.abs(expected), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(reduction.apply(features), scores, atol=1e-9)


@pytest.mark.parametrize("copies", [1, 2])
def test_components_beyond_what_varies_are_0_and_no_copies_of_others(rng, copies):
    features = np.tile(rng.normal(size=(20, 100)), (copies, 1))  # two rows of a spot, or one
    reduction, scores = reduce(features, 20 * copies)

    expected = PCA(19, svd_solver="full").fit_transform(StandardScaler().fit_transform(features))
    np.testing.assert_allclose(np.abs(scores[:, :19]), np.abs(expected), rtol=1e-6, atol=1e-8)
    assert not scores[:, 19:].any()
    assert not reduction.components[:, 19:].any()


def test_without_a_penalty_the_coefficients_are_the_smallest_of_the_best(rng):
    features = np.tile(rng.normal(size=(20, 100)), (2, 1))
    target = rng.normal(size=(40, 3))
    _, scores = reduce(features, 40)
    weights, constant = solve(scores, target, 0.0)
    twice = (target[:20] + target[20:]) / 2  # all that can be said of two spots that look the same
    np.testing.assert_allclose(scores @ weights + constant, np.tile(twice, (2, 1)), atol=1e-9)
    assert np.abs(weights).max() < 10


@pytest.mark.parametrize("intercept", [True, False])
def test_solving_is_scikit_learns_ridge(data, intercept):
    features, target = data
    weights, constant = solve(features, target, 2.5, intercept)
    ridge = Ridge(2.5, fit_intercept=intercept).fit(features, target)
    np.testing.assert_allclose(weights, ridge.coef_.T, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(constant, ridge.intercept_ + np.zeros(5), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("intercept", [True, False])
def test_one_decomposition_gives_the_errors_of_refitting_for_every_penalty(data, intercept):
    features, target = data
    folds = np.arange(90) % 3
    choice = choose_penalty(features, target, folds, PENALTIES, intercept)

    unit = (features**2).sum() / features.shape[1]
    errors = np.zeros(len(PENALTIES))
    for at, penalty in enumerate(PENALTIES):
        for fold in range(3):
            out = folds == fold
            ridge = Ridge(penalty * unit, fit_intercept=intercept, solver="svd")
            ridge.fit(features[~out], target[~out])
            errors[at] += ((ridge.predict(features[out]) - target[out]) ** 2).sum()
    np.testing.assert_allclose(choice.errors, errors / target.size, rtol=1e-6)
    assert choice.penalty == pytest.approx(PENALTIES[errors.argmin()] * unit)


def test_more_components_than_there_can_be_are_refused(data):
    with pytest.raises(UsageError, match="at most 20"):
        reduce(data[0], 21)


def test_one_fold_cannot_choose(data):
    with pytest.raises(UsageError, match="one part only"):
        choose_penalty(*data, np.zeros(90))
