"""Each flag of a submission is raised by what it is for, and by nothing that honest runs do."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from spared_bench.api import make_bench
from spared_bench.leaderboard.entries import EntryResult
from spared_bench.submissions.evidence import Evidence, label_of
from spared_bench.submissions.suspicion import look_across, look_at_donors, look_at_prediction
from tests.board_samples import METRICS
from tests.submissions.test_sketches import made, predicted


@pytest.fixture
def truth(rng):
    """Two slides, on levels of their own that no training slide has; a third is unmeasured."""
    sound = made(rng, slides=2)
    levels = np.repeat(rng.normal(0, 3, size=(2, sound.shape[1])), 14 * 14, axis=0)
    mask = rng.random(sound.shape) > 0.3
    return replace(sound, target=np.where(mask, sound.target + levels, 0), mask=mask)


def flags_of(prediction, truth):
    evidence = Evidence()
    look_at_prediction(evidence, result("made"), prediction, truth, "log2_tpm")
    return {flag.kind for flag in evidence.flags}


def test_predictions_that_tell_what_was_measured_are_flagged_whichever_way_they_do(truth, rng):
    honest = predicted(truth, rng)
    assert flags_of(honest, truth) == set()
    assert "follows-mask" in flags_of(honest + 9.0 * truth.mask, truth)
    assert "follows-mask" in flags_of(honest - 9.0 * truth.mask, truth)
    assert "follows-mask" not in flags_of(honest + 9.0 * rng.permuted(truth.mask, axis=0), truth)


def test_predictions_that_know_how_the_tested_slides_lie_beside_those_of_training_are_flagged(
    truth, rng
):
    honest = predicted(truth, rng)
    known = honest.copy()
    for rows in truth.slides:
        own = np.ma.masked_array(truth.target[rows], ~truth.mask[rows]).mean(axis=0)
        known[rows] += own.filled(0) - honest[rows].mean(axis=0)
    assert "knows-slide-means" in flags_of(known, truth)
    assert "knows-slide-means" not in flags_of(honest - honest.mean(axis=0), truth)
    levels = truth.training_means.mean(axis=0) - honest.mean(axis=0)
    assert "knows-slide-means" not in flags_of(honest + levels, truth)


def result(dataset="a", seed=0, **scores):
    return EntryResult(
        dataset=dataset, completer="none", predictor="mine", seed=seed,
        split_scores={"test": scores or {"mse": 0.5 + seed, "pcc-gene": 0.25}},
    )  # fmt: skip


def flags_across(results, tmp_path, hashes=None):
    evidence = Evidence()
    evidence.hashes = hashes or {label_of(each): label_of(each) for each in results}
    look_across(evidence, results, tmp_path, "demo@1", "mine", list(METRICS.values()))
    return [(flag.kind, flag.dataset) for flag in evidence.flags]


def test_scores_that_are_those_of_another_dataset_are_flagged(tmp_path):
    same = {"mse": 0.123456789, "pcc-gene": 0.4}
    results = [result("a", **same), result("b", **same)]
    assert flags_across(results, tmp_path) == [("same-across-datasets", "b")]


@pytest.mark.parametrize(
    "other",
    [
        {"mse": 0.1234590, "pcc-gene": 0.4},  # the sixth digit is another
        {"mse": 0.123456789},
        {"mse": 0.123456789, "pcc-gene": -0.4},
    ],
)
def test_scores_that_are_nearly_those_of_another_dataset_are_not(tmp_path, other):
    results = [result("a", mse=0.123456789, **{"pcc-gene": 0.4}), result("b", **other)]
    assert flags_across(results, tmp_path) == []


def test_what_constant_predictions_score_everywhere_is_no_sign(tmp_path):
    nothing = {"pcc-gene": 0.0, "r2-gene": None}
    assert flags_across([result("a", **nothing), result("b", **nothing)], tmp_path) == []


def test_seeds_whose_predictions_are_the_same_to_the_bit_are_flagged(tmp_path):
    results = [result(seed=0), result(seed=1), result("b", seed=1, mse=9.0)]
    alike = {label_of(each): "x" for each in results}
    assert flags_across(results, tmp_path, alike) == [("constant-seeds", "a")]
    assert flags_across(results, tmp_path) == []


def test_datasets_that_test_donors_or_slides_seen_before_are_flagged(tmp_path):
    bench = make_bench("demo", workspace=tmp_path, device="cpu", offline=True)

    def flags(datasets, *pretrained_on):
        evidence = Evidence()
        seen = SimpleNamespace(pretrained_on=pretrained_on)
        look_at_donors(evidence, seen, bench, datasets)
        return [(flag.kind, flag.dataset) for flag in evidence.flags]

    assert flags(["mob_demo", "planted", "gone"]) == []
    assert flags(["her2st_demo"]) == [("donor-overlap", "her2st_demo")]
    assert flags(["mob_demo", "planted"], "mob_demo") == [("pretrained-on-test", "mob_demo")]
    assert len(flags(["her2st_demo"], "her2st_demo")) == 2
