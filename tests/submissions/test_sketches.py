"""Traces of predictions."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.errors import SparedBenchError
from spared_bench.submissions.sketches import likeness, read_traces, trace, write_traces

HASH, OTHER = "ab" * 32, "cd" * 32


def correlated(prediction, rng, correlation):
    noise = rng.normal(size=prediction.shape)
    return correlation * prediction + np.sqrt(1 - correlation**2) * noise


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99, 0.999])
def test_likeness_estimates_the_correlation_with_an_error_relative_to_the_distance(
    correlation, rng
):
    prediction = rng.normal(size=(400, 30))
    found = [
        likeness(trace(prediction, f"{i:064x}"), trace(other, f"{i:064x}"))
        for i, other in enumerate(correlated(prediction, rng, correlation) for _ in range(20))
    ]
    assert np.mean(found) == pytest.approx(correlation, abs=0.1 * (1 - correlation) + 1e-4)
    assert np.abs(np.subtract(found, correlation)).max() < 0.4 * (1 - correlation) + 1e-4


def test_a_copy_with_other_levels_and_scales_of_genes_is_still_a_copy(rng):
    prediction = rng.normal(size=(200, 10))
    moved = prediction * rng.uniform(0.5, 2, size=10) + rng.normal(size=10)
    assert likeness(trace(prediction, HASH), trace(moved, HASH)) == pytest.approx(1, abs=1e-5)


def test_traces_of_different_datasets_do_not_compare(rng):
    prediction = rng.normal(size=(200, 10))
    assert abs(likeness(trace(prediction, HASH), trace(prediction, OTHER))) < 0.3


def test_a_constant_prediction_is_like_nothing():
    constant = trace(np.ones((50, 4)), HASH)
    assert likeness(constant, constant) == 0


def test_the_trace_of_a_large_prediction_does_not_depend_on_the_blocks_it_is_read_in(
    rng, monkeypatch
):
    prediction = rng.normal(size=(3_000, 700)).astype(np.float32)  # several blocks
    standard = (prediction - prediction.mean(axis=0, dtype=float)) / prediction.std(axis=0)
    pieces = np.concatenate([prediction[:1], prediction[1:]])
    assert likeness(trace(prediction, HASH), trace(pieces, HASH)) == 1
    assert likeness(trace(prediction, HASH), trace(standard, HASH)) == pytest.approx(1, abs=1e-4)


def test_traces_survive_a_file_and_other_files_are_refused(rng, tmp_path):
    traces = {"a/b/c/0": trace(rng.normal(size=(50, 4)), HASH)}
    write_traces(tmp_path / "traces.json", traces)
    np.testing.assert_array_equal(
        read_traces(tmp_path / "traces.json")["a/b/c/0"], traces["a/b/c/0"]
    )
    for text in ("[]", "{", '{"traces": {"a": "AAAA"}}', '{"traces": {"a": 3}}', "[" * 100_000):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(SparedBenchError, match=r"bad\.json cannot be read"):
            read_traces(tmp_path / "bad.json")
