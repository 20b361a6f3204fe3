"""Successive halving and Optuna: equal budgets, the same proposals every time."""

from __future__ import annotations

import math

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.planning.plan import REDUCTION
from spared_bench.protocol import read_protocol
from spared_bench.results import TrialResult, without_times
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

QUIET = {"track": False, "figures": False, "executor": "inline"}
GRID = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)


def searching(workspace, tmp_path, strategy, iterations=90, predictor="toy-ridge", extra=""):
    text = TOY_PROTOCOL.read_text()
    text = text.replace(
        "search: {completer: none}",
        f"search: {{completer: none, strategy: {strategy}, grids: {{penalty: {list(GRID)}}}}}",
    ).replace("iterations: 4", f"iterations: {iterations}")
    path = tmp_path / f"{strategy}.yaml"
    path.write_text(text + extra)
    bench = make_bench(str(path), workspace=workspace, plugin_files=[TOY_PLUGIN])
    return select(bench, ["toy"], ["none"], [predictor])


def result(job, error):
    names = (job.dataset, job.completer, job.predictor)
    return TrialResult(job.key, "ok", "toy@1", *names, validation_mse=error)


def test_halving_keeps_the_better_third_of_every_rung_and_trains_it_three_times_as_long(
    workspace, tmp_path
):
    (cell,) = searching(workspace, tmp_path, "halving").cells
    results, spent = {}, []
    while (wanted := cell.wanted(results)) and wanted[0].key not in results:
        spent.append((len(wanted), wanted[0].iterations))
        for job in wanted:
            results[job.key] = result(job, abs(math.log(job.parameters["penalty"] / 3)))
    assert spent == [(9, 10), (3, 30), (1, 0)]  # 0: the whole budget
    assert cell.chosen(results).parameters["penalty"] == 3.0
    assert len(cell.searched(results)) == 13  # the whole history
    assert REDUCTION == 3


def test_a_candidate_that_a_short_trial_misjudges_is_lost_and_one_that_fails_is_not_kept(
    workspace, tmp_path
):
    (cell,) = searching(workspace, tmp_path, "halving").cells
    first, results = cell.wanted({}), {}
    for job in first:
        good = job.parameters["penalty"] in (10.0, 1.0, 0.1)
        results[job.key] = result(job, 0.1 if good else math.nan)
    assert [job.parameters["penalty"] for job in cell.wanted(results)] == [10.0, 1.0, 0.1]


def test_a_grid_is_what_it_was_before_there_was_a_choice(tmp_path):
    named = tmp_path / "named.yaml"
    text = TOY_PROTOCOL.read_text()
    named.write_text(text.replace("search: {completer", "search: {strategy: grid, completer"))
    assert read_protocol(named).hash == read_protocol(TOY_PROTOCOL).hash
    other = tmp_path / "other.yaml"
    other.write_text(text.replace("search: {completer", "search: {strategy: halving, completer"))
    assert read_protocol(other).hash != read_protocol(TOY_PROTOCOL).hash


def test_halving_runs_and_its_early_trials_have_the_smaller_budget(workspace, tmp_path):
    plan = searching(workspace, tmp_path, "halving")
    report = execute(plan, **QUIET)
    assert report.new == 9 + 3 + 1
    (final,) = report.results
    assert final.ok
    assert final.key in {job.key for job in plan.cells[0].finals}


def test_optuna_has_the_budget_of_the_grid_stays_within_it_and_proposes_the_same_again(
    workspace, tmp_path
):
    optuna = pytest.importorskip("optuna")
    plan = searching(workspace, tmp_path, "optuna")
    first = execute(plan, **QUIET)
    tried = [job.parameters["penalty"] for job in plan.cells[0].candidates]
    assert first.new == len(GRID) == len(set(tried))
    assert min(GRID) <= min(tried) <= max(tried) <= max(GRID)
    (journal,) = (workspace / "searches").glob("*.log")
    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    (study,) = optuna.study.get_all_study_summaries(optuna.storages.JournalStorage(backend))
    assert study.n_trials == len(GRID)

    again = execute(searching(workspace, tmp_path, "optuna"), **QUIET)
    assert again.new == 0
    elsewhere = execute(searching(tmp_path / "fresh", tmp_path, "optuna"), **QUIET)
    assert [without_times(r) for r in elsewhere.results] == [
        without_times(r) for r in first.results
    ]


def test_optuna_learns_from_what_it_was_told(workspace, tmp_path):
    pytest.importorskip("optuna")
    proposals = []
    for best in (0.02, 50.0):
        (cell,) = searching(workspace, tmp_path, "optuna").cells
        results = {}
        while (wanted := cell.wanted(results)) and len(results) < len(GRID):
            (job,) = wanted
            distance = abs(math.log(job.parameters["penalty"] / best))
            results[job.key] = result(job, distance)
        proposals.append([job.parameters["penalty"] for job in cell.candidates])
        chosen = cell.chosen(results).parameters["penalty"]
        assert chosen == min(proposals[-1], key=lambda penalty: abs(math.log(penalty / best)))
    assert proposals[0][:4] == proposals[1][:4]  # before there is anything to learn from
    assert sum(p < 1 for p in proposals[0][5:]) > sum(p < 1 for p in proposals[1][5:])
