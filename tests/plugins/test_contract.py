"""What every predictor promises, asked of every predictor that the built-in plugin registers.

Most of it is the conformance kit, which third parties run too; some asks more of ours.
"""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from spared_bench.data import COUNTS, DEPTH
from spared_bench.interfaces import Budget, Prediction, TargetTransform
from spared_bench.registry import discover
from spared_bench.testing import predictor_checks, with_noise, with_views
from spared_bench.testing.known import tiny_sections
from spared_bench.testing.predictors import CONTEXT
from spared_bench.threads import use_threads
from spared_bench_plugins.predictors import spared_bench_predictors

SPECS = spared_bench_predictors()
REGISTRY = discover()
CHECKS = {spec.name: predictor_checks(spec.name, REGISTRY) for spec in SPECS}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Train all with as many threads, as sums go by them: a run in this process leaves its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")  # and back, for what other tests begin
        use_threads(1)
        yield


@pytest.mark.parametrize(
    ("name", "check"),
    [(name, check) for name, checks in CHECKS.items() for check in checks],
    ids=str,
)
def test_every_predictor_passes_the_conformance_kit(name, check):
    check()


def construct(spec):
    module, attribute = spec.factory.split(":")
    factory = getattr(import_module(module), attribute)
    return factory(**factory.tiny)


def fit(spec, slides, context=CONTEXT):
    predictor = construct(spec)
    return fitted(predictor, slides, context)


def fitted(predictor, slides, context=CONTEXT):
    transform = TargetTransform.fitted(slides.train)
    predictor.fit(slides.train, slides.val, replace(context, transform=transform))
    return predictor


def mean_of(predictor, slides):
    found = predictor.predict(slides)
    return found.mean if isinstance(found, Prediction) else found


@pytest.fixture(scope="module", params=SPECS, ids=lambda spec: spec.name)
def spec(request):
    return request.param


@pytest.fixture
def tiny_slides(spec, tiny_slides):
    """The same slides with what the method declares that it looks at, and is given to know."""
    views = getattr(construct(spec), "views", None)
    return tiny_sections(views) if spec.needs_known else with_views(tiny_slides, views)


def test_it_counts_its_parameters_and_predicts_float32(spec, tiny_slides):
    predictor = fit(spec, tiny_slides)
    assert predictor.n_parameters > 0
    assert mean_of(predictor, tiny_slides.test.without_expression()).dtype == np.float32


def test_in_bfloat16_it_learns_nearly_what_it_learns_in_float32(spec, tiny_slides):
    if not hasattr(construct(spec), "precision"):
        pytest.skip("it has no network to compute in another precision")
    bare = tiny_slides.test.without_expression()
    plain, low = (construct(spec) for _ in range(2))
    plain.precision, low.precision = "float32", "bfloat16"
    for predictor in (plain, low):
        fitted(predictor, tiny_slides)
        assert predictor.precision_used == predictor.precision
    expected, found = mean_of(plain, bare), mean_of(low, bare)
    assert found.dtype == np.float32
    assert not np.array_equal(found, expected), "nothing was computed in bfloat16"
    assert np.abs(found - expected).mean() < 0.2 * expected.std()


def test_noise_in_place_of_validation_expression_reaches_no_weight(spec, tiny_slides):
    # One validation, at the end: it can choose nothing, so what differs has been learnt from it.
    once = replace(CONTEXT, budget=replace(CONTEXT.budget, validate_every=4))
    noisy = tiny_slides._replace(val=with_noise(tiny_slides.val))
    bare = tiny_slides.test.without_expression()
    np.testing.assert_array_equal(
        mean_of(fit(spec, noisy, once), bare), mean_of(fit(spec, tiny_slides, once), bare)
    )


def test_shuffled_training_targets_leave_no_correlation(spec, tiny_slides, rng):
    train, test = tiny_slides.train, tiny_slides.test
    context = replace(CONTEXT, budget=Budget(iterations=12, batch_size=32, validate_every=12))
    found = []
    for _ in range(4):
        shuffled = with_shuffled_expression(train, rng)
        predictor = fit(spec, tiny_slides._replace(train=shuffled), context)
        asked = test.without_expression()
        if test.known is not None:
            asked = replace(asked, known=with_shuffled_expression(test.known, rng))
        prediction = mean_of(predictor, asked)
        found.append(mean_correlation(prediction, test.adata.layers["prefilled"]))
    # Three colours decide all genes, so one fit is off by up to 1/sqrt(3), whatever the spots.
    assert abs(np.mean(found)) < 0.5


def with_shuffled_expression(slides, rng):
    """Deal targets, and the counts that they were made of, to other spots."""
    order = rng.permutation(len(slides))
    shuffled = slides.with_target(slides.target[order])
    shuffled.adata.layers[COUNTS] = slides.counts[order]
    shuffled.adata.obsm[DEPTH] = slides.adata.obsm[DEPTH][order]
    return shuffled


def mean_correlation(prediction, truth):
    """Mean over genes; 0 for a gene whose prediction is constant."""
    centred = [values - values.mean(axis=0) for values in (prediction, truth)]
    norms = [np.linalg.norm(values, axis=0) for values in centred]
    return ((centred[0] * centred[1]).sum(axis=0) / np.maximum(norms[0] * norms[1], 1e-6)).mean()
