from __future__ import annotations

import numpy as np
import pytest

from spared_bench.errors import PluginError, ShapeMismatchError, UnknownNameError
from spared_bench.metrics.mse import mae, mse
from spared_bench.metrics.pearson import pearson_gene, pearson_spot
from spared_bench.metrics.r2 import r2_gene, r2_spot
from spared_bench.metrics.scoring import score
from spared_bench.metrics.summary import by_slide as by_slide_of
from spared_bench.metrics.summary import mean_over_slides
from spared_bench.metrics.summary import pooled_mean as pooled_mean_of
from spared_bench.specs import MetricSpec
from spared_bench_plugins.metrics import spared_bench_metrics

METRICS = {
    "MSE": mse,
    "MAE": mae,
    "PCC-Gene": pearson_gene,
    "PCC-Patch": pearson_spot,
    "R2-Gene": r2_gene,
    "R2-Patch": r2_spot,
}
FUNCTIONS = {metric: name for name, metric in METRICS.items()}
SPECS = {spec.label: spec for spec in spared_bench_metrics()}


def pooled_mean(metric, *arrays, **rule):
    """With the spec under which the metric is registered."""
    return pooled_mean_of(SPECS[FUNCTIONS[metric]], metric, *arrays, **rule)


def by_slide(metric, *arrays, **rule):
    return by_slide_of(SPECS[FUNCTIONS[metric]], metric, *arrays, **rule)


TRUTH = np.array([[1.0, 2, 3], [2, 2, 5], [4, 1, 0], [3, 6, 2]])
PREDICTION = np.array([[1.5, 2, 2], [2, 3, 4], [3, 1, 1], [3, 5, 3]])
MASK = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 1]], dtype=bool)
MEANS = {  # computed with the published library
    "MSE": (0.583333, 0.604167),
    "MAE": (0.611111, 0.625),
    "PCC-Gene": (0.884426, 0.920409),
    "PCC-Patch": (0.966506, 0.918375),
    "R2-Gene": (0.672619, 0.768905),
    "R2-Patch": (0.670139, 0.645032),
}


