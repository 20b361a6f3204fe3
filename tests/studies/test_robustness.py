"""Robustness on the toy dataset: saved networks, changed images, nothing trained again."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from spared_bench.api import execute
from spared_bench.inference.shifted import predict_shifted
from spared_bench.specs import MetricSpec
from spared_bench.store.trials import PREDICTIONS, TRIALS
from spared_bench.studies import kinds
from spared_bench.studies.model import parse_study
from spared_bench.studies.planning import plan_study
from spared_bench.studies.results import Collected, StudyCell, collect
from spared_bench.studies.robustness import Shifted, ranked, shift_all
from spared_bench.studies.robustness_report import sections_of

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


def test_the_board_shows_the_worst_drop_and_links_the_study(opened, tmp_path):
    from spared_bench.leaderboard.studied import studied

    of = opened(STUDY)
    done = kinds.run_and_report(of, track=False, **QUIET)
    found = studied(of.base.workspace, of.base.workspace.leaderboard)

    (link,) = found.links["linear-probe"]
    assert (of.base.workspace.leaderboard / link.href).resolve() == done.page.resolve()
    (drop,) = found.drops.items()
    assert drop[0] == ("toy@1", "linear-probe", "none")
    assert drop[1][1].endswith("in mse")


def test_the_worst_drop_of_two_studies_is_the_larger_whatever_their_names(workspace):
    """A study of a few mild shifts takes nothing from what one of all of them has found."""
    from spared_bench.leaderboard.studied import studied
    from spared_bench.store.studies import write_study_record
    from spared_bench.workspace import Workspace

    def record(name: str, drop: float, metric: str = "pcc-gene") -> None:
        values = {"predictor": "m", "completer": "none", "drop": drop, "shift": name}
        about = {"protocol": "toy@1", "worst_drops": [values | {"metric": metric}]}
        write_study_record(of.store.root, f"{name}@1", [], about)

    of = Workspace.at(workspace)
    record("all", 0.4)
    record("mild", 0.1)
    record("of-another-metric", 9.0, "mse")
    assert studied(of, of.leaderboard).drops == {
        ("toy@1", "m", "none"): (0.4, "all, in pcc-gene"),
    }
    record("worse", 0.5)
    found = studied(of, of.leaderboard).drops
    assert found == {("toy@1", "m", "none"): (0.5, "worse, in pcc-gene")}


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


def test_a_method_that_needs_known_spots_is_left_out_once_and_says_why(trained, monkeypatch):
    of, plan, done = trained
    spec, collected = of.base.predictor("linear-probe"), collect(plan)
    monkeypatch.setattr(
        type(of.base), "predictor", lambda self, name: replace(spec, needs_known=True)
    )
    called = []
    monkeypatch.setattr(
        "spared_bench.studies.robustness.predict_shifted",
        lambda *given: (called.append(given), predict_shifted(*given))[1],
    )
    found = shift_all(of.base, collected, ("brightness",), MSE, lambda line: None)

    assert len(found) == 4 and len(called) == 1
    assert all("predicts partially measured samples" in each.gap for each in found)
    assert all(math.isnan(each.score) for each in found)
    assert found[0].clean == done.score("mse")
