import inspect
import subprocess
import sys
from dataclasses import fields
from importlib import import_module

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models import ColorEncoder
from spared_bench.models.ridge import PENALTIES
from spared_bench_plugins.completers import spared_bench_completers
from spared_bench_plugins.predictors import spared_bench_predictors
from spared_bench_plugins.predictors.gene_mean import GeneMean
from spared_bench_plugins.predictors.linear_probe import LinearProbe, folds_of
from spared_bench_plugins.predictors.shuffled import Shuffled
from spared_bench_plugins.predictors.shufflenet import ShuffleNet


def completed(slides):
    return slides.with_target(slides.adata.layers["prefilled"])


def fit(predictor, slides, seed=0):
    predictor.fit(
        completed(slides.train), slides.val, Context(seed=seed, budget=Budget(40, 32, 10))
    )
    return predictor


def correlations(truth, prediction):
    return np.array([np.corrcoef(t, p)[0, 1] for t, p in zip(truth.T, prediction.T, strict=True)])


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()


@pytest.mark.parametrize(
    "spec",
    [each for each in [*spared_bench_predictors(), *spared_bench_completers()] if each.encoder],
    ids=lambda spec: spec.name,
)
def test_the_parameter_that_names_an_encoder_is_one_of_the_method(spec):
    module, _, name = spec.factory.partition(":")
    method = getattr(import_module(module), name)
    assert isinstance(getattr(method, spec.encoder), str)  # its default
    # A parameter, unless the method is one of this encoder alone.
    annotation = str(inspect.get_annotations(method).get(spec.encoder, ""))
    assert spec.encoder in {field.name for field in fields(method)} or "ClassVar" in annotation


def test_listing_the_predictors_imports_nothing_heavy():
    code = (
        "import sys; from spared_bench_plugins.predictors import spared_bench_predictors as hook;"
        "hook(); print(*sys.modules)"
    )
    heavy = {"torch", "torchvision", "timm", "scanpy", "squidpy", "mlflow", "sklearn", "anndata"}
    assert not heavy & set(run_python(code))


def test_methods_without_a_network_do_not_import_torch():
    code = (
        "import sys; import spared_bench_plugins.predictors.shuffled,"
        " spared_bench_plugins.predictors.gene_mean; print(*sys.modules)"
    )
    assert "torch" not in run_python(code)


def test_the_controls_are_marked_as_such_and_search_nothing():
    specs = {spec.name: spec for spec in spared_bench_predictors()}
    assert {name for name, spec in specs.items() if spec.control} == {
        *("gene-mean", "shuffled"),
        *("known-mean", "known-permuted", "known-turned", "known-unregistered"),
    }
    assert not any(spec.search for spec in specs.values() if spec.control)


def test_what_is_searched_is_a_field_of_the_predictor():
    specs = {spec.name: spec for spec in spared_bench_predictors()}
    assert set(specs["linear-probe"].search) == {"alpha"} <= set(vars(LinearProbe()))
    assert set(specs["shufflenet"].search) == {"lr"} <= set(vars(ShuffleNet()))


def test_gene_mean_is_the_mean_of_the_measured_training_entries(tiny_slides):
    train, test = tiny_slides.train, tiny_slides.test
    prediction = fit(GeneMean(), tiny_slides).predict(test.without_expression())
    expected = np.ma.masked_array(train.target, ~train.mask).mean(axis=0)
    np.testing.assert_allclose(prediction, np.tile(expected, (40, 1)), rtol=1e-6)


def test_gene_mean_does_not_depend_on_the_completer(tiny_slides):
    train = tiny_slides.train
    as_measured, as_completed = GeneMean(), GeneMean()
    as_measured.fit(train, tiny_slides.val, Context())
    as_completed.fit(completed(train), tiny_slides.val, Context())
    np.testing.assert_array_equal(as_measured.mean_, as_completed.mean_)


def test_gene_mean_of_a_gene_that_is_never_measured_is_that_of_its_target(tiny_slides):
    train = completed(tiny_slides.train)
    train.adata.layers["mask"][:, 2] = False
    predictor = GeneMean()
    predictor.fit(train, tiny_slides.val, Context())
    assert predictor.mean_[2] == pytest.approx(train.target[:, 2].mean())


def test_linear_probe_is_ridge_regression_on_standardised_features(tiny_slides):
    train, test = completed(tiny_slides.train), tiny_slides.test
    prediction = fit(LinearProbe(alpha=3.0), tiny_slides).predict(test)

    encode = ColorEncoder().encode
    reference = make_pipeline(StandardScaler(), Ridge(3.0, solver="svd"))
    reference.fit(encode(train.patches).astype(float), train.target.astype(float))
    expected = reference.predict(encode(test.patches).astype(float))
    np.testing.assert_allclose(prediction, expected, rtol=1e-4)


