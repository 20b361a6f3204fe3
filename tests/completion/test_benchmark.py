from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from spared_bench.api import make_bench
from spared_bench.cli import app
from spared_bench.cli.commands.complete import parse_rates
from spared_bench.completion.benchmark import (
    CompletionResult,
    Condition,
    Task,
    conditions,
    measure,
    stored_results,
)
from spared_bench.completion.figures import draw_figures
from spared_bench.completion.scoring import score_hidden
from spared_bench.completion.tables import check_folder, collect, markdown, write_tables
from spared_bench.errors import TrackingError, UsageError
from spared_bench.models import checkpoint
from spared_bench.store.leases import Leases
from spared_bench.tracking.tracker import Tracker
from spared_bench.trials.completed import fitted_completer, make_completed
from spared_bench.trials.products import prepare
from spared_bench.workspace import Workspace
from spared_bench_plugins.completers.median import Median
from spared_bench_plugins.completers.spackle import SpaCKLE
from tests.completion.making import slides_of
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.leaderboard.reading import folder_of

WANTED = conditions(["fraction", "prob_median"], [0.3, 0.6])


KILLED = """
import os, sys
from pathlib import Path
from spared_bench.store.entries import Store
from spared_bench.store.leases import leases_of
store = Store(Path(sys.argv[1]))
leases_of(store.root).take("work")
store.write("completion", {"a": 1}, lambda folder: os.kill(os.getpid(), 9))
"""


def test_what_a_killed_command_left_is_taken_away_by_the_next_and_nothing_of_the_living(tmp_path):
    space = Workspace.at(tmp_path)
    subprocess.run([sys.executable, "-c", KILLED, str(space.store.root)], check=False)
    leases = space.store.root / "leases"
    assert [len(list(each.iterdir())) for each in (space.store.root / "tmp", leases)] == [1, 2]
    ours = Leases(leases)
    assert ours.take("ours")

    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path, device="cpu")
    measure(bench, [], [], WANTED)

    assert list((space.store.root / "tmp").iterdir()) == []
    assert [path.name for path in leases.glob("*.lease")] == ["ours.lease"]
    assert ours.take("ours")
    pids = {int(path.name.split(".")[1]) for path in (leases / "owners").iterdir()}
    assert pids == {os.getpid()}
    ours.close()


def test_conditions_are_every_rate_of_the_rule_that_has_rates():
    assert [condition.label for condition in WANTED] == ["0.3", "0.6", "prob_median"]
    assert conditions(["prob_median"], [0.3]) == [Condition("prob_median")]


def test_scores_are_those_of_the_hidden_entries_of_each_slide(rng):
    slides = slides_of([30, 20])
    hidden = slides.mask & (rng.random(slides.mask.shape) < 0.5)
    completed = slides.target + rng.normal(size=hidden.shape).astype(np.float32)
    scores = score_hidden(slides, completed, hidden)
    error = np.square(completed.astype(float) - slides.target)
    for name, values in scores["slides"].items():
        here = slides.slide_ids == name
        assert values["mse"] == pytest.approx(error[here][hidden[here]].mean())
        assert values["n_hidden"] == hidden[here].sum()
        each = [
            np.corrcoef(slides.target[here][seen, gene], completed[here][seen, gene])[0, 1]
            for gene, seen in enumerate(hidden[here].T)
        ]
        assert values["pcc"] == pytest.approx(np.mean(each), abs=1e-6)
    means = [values["mse"] for values in scores["slides"].values()]
    assert scores["mse"] == pytest.approx(np.mean(means))
    pooled = score_hidden(slides, completed, hidden, "split")
    assert pooled["mse"] == pytest.approx(error[hidden].mean())


def test_without_a_hidden_entry_scores_are_nan():
    slides = slides_of([10])
    scores = score_hidden(slides, slides.target, np.zeros_like(slides.mask))
    assert math.isnan(scores["mse"])
    assert math.isnan(scores["pcc"])


def test_leaving_zeros_scores_the_mean_square_of_what_was_hidden(bench):
    task = Task(bench, "toy")
    (result,) = task.measure("none", [Condition("fraction", 0.3)], 2)
    for repeat, scores in enumerate(result.repeats):
        hidden = task.hidden(Condition("fraction", 0.3), repeat)
        assert scores["mse"] == pytest.approx(float(np.square(task.slides.target[hidden]).mean()))
        assert scores["n_hidden"] == hidden.sum()
    assert (result.split, result.slides) == ("test", ["three"])


