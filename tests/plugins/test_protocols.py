"""The built-in protocols: one repeats the published data, the strict one is strict."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.api import load_protocol
from spared_bench.bench import Bench, Settings
from spared_bench.processing.pipeline import prepare
from spared_bench.registry import discover
from tests.processing.conftest import golden, golden_slides, golden_spec  # noqa: F401

NAMES = ["demo", "jiang", "own", "spared", "spared-strict"]


@pytest.fixture(scope="module")
def registry():
    return discover()


@pytest.fixture
def load(registry):
    return lambda name: load_protocol(name, registry)


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_reads_and_is_called_what_it_is_registered_as(load, name):
    assert load(name).id == f"{name}@1"


@pytest.mark.parametrize("name", NAMES)
def test_every_grid_is_within_the_number_of_trials_it_allows(load, registry, name):
    protocol = load(name)
    settings = Settings("workspace", "data", protocol.model_dump(mode="json"))
    bench = Bench(settings, registry)
    for predictor in registry.names("predictor"):
        assert 1 <= len(bench.candidates(predictor)) <= protocol.search.max_trials


@pytest.mark.parametrize("name", NAMES)
def test_all_that_a_protocol_names_is_registered(load, registry, name):
    protocol = load(name)
    for dataset in protocol.datasets:
        for each in registry.expand(dataset):
            assert protocol.processing.for_dataset(registry.get("dataset", each).spec)
    for metric in protocol.metrics:
        registry.get("metric", metric)
    for completer in (*protocol.completers, protocol.search.completer):
        registry.get("completer", completer)


def test_spared_repeats_the_published_data_end_to_end(load, golden, golden_slides, golden_spec):  # noqa: F811
    from dataclasses import replace

    spec = replace(golden_spec, parameters={"n_genes": 32, "batch_key": "slide_id"})

    prepared = prepare(golden_slides, spec, load("spared"))

    assert prepared.obs_names.tolist() == golden["filtered_spots"].tolist()
    assert prepared.var_names.tolist() == golden["moran_kept"].tolist()
    assert prepared.obs["split"].tolist() == golden["split"].tolist()
    np.testing.assert_array_equal(prepared.layers["mask"], golden["mask"])
    target = np.where(golden["mask"], golden["combat"], 0)
    np.testing.assert_allclose(prepared.layers["target"], target, rtol=0, atol=1e-9)
    np.testing.assert_allclose(prepared.layers["prefilled"], golden["combat"], rtol=0, atol=1e-9)


def test_spared_scores_a_prediction_as_published(load, registry, golden):  # noqa: F811
    from spared_bench.metrics.scoring import score

    protocol = load("spared")
    metrics = {
        name: (registry.get("metric", name).spec, registry.get("metric", name).load())
        for name in protocol.metrics
    }
    scoring = score(
        metrics,
        golden["combat"],
        golden["prediction"],
        golden["mask"],
        golden["slide"],
        pooling=protocol.pooling,
        rule=protocol.mean_rule,
    )
    published = {
        "mse": "metric_MSE",
        "mae": "metric_MAE",
        "pcc-gene": "metric_PCC-Gene",
        "pcc-patch": "metric_PCC-Patch",
        "r2-gene": "metric_R2-Gene",
        "r2-patch": "metric_R2-Patch",
    }
    for name, key in published.items():
        assert scoring.means[name] == pytest.approx(float(golden[key]), abs=1e-5), name


def test_spared_searches_three_learning_rates_per_decade(load):
    for name in ("spared", "spared-strict"):
        grid = load(name).search.grids["lr"]
        np.testing.assert_allclose(np.log10(grid), -2 - np.arange(13) / 3, atol=1e-4)


def test_strict_sees_no_slide_that_it_is_scored_on(load):
    strict = load("spared-strict")
    assert strict.processing.fit_on == "train"
    assert strict.processing.batch_correction == "combat"
    assert strict.pooling == "slide"
    assert len(set(strict.seeds)) == 3


def test_the_fold_schemes_of_jiang_have_one_test_slide_each(registry):
    sizes = {"her2st.loso": 36, "visium_breast.loso": 9}
    for scheme, number in sizes.items():
        folds = [registry.get("dataset", name).spec for name in registry.expand(scheme)]
        assert len(folds) == number
        tested = [fold.split["test"] for fold in folds]
        assert sorted(tested) == sorted((slide.slide_id,) for slide in folds[0].slides)
        assert all(len(fold.split["train"]) == number - 1 for fold in folds)


def test_jiang_predicts_the_marker_genes_only_between_laboratories(load, registry):
    processing = load("jiang").processing

    def settings(name):
        return processing.for_dataset(registry.get("dataset", name).spec)

    assert len(settings("visium_breast").genes) == 12
    assert settings("visium_breast.loso-ffpe").genes == ()
    assert settings("visium_breast.loso-ffpe").n_genes == 685
    assert settings("her2st.loso-a1").n_genes == 769
