"""A method that predicts variances and classes, from its training to its scores and figures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from sklearn.metrics import f1_score

from spared_bench.api import run as run_cells
from spared_bench.bench import Bench
from spared_bench.metrics.uncertainty import LEVELS
from spared_bench.trials import products
from spared_bench.trials.cells import finished_cells
from spared_bench.trials.products import prepared_table
from tests.conftest import TESTS, TOY_PLUGIN, TOY_PROTOCOL

PLUGIN = TESTS / "labelled_plugin.py"


@pytest.fixture
def run(tmp_path):
    """Run methods on the labelled toy dataset, with what is added to the toy protocol."""

    def run(predictors, more="", dataset="labelled", track=False, **options):
        protocol = tmp_path / "toy.yaml"
        protocol.write_text(TOY_PROTOCOL.read_text() + more)
        return run_cells(
            [dataset],
            ["none"],
            predictors,
            str(protocol),
            workspace=tmp_path / "w",
            plugin_files=[PLUGIN, TOY_PLUGIN],
            device="cpu",
            executor="inline",
            track=track,
            **options,
        )

    return run


def final(report):
    (cell,) = finished_cells(report.plan.bench.workspace.store)
    return cell


def truth_of(report):
    table = prepared_table(report.plan.bench, "labelled")
    return table[table.obs["split"] == "test"]


def test_its_scores_are_those_of_its_predictions_computed_another_way(run):
    report = run(["full"])
    cell = final(report)
    scores = cell.final.scores["test"]
    with np.load(cell.folder / "predictions.npz") as file:
        arrays = dict(file)
    test = truth_of(report)
    mask, target = test.layers["mask"], test.layers["target"]
    sd = np.sqrt(arrays["test_variance"].astype(float))
    mean = arrays["test_prediction"].astype(float)
    density = stats.norm.logpdf(target, mean, sd)
    assert scores["nll"] == pytest.approx(-density[mask].mean())
    low, high = stats.norm.interval(0.9, mean, sd)
    inside = ((low <= target) & (target <= high))[mask].mean()
    assert scores["coverage-90"] == pytest.approx(inside)
    assert cell.final.calibration["test"][LEVELS.index(0.9)] == pytest.approx(inside)
    assert scores["sharpness"] == pytest.approx(sd[mask].mean())

    labels = test.obs["label"].astype(str).to_numpy()
    names = arrays["classes"].astype(str)
    chosen = names[arrays["test_classes"].argmax(axis=1)]
    seen = labels != ""
    assert scores["f1-class"] == pytest.approx(
        f1_score(labels[seen], chosen[seen], average="macro")
    )
    assert np.sum(cell.final.confusion["test"]) == seen.sum()
    assert cell.final.classes == ["dark", "bright"]
    assert cell.final.facts["n_genes"] == 6


def test_where_there_is_no_variance_its_metrics_are_undefined_and_not_zero(run):
    result = final(run(["toy-mean"])).final
    assert set(result.scores["test"]) == {"mse", "pcc-gene"}
    assert result.calibration == {}
    assert result.confusion == {}


def test_calibration_and_confusion_are_drawn_where_they_are_defined(run):
    cell = final(run(["full"]))
    for name in ("calibration.png", "confusion.png", "expression_map.png"):
        with Image.open(cell.figures / name) as image:
            assert min(image.size) > 200


def test_a_trial_without_them_draws_a_map_alone(run):
    cell = final(run(["toy-mean"]))
    assert [path.name for path in cell.figures.glob("*.png")] == ["expression_map.png"]


def test_a_method_that_asks_for_labels_to_predict_fails_with_the_reason(run):
    (result,) = run(["peeking"]).results
    assert result.status == "error"
    assert "labels of these spots are not visible here" in result.message


def test_a_negative_variance_fails_by_the_name_of_the_method(run):
    (result,) = run(["negative"]).results
    assert result.status == "error"
    assert "'negative' returned a variance that is negative" in result.message


def test_a_method_of_classes_skips_a_dataset_without_them(run):
    (result,) = run(["full"], dataset="toy").results
    assert (result.status, result.message) == (
        "skipped",
        "it learns classes, and the dataset has none",
    )


def test_scoring_some_of_the_genes_trains_nothing_and_scores_those_alone(run):
    whole = run(["full"])
    symbols = list(truth_of(whole).var["gene_name"])
    some = run(["full"], f"scored_genes: [{symbols[4]}, {symbols[1]}]\n")

    assert some.new == 0
    cell = final(some)
    assert cell.final.key == whole.results[0].key
    test = truth_of(some)
    mask = test.layers["mask"][:, [1, 4]]
    with np.load(cell.folder / "predictions.npz") as file:
        error = (file["test_prediction"] - test.layers["target"])[:, [1, 4]]
    assert cell.final.scores["test"]["mse"] == pytest.approx(np.mean(error[mask] ** 2))
    by_gene = np.array(cell.final.gene_scores["pcc-gene"])
    assert np.flatnonzero(np.isfinite(by_gene)).tolist() == [1, 4]
    before = whole.results[0].scores["test"]
    assert cell.final.scores["test"]["f1-class"] == before["f1-class"]
    assert cell.final.scores["test"]["nll"] != before["nll"]


def test_a_gene_that_was_not_trained_cannot_be_scored(run):
    (result,) = run(["toy-mean"], "scored_genes: [ERBB2]\n").results
    assert result.status == "error"
    assert "1 of the 1 genes that protocol toy@1 scores are not among the 6 trained" in (
        result.message
    )


def test_mlflow_tells_of_calibration_as_the_store_does(run):
    report = run(["full"], track=True)
    from spared_bench.tracking.tracker import Tracker

    (logged,) = Tracker(report.plan.bench.workspace.root).results("toy@1")
    stored = final(report).final
    assert logged.calibration == stored.calibration
    assert logged.confusion == stored.confusion
    assert logged.classes == stored.classes


def test_its_model_predicts_a_new_slide_with_variances_and_classes(run, tmp_path):
    from spared_bench.inference.new_slide import Spots, make_slide
    from spared_bench.inference.trained import apply, find_trained

    bench = run(["full"]).plan.bench
    image = bench.folder("labelled") / "three.png"
    spots = Spots(["a", "b"], np.array([[40.0, 40.0], [100.0, 100.0]]))
    slide = make_slide(image, spots, 16.0)
    trained = find_trained(bench.workspace.store, "labelled/none/full")
    found = apply(trained, bench.registry, slide)
    assert (found.layers["variance"] > 0).all()
    assert list(found.obsm["classes"].columns) == ["dark", "bright"]
    np.testing.assert_allclose(found.obsm["classes"].sum(axis=1), 1, atol=1e-6)


def test_a_strangers_process_holds_no_label_of_a_test_slide(run):
    bench = run(["toy-mean"]).plan.bench
    products._last_read.clear()
    whole = prepared_table(bench, "labelled").obs
    seen = products.prepare(Bench(bench.settings, bench.registry, ("someone",)), "labelled").adata
    products._last_read.clear()
    test = (whole["split"] == "test").to_numpy()
    assert set(whole["label"][test]) == {"", "dark", "bright"}
    assert set(seen.obs["label"][test]) == {""}
    assert (seen.obs["label"].astype(str) == whole["label"].astype(str))[~test].all()