def test_every_repetition_has_its_own_mask_and_all_completers_have_the_same(bench):
    first, second = (Task(bench, "toy") for _ in range(2))
    condition = Condition("fraction", 0.5)
    assert (first.hidden(condition, 0) != first.hidden(condition, 1)).any()
    np.testing.assert_array_equal(first.hidden(condition, 0), second.hidden(condition, 0))
    results = [first.measure(name, [condition], 3)[0] for name in ("median", "gene-mean")]
    counts = [[repeat["n_hidden"] for repeat in result.repeats] for result in results]
    assert counts[0] == counts[1]


def test_what_was_measured_is_in_the_store_and_not_measured_again(bench, monkeypatch):
    first = measure(bench, ["toy"], ["none", "median"], WANTED, 2)
    assert not first.failures
    monkeypatch.setattr(Task, "prepared", property(lambda task: pytest.fail("measured again")))
    again = measure(bench, ["toy"], ["none", "median"], WANTED, 2)
    assert [each.as_dict() for each in again.results] == [each.as_dict() for each in first.results]
    stored = list(stored_results(bench.workspace.store, "toy@1"))
    assert {each.key for each in stored} == {each.key for each in first.results}
    assert list(stored_results(bench.workspace.store, "other@1")) == []


def test_a_completer_that_fails_is_told_and_does_not_stop_the_others(bench):
    lines = []
    measured = measure(bench, ["toy"], ["toy-cheats", "none"], WANTED[:1], 1, lines.append)
    assert list(measured.failures) == ["toy · toy-cheats"]
    assert "changed measured entries" in measured.failures["toy · toy-cheats"]
    assert [result.completer for result in measured.results] == ["none"]
    assert lines[0].startswith("toy · toy-cheats: failed")


def test_what_a_slow_completer_is_at_is_told_now_and_then(bench, monkeypatch):
    """Of 100,000 spots nothing was said for minutes, and nobody knew whether it went on."""
    monkeypatch.setattr("spared_bench.completion.patience.EVERY_SECONDS", 0.02)
    complete = Median.complete

    def slowly(self, slides):
        time.sleep(0.2)
        return complete(self, slides)

    monkeypatch.setattr(Median, "complete", slowly)
    lines = []
    measure(bench, ["toy"], ["median"], WANTED[:1], 2, lines.append)
    told, last = lines[:-1], lines[-1]
    done = [line.rpartition(", ")[0] for line in told]  # before the seconds
    assert f"toy · median: completing ({WANTED[0].label}), mask 2 of 2" in done
    assert all(line.startswith("toy · median: ") for line in lines)
    assert "MSE" in last
    time.sleep(0.1)
    assert lines[-1] == last  # nothing is told any more


def test_a_trained_completer_is_kept_in_the_store_with_its_weights_and_its_curve(bench):
    entry = make_completed(bench, "toy", "graph-mae")
    assert (entry.folder / "model" / "learned.safetensors").is_file()
    assert [step for step, _ in entry.read_json("fit.json")["curves"]["val_mse"]] == [3, 6]
    prepared = prepare(bench, "toy")
    method, told = fitted_completer(bench, "toy", "graph-mae", prepared)
    layer = np.load(entry.folder / "completed.npy")
    rows = prepared.adata.obs["split"].to_numpy() == "train"
    np.testing.assert_array_equal(method.complete(prepared.slides("train")), layer[rows])
    assert told["seconds"] >= 0


def blur_test_slides(adata):
    """Replace the expression of the test slides by noise, in every layer."""
    test, rng = adata.obs["split"].to_numpy() == "test", np.random.default_rng(0)
    noise = rng.normal(scale=10, size=adata.shape)
    for name in ("expression", "prefilled", "target"):
        adata.layers[name] = np.where(test[:, None], noise, adata.layers[name])
    adata.layers["mask"] = np.where(test[:, None], noise > 0, adata.layers["mask"])


@pytest.mark.parametrize("completer", ["spackle", "spackle-released", "graph-mae", "knn-spatial"])
def test_the_expression_of_test_slides_cannot_move_a_completed_layer(bench, completer, tmp_path):
    def complete(root, noise):
        place = {"workspace": tmp_path / root, "plugin_files": [TOY_PLUGIN], "device": "cpu"}
        prepared = prepare(bench, "toy")
        if noise:
            blur_test_slides(prepared.adata)
        entry = make_completed(make_bench(str(TOY_PROTOCOL), **place), "toy", completer, prepared)
        weights = (entry.folder / "model" / "learned.safetensors").read_bytes()
        return np.load(entry.folder / "completed.npy"), weights

    (layer, weights), (noisy_layer, noisy_weights) = complete("a", False), complete("b", True)

    np.testing.assert_array_equal(layer, noisy_layer)
    assert weights == noisy_weights
    assert np.isnan(layer).any(axis=1).sum() == 49  # the test slide is not completed


