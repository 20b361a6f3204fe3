"""The built-in protocols: one repeats the published data, the strict one is strict."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import yaml

from spared_bench.api import load_protocol
from spared_bench.bench import Bench, Settings
from spared_bench.leaderboard.plugin_facts import dataset_facts, trial_facts
from spared_bench.processing.annotation import gene_table
from spared_bench.processing.pipeline import prepare
from spared_bench.registry import discover
from spared_bench_plugins.datasets.spared import spared_datasets
from tests.processing.conftest import (  # noqa: F401
    golden,
    golden_slides,
    golden_spec,
    lattice,
    raw_slide,
)

NAMES = [
    *("asign", "demo", "hest", "jiang", "own", "partial", "partial-demo", "sepal", "spared"),
    "spared-strict",
]


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


SPARED = [spec.name for spec in spared_datasets()]


def made_up_slides(spec):
    """Slides of a dataset's names on a lattice, of genes that nearly all spots have."""
    table = gene_table(spec.organism)
    genes = table.index[table["gene_type"] == "protein_coding"][:6].tolist()
    draw = np.random.default_rng(len(spec.slides))
    xy = lattice(60)

    def counts():
        return draw.poisson(300, size=(60, 6)) * (draw.random((60, 6)) > 0.1)

    return {slide.slide_id: raw_slide(counts(), genes, xy) for slide in spec.slides}


@pytest.mark.parametrize("name", SPARED)
def test_what_chooses_in_strict_is_never_what_is_reported(registry, load, tmp_path, name):
    strict = load("spared-strict")
    settings = Settings(str(tmp_path), str(tmp_path), strict.model_dump(mode="json"))
    bench, published = Bench(settings, registry), registry.get("dataset", name).spec
    slides = made_up_slides(published)

    obs = prepare(slides, published, strict).obs

    reported = set(obs.index[obs["split"] == bench.dataset(name).evaluation_split])
    # Checkpoints and candidates are chosen on `val`, and completers on `val`; all learn from train.
    chooses, learns = (set(obs.index[obs["split"] == split]) for split in ("val", "train"))
    assert reported and chooses and learns
    assert not reported & (chooses | learns)
    by_slide = obs.groupby("slide_id", observed=True)["split"].unique().map(set)
    scored = published.split.get("test") or published.split["val"]
    assert all(by_slide[slide] == {"test"} for slide in scored)  # whole slides are reported
    if not published.split.get("test"):
        assert all(by_slide[slide] == {"train", "val"} for slide in published.split["train"])


def test_only_spared_reports_what_it_chose_on(load, registry):
    def reported(protocol):
        divided = [
            load(protocol).validation.divide(registry.get("dataset", name).spec) for name in SPARED
        ]
        return Counter(spec.evaluation_split for spec in divided)

    assert reported("spared") == {"test": 11, "val": 15}  # as published
    assert reported("spared-strict") == {"test": 26}
    # What the board reads of entries of others is the same.
    for protocol, split in (("spared", "val"), ("spared-strict", "test")):
        facts = trial_facts(registry, load(protocol))
        assert facts["vko"]["evaluation_split"] == split
    assert dataset_facts(registry)["vko"]["evaluation_split"] == "val"  # by no known protocol


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


def test_the_page_of_scores_says_of_every_protocol_how_it_scores(load):
    text = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    rows = {row[0]: row[1:] for row in rows if len(row) > 1}
    protocols = [load(name.partition("@")[0]) for name in rows[""]]
    assert [protocol.id for protocol in protocols] == rows[""]
    assert sorted(protocol.name for protocol in protocols) == NAMES
    said = zip(
        protocols, rows["scored entries"], rows["on"], rows["metrics are taken"],
        rows["a gene of constant prediction"], strict=True,
    )  # fmt: skip
    for protocol, entries, slides, taken, constant in said:
        assert ("zeros" in entries) == (protocol.processing.zeros == "measured")
        assert taken.startswith(f"per {protocol.pooling}") or protocol.pooling == "split"
        assert ("whole split" in taken) == (protocol.pooling == "split")
        assert ("as published" in constant) == (protocol.mean_rule == "published")
        if "SpaRED" in protocol.summary or protocol.name == "own":  # some have no test slides
            rule = (
                "chose nothing" if protocol.validation.without_test == "hold_out" else "also chose"
            )
            assert rule in slides


def test_the_list_of_differences_says_what_spared_is_set_to(load):
    text = resources.files("spared_bench_plugins.protocols") / "spared_differences.yaml"
    entries = yaml.safe_load(text.read_text(encoding="utf-8"))["differences"]
    spared = load("spared").model_dump()
    said = {entry["what"]: entry["here"] for entry in entries}
    assert f"{spared['completion']['iterations']:,}" == said["steps of SpaCKLE"]
    assert spared["processing"]["ties"] == "published"
    assert spared["search"]["completer"] == "median"
    assert spared["configuration"] == "spared"
