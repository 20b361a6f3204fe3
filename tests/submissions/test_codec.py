"""Predictions in 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from spared_bench.errors import SubmissionError
from spared_bench.submissions.codec import decode, encode, read_prediction, write_prediction

VALUES = st.floats(-1e6, 1e6, width=32)


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=VALUES))
def test_no_value_is_off_by_more_than_half_a_step_and_its_rounding(prediction):
    decoded = decode(encode(prediction))
    spread = np.ptp(prediction.astype(np.float64), axis=0)
    rounding = np.spacing(np.abs(prediction).max(axis=0))
    assert (
        np.abs(decoded.astype(np.float64) - prediction) <= spread / 131_000 + 3 * rounding
    ).all()


@given(arrays(np.float32, (6, 3), elements=VALUES))
def test_equal_values_stay_equal_and_order_is_kept(prediction):
    decoded = decode(encode(np.concatenate([prediction, prediction])))
    np.testing.assert_array_equal(decoded[:6], decoded[6:])
    order = np.argsort(prediction, axis=0, kind="stable")
    assert (np.diff(np.take_along_axis(decoded[:6], order, axis=0), axis=0) >= 0).all()


def test_a_constant_gene_is_exact(rng):
    prediction = rng.normal(size=(30, 2)).astype(np.float32)
    prediction[:, 1] = np.float32(0.1)
    assert (decode(encode(prediction))[:, 1] == np.float32(0.1)).all()


def test_it_is_closer_than_float16_residuals(rng):
    prediction = rng.normal(5, 2, size=(500, 20))
    mean = prediction.mean(axis=0)
    in_float16 = mean + (prediction - mean).astype(np.float16)
    error = np.abs(decode(encode(prediction)) - prediction).max()
    assert error < np.abs(in_float16 - prediction).max() / 4


def test_a_file_is_read_by_numpy_and_by_us(rng, tmp_path):
    prediction = rng.normal(size=(30, 4)).astype(np.float32)
    write_prediction(tmp_path / "0.npz", prediction)
    with np.load(tmp_path / "0.npz", allow_pickle=False) as file:
        by_numpy = file["offset"] + file["step"].astype(np.float64) * file["codes"]
    ours = read_prediction(tmp_path / "0.npz", (30, 4))
    np.testing.assert_allclose(ours, by_numpy, rtol=1e-6)
    np.testing.assert_allclose(ours, prediction, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_what_cannot_be_scored_cannot_be_written(value):
    with pytest.raises(SubmissionError, match="nan, infinite values, or values beyond 1e\\+09"):
        encode(np.array([[1.0, value]]))


@pytest.mark.parametrize("shape", [(30, 5), (29, 4), (4, 30)])
def test_another_shape_is_refused(shape, rng, tmp_path):
    write_prediction(tmp_path / "0.npz", rng.normal(size=(30, 4)))
    with pytest.raises(SubmissionError, match="is refused: an array of it cannot be read"):
        read_prediction(tmp_path / "0.npz", shape)
