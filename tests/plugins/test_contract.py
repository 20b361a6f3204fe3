"""What every predictor promises, asked of every predictor that the built-in plugin registers."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from spared_bench.interfaces import Budget, Context, Predictor
from spared_bench_plugins.predictors import spared_bench_predictors

SPECS = spared_bench_predictors()
CONTEXT = Context(seed=1, budget=Budget(iterations=4, batch_size=16, validate_every=2))


def construct(spec):
    module, attribute = spec.factory.split(":")
    factory = getattr(import_module(module), attribute)
    return factory(**factory.tiny)


def fit(spec, slides, context=CONTEXT):
    predictor = construct(spec)
    predictor.fit(slides.train, slides.val, context)
    return predictor


@pytest.fixture(scope="module", params=SPECS, ids=lambda spec: spec.name)
def spec(request):
    return request.param


@pytest.fixture(scope="module")
def predictor(spec, tiny_slides):
    return fit(spec, tiny_slides)


def with_noise(slides, seed=0):
    """Return the same spots with expression that means nothing."""
    adata = slides.adata.copy()
    rng = np.random.default_rng(seed)
    for layer in ("expression", "prefilled", "target"):
        adata.layers[layer] = rng.normal(size=adata.shape).astype(np.float32)
    adata.layers["mask"] = rng.random(adata.shape) > 0.5
    adata.layers["counts"] = rng.poisson(3, adata.shape)
    adata.X = adata.layers["counts"]
    return replace(slides, adata=adata)


def test_it_is_a_predictor_and_bears_the_name_of_its_spec(spec, predictor):
    assert isinstance(predictor, Predictor)
    assert predictor.name == spec.name
    assert predictor.n_parameters > 0


def test_a_prediction_has_a_finite_value_for_every_spot_and_gene(predictor, tiny_slides):
    prediction = predictor.predict(tiny_slides.test.without_expression())
    assert prediction.shape == (40, 6)
    assert prediction.dtype == np.float32
    assert np.isfinite(prediction).all()


def test_genes_keep_their_order(spec, tiny_slides):
    def level(slides):  # genes so far apart that any method tells them apart
        return slides.with_target(np.tile(np.float32([0, 30, 60, 90, 120, 150]), (len(slides), 1)))

    context = replace(CONTEXT, budget=Budget(iterations=60, batch_size=32, validate_every=10))
    predictor = construct(spec)
    if "lr" in vars(predictor):
        predictor.lr = 0.03
    predictor.fit(level(tiny_slides.train), level(tiny_slides.val), context)
    means = predictor.predict(tiny_slides.test.without_expression()).mean(axis=0)
    assert list(np.argsort(means)) == [0, 1, 2, 3, 4, 5]


def test_the_same_seed_gives_the_same_prediction(spec, predictor, tiny_slides):
    again = fit(spec, tiny_slides)
    np.testing.assert_array_equal(
        predictor.predict(tiny_slides.test), again.predict(tiny_slides.test)
    )


def test_predicting_twice_gives_the_same(predictor, tiny_slides):
    np.testing.assert_array_equal(
        predictor.predict(tiny_slides.test), predictor.predict(tiny_slides.test)
    )


def test_a_prediction_does_not_depend_on_the_measured_expression(predictor, tiny_slides):
    seen = predictor.predict(tiny_slides.test)
    blind = predictor.predict(tiny_slides.test.without_expression())
    noisy = predictor.predict(with_noise(tiny_slides.test))
    np.testing.assert_array_equal(seen, blind)
    np.testing.assert_array_equal(seen, noisy)


def test_the_order_of_the_spots_is_that_of_the_predictions(spec, predictor, tiny_slides, rng):
    if spec.name == "shuffled":
        pytest.skip("this control deals values to places")
    order = rng.permutation(40)
    bare = tiny_slides.test.without_expression()
    np.testing.assert_allclose(
        predictor.predict(bare.subset(order)),
        predictor.predict(bare)[order],
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_batch_size_does_not_matter(predictor, tiny_slides):
    bare = tiny_slides.test.without_expression()
    if not hasattr(predictor, "network_"):
        pytest.skip("this method has no batches")
    np.testing.assert_allclose(
        predictor.predict(bare, batch_size=7), predictor.predict(bare), rtol=1e-4, atol=1e-5
    )


def test_a_slide_of_one_spot_survives(predictor, tiny_slides):
    one = tiny_slides.test.without_expression().subset(np.array([3]))
    prediction = predictor.predict(one)
    assert prediction.shape == (1, 6)
    assert np.isfinite(prediction).all()


def test_slides_that_were_never_seen_in_training_leave_the_method_as_it_is(
    spec, predictor, tiny_slides
):
    before = predictor.predict(tiny_slides.train)
    predictor.predict(with_noise(tiny_slides.test))
    np.testing.assert_array_equal(predictor.predict(tiny_slides.train), before)


def test_saved_and_loaded_it_predicts_the_same_and_no_file_is_a_pickle(
    spec, predictor, tiny_slides, tmp_path
):
    predictor.save(tmp_path)
    loaded = construct(spec)
    loaded.load(tmp_path)

    np.testing.assert_array_equal(
        loaded.predict(tiny_slides.test), predictor.predict(tiny_slides.test)
    )
    assert loaded.n_parameters == predictor.n_parameters
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert {path.suffix for path in files} <= {".safetensors", ".json"}


def test_noise_in_place_of_unseen_expression_changes_no_prediction(spec, predictor, tiny_slides):
    again = fit(spec, tiny_slides._replace(test=with_noise(tiny_slides.test)))
    np.testing.assert_array_equal(
        again.predict(with_noise(tiny_slides.test).without_expression()),
        predictor.predict(tiny_slides.test.without_expression()),
    )


def test_noise_in_place_of_validation_expression_reaches_no_weight(spec, tiny_slides):
    # One validation, at the end: it can choose nothing, so what differs has been learnt from it.
    once = replace(CONTEXT, budget=replace(CONTEXT.budget, validate_every=4))
    noisy = tiny_slides._replace(val=with_noise(tiny_slides.val))
    bare = tiny_slides.test.without_expression()
    np.testing.assert_array_equal(
        fit(spec, noisy, once).predict(bare), fit(spec, tiny_slides, once).predict(bare)
    )


def test_shuffled_training_targets_leave_no_correlation(spec, tiny_slides, rng):
    train, test = tiny_slides.train, tiny_slides.test
    context = replace(CONTEXT, budget=Budget(iterations=12, batch_size=32, validate_every=12))
    found = []
    for _ in range(4):
        shuffled = train.with_target(rng.permutation(train.target))
        predictor = fit(spec, tiny_slides._replace(train=shuffled), context)
        prediction = predictor.predict(test.without_expression())
        found.append(mean_correlation(prediction, test.adata.layers["prefilled"]))
    # Three colours decide all genes, so one fit is off by up to 1/sqrt(3), whatever the spots.
    assert abs(np.mean(found)) < 0.5


def mean_correlation(prediction, truth):
    """Mean over genes; 0 for a gene whose prediction is constant."""
    centred = [values - values.mean(axis=0) for values in (prediction, truth)]
    norms = [np.linalg.norm(values, axis=0) for values in centred]
    return ((centred[0] * centred[1]).sum(axis=0) / np.maximum(norms[0] * norms[1], 1e-6)).mean()
