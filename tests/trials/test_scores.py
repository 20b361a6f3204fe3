"""Scores are made from predictions: what changes them trains nothing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from typer.testing import CliRunner

import spared_bench
from spared_bench.api import make_bench, results_of, select
from spared_bench.cli import app
from spared_bench.errors import CorruptEntryError
from spared_bench.planning.forecast import forecast
from spared_bench.store.maintenance import verify
from spared_bench.store.trials import SCORES, TRIALS
from spared_bench.trials.cells import finished_cells
from spared_bench.trials.scores import _write_genes
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

METRIC_PLUGIN = """
import numpy as np
from spared_bench import MetricSpec, hookimpl

def bias(truth, prediction, mask):
    {body}

@hookimpl
def spared_bench_metrics():
    return [MetricSpec("toy-bias", f"{{__name__}}:bias", per="entry", label="Bias")]
"""


@pytest.fixture
def run(workspace, tmp_path):
    """Run toy-ridge under the toy protocol, changed and with more plugins as asked."""

    def run(
        change=lambda text: text,
        plugins=(),
        predictors=("toy-ridge",),
        track=False,
        executor="inline",
        **options,
    ):
        protocol = tmp_path / "changed.yaml"
        protocol.write_text(change(TOY_PROTOCOL.read_text()))
        return spared_bench.run(
            ["toy"],
            ["none"],
            predictors,
            str(protocol),
            workspace=workspace,
            plugin_files=[TOY_PLUGIN, *plugins],
            device="cpu",
            executor=executor,
            track=track,
            figures=False,
            **options,
        )

    return run


def with_metrics(names):
    return lambda text: text + f"metrics: [{names}]\n"


def metric_plugin(tmp_path, body):
    path = tmp_path / f"metric_of_{tmp_path.name}.py"  # a process imports a name once
    path.write_text(METRIC_PLUGIN.format(body=body))
    return path


def test_another_metric_is_computed_from_the_predictions_that_are_there(run, workspace, tmp_path):
    first = run(with_metrics("mse"))
    plugin = metric_plugin(tmp_path, "return np.asarray((prediction - truth)[mask].mean())")
    second = run(with_metrics("mse, toy-bias"), [plugin])

    assert first.new > 0
    assert second.new == 0
    before, after = first.results[0], second.results[0]
    assert after.key == before.key
    assert after.scores["test"]["mse"] == before.scores["test"]["mse"]
    with np.load(workspace_file(workspace, after.key, "predictions.npz")) as file:
        predicted = file["test_prediction"].astype(float)
    prepared = prepared_test(second)
    wanted = (predicted - prepared.layers["target"])[prepared.layers["mask"]].mean()
    assert after.scores["test"]["toy-bias"] == pytest.approx(wanted)


def workspace_file(workspace, key, name):
    return workspace / "store" / TRIALS / key[:2] / key / name


def prepared_test(report):
    from spared_bench.trials.products import prepared_table

    table = prepared_table(report.plan.bench, "toy")
    return table[table.obs["split"] == "test"]


def test_mlflow_and_the_page_follow_another_metric(run, workspace, empty_database):
    shutil.copy(empty_database, workspace / "mlflow.db")
    run(with_metrics("mse"), track=True)
    report = run(with_metrics("mse, pcc-gene"), track=True)
    (from_store,) = [cell.final for cell in finished_cells(report.plan.bench.workspace.store)]
    from spared_bench.tracking.tracker import Tracker

    (from_mlflow,) = Tracker(workspace).results("toy@1")

    assert set(from_store.scores["test"]) == {"mse", "pcc-gene"}
    assert from_mlflow.scores == from_store.scores
    table = pd.read_csv(report.page.parent / "leaderboard.csv")
    assert table["pcc_gene"].notna().all()


def test_another_rule_for_means_or_pooling_trains_nothing(run):
    strict = run()
    published = run(lambda text: text + "mean_rule: published\npooling: split\n")

    assert published.new == 0
    (result,) = published.results
    prepared = prepared_test(published)
    with np.load(
        workspace_file(published.plan.bench.workspace.root, result.key, "predictions.npz")
    ) as file:
        predicted = file["test_prediction"].astype(float)
    by_hand = [
        scipy.stats.pearsonr(predicted[seen, gene], prepared.layers["target"][seen, gene])[0]
        for gene, seen in enumerate(prepared.layers["mask"].T)
    ]
    assert result.scores["test"]["pcc-gene"] == pytest.approx(np.mean(by_hand))
    assert strict.results[0].key == result.key


def test_a_dry_run_tells_of_scores_to_compute(run, workspace, tmp_path):
    run(with_metrics("mse"))
    protocol = tmp_path / "more.yaml"
    protocol.write_text(TOY_PROTOCOL.read_text() + "metrics: [mse, mae]\n")
    bench = make_bench(str(protocol), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu")
    plan = select(bench, ["toy"], ["none"], ["toy-ridge"])
    ahead = forecast(plan)

    assert (ahead.open_trials, ahead.open_scores) == (0, 1)
    assert [state for _, state in ahead.states] == ["scores to compute"]
    assert results_of(plan) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("return None", "must return numbers, nan where undefined; found None"),
    ],
)
def test_a_metric_that_raises_gives_nothing_and_costs_no_other_its_scores(
    run, workspace, tmp_path, body, told
):
    broken = metric_plugin(tmp_path, body)
    failed = run(with_metrics("mse, toy-bias"), [broken])
    (result,) = failed.results

    assert result.status == "ok"
    assert set(result.scores["test"]) == {"mse"}
    asked = ["status", "--why", result.key, "-w", str(workspace)]
    said = CliRunner().invoke(app, asked).output
    assert "Metric 'toy-bias' gave nothing: " in said and told in said

    again = run(with_metrics("mse, toy-bias"), [broken], retry_failed=True)
    assert (again.new, set(again.results[0].scores["test"])) == (0, {"mse"})

    # Another name: this process has loaded the first.
    whole = tmp_path / f"mended_{tmp_path.name}.py"
    whole.write_text(METRIC_PLUGIN.format(body="return np.asarray(0.5)"))
    mended = run(with_metrics("mse, toy-bias"), [whole])
    assert mended.new == 0
    assert mended.results[0].scores["test"]["toy-bias"] == 0.5


@pytest.mark.parametrize(("given", "per"), [("variance", "entry"), ("classes", "class")])
def test_a_strangers_metric_of_what_a_method_does_not_predict_is_no_failure(
    run, tmp_path, given, per
):
    plugin = metric_plugin(tmp_path, "raise ValueError('it is not asked')")
    declared = plugin.read_text().replace('per="entry"', f'per="{per}", given="{given}"')
    plugin.write_text(declared)
    wanted = {"change": with_metrics("mse, toy-bias"), "plugins": [plugin], "executor": "local"}
    (result,) = run(**wanted).results

    assert set(result.scores["test"]) == {"mse"}
    assert "unscored" not in result.facts


def test_a_strangers_metric_that_lacked_something_is_taken_again_when_one_asks(
    run, workspace, tmp_path, monkeypatch
):
    lacking = metric_plugin(tmp_path, "import lacked_by_a_metric\n    return np.asarray(0.25)")
    wanted = {"change": with_metrics("mse, toy-bias"), "plugins": [lacking], "executor": "local"}
    (first,) = run(**wanted).results
    assert "toy-bias" not in first.scores["test"]
    asked = ["status", "--why", first.key, "-w", str(workspace)]
    assert "No module named 'lacked_by_a_metric'" in CliRunner().invoke(app, asked).output

    (tmp_path / "installed").mkdir()
    (tmp_path / "installed/lacked_by_a_metric.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "installed"))
    again = run(**wanted, retry_failed=True)

    assert again.new == 0
    assert again.results[0].scores["test"] == {**first.scores["test"], "toy-bias": 0.25}


def test_scores_that_cannot_be_read_are_made_again(run):
    first = run()
    store = first.plan.bench.workspace.store
    (key,) = store.keys(SCORES)
    path = store.folder(SCORES, key) / "scores.json"
    size = path.stat().st_size
    path.write_text("{".ljust(size))
    again = run()

    assert again.new == 0
    assert again.results[0].scores == first.results[0].scores
    assert json.loads(path.read_text())["status"] == "ok"


def test_the_candidates_of_a_search_are_not_scored(run):
    report = run()
    store = report.plan.bench.workspace.store

    assert len(store.keys(TRIALS)) > 1
    assert len(store.keys(SCORES)) == 1


def test_a_workspace_of_an_earlier_version_is_told_of_and_tidied(run, workspace, capsys):
    """Until scores were entries, a cell's record had none, and its trial held them."""
    from typer.testing import CliRunner

    from spared_bench.cli import app
    from spared_bench.store.maintenance import unneeded

    store = run().plan.bench.workspace.store
    (path,) = (store.root / "cells").glob("*.json")
    record = json.loads(path.read_text())
    del record["scores"]
    path.write_text(json.dumps(record))

    told = CliRunner().invoke(app, ["status", "--suite", str(TOY_PROTOCOL), "-w", str(workspace)])
    assert told.exit_code == 0
    assert "1 results in this workspace were made by an earlier version" in told.stderr
    assert list(finished_cells(store)) == []
    assert {kind for kind, _, _ in unneeded(store, 0)} >= {"trials", "scores", "prepared"}

    again = run()
    assert again.new == 0
    assert len(list(finished_cells(store))) == 1


