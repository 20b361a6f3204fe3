"""Variances and classes in a submission: built, checked, scored again, and on the board."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spared_bench.api import execute, make_bench, select
from spared_bench.errors import SubmissionError
from spared_bench.leaderboard.merging import entry_trials
from spared_bench.prediction import Prediction
from spared_bench.submissions import bundle
from spared_bench.submissions.add import entry_of
from spared_bench.submissions.build import build
from spared_bench.submissions.check import check
from spared_bench.submissions.codec import (
    decode_variance,
    encode_variance,
    read_output,
    write_prediction,
)
from spared_bench.submissions.truth import own_output, table_hash, truth_of
from spared_bench.trials.cells import finished_cells
from spared_bench.trials.products import prepared_table
from tests.conftest import TESTS, TOY_PLUGIN, TOY_PROTOCOL

FULL = "predictions/labelled/none/full/0.npz"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A workspace in which a method of variances and classes has run."""
    folder = tmp_path_factory.mktemp("sure")
    protocol = folder / "toy.yaml"
    text = TOY_PROTOCOL.read_text().replace("datasets: [toy]", "datasets: [labelled]")
    protocol.write_text(text)
    bench = make_bench(
        str(protocol),
        workspace=folder / "w",
        plugin_files=[TOY_PLUGIN, TESTS / "labelled_plugin.py"],
        device="cpu",
    )
    assert not execute(
        select(bench, predictors=["full"]), executor="inline", track=False, figures=False
    ).failed
    return bench


@pytest.fixture
def folder(bench, tmp_path):
    """The files of its bundle, to be changed and sealed again."""
    archive = build(bench, "full", tmp_path).archive
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "folder")
    return tmp_path / "folder"


def checked(bench, folder, tmp_path):
    bundle.seal(folder)
    bundle.pack(folder, tmp_path / "changed.zip")
    return check(tmp_path / "changed.zip", lambda protocol: bench, tmp_path / "leaderboards")


def test_a_bundle_carries_variances_and_classes_and_is_scored_again_with_them(
    bench, folder, tmp_path
):
    report = checked(bench, folder, tmp_path)
    assert report.problems == []
    (result,) = report.results
    scores = result.split_scores["test"]
    (cell,) = finished_cells(bench.workspace.store)
    own = cell.final.scores["test"]
    assert set(scores) == set(own)
    assert {"nll", "coverage-50", "coverage-90", "sharpness", "f1-class"} <= set(scores)
    for name, value in own.items():
        assert scores[name] == pytest.approx(value, rel=1e-3, abs=0.005)
    np.testing.assert_allclose(result.calibration, cell.final.calibration["test"], atol=0.01)
    assert result.confusion == cell.final.confusion["test"]

    entry = entry_of(report, "re-scored")
    (trial,) = entry_trials([entry], {})
    assert trial.calibration["test"] == result.calibration
    assert trial.classes == ["dark", "bright"]


def test_a_wider_variance_than_was_scored_is_found_out(bench, folder, tmp_path):
    truth = truth_of(bench, "labelled")
    (cell,) = finished_cells(bench.workspace.store)
    own = own_output(cell, truth)
    write_prediction(folder / FULL, replace(own, variance=own.variance * 4))
    report = checked(bench, folder, tmp_path)
    (problem,) = report.problems
    assert "nll is claimed as" in problem
    assert "sharpness is claimed as" in problem
    assert "mse" not in problem


def test_a_variance_that_is_claimed_and_not_there_is_missed(bench, folder, tmp_path):
    truth = truth_of(bench, "labelled")
    (cell,) = finished_cells(bench.workspace.store)
    write_prediction(folder / FULL, own_output(cell, truth).mean)
    (problem,) = checked(bench, folder, tmp_path).problems
    assert "nll is claimed, and the predictions hold nothing that gives it" in problem


def test_classes_in_another_order_are_refused(bench, folder, tmp_path):
    claim = json.loads((folder / "results.json").read_text())
    claim["datasets"]["labelled"]["classes"] = ["bright", "dark"]
    (folder / "results.json").write_text(json.dumps(claim))
    report = checked(bench, folder, tmp_path)
    assert "those of the dataset are ['dark', 'bright'], in this order" in report.problems[0]


def test_another_label_is_other_data(bench):
    table = prepared_table(bench, "labelled")
    other = table.copy()
    other.obs["label"] = other.obs["label"].astype(object)
    other.obs.iloc[0, other.obs.columns.get_loc("label")] = "another"
    assert table_hash(other) != table_hash(table)


@given(arrays(np.float32, (7, 3), elements=st.floats(0, 2**20, width=32)))
def test_a_variance_is_off_by_a_small_share_and_zero_stays_zero(variance):
    decoded = decode_variance(encode_variance(variance))
    none = variance < 1e-30
    np.testing.assert_array_equal(decoded[none], 0)
    np.testing.assert_allclose(decoded[~none], variance[~none], rtol=2e-3)


def test_a_variance_of_usual_range_is_exact_to_four_digits(rng):
    variance = np.exp(rng.normal(size=(500, 4)))
    decoded = decode_variance(encode_variance(variance))
    np.testing.assert_allclose(decoded, variance, rtol=1e-4)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_variance_that_cannot_be_is_not_written(value):
    with pytest.raises(SubmissionError, match="The variance holds nan, infinite or negative"):
        encode_variance(np.array([[1.0, value]]))


@pytest.fixture
def whole(rng):
    shares = rng.dirichlet(np.ones(3), 30)
    return Prediction(rng.normal(size=(30, 4)), rng.uniform(0.1, 2, (30, 4)), shares)


def test_probabilities_survive_and_sum_to_one(whole, tmp_path):
    write_prediction(tmp_path / "0.npz", whole)
    found = read_output(tmp_path / "0.npz", (30, 4), 3)
    np.testing.assert_allclose(found.classes, whole.classes, atol=2e-5)
    np.testing.assert_allclose(found.classes.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found.variance, whole.variance, rtol=1e-4)


def rewrite(path, **changes):
    with np.load(path) as file:
        values = dict(file)
    values |= changes
    with path.open("wb") as file:
        np.savez(file, **{name: value for name, value in values.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variance_step": None}, r"must hold codes\.npy"),
        ({"variance_step": np.full(4, -1, np.float32)}, "a variance_step is negative"),
        ({"variance_offset": np.full(4, 90, np.float32)}, "goes beyond 80"),
        ({"variance_offset": np.full(4, np.nan, np.float32)}, r"variance_offset or .* is nan"),
        ({"variance_codes": np.zeros((30, 5), np.uint16)}, "cannot be read"),
        ({"classes": np.zeros((30, 3), np.uint16)}, "do not sum to 1"),
        ({"classes": np.zeros((30, 2), np.uint16)}, "cannot be read"),
    ],
)
def test_parts_of_strangers_that_cannot_be_are_refused(whole, tmp_path, changes, message):
    write_prediction(tmp_path / "0.npz", whole)
    rewrite(tmp_path / "0.npz", **changes)
    with pytest.raises(SubmissionError, match=message):
        read_output(tmp_path / "0.npz", (30, 4), 3)


def test_classes_of_a_dataset_without_them_are_refused(whole, tmp_path):
    write_prediction(tmp_path / "0.npz", whole)
    with pytest.raises(SubmissionError, match="where it predicts those of the dataset"):
        read_output(tmp_path / "0.npz", (30, 4))