@pytest.mark.parametrize("n_components", [3, 24])
def test_with_components_it_is_ridge_regression_on_principal_components(tiny_slides, n_components):
    train, test = completed(tiny_slides.train), tiny_slides.test
    probe = fit(LinearProbe(alpha=3.0, components=n_components), tiny_slides)

    encode = ColorEncoder().encode
    reference = make_pipeline(StandardScaler(), PCA(n_components, svd_solver="full"), Ridge(3.0))
    reference.fit(encode(train.patches).astype(float), train.target.astype(float))
    expected = reference.predict(encode(test.patches).astype(float))
    np.testing.assert_allclose(probe.predict(test), expected, rtol=1e-4)


@pytest.mark.parametrize("n_components", [0, 5])
def test_a_cross_validated_penalty_is_scikit_learns_with_whole_slides_left_out(
    tiny_slides, n_components
):
    train, test = completed(tiny_slides.train), tiny_slides.test
    probe = fit(LinearProbe(penalty="cross-validated", components=n_components), tiny_slides)

    encode = ColorEncoder().encode
    steps = StandardScaler(), PCA(n_components or 24, svd_solver="full")
    reduced = make_pipeline(*steps).fit(encode(train.patches).astype(float))
    scores = reduced.transform(encode(train.patches).astype(float))
    unit = np.square(scores).sum(axis=0).mean()
    search = GridSearchCV(
        Ridge(),
        {"alpha": [unit * penalty for penalty in PENALTIES]},
        scoring="neg_mean_squared_error",
        cv=LeaveOneGroupOut(),
    ).fit(scores, train.target.astype(float), groups=train.slide_ids)

    assert probe.chosen_penalty_ == pytest.approx(search.best_params_["alpha"])
    expected = search.predict(reduced.transform(encode(test.patches).astype(float)))
    np.testing.assert_allclose(probe.predict(test), expected, rtol=1e-4)


@pytest.mark.parametrize("n_spots", [16, 80])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("penalty", ["cross-validated", "hest"])
def test_every_penalty_takes_features_as_they_are_asked_for_of_few_spots_too(
    tiny_slides, penalty, standardise, n_spots
):
    train = completed(tiny_slides.train)
    few = train.subset(np.linspace(0, len(train) - 1, n_spots).astype(int))
    probe = LinearProbe(penalty=penalty, standardise=standardise)
    probe.fit(few, tiny_slides.val, Context())

    encode = ColorEncoder().encode
    alpha = 100 / (24 * few.n_genes) if penalty == "hest" else probe.chosen_penalty_
    ridge = Ridge(alpha, solver="lsqr" if penalty == "hest" else "svd", tol=1e-4)
    scaler = StandardScaler(with_mean=standardise, with_std=standardise)
    reference = make_pipeline(scaler, ridge)
    reference.fit(encode(few.patches), few.target)
    expected = reference.predict(encode(tiny_slides.test.patches))
    np.testing.assert_allclose(probe.predict(tiny_slides.test), expected, rtol=2e-3)


def test_folds_are_slides_or_strips_of_one_slide_of_equal_numbers(tiny_slides):
    train = tiny_slides.train
    slides = folds_of(train)
    assert [len(set(slides[train.slide_ids == each])) for each in np.unique(train.slide_ids)] == [
        1, 1,
    ]  # fmt: skip
    assert len(set(slides)) == 2

    one = train.subset(train.slide_ids == train.slide_ids[0])
    strips, places = folds_of(one), one.coordinates
    along = places[:, np.ptp(places, axis=0).argmax()]
    assert set(np.bincount(strips)) <= {len(one) // 5, -(-len(one) // 5)}
    for fold in range(4):
        assert along[strips == fold].max() <= along[strips == fold + 1].min()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"penalty": "cross-validate"}, "Did you mean 'cross-validated'"),
        ({"components": 25}, "of the 24 features"),
        ({"components": -1}, "expected 0"),
        ({"alpha": -1.0}, "expected 0"),
    ],
)
def test_a_probe_that_cannot_be_is_refused_before_it_is_fitted(tiny_slides, settings, told):
    with pytest.raises(UsageError, match=told):
        fit(LinearProbe(**settings), tiny_slides)


def test_a_probe_of_fewer_spots_than_components_says_so(tiny_slides):
    train = completed(tiny_slides.train)
    few = train.subset(np.arange(len(train)) < 10)
    with pytest.raises(UsageError, match="10 training spots"):
        LinearProbe(components=12).fit(few, tiny_slides.val, Context())


