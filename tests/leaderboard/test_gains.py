"""What knowing a part of a sample is worth: the column by hand, from trials to the table."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from spared_bench import MetricSpec, leaderboard
from spared_bench.leaderboard.gains import gain
from tests.board_samples import GENERATED, METRICS, known, trial

KNOWS = {"needs_known": True}


def board(trials):
    made = known(trials, image_only={"demo@1": "eyes"})
    (part,) = leaderboard.board_rows(trials, made).protocols
    return part


def mean_gain(row, metric="mse"):
    """The mean over datasets, of how many, and how many there are."""
    found = row.summary(METRICS[metric]).gain
    return found.value, found.covered, found.total


def pair(completer="none", **changes):
    """A method that knows a part and one that sees images alone, on three datasets."""
    scores = {"breast": (0.5, 0.8, 0.3, 0.1), "olfactory_bulb": (0.9, 1.0, 0.6, 0.5)}
    scores[GENERATED] = (9.0, 1.0, -0.5, 0.5)  # generated: shown, and in no mean
    made = []
    for dataset, (mse, of_eyes, pcc, pcc_of_eyes) in scores.items():
        made.append(trial("knows", completer, dataset, mse=mse, pcc=pcc, facts=KNOWS))
        made.append(trial("eyes", completer, dataset, mse=of_eyes, pcc=pcc_of_eyes, **changes))
    return made


def test_a_gain_is_positive_where_the_row_is_better_and_its_mean_is_over_what_counts():
    part = board(pair())

    (row,) = part.rows
    gains = {name: each.score(METRICS["mse"]).gain for name, each in row.datasets.items()}
    assert gains == pytest.approx({"breast": 0.3, "olfactory_bulb": 0.1, GENERATED: -8.0})
    assert mean_gain(row) == (pytest.approx((0.3 + 0.1) / 2), 2, 2)
    assert mean_gain(row, "pcc-gene") == (pytest.approx((0.2 + 0.1) / 2), 2, 2)
    assert row.datasets["breast"].score(METRICS["mse"]).mean == 0.5  # no score is touched
    assert [each.predictor for each in part.image_only] == ["eyes"]
    assert not [note for note in part.notes if "gain" in note]


def test_each_completer_has_its_own_reference_and_one_without_is_told():
    (eyes_of_median, *_) = [t for t in pair("median") if t.predictor == "eyes"]
    trials = [*pair(), *(t for t in pair("median") if t.predictor == "knows")]

    rows = {row.completer: row for row in board(trials).rows}

    assert mean_gain(rows["median"])[1:] == (0, 0)
    assert mean_gain(rows["none"]) == (pytest.approx(0.2), 2, 2)
    (note,) = [each for each in board(trials).notes if "gain" in each]
    assert "`spared-bench run -p eyes -c median`" in note
    partly = {row.completer: row for row in board([*trials, eyes_of_median]).rows}["median"]
    assert partly.datasets["breast"].score(METRICS["mse"]).gain == pytest.approx(0.3)
    assert mean_gain(partly) == (pytest.approx(0.3), 1, 2)  # the other dataset has none


def test_nobody_elses_result_is_what_gains_are_measured_against():
    theirs = [
        replace(each, facts={**each.facts, "imported": "an archive"})
        if each.predictor == "eyes"
        else each
        for each in pair()
    ]

    (row,) = [row for row in board(theirs).rows if row.predictor == "knows"]

    assert mean_gain(row)[1:] == (0, 0)


@pytest.mark.parametrize(
    ("better", "value", "reference", "wanted"),
    [
        ("higher", 0.7, 0.4, 0.3),
        ("lower", 0.7, 0.4, -0.3),
        ("nearest", 0.7, 0.4, 0.3),  # to 0.9
        ("nearest", 1.0, 0.4, 0.4),
        ("nearest", 0.9, 0.9, 0.0),
        ("nearest", 0.2, 0.8, -0.6),
    ],
)
def test_a_gain_is_in_the_unit_of_the_metric(better, value, reference, wanted):
    goal = 0.9 if better == "nearest" else math.nan
    spec = MetricSpec("any", "a:b", better=better, bounds=(0.0, 1.0), goal=goal)
    assert gain(spec, value, reference) == pytest.approx(wanted)
    assert math.isnan(gain(spec, math.nan, reference))
    assert math.isnan(gain(spec, value, math.nan))
