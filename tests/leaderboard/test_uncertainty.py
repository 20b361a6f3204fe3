"""Metrics that only some methods have values of, calibration, and remarks, on the board."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from spared_bench.leaderboard.measures import best, error, normalised
from spared_bench.leaderboard.rows import board_rows
from spared_bench.metrics.uncertainty import LEVELS
from tests.board_samples import METRICS, build, known, trial
from tests.leaderboard.reading import data_of, row_of

CURVE = [round(0.8 * level, 3) for level in LEVELS]


def sure(predictor="sure", **scores):
    made = trial(predictor)
    test = made.scores["test"] | {"nll": 1.5, "coverage-50": 0.4, "coverage-90": 0.7} | scores
    return replace(
        made,
        scores={"test": test},
        calibration={"test": CURVE},
        confusion={"test": [[3, 1], [0, 2]]},
        classes=["a<b>", "c"],
    )


def board_of(trials, **more):
    (board,) = board_rows(trials, replace(known(trials), **more)).protocols
    return board


def test_metrics_of_variances_are_shown_only_where_a_method_has_them():
    plain = board_of([trial("ridge")])
    assert not [metric for metric in plain.metrics if metric.given == "variance"]

    both = board_of([trial("ridge"), sure()])
    names = [metric.name for metric in both.metrics]
    assert names == ["mse", "pcc-gene", "coverage-50", "coverage-90", "nll"]
    assert [metric.name for metric in both.headline] == ["mse", "pcc-gene"]
    of = {row.predictor: row.datasets["breast"] for row in both.rows}
    assert of["sure"].score(METRICS["nll"]).mean == 1.5
    assert math.isnan(of["ridge"].score(METRICS["nll"]).mean)
    assert {row.rank for row in both.rows} == {1}  # by an equal MSE


def test_of_a_coverage_the_nearest_to_its_goal_is_best():
    spec = METRICS["coverage-90"]
    assert best(spec, [0.7, 0.95, 1.0]) == 0.95
    assert error(spec, 0.7) == pytest.approx(0.2)
    assert normalised(spec, 0.7, 0.95) == pytest.approx(4)


def test_the_page_of_a_method_has_its_calibration_and_confusion(tmp_path):
    build([trial("ridge"), sure()], tmp_path, "x", "store", {})
    name = row_of(tmp_path, "sure")["id"]
    data = data_of(tmp_path, f"p0/method-{name}")
    (made,) = data["trials"]
    assert data["levels"] == list(LEVELS)
    assert made["calibration"] == CURVE
    assert made["confusion"] == [[3, 1], [0, 2]]
    other = data_of(tmp_path, f"p0/method-{row_of(tmp_path, 'ridge')['id']}")
    assert other["trials"][0]["calibration"] == []


def test_a_remark_on_a_protocol_stands_above_its_board(tmp_path):
    remark = "Targets are smoothed: ..."
    board = board_of([trial("ridge")], remarks={"demo@1": (remark,), "other@1": ("not here",)})
    assert board.notes[0] == remark
    assert "not here" not in board.notes
