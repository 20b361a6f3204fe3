"""The noise ceiling, against counts whose rates are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spared_bench.leaderboard.entries import EntryResult
from spared_bench.submissions.ceiling import SCALES, ceiling, limits, thin
from spared_bench.submissions.evidence import Evidence
from spared_bench.submissions.report import Report
from spared_bench.submissions.suspicion import look_at_prediction
from spared_bench.submissions.truth import Truth

LOG, BACK = SCALES["log1p_cp10k"]


def made_counts(rng, depth=20.0, spread=0.4, shape=(400, 12)):
    """Return (rates, counts, expression, noiseless expression) with library sizes that vary."""
    sizes = rng.lognormal(8, 0.3, size=(shape[0], 1))
    rates = depth * np.exp(rng.normal(0, spread, size=shape)) * sizes / sizes.mean()
    counts = rng.poisson(rates)
    return rates, counts, LOG(counts / sizes * 1e4), LOG(rates / sizes * 1e4)


def estimate(prediction, counts, expression, target=None):
    target = expression if target is None else target
    slides = [np.arange(200), np.arange(200, 400)]
    best = limits(target, expression, counts, counts > 0, slides, SCALES["log1p_cp10k"])
    return ceiling(prediction, target, counts > 0, best)


@pytest.mark.parametrize(("depth", "tolerance"), [(5, 0.04), (8, 0.03), (20, 0.02), (100, 0.01)])
def test_the_ceiling_is_what_the_noiseless_expression_reaches(rng, depth, tolerance):
    _, counts, expression, noiseless = made_counts(rng, depth)
    found = estimate(noiseless, counts, expression)
    assert found.n == 24
    assert found.pcc == pytest.approx(found.reached_pcc, abs=tolerance)
    assert found.pcc > found.reached_pcc - 0.02
    assert found.mse < 1.1 * found.reached_mse


def test_a_prediction_made_from_the_answer_is_beyond_the_ceiling_and_a_blurred_one_below(rng):
    _, counts, expression, noiseless = made_counts(rng, 8)
    leaked = estimate(0.5 * expression + 0.5 * noiseless, counts, expression)
    assert leaked.reached_pcc > leaked.pcc + 0.03
    assert leaked.reached_mse < 0.7 * leaked.mse
    blurred = estimate(noiseless + rng.normal(0, 0.3, noiseless.shape), counts, expression)
    assert blurred.reached_pcc < blurred.pcc
    assert blurred.reached_mse > blurred.mse


def test_a_batch_correction_scales_the_floor_and_leaves_the_correlation(rng):
    _, counts, expression, noiseless = made_counts(rng)
    plain = estimate(noiseless, counts, expression)
    corrected = estimate(3 * noiseless + 1, counts, expression, target=3 * expression + 1)
    assert corrected.pcc == pytest.approx(plain.pcc)
    assert corrected.mse == pytest.approx(9 * plain.mse)


def test_genes_with_few_counts_do_not_enter(rng):
    _, counts, expression, noiseless = made_counts(rng, depth=1.0)
    found = estimate(noiseless, counts, expression)
    assert found.n == 0
    assert np.isnan([found.pcc, found.mse]).all()


def test_where_zeros_count_as_measured_they_enter(rng):
    _, counts, expression, noiseless = made_counts(rng, depth=6, shape=(400, 12))
    slides, everywhere = [np.arange(400)], np.ones(counts.shape, bool)
    assert (counts == 0).any()
    best = limits(expression, expression, counts, everywhere, slides, SCALES["log1p_cp10k"])
    found = ceiling(noiseless, expression, everywhere, best)
    assert found.n == 12


@pytest.mark.parametrize("target", SCALES)
def test_the_halves_of_a_count_add_up_on_the_scale_of_rates(rng, target):
    forward, back = SCALES[target]
    counts = rng.poisson(5, size=(30, 4))
    expression = forward(counts * 37.0)
    first, second, seen = thin(counts, expression, counts > 0, (forward, back), rng)
    np.testing.assert_allclose((back(first) + back(second)) / 2, counts * 37.0, rtol=1e-6)
    np.testing.assert_array_equal(seen, (first > 0) & (second > 0))


def flagged(prediction, counts, expression) -> bool:
    slides = np.repeat(["a", "b"], 200)
    names = {"dataset": "made", "split": "test", "hash": "0" * 64, "spots": (), "genes": ()}
    mask = counts > 0
    truth = Truth(
        **names,
        target=expression,
        expression=expression,
        mask=mask,
        slide_ids=slides,
        counts=counts,
        places=np.indices((20, 20)).reshape(2, 400).T.astype(float),
        training_means=np.full((1, counts.shape[1]), np.nan),
    )
    place = {"dataset": "made", "completer": "none", "predictor": "x", "split_scores": {}}
    evidence = Evidence()
    look_at_prediction(
        evidence, EntryResult.model_validate(place), prediction, truth, "log1p_cp10k"
    )
    return "noise-ceiling" in {flag.kind for flag in evidence.flags}


def test_where_noise_hides_most_the_chance_to_pass_the_ceiling_is_allowed_for():
    found = []
    for seed in range(12):
        _, counts, expression, noiseless = made_counts(np.random.default_rng(seed), 8, 0.1)
        leaked = 0.5 * expression + 0.5 * noiseless
        found.append([flagged(each, counts, expression) for each in (noiseless, leaked)])

    honest, leaks = np.array(found).sum(axis=0)
    assert honest <= 1  # of 12; four pass the margin alone
    assert leaks == 12


def test_a_gene_of_the_answer_is_beyond_its_own_ceiling_in_whatever_words(rng):
    _, counts, expression, noiseless = made_counts(rng, 8)
    blurred = noiseless + rng.normal(0, 0.5, noiseless.shape)
    assert not flagged(blurred, counts, expression)
    for in_other_words in (
        lambda truth: truth.round(1),
        lambda truth: truth.argsort().argsort() / 100,
        lambda truth: truth + rng.normal(0, 0.1, len(truth)) * truth.std(),
        lambda truth: np.clip(truth, *np.quantile(truth, [0.1, 0.9])),
    ):
        bent = blurred.copy()
        bent[:, 3] = in_other_words(expression[:, 3])
        assert flagged(bent, counts, expression)


def test_an_unknown_ceiling_is_null_in_a_report():
    report = Report("x.zip")
    report.evidence.ceilings["a"] = ceiling(*np.zeros((2, 3, 1)), np.ones((3, 1), bool), [])

    told = json.dumps(report.as_dict()["ceilings"], allow_nan=False)

    assert json.loads(told)["a"]["pcc"] is None