@pytest.mark.parametrize("name", METRICS)
def test_scores_are_those_of_the_published_library(name, golden_scores):
    arrays = golden_scores["combat"], golden_scores["prediction"], golden_scores["mask"]
    mean = pooled_mean(METRICS[name], *arrays, rule="published")
    assert mean == pytest.approx(float(golden_scores[f"metric_{name}"]), abs=1e-12)
    if f"metric_detailed_{name}" in golden_scores:
        each = golden_scores[f"metric_detailed_{name}"]
        np.testing.assert_allclose(METRICS[name](*arrays), each, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("rule", ["strict", "published"])
def test_both_rules_agree_with_the_published_library_where_all_is_defined(name, rule):
    masked, full = MEANS[name]
    every = np.ones_like(MASK)
    metric = METRICS[name]
    assert pooled_mean(metric, TRUTH, PREDICTION, MASK, rule=rule) == pytest.approx(
        masked, abs=6e-7
    )
    assert pooled_mean(metric, TRUTH, PREDICTION, every, rule=rule) == pytest.approx(full, abs=6e-7)


@pytest.fixture
def odd(rng):
    """Gene 0 has constant truth, 1 one measured entry, 2 none; 3 and 4 are fine."""
    truth, prediction = rng.normal(size=(2, 8, 5))
    mask = np.ones((8, 5), dtype=bool)
    truth[:, 0] = 0.1
    mask[1:, 1] = False
    mask[:, 2] = False
    return truth, prediction, mask


def test_strictly_genes_that_no_method_can_predict_are_left_out(odd):
    for metric in (pearson_gene, r2_gene):
        assert pooled_mean(metric, *odd) == pytest.approx(metric(*odd)[3:].mean())


def test_strictly_a_constant_prediction_of_a_varying_gene_counts_zero(odd):
    truth, prediction, mask = odd
    prediction[:, 3] = 0.1
    prediction[:, 0] = 0.1  # constant truth: still left out
    expected = pearson_gene(truth, prediction, mask)[4] / 2
    assert pooled_mean(pearson_gene, truth, prediction, mask) == pytest.approx(expected)


def test_as_published_constant_truth_and_single_entries_count_zero_in_the_correlation(odd):
    expected = pearson_gene(*odd)[3:].sum() / 4  # genes 0 and 1 count 0; gene 2 is left out
    assert pooled_mean(pearson_gene, *odd, rule="published") == pytest.approx(expected)


def test_as_published_one_constant_prediction_makes_the_correlation_nan(odd):
    truth, prediction, mask = odd
    prediction[:, 2] = 1.0  # of a gene that is not even measured
    assert np.isnan(pooled_mean(pearson_gene, truth, prediction, mask, rule="published"))
    assert not np.isnan(pooled_mean(pearson_gene, truth, prediction, mask))


def test_as_published_a_prediction_constant_only_where_measured_counts_zero(odd):
    truth, prediction, mask = odd
    prediction[1:, 3], mask[0, 3] = 1.0, False
    expected = pearson_gene(truth, prediction, mask)[4] / 4
    assert pooled_mean(pearson_gene, truth, prediction, mask, rule="published") == pytest.approx(
        expected
    )


def test_as_published_constant_truth_makes_r2_minus_infinity(odd):
    assert pooled_mean(r2_gene, *odd, rule="published") == -np.inf
    truth, prediction, mask = odd
    mask[1:, 0] = False  # now a single entry, which is left out
    expected = r2_gene(truth, prediction, mask)[3:].mean()
    assert pooled_mean(r2_gene, truth, prediction, mask, rule="published") == pytest.approx(
        expected
    )


def test_spots_are_settled_like_genes(odd):
    transposed = tuple(part.T for part in odd)
    for gene, spot in ((pearson_gene, pearson_spot), (r2_gene, r2_spot)):
        for rule in ("strict", "published"):
            assert pooled_mean(gene, *odd, rule=rule) == pooled_mean(spot, *transposed, rule=rule)


@pytest.mark.parametrize("metric", METRICS.values())
def test_strictly_a_method_gains_nothing_by_a_prediction_that_is_not_finite(metric, trio):
    truth, prediction, mask = trio
    prediction[np.flatnonzero(mask[:, 2])[0], 2] = np.nan
    assert np.isnan(pooled_mean(metric, truth, prediction, mask))
    slides = by_slide(metric, truth, prediction, mask, np.repeat(["a", "b"], 20))
    assert np.isnan(mean_over_slides(slides))


@pytest.mark.parametrize("metric", METRICS.values())
def test_by_slide_scores_every_slide_on_its_own(metric, trio):
    slide_ids = np.tile(["b", "a"], 20)
    slides = by_slide(metric, *trio, slide_ids)
    assert list(slides) == ["b", "a"]
    for slide, found in slides.items():
        here = slide_ids == slide
        assert found == pooled_mean(metric, *(part[here] for part in trio))
    assert mean_over_slides(slides) == pytest.approx(sum(slides.values()) / 2)


def test_an_offset_between_slides_raises_the_pooled_correlation_but_not_that_of_slides(rng):
    slide_ids = np.repeat(["a", "b"], 50)
    truth, prediction = rng.normal(size=(2, 100, 4)) + 10.0 * (slide_ids == "b")[:, None]
    mask = np.ones_like(truth, dtype=bool)
    assert pooled_mean(pearson_gene, truth, prediction, mask) > 0.9
    assert abs(mean_over_slides(by_slide(pearson_gene, truth, prediction, mask, slide_ids))) < 0.3


def test_a_slide_with_nothing_to_score_is_nan_and_left_out_of_the_mean(trio):
    truth, prediction, mask = trio
    slide_ids = np.array(["one", *["rest"] * 39])
    slides = by_slide(pearson_gene, truth, prediction, mask, slide_ids)
    assert np.isnan(slides["one"])
    assert mean_over_slides(slides) == slides["rest"]
    assert np.isnan(mean_over_slides({"one": float("nan")}))


def test_a_metric_that_says_nothing_of_undefined_values_leaves_them_out(trio):
    def odd_metric(truth, prediction, mask):
        return np.array([1.0, np.nan, 3.0, *[np.nan] * 4])

    assert pooled_mean_of(MetricSpec("odd", "a:b"), odd_metric, *trio) == 2


def strangers_pearson(truth, prediction, mask):
    """Pearson's r by numpy, written by somebody who never saw ours."""
    found = []
    for gene, seen in enumerate(mask.T):
        with np.errstate(invalid="ignore", divide="ignore"):
            pair = (
                np.corrcoef(truth[seen, gene], prediction[seen, gene]) if seen.sum() > 1 else None
            )
        found.append(np.nan if pair is None else pair[0, 1])
    return np.array(found)


@pytest.mark.parametrize("rule", ["strict", "published"])
def test_a_strangers_correlation_is_settled_like_ours(odd, rule):
    truth, prediction, mask = (part.copy() for part in odd)
    truth[:, 0], prediction[:, 3] = 2.0, 1.0  # exact, so that numpy sees that they are constant
    spec = MetricSpec("theirs", "a:b", undefined="correlation")
    spots = MetricSpec("theirs-spot", "a:b", undefined="correlation", per="spot")

    for arrays in (odd, (truth, prediction, mask)):
        ours = pooled_mean(pearson_gene, *arrays, rule=rule)
        assert pooled_mean_of(spec, strangers_pearson, *arrays, rule=rule) == pytest.approx(
            ours, nan_ok=True
        )
        by_spot = [part.T for part in arrays]
        assert pooled_mean_of(
            spots, lambda t, p, m: strangers_pearson(t.T, p.T, m.T), *by_spot, rule=rule
        ) == pytest.approx(ours, nan_ok=True)


def test_one_correlation_over_all_entries_counts_zero_for_a_constant_prediction(trio):
    truth, prediction, mask = trio

    def overall(truth, prediction, mask):
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.corrcoef(truth[mask], prediction[mask])[0, 1]

    spec = MetricSpec("overall", "a:b", per="entry", undefined="correlation")
    expected = np.corrcoef(truth[mask], prediction[mask])[0, 1]

    assert pooled_mean_of(spec, overall, *trio) == pytest.approx(expected)
    assert pooled_mean_of(spec, overall, truth, np.ones_like(truth), mask) == 0
    assert np.isnan(pooled_mean_of(spec, overall, np.ones_like(truth), prediction, mask))


@pytest.mark.parametrize("per", ["entry", "gene", "spot"])
def test_a_metric_that_returns_another_number_of_values_than_it_says_is_refused(trio, per):
    spec = MetricSpec("odd", "a:b", per=per, undefined="correlation")

    with pytest.raises(
        PluginError, match=rf"'odd' .* one value per {per}: expected shape .*\(5,\)"
    ):
        pooled_mean_of(spec, lambda *_: np.ones(5), *trio)


def test_what_a_metric_masks_is_undefined_and_not_the_number_below_the_mask(trio):
    truth, prediction, mask = (part.copy() for part in trio)
    mask[:, 1] = False
    spec = MetricSpec("masked-mse", "a:b")
    rows = np.array(["one"] * 20 + ["two"] * 20)

    def masked_mse(truth, prediction, mask):
        return np.ma.array((truth - prediction) ** 2, mask=~mask).mean(axis=0)

    errors = [
        ((truth - prediction)[seen, gene] ** 2).mean() if seen.any() else np.nan
        for gene, seen in enumerate(mask.T)
    ]
    scoring = score({"masked-mse": (spec, masked_mse)}, truth, prediction, mask, rows)

    assert pooled_mean_of(spec, masked_mse, truth, prediction, mask) == pytest.approx(
        np.nanmean(errors)
    )
    assert scoring.by_gene["masked-mse"] == pytest.approx(errors, nan_ok=True)
    whole = MetricSpec("masked-whole", "a:b", per="entry")
    nothing = np.zeros_like(mask)
    assert np.isnan(
        pooled_mean_of(whole, lambda t, p, m: np.ma.array(t, mask=~m).mean(), truth, truth, nothing)
    )


@pytest.mark.parametrize("found", [None, 1j])
def test_a_metric_that_returns_no_numbers_is_refused(trio, found):
    spec = MetricSpec("odd", "a:b", per="entry")

    with pytest.raises(PluginError, match=r"'odd' must return numbers, nan where undefined; found"):
        pooled_mean_of(spec, lambda *_: found, *trio)


@pytest.mark.parametrize("found", [44.0, -0.01, np.inf])
def test_a_value_beyond_the_bounds_is_refused_from_which_ranks_would_be_turned_round(trio, found):
    spec = MetricSpec("percent", "a:b", per="entry", bounds=(0.0, 1.0))

    with pytest.raises(PluginError, match=rf"'percent' is .* between 0 and 1; found {found:g}\."):
        pooled_mean_of(spec, lambda *_: found, *trio)
    for rounded in (np.float32(1) + np.finfo(np.float32).eps, -1e-9, np.nan):
        assert pooled_mean_of(spec, lambda *_, value=rounded: value, *trio) == pytest.approx(
            rounded, nan_ok=True
        )


def test_an_unknown_rule_and_missing_slide_ids_are_refused(trio):
    with pytest.raises(UnknownNameError, match=r"'strickt'. Did you mean 'strict'\?"):
        pooled_mean(mse, *trio, rule="strickt")
    with pytest.raises(ShapeMismatchError, match=r"\(3,\) slide ids for 40 spots"):
        by_slide(mse, *trio, np.array(["a", "b", "c"]))