def test_a_result_survives_the_way_through_json_and_tells_mean_and_deviation():
    repeats = [
        {"mse": 1.0, "pcc": None, "n_hidden": 3, "slides": {"a": {"mse": 2.0, "pcc": 0.5}}},
        {"mse": 2.0, "pcc": 0.5, "n_hidden": 4, "slides": {"a": {"mse": 4.0, "pcc": 0.5}}},
    ]
    result = CompletionResult("k", "p@1", "d", "c", "val", Condition("fraction", 0.3), repeats)
    again = CompletionResult.from_dict(json.loads(json.dumps(result.as_dict())))
    assert again == result
    assert (result.mean("mse"), result.sd("mse")) == (1.5, pytest.approx(0.5**0.5))
    assert (result.mean("pcc"), result.mean("mse", "a")) == (0.5, 3.0)
    assert math.isnan(result.sd("pcc"))


@pytest.mark.parametrize(
    "edited",
    [
        *({"dataset": None}, {"completer": 7}, {"protocol": []}, {"repeats": "x"}),
        *({"seconds": 7}, {"condition": {}}, {"condition": "fraction"}),
    ],
)
def test_a_record_that_was_edited_into_none_is_refused_as_such(edited):
    """The board leaves a file out whose records cannot be read, and names it."""
    result = CompletionResult("k", "p@1", "d", "c", "val", Condition("fraction", 0.3), [])
    with pytest.raises(ValueError, match="this is no record of a completion: "):
        CompletionResult.from_dict({**result.as_dict(), **edited})


def test_tables_and_figures_tell_every_result(bench, tmp_path):
    measured = measure(bench, ["toy"], ["none", "median"], WANTED, 2)
    collection = collect(measured.results, tmp_path, "the command")
    write_tables(collection, tmp_path)
    with (tmp_path / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["completer"], row["rate"]) for row in rows][:3] == [
        ("none", "0.3"),
        ("none", "0.6"),
        ("none", ""),
    ]
    assert float(rows[3]["mse"]) == pytest.approx(measured.results[3].mean("mse"), rel=1e-5)
    text = markdown(collection)
    assert text.startswith("<!-- the command -->")
    best = min(
        ("none", "median"), key=lambda name: measured.results[3 * (name == "median")].mean("mse")
    )
    assert text.index(f"| {best} |") < text.index("| " + ({"none", "median"} - {best}).pop() + " |")
    drawn = draw_figures(measured.results, [Task(bench, "toy")], ["median"], tmp_path)
    assert [path.name for path in drawn] == ["datasets.png", "masking.png", "map_toy.png"]
    assert all(path.stat().st_size > 5_000 for path in drawn)


def test_a_later_command_adds_to_the_tables_and_replaces_what_it_measured_again(tmp_path):
    def result(completer, mse):
        scores = {"mse": mse, "pcc": 0.5, "n_hidden": 3}
        repeats = [scores | {"slides": {"a": scores}}]
        return CompletionResult(
            "k", "p@1", "d", completer, "test", Condition("fraction", 0.3), repeats
        )

    write_tables(collect([result("x", 1.0), result("y", 2.0)], tmp_path, "first"), tmp_path)
    both = collect([result("y", 3.0), result("z", 4.0)], tmp_path, "second")
    assert {each.completer: each.mean("mse") for each in both.results} == {"x": 1, "y": 3, "z": 4}
    assert both.commands == ["first", "second"]
    for damaged in ("no json", "[" * 100_000):
        (tmp_path / "results.json").write_text(damaged)
        assert collect([], tmp_path, "third").results == []


def test_results_under_two_protocols_do_not_share_a_folder(tmp_path):
    scores = {"mse": 1.0, "pcc": 0.5, "n_hidden": 3, "slides": {}}
    condition = Condition("fraction", 0.3)
    results = [
        CompletionResult("k", "p@1", "d", name, "test", condition, [scores] * masks)
        for name, masks in (("x", 2), ("y", 10))
    ]
    write_tables(collect(results, tmp_path, "first"), tmp_path)
    assert "over 2 or 10 masks" in (tmp_path / "table.md").read_text()
    check_folder(tmp_path, "p@1")
    with pytest.raises(UsageError, match=r"holds results under p@1, .* under p@2\. Name another"):
        check_folder(tmp_path, "p@2")