def test_linear_probe_finds_the_planted_relation(tiny_slides):
    test = tiny_slides.test
    probe = fit(LinearProbe(alpha=1.0), tiny_slides)
    found = correlations(test.adata.layers["prefilled"], probe.predict(test.without_expression()))
    assert found.min() > 0.9
    assert probe.n_parameters == 24 * 6 + 6


def test_linear_probe_takes_any_backbone(tiny_slides):
    probe = fit(LinearProbe("test_resnet", "random", 10.0), tiny_slides)
    assert probe.predict(tiny_slides.test).shape == (40, 6)
    assert probe.n_parameters == 96 * 6 + 6


def test_linear_probe_survives_features_that_do_not_vary(tiny_slides):
    class Same:
        def features(self, encoder):
            return np.ones((80, 24), dtype=np.float32)

        target = completed(tiny_slides.train).target

    probe = LinearProbe()
    probe.fit(Same(), tiny_slides.val, Context())
    np.testing.assert_allclose(probe.intercept_, Same.target.mean(axis=0), rtol=1e-5)
    assert not probe.coefficients_.any()


def test_shuffled_deals_the_values_of_the_probe_within_slide_and_gene(tiny_slides):
    train = tiny_slides.train  # two slides
    probe, control = fit(LinearProbe(), tiny_slides), fit(Shuffled(), tiny_slides)
    values, dealt = probe.predict(train), control.predict(train)

    assert not np.allclose(values, dealt)
    for slide_id in np.unique(train.slide_ids):
        here = train.slide_ids == slide_id
        np.testing.assert_array_equal(np.sort(values[here], axis=0), np.sort(dealt[here], axis=0))


def test_shuffled_deals_every_gene_on_its_own(tiny_slides):
    values = fit(LinearProbe(), tiny_slides).predict(tiny_slides.test)
    dealt = fit(Shuffled(), tiny_slides).predict(tiny_slides.test)
    order = [tuple(np.searchsorted(np.sort(v), d)) for v, d in zip(values.T, dealt.T, strict=True)]
    places = [tuple(np.argsort(v)[list(o)]) for v, o in zip(values.T, order, strict=True)]
    assert len(set(places)) == 6


def test_shuffled_correlates_with_nothing(tiny_slides):
    test = tiny_slides.test
    truth = test.adata.layers["prefilled"]
    means = [
        correlations(truth, fit(Shuffled(), tiny_slides, seed).predict(test)).mean()
        for seed in range(20)
    ]
    # Of 20 x 6 independent correlations over 40 spots, each with deviation 1 / sqrt(39).
    assert abs(np.mean(means)) < 4 / np.sqrt(20 * 6 * 39)
    assert np.std(means) < 2 / np.sqrt(6 * 39)


def test_the_deal_of_a_slide_depends_on_the_seed_and_not_on_the_other_slides(tiny_slides):
    train = tiny_slides.train
    control = fit(Shuffled(), tiny_slides)
    together = control.predict(train)
    alone = [control.predict(slide) for _, slide in train.each()]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    assert not np.array_equal(together, fit(Shuffled(), tiny_slides, seed=1).predict(train))


def test_shufflenet_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = ShuffleNet(weights="random").build(n_genes=128)
    assert sum(p.numel() for p in network.parameters()) == 472_992


def test_shufflenet_learns_the_planted_relation(tiny_slides):
    predictor = ShuffleNet(weights="random", lr=3e-3)
    context = Context(budget=Budget(80, 32, 10))
    predictor.fit(completed(tiny_slides.train), tiny_slides.val, context)
    truth = tiny_slides.test.adata.layers["prefilled"]
    prediction = predictor.predict(tiny_slides.test.without_expression())
    assert correlations(truth, prediction).mean() > 0.5


@pytest.mark.parametrize(
    "spec",
    [each for each in spared_bench_predictors() if each.name in {"linear-probe", "shuffled"}],
    ids=lambda spec: spec.name,
)
def test_a_dataset_of_one_gene_gets_a_prediction_of_one_column(spec, tiny_slides):
    train, val, test = (Slides(each.adata[:, :1].copy(), each.patches) for each in tiny_slides)
    module, _, name = spec.factory.partition(":")
    predictor = getattr(import_module(module), name)()
    predictor.fit(train, val, Context())
    prediction = predictor.predict(test.without_expression())
    assert prediction.shape == (40, 1)
    if spec.name == "linear-probe":
        assert np.corrcoef(prediction[:, 0], test.adata.layers["prefilled"][:, 0])[0, 1] > 0.5
