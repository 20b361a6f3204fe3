"""A trial survives the way into MLflow's metrics, parameters and tags, and back."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from spared_bench.results import TrialResult
from spared_bench.tracking.run_record import (
    MAX_NAME,
    MAX_TAG,
    from_run,
    metric_name,
    name_parts,
    seal_of,
    to_run,
)
from tests.board_samples import failed, trial

NOT_READ_BACK = {"curves", "gene_scores", "genes", "gene_symbols", "traceback"}


def assert_same(read: TrialResult, stored: TrialResult) -> None:
    """Compare field by field; ``repr`` tells nan from nothing, and floats to the last bit."""
    for item in fields(TrialResult):
        if item.name not in NOT_READ_BACK:
            assert repr(getattr(read, item.name)) == repr(getattr(stored, item.name)), item.name


def there_and_back(result: TrialResult) -> TrialResult:
    record = to_run(result)
    return from_run(record.metrics, record.tags)


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_a_metric_name_is_allowed_by_mlflow_and_can_be_undone(parts):
    name = metric_name(*parts)

    _validate_metric_name(name)
    assert re.fullmatch(r"[\x20-\x7e]*", name)  # and by databases that know ASCII only
    assert name_parts(name) == tuple(parts)


def test_metric_names_of_ordinary_slides_are_left_readable():
    assert metric_name("test", "slide", "her2_A-1.b", "mse") == "test/slide/her2_A-1.b/mse"


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.floats(), max_size=5))
def test_every_float_comes_back_to_the_last_bit(scores):
    result = trial(scores={"test": scores}, slide_scores={"test": {"a/b": scores}})

    assert_same(there_and_back(result), result)


def test_only_finite_numbers_are_metrics():
    record = to_run(trial(mse=math.inf, pcc=math.nan))

    assert all(math.isfinite(value) for value in record.metrics.values())
    assert "test/mse" not in record.metrics
    assert record.metrics["seconds/fit"] == 2.5


def test_a_slide_whose_name_is_too_long_for_a_metric_comes_back():
    result = trial(slide_scores={"test": {"s" * 10_000: {"mse": 0.1}}})

    record = to_run(result)

    assert max(map(len, record.metrics)) <= MAX_NAME
    assert max(map(len, record.tags.values())) <= MAX_TAG
    assert_same(from_run(record.metrics, record.tags), result)


def test_a_split_that_is_named_like_our_own_metrics_keeps_its_scores():
    result = trial(scores={"seconds": {"fit": 0.125}})

    assert_same(there_and_back(result), result)


def test_a_failure_comes_back_with_its_message():
    result = failed("Loss became nan.\nSecond line \0 \ud800 \u202e", predictor="stnet")

    assert_same(there_and_back(result), result)


def test_a_missing_metric_is_an_error_and_not_a_nan():
    record = to_run(trial())
    record.metrics.pop("test/mse")

    with pytest.raises(ValueError, match="metric 'test/mse' is missing"):
        from_run(record.metrics, record.tags)


def test_a_run_without_a_record_is_an_error():
    with pytest.raises(ValueError, match="hold no record"):
        from_run({}, {"mlflow.runName": "somebody else's"})


def test_a_seal_is_of_what_is_read_and_of_nothing_else():
    run = to_run(trial("st-net"))
    seal = seal_of(run.metrics, run.tags)
    assert seal_of(run.metrics | {"mine": 1.0}, run.tags | {"mlflow.note.content": "seen"}) == seal
    name = next(iter(run.metrics))
    assert seal_of(run.metrics | {name: run.metrics[name] + 1e-9}, run.tags) != seal
    record = "spared_bench.record.0"
    edited = run.tags[record].replace('"st-net"', '"st-nets"', 1)
    assert seal_of(run.metrics, run.tags | {record: edited}) != seal


def test_a_parameter_that_is_named_like_ours_is_kept_beside_it():
    params = to_run(replace(trial(seed=3), parameters={"seed": 8, "layers": [1, 2]})).params

    assert params["seed"] == "3"
    assert params["predictor.seed"] == "8"
    assert params["layers"] == "[1, 2]"