def test_runs_are_tracked_once_apart_from_those_of_predictors(bench, tmp_path):
    tracker = Tracker(tmp_path)
    measured = measure(bench, ["toy"], ["none", "median"], WANTED, 2)
    assert tracker.log_completion(measured.results) == 2
    assert tracker.log_completion(measured.results) == 0
    assert tracker.log_completion(measured.results[:1]) == 1  # changed, so it is replaced
    assert tracker.results() == []
    client = tracker.connection.client
    experiment = client.get_experiment_by_name("spared-bench/toy@1/completion")
    runs = {
        run.data.params["completer"]: run for run in client.search_runs([experiment.experiment_id])
    }
    assert set(runs) == {"none", "median"}
    history = client.get_metric_history(runs["median"].info.run_id, "fraction.mse")
    assert {point.step: point.value for point in history} == {
        30: pytest.approx(measured.results[3].mean("mse")),
        60: pytest.approx(measured.results[4].mean("mse")),
    }


def test_a_deleted_experiment_of_completion_comes_back(bench, tmp_path):
    results = measure(bench, ["toy"], ["none"], WANTED, 2).results
    tracker = Tracker(tmp_path)
    tracker.log_completion(results)
    client = tracker.connection.client
    experiment = client.get_experiment_by_name("spared-bench/toy@1/completion")
    client.delete_experiment(experiment.experiment_id)
    assert tracker.completion_results() == []

    tracker.log_completion(results)

    assert len(tracker.completion_results()) == len(results)


def test_a_file_that_mlflow_lacks_costs_its_own_results_and_is_told_of(bench, tmp_path):
    results = measure(bench, ["toy"], ["none", "median"], WANTED, 2).results
    Tracker(tmp_path).log_completion(results)
    lost, damaged = sorted(tmp_path.glob("mlartifacts/**/results.json"))
    lost.unlink()
    kept = damaged.read_bytes()

    unread: list[str] = []
    read = Tracker(tmp_path).completion_results("toy@1", unread)
    assert len(read) == len(results) / 2
    assert len(unread) == 1 and "Cannot read from MLflow" in unread[0]

    for content in (b"[{}]", b"[1]", b"{", b"\xff", kept[:-9]):
        damaged.write_bytes(content)
        unread.clear()
        assert Tracker(tmp_path).completion_results("toy@1", unread) == []
        assert len(unread) == 2
    with pytest.raises(TrackingError, match="Cannot read from MLflow"):
        Tracker(tmp_path).completion_results("toy@1")


@pytest.mark.parametrize(
    ("text", "rates"),
    [("0.1..0.7", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]), ("0.3,0.5", [0.3, 0.5]), ("0.25", [0.25])],
)
def test_rates_are_read_as_a_range_or_a_list(text, rates):
    assert parse_rates(text) == rates


@pytest.mark.parametrize(
    "text", ["", "0.7..0.1", "0..0.3", "0.3,2", "some", "0.1..inf", "0.1..1e12", "nan..0.3"]
)
def test_rates_that_cannot_be_are_refused(text):
    with pytest.raises(UsageError, match=r"--mask-rates .* must read 0\.1\.\.0\.7"):
        parse_rates(text)


class Killed(BaseException):
    """In place of a signal."""


class Cancelled(BaseException):
    """Of no kind that is caught by the way, as what asyncio raises."""


@pytest.mark.parametrize("error", [SystemExit(3), Cancelled("odd")])
def test_a_completer_that_would_end_the_process_ends_nothing_but_its_own(bench, monkeypatch, error):
    def complete(self, slides):
        raise error

    monkeypatch.setattr(bench.registry.get("completer", "toy-cheats").load(), "complete", complete)
    measured = measure(bench, ["toy"], ["toy-cheats", "none"], WANTED[:1], 1)
    assert measured.failures == {"toy · toy-cheats": f"{type(error).__name__}: {error}"}
    assert [result.completer for result in measured.results] == ["none"]


