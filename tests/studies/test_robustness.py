"""Robustness on the toy dataset: saved networks, changed images, nothing trained again."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from spared_bench.api import execute
from spared_bench.inference.shifted import predict_shifted
from spared_bench.leaderboard import board_rows as board_of
from spared_bench.leaderboard.studied import studied
from spared_bench.specs import MetricSpec
from spared_bench.store.studies import write_study_record
from spared_bench.store.trials import PREDICTIONS, TRIALS
from spared_bench.studies import kinds, shifted_scores
from spared_bench.studies.model import parse_study
from spared_bench.studies.planning import plan_study
from spared_bench.studies.results import Collected, StudyCell, collect
from spared_bench.studies.robustness import Shifted, ranked, shift_all
from spared_bench.studies.robustness_report import _matrix, sections_of
from spared_bench.studies.shifts import chosen_shifts
from spared_bench.workspace import Workspace
from tests.board_samples import known as known_of
from tests.board_samples import trial

STUDY = """
name: toy-robust
kind: robustness
base: toy
methods: [linear-probe]
metric: mse
shifts: [brightness, half resolution]
"""
QUIET = {"log": lambda line: None, "executor": "inline"}
MSE = MetricSpec("mse", "a:b", per="entry", better="lower", bounds=(0.0, math.inf))


@pytest.fixture
def trained(opened):
    of = opened(STUDY)
    plan = plan_study(of.study, of.base)
    execute(plan.groups[0].plan, track=False, figures=False, **QUIET)
    return of, plan, collect(plan).done[0]


def test_without_a_shift_a_saved_network_predicts_what_its_trial_did(trained):
    of, _, cell = trained
    found = predict_shifted(of.base, cell.result, lambda slide: None)

    entry = of.base.workspace.store.open(TRIALS, cell.result.key)
    stored = np.load(entry.folder / PREDICTIONS)[f"{cell.split}_prediction"]
    np.testing.assert_allclose(found, stored, rtol=1e-5, atol=1e-5)


def test_a_shift_that_blackens_all_patches_makes_all_predictions_of_a_gene_equal(trained):
    of, _, cell = trained
    black = predict_shifted(of.base, cell.result, lambda slide: np.zeros_like)

    np.testing.assert_allclose(black, np.broadcast_to(black[0], black.shape), atol=1e-6)


def test_a_study_of_robustness_trains_once_and_ranks_by_the_drop(opened):
    of = opened(STUDY)
    first = kinds.run_and_report(of, track=False, **QUIET)
    second = kinds.run_and_report(of, track=False, **QUIET)

    assert (second.run.new, second.gaps) == (0, 0)
    assert {"drops.csv", "ranking.csv"} <= {path.name for path in first.files}
    # brightness in four strengths, and half resolution; each an entry of the store
    assert len(list(of.base.workspace.store.entries("shifts"))) == 5


def cell(method):
    return StudyCell({}, "d", "none", method, 0)


def test_a_method_whose_worst_shift_failed_is_not_ranked_by_the_others():
    found = [Shifted(cell("a"), shift, 0.5, 0.5 + drop) for shift, drop in (("x", 0.1), ("y", 0.4))]
    found += [Shifted(cell("b"), "x", 0.5, 0.55), Shifted(cell("b"), "y", 0.5, gap="nan")]

    rows = ranked(found, MSE)

    assert [(row.method, row.n_lacking) for row in rows] == [("a", 0), ("b", 1)]
    assert rows[1].mean_drop == pytest.approx(0.05)
    sections = sections_of(parse_study(STUDY, "x"), Collected([]), found, MSE)
    (table,) = next(each for each in sections if each.title == "Ranking").parts
    assert [row[:2] for row in table.rows] == [("1", "a (none)"), ("–", "b (none)")]


def test_methods_that_lose_the_same_share_the_better_rank():
    drops = {"a": 0.1, "b": 0.0, "c": 0.0}  # as of two that look at no image
    found = [Shifted(cell(name), "x", 0.5, 0.5 + drop) for name, drop in drops.items()]
    sections = sections_of(parse_study(STUDY, "x"), Collected([]), found, MSE)
    (table,) = next(each for each in sections if each.title == "Ranking").parts
    assert [row[:2] for row in table.rows] == [
        ("1", "b (none)"), ("1", "c (none)"), ("3", "a (none)"),
    ]  # fmt: skip


def test_methods_are_ranked_by_their_mean_drop_and_the_worst_is_named():
    found = [
        Shifted(cell("a"), "x", clean=0.5, score=0.9),
        Shifted(cell("a"), "y", clean=0.5, score=0.6),
        Shifted(cell("b"), "x", clean=0.8, score=0.85),
        Shifted(cell("b"), "y", clean=0.8, score=0.8),
        Shifted(cell("c"), "x", clean=0.8, gap="no model"),
    ]
    rows = ranked(found, MSE)

    assert [row.method for row in rows] == ["b", "a", "c"]
    assert rows[1].worst_drop == pytest.approx(0.4)
    assert rows[1].worst_shift == "x"
    assert rows[0].mean_drop == pytest.approx(0.025)
    assert math.isnan(rows[2].mean_drop)


def test_the_drop_of_a_gene_that_has_no_score_is_none_and_not_0():
    nan, genes = math.nan, ["constant", "lost", "kept"]
    result = replace(trial(), genes=genes, gene_scores={"pcc-gene": [nan, 0.5, 0.7]})
    shifted = dict(zip(genes, [nan, nan, 0.4], strict=True))
    found = [Shifted(replace(cell("a"), result=result), "x", 0.6, 0.2, shifted)]

    pcc = MetricSpec("pcc-gene", "a:b", bounds=(-1.0, 1.0), undefined="correlation")
    sections = sections_of(parse_study(STUDY, "x"), Collected([]), found, pcc)
    (row,) = next(each for each in sections if each.title == "a (none)").parts[0].rows

    # The prediction of one became constant, which counts 0; of another nothing is known at all.
    assert (row.n, row.text) == (2, "0.400")


@pytest.mark.parametrize(("n_methods", "first"), [(2, "shift"), (3, "method")])
def test_the_longer_side_of_the_drops_goes_down_the_page(n_methods, first):
    """Of twenty methods under two shifts, columns of methods would be out of sight."""
    cells = [StudyCell({}, "d", "none", f"m{i}", 0) for i in range(n_methods)]
    found = [
        Shifted(cell, shift, clean=1.0, score=1.0 + 0.1 * i + 0.01 * j)
        for i, cell in enumerate(cells)
        for j, shift in enumerate(("x", "y"))
    ]
    table = _matrix(found, ranked(found, MSE), MSE).parts[0]
    by_shift = {
        (method, shift): text
        for row in table.rows
        for name, text in zip(table.columns[1:], row[1:], strict=True)
        for method, shift in [(row[0], name) if first == "method" else (name, row[0])]
    }
    assert table.columns[0] == first
    assert len(by_shift) == 2 * n_methods
    assert by_shift["m1 (none)", "y"] == "+0.110"


def test_the_board_shows_the_worst_drop_and_links_the_study(opened, tmp_path):
    of = opened(STUDY)
    done = kinds.run_and_report(of, track=False, **QUIET)
    found = studied(of.base.workspace, of.base.workspace.leaderboard)

    (link,) = found.links["linear-probe"]
    assert (of.base.workspace.leaderboard / link.href).resolve() == done.page.resolve()
    ((method, (drop,)),) = found.drops.items()
    assert method == ("toy@1", "linear-probe", "none")
    assert drop.told.endswith(", in mse; of 5 shifts, on toy")


@pytest.fixture
def drop_of(workspace):
    """Record a study with a worst drop of the method ``ridge``; return what a row of it shows."""
    of = Workspace.at(workspace)

    def record(name: str, drop: float, metric: str = "pcc-gene", **more):
        values = {"predictor": "ridge", "completer": "none", "drop": drop, "shift": name}
        about = {"protocol": "demo@1", "worst_drops": [values | {"metric": metric} | more]}
        write_study_record(of.store.root, f"{name}@1", [], about)

    def shown(*results):
        known = replace(known_of(results), studied=studied(of, of.leaderboard))
        (row,) = board_of(results, known).protocols[0].rows
        return row.worst_drop, row.worst_shift

    return record, shown


def test_the_worst_drops_stay_while_the_study_is_run_again(opened):
    of = opened(STUDY)
    kinds.run_and_report(of, track=False, **QUIET)
    before = studied(of.base.workspace, of.base.workspace.leaderboard).drops
    kinds.run_and_report(of, track=False, report=False, **QUIET)  # as where it is interrupted
    assert before
    assert studied(of.base.workspace, of.base.workspace.leaderboard).drops == before


@pytest.mark.parametrize(
    "odd",
    [
        {"methods": 3},
        {"worst_drops": [1]},
        {"worst_drops": [{"predictor": "ridge"}]},
        {"worst_drops": {"ridge": 1}},
        {"name": "x", "report": "../../../etc/passwd"},
        {"name": "x" * 5000, "report": f"studies/{'x' * 5000}/index.html"},
        [],
    ],
)
def test_a_record_of_a_study_that_is_none_ends_no_board(drop_of, workspace, odd):
    record, shown = drop_of
    record("all", 0.4)
    write_study_record(Workspace.at(workspace).store.root, "odd@1", [], odd)
    assert shown(trial()) == (0.4, "all, in pcc-gene")


def test_the_worst_drop_of_two_studies_is_the_larger_whatever_their_names(drop_of):
    """A study of a few mild shifts takes nothing from what one of all of them has found."""
    record, shown = drop_of
    record("all", 0.4)
    record("mild", 0.1)
    record("of-another-metric", 9.0, "mse")
    assert shown(trial()) == (0.4, "all, in pcc-gene")
    record("worse", 0.5, n_shifts=1, datasets=["breast"], trials=[trial().key])
    assert shown(trial()) == (0.5, "worse, in pcc-gene; of 1 shift, on breast")


def test_a_worst_drop_of_results_that_are_not_shown_any_more_is_not_that_of_the_row(drop_of):
    """The data of a dataset were replaced since, say, or the method was edited."""
    record, shown = drop_of
    old, new = trial(), trial(key="f" * 64, mse=2.0)
    other = trial(dataset="olfactory_bulb")
    record("all", 0.4, n_shifts=14, datasets=["breast"], trials=[old.key])
    assert shown(old, other)[0] == 0.4
    assert shown(new, other) == (None, "")
    record("anew", 0.1, n_shifts=14, datasets=["breast"], trials=[new.key])
    assert shown(new, other)[0] == 0.1


def test_the_cells_of_robustness_are_the_protocols_own_and_come_to_its_board(opened):
    from spared_bench.trials.cells import finished_cells

    of = opened(STUDY)
    store = of.base.workspace.store
    kinds.run_and_report(of, track=False, **QUIET)
    (own,) = finished_cells(store)
    variant = opened(STUDY.replace("kind:", "set: {training.delta: true}\nkind:"))
    kinds.run_and_report(variant, track=False, **QUIET)

    (still,) = finished_cells(store)
    assert own.final.predictor == "linear-probe"
    assert still.final.key == own.final.key


def test_one_command_leaves_the_board_with_the_worst_drops(opened, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = kinds.run_and_report(opened(STUDY), command="a test", **QUIET)
    with done.board.with_name("leaderboard.csv").open() as file:
        (row,) = list(csv.DictReader(file))
    (ranked,) = list(csv.DictReader(done.page.with_name("ranking.csv").open()))
    assert float(row["worst_drop"]) == pytest.approx(float(ranked["worst_drop"]), abs=1e-6)
    assert str(done.board) in done.told


def test_a_method_that_needs_known_spots_is_asked_once_and_says_why(trained, monkeypatch):
    of, _, done = trained
    spec, shifts = of.base.predictor("linear-probe"), chosen_shifts(("brightness",))
    monkeypatch.setattr(
        type(of.base), "predictor", lambda self, name: replace(spec, needs_known=True)
    )
    called = []

    def here(bench, result, wanted, folder):
        def predicted(shift):
            called.append(shift)
            return predict_shifted(bench, result, lambda slide: shift.change)

        return predicted

    monkeypatch.setattr(shifted_scores, "asked", here)
    gaps = shifted_scores.make_scores(of.base, done.result, shifts, MSE)

    assert len(gaps) == 4 and len(called) == 1
    assert all("predicts partially measured samples" in each for each in gaps.values())


def test_a_method_that_does_not_save_itself_has_gaps_that_say_so_and_its_clean_score(opened):
    of = opened(STUDY.replace("linear-probe", "toy-mean"))
    plan = plan_study(of.study, of.base)
    execute(plan.groups[0].plan, track=False, figures=False, **QUIET)
    (done,) = collect(plan).done
    found = shift_all(of.base, collect(plan), ("brightness",), MSE, lambda line: None)

    assert [each.clean for each in found] == [done.score("mse")] * 4
    assert all("left no model" in each.gap for each in found)
    assert all(math.isnan(each.score) for each in found)
