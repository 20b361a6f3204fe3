from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error

from spared_bench.errors import ShapeMismatchError
from spared_bench.metrics.mse import mae, mse


@pytest.mark.parametrize(
    ("metric", "reference"), [(mse, mean_squared_error), (mae, mean_absolute_error)]
)
def test_errors_agree_with_scikit_learn_on_the_measured_entries(metric, reference, trio):
    truth, prediction, mask = trio
    expected = reference(truth[mask], prediction[mask])
    assert metric(truth, prediction, mask) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("metric", [mse, mae])
def test_unmeasured_entries_never_count_whatever_they_hold(metric, trio):
    truth, prediction, mask = trio
    before = metric(truth, prediction, mask)
    truth[~mask], prediction[~mask] = np.nan, np.inf
    assert metric(truth, prediction, mask) == before


@pytest.mark.parametrize("metric", [mse, mae])
def test_nothing_measured_has_no_error(metric):
    assert np.isnan(metric(np.ones((3, 2)), np.ones((3, 2)), np.zeros((3, 2), dtype=bool)))
    assert metric(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2))).shape == ()


def test_single_precision_is_scored_in_double_precision():
    truth = np.full((1000, 1), 10_000.0, dtype=np.float32)
    prediction = truth + np.float32(1 / 512)
    assert mse(truth, prediction, np.ones_like(truth, dtype=bool)) == 2.0**-18


def test_arrays_of_different_shape_are_refused():
    with pytest.raises(
        ShapeMismatchError, match=r"truth \(3, 2\), prediction \(2, 3\).*same order"
    ):
        mse(np.ones((3, 2)), np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ShapeMismatchError, match=r"truth \(3,\)"):
        mae(np.ones(3), np.ones(3), np.ones(3))