def test_a_completer_that_was_killed_in_training_goes_on_to_the_same_weights(
    bench, tmp_path, monkeypatch
):
    steps, last = [], [4]  # a checkpoint is written after the third of six
    loss = SpaCKLE.loss

    def counted(self, network, batch):
        steps.append(1)
        if len(steps) > last[0]:
            raise Killed
        return loss(self, network, batch)

    monkeypatch.setattr(SpaCKLE, "loss", counted)
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "_SHARE_OF_TIME", 1e9)
    with pytest.raises(Killed):
        make_completed(bench, "toy", "spackle")
    assert list(bench.workspace.training.glob("*/training.pt"))

    last[0] = 100
    entry = make_completed(bench, "toy", "spackle")
    assert len(steps) == 5 + 3
    assert not list(bench.workspace.training.glob("*"))

    place = {"workspace": tmp_path / "other", "plugin_files": [TOY_PLUGIN], "device": "cpu"}
    whole = make_completed(make_bench(str(TOY_PROTOCOL), **place), "toy", "spackle")
    for name in ("completed.npy", "model/learned.safetensors"):
        assert (entry.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def run(workspace, *arguments):
    common = ["--protocol", str(TOY_PROTOCOL), "--plugin", str(TOY_PLUGIN), "-w", str(workspace)]
    return CliRunner().invoke(app, ["complete", "toy", *common, *arguments])


def test_the_command_measures_and_writes_into_the_workspace(workspace):
    rates = ["--mask-rates", "0.3", "--repeats", "2", "--rule", "fraction"]
    answer = run(workspace, "-c", "median", "-c", "gene-mean", *rates)
    assert answer.exit_code == 0, answer.output
    assert "| gene-mean |" in answer.output
    names = {path.name for path in (workspace / "completion" / "toy@1").iterdir()}
    assert {"results.json", "summary.csv", "slides.csv", "table.md", "map_toy.png"} <= names


@pytest.mark.parametrize("source", ["store", "mlflow"])
def test_its_scores_are_on_a_board_without_any_predictor(workspace, tmp_path, source):
    rates = ["--mask-rates", "0.3", "--repeats", "2", "--rule", "fraction"]
    assert run(workspace, "-c", "median", "-c", "gene-mean", *rates).exit_code == 0
    arguments = ["leaderboard", "build", "-w", str(workspace), "--from", source]
    nothing = ["--leaderboards", str(tmp_path)]
    answer = CliRunner().invoke(app, [*arguments, *nothing])
    assert answer.exit_code == 0, answer.output
    written = (folder_of(workspace / "leaderboard", "data") / "p0" / "completion.js").read_text()
    assert '"completer":"median"' in written and '"completer":"gene-mean"' in written


def test_of_two_commands_at_once_none_takes_the_results_of_the_other_away(workspace, monkeypatch):
    some = ["--mask-rates", "0.3", "--repeats", "1", "--rule", "fraction"]
    other = [sys.executable, "-m", "spared_bench", "complete", "toy", "-c", "none", *some]
    other += ["--protocol", str(TOY_PROTOCOL), "--plugin", str(TOY_PLUGIN), "-w", str(workspace)]
    begun = []

    def slowly(*arguments):
        found = collect(*arguments)
        begun.append(subprocess.Popen(other, stderr=subprocess.PIPE, text=True))
        for line in begun[0].stderr:  # until it waits, or has ended
            if "Waiting for completion-toy@1, which process" in line:
                break
        return found

    monkeypatch.setattr("spared_bench.completion.tables.collect", slowly)
    assert run(workspace, "-c", "median", *some).exit_code == 0
    begun[0].communicate(timeout=60)

    written = json.loads((workspace / "completion" / "toy@1" / "results.json").read_text())
    assert {result["completer"] for result in written["results"]} == {"median", "none"}


def test_the_command_takes_a_file_of_weights(workspace, bench):
    entry = make_completed(bench, "toy", "graph-mae")
    file = entry.folder / "model" / "learned.safetensors"
    rates = ["--mask-rates", "0.3", "--repeats", "1", "--rule", "fraction", "--json"]
    trained = run(workspace, "-c", "graph-mae", *rates)
    loaded = run(workspace, "-c", "graph-mae", *rates, "--weights", str(file))
    assert loaded.exit_code == 0, loaded.output
    first, second = (json.loads(each.stdout)["results"][0] for each in (trained, loaded))
    assert first["key"] != second["key"]
    assert first["repeats"] == second["repeats"]


def test_weights_for_no_trained_completer_are_refused(workspace, tmp_path):
    (tmp_path / "w.safetensors").touch()
    answer = run(workspace, "-c", "median", "--weights", str(tmp_path / "w.safetensors"))
    assert isinstance(answer.exception, UsageError)
    assert "--weights is for one trained completer" in str(answer.exception)
    missing = run(workspace, "-c", "graph-mae", "--weights", "nowhere")
    assert "--weights must name a file" in str(missing.exception)


def test_an_unknown_rule_of_the_command_is_refused(workspace):
    answer = run(workspace, "--rule", "prob_medain")
    assert "Did you mean 'prob_median'?" in str(answer.exception)