def test_the_table_of_genes_is_written_as_pandas_would(tmp_path, rng):
    values = np.concatenate([10.0 ** rng.uniform(-20, 20, 30), [np.nan, 0.0, -0.0, 1e16, 0.1, 5]])
    names = [f"g{i}" for i in range(35)] + ['a "b", c']
    named = {"gene": names, "gene_name": names[::-1], "mse": values.tolist()}
    columns = np.arange(1, 36)

    _write_genes(tmp_path / "genes.csv", named, columns)

    frame = pd.DataFrame(named).set_index("gene").iloc[columns]
    assert (tmp_path / "genes.csv").read_text() == frame.to_csv()


def test_damaged_predictions_are_told_as_such_and_scored_once_they_are_mended(run):
    first = run()
    store = first.plan.bench.workspace.store
    path = store.folder(TRIALS, first.results[0].key) / "predictions.npz"
    whole = path.read_bytes()
    for damaged in (bytes(len(whole)), whole[:-40] + bytes(40)):
        path.write_bytes(damaged)
        (result,) = run(with_metrics("mse, mae"), retry_failed=True).results
        told = " ".join(result.message.split())
        assert "npz cannot be read: " in told
        assert "pickle" not in told
        assert "store verify --repair" in told
        assert "--retry-failed" in told
        with pytest.raises(CorruptEntryError, match=r"npz cannot be read: .* store verify --rep"):
            first.predictions(images=False)
    path.write_bytes(whole)
    again = run(with_metrics("mse, mae"), retry_failed=True)
    assert (again.new, again.results[0].status) == (0, "ok")


def test_predictions_that_are_made_again_are_scored_without_a_word_more(run):
    """Why the damaged ones could not be scored was kept, and the cell stayed without a score."""
    first = run()
    store = first.plan.bench.workspace.store
    path = store.folder(TRIALS, first.results[0].key) / "predictions.npz"
    path.write_bytes(bytes(path.stat().st_size))
    assert run(with_metrics("mse, mae")).failed
    verify(store, repair=True)
    again = run(with_metrics("mse, mae"))
    assert (again.new, again.failed, again.results[0].status) == (1, [], "ok")
