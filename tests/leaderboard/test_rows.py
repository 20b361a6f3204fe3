"""The arithmetic of the leaderboard, worked out by hand."""

from __future__ import annotations

import math
import random
from dataclasses import astuple, replace

import numpy as np
import pytest
from scipy import stats

from spared_bench.leaderboard.model import Mean, ProtocolBoard, Row, Score
from spared_bench.leaderboard.tables import as_markdown
from tests.board_samples import METRICS, board_rows, demo_trials, failed, trial


def board_of(*trials) -> ProtocolBoard:
    (part,) = board_rows(trials).protocols
    return part


def row_of(part: ProtocolBoard, predictor: str, completer: str = "none") -> Row:
    return next(
        row for row in part.rows if (row.predictor, row.completer) == (predictor, completer)
    )


MSE, PCC = METRICS["mse"], METRICS["pcc-gene"]


def score_of(row: Row, dataset: str = "breast", metric=MSE) -> Score:
    return row.datasets[dataset].score(metric)


def normalised(row: Row) -> Mean:
    return row.summary(MSE).normalised


def pcc(row: Row) -> Mean:
    return row.summary(PCC).mean


def test_seeds_are_averaged_before_anything_else():
    part = board_of(trial(seed=0, mse=1.0, pcc=0.2), trial(seed=1, mse=2.0, pcc=0.6))
    row = row_of(part, "ridge")
    error = score_of(row)

    assert (error.mean, score_of(row, metric=PCC).mean) == (1.5, pytest.approx(0.4))
    assert error.sd == pytest.approx(math.sqrt(0.5))  # sample deviation of 1 and 2
    assert row.datasets["breast"].seeds == 2
    assert part.seeds == (0, 1)


def test_an_interval_is_students_over_slides_each_averaged_over_seeds():
    slides = {"A": (0.8, 1.0), "B": (1.1, 1.3), "C": (1.4, 1.8)}  # of both seeds
    each = [np.mean(pair) for pair in slides.values()]
    trials = [
        trial(
            seed=seed,
            mse=np.mean([pair[seed] for pair in slides.values()]),
            slide_scores={"test": {name: {"mse": pair[seed]} for name, pair in slides.items()}},
        )
        for seed in (0, 1)
    ]

    found = score_of(row_of(board_of(*trials), "ridge")).interval

    assert found == pytest.approx(stats.t.interval(0.95, 2, np.mean(each), stats.sem(each)))


def test_one_seed_has_no_spread():
    assert math.isnan(score_of(row_of(board_of(trial()), "ridge")).sd)


def test_normalised_mse_is_over_the_lowest_of_the_methods_with_any_completer():
    part = board_of(
        trial("ridge", "none", "breast", mse=1.0),
        trial("ridge", "median", "breast", mse=0.8),
        trial("stnet", "none", "breast", mse=1.2),
        trial("ridge", "none", "olfactory_bulb", mse=3.0),
        trial("ridge", "median", "olfactory_bulb", mse=6.0),
        trial("stnet", "none", "olfactory_bulb", mse=4.8),
    )

    means = {(row.predictor, row.completer): normalised(row).value for row in part.rows}

    assert means["ridge", "none"] == pytest.approx((1.0 / 0.8 + 1.0) / 2)
    assert means["ridge", "median"] == pytest.approx((1.0 + 2.0) / 2)
    assert means["stnet", "none"] == pytest.approx((1.2 / 0.8 + 1.6) / 2)
    ranks = [(row.predictor, row.completer, row.rank) for row in part.rows]
    assert ranks == [("ridge", "none", 1), ("ridge", "median", 2), ("stnet", "none", 3)]


def test_a_control_is_no_divisor_and_has_no_rank():
    part = board_of(
        trial("ridge", mse=1.0), trial("gene-mean", mse=0.5, pcc=math.nan, facts={"control": True})
    )
    control = row_of(part, "gene-mean")

    assert control.control
    assert control.rank is None
    assert normalised(control).value == 0.5
    assert normalised(row_of(part, "ridge")).value == 1.0
    assert row_of(part, "ridge").rank == 1
    assert [row.predictor for row in part.rows] == ["gene-mean", "ridge"]  # but it stands in order


def test_generated_data_are_shown_and_enter_no_mean():
    part = board_of(trial(mse=1.0, pcc=0.5), trial(dataset="planted", mse=9.0, pcc=0.9))
    row = row_of(part, "ridge")

    assert [(dataset.name, dataset.synthetic) for dataset in part.datasets] == [
        ("breast", False),
        ("planted", True),
    ]
    assert score_of(row, "planted", PCC).mean == 0.9
    assert (pcc(row).value, pcc(row).covered, pcc(row).total) == (0.5, 1, 1)


def test_a_row_that_lacks_a_dataset_says_so_and_is_not_ranked():
    part = board_of(
        trial("ridge", dataset="breast", mse=2.0),
        trial("ridge", dataset="olfactory_bulb", mse=2.0),
        trial("stnet", dataset="breast", mse=1.0),
        failed("Out of memory.", predictor="stnet", dataset="olfactory_bulb"),
    )
    partial = row_of(part, "stnet")

    assert normalised(partial).value == 0.5  # better there than whoever has every result
    assert (normalised(partial).covered, normalised(partial).total) == (1, 2)
    assert not partial.complete
    assert partial.rank is None
    assert [row.predictor for row in part.rows] == ["ridge", "stnet"]  # complete rows first
    (failure,) = part.failures
    assert (failure.predictor, failure.dataset) == ("stnet", "olfactory_bulb")
    assert (failure.status, failure.message) == ("error", "Out of memory.")


@pytest.mark.parametrize("second", [[], [failed(predictor="stnet", seed=1)]])
def test_a_seed_that_failed_or_never_ran_leaves_the_row_incomplete(second):
    part = board_of(trial("ridge"), trial("ridge", seed=1), trial("stnet", mse=0.5), *second)
    stnet = row_of(part, "stnet")
    here = stnet.datasets["breast"]

    assert (score_of(stnet).mean, here.seeds, here.failed) == (0.5, 1, 1)
    assert row_of(part, "stnet").rank is None
    assert row_of(part, "ridge").rank == 1


@pytest.mark.parametrize("undefined", [math.nan, math.inf])
def test_a_mean_over_seeds_is_undefined_if_one_of_them_is(undefined):
    part = board_of(trial(mse=1.0, pcc=0.5), trial(seed=1, mse=undefined, pcc=undefined))
    row = row_of(part, "ridge")

    assert math.isnan(score_of(row).mean)
    assert math.isnan(pcc(row).value)
    assert pcc(row).covered == 0
    assert row.rank is None


def test_equal_rows_share_the_better_rank():
    trials = [trial(name, mse=mse) for name, mse in zip("abcd", (2.0, 1.0, 2.0, 3.0), strict=True)]

    ranks = {row.predictor: row.rank for row in board_of(*trials).rows}

    assert ranks == {"b": 1, "a": 2, "c": 2, "d": 4}


def test_scores_are_read_on_the_evaluation_split():
    validated = trial(mse=2.0, facts={"evaluation_split": "val", "tier": "C"})
    part = board_of(validated)

    assert score_of(row_of(part, "ridge")).mean == validated.scores["val"]["mse"]
    assert (part.datasets[0].split, part.datasets[0].tier) == ("val", "C")


@pytest.mark.parametrize("nearly", [0.0, 1e-320])
def test_a_lowest_mse_of_zero_takes_nobodys_rank(nearly):
    trials = trial("perfect", mse=nearly), trial("ridge", mse=2.0), trial("other", mse=4.0)
    part = board_of(*trials)
    found = {row.predictor: (normalised(row).value, row.rank) for row in part.rows}
    assert found == {"perfect": (nearly / 2, 1), "ridge": (1.0, 2), "other": (2.0, 3)}
    alone = board_of(trial("perfect", mse=0.0))
    assert math.isnan(normalised(row_of(alone, "perfect")).value)


def test_errors_near_the_largest_float_do_not_overflow():
    part = board_of(trial(mse=1e308), trial(seed=1, mse=1.2e308))

    error = score_of(row_of(part, "ridge"))
    assert error.mean == pytest.approx(1.1e308)
    assert error.sd == pytest.approx(math.sqrt(2) * 1e307)


def test_parameters_are_the_largest_and_times_the_mean_of_the_trials():
    part = board_of(
        trial(n_parameters=10, seconds={"fit": 1.0}),
        trial(dataset="olfactory_bulb", n_parameters=30, seconds={"fit": 3.0}),
        trial("gene-mean", n_parameters=None, seconds={}),
    )

    assert row_of(part, "ridge").n_parameters == 30
    assert row_of(part, "ridge").fit_seconds == 2.0
    assert row_of(part, "gene-mean").n_parameters is None
    assert math.isnan(row_of(part, "gene-mean").fit_seconds)


def test_what_was_set_by_hand_names_the_datasets_where_these_are_not_all():
    def by_hand(dataset, **values):
        return trial(dataset=dataset, facts={"by_hand": values})

    both = [by_hand("breast", **{"ridge.lr": 0.5}), by_hand("brain", **{"ridge.lr": 0.5})]
    assert row_of(board_of(*both), "ridge").by_hand == "ridge.lr=0.5"
    one = [by_hand("breast", **{"ridge.lr": 0.5, "ridge.kind": "a"}), trial(dataset="brain")]
    assert row_of(board_of(*one), "ridge").by_hand == (
        "ridge.kind=a (breast); ridge.lr=0.5 (breast)"
    )
    assert row_of(board_of(trial()), "ridge").by_hand == ""


def test_what_an_archive_says_was_set_by_hand_is_bounded_and_visible():
    odd = {"ridge.\u202elr": "A" * 10_000} | {f"ridge.{n}": [n] * 99 for n in range(99)}
    said = row_of(board_of(trial(facts={"by_hand": odd})), "ridge").by_hand
    assert len(said) <= 500
    assert said.isprintable()


@pytest.mark.parametrize(
    ("codes", "n"),
    [
        (["1.0 code aa", "1.0 code aa"], 1),
        (["1.0 code aa", "1.1 code aa"], 1),  # a version that left this method as it was
        (["1.0 code aa", "1.0 code bb"], 2),
        ([None, None], 1),
        (["1.0 code aa", None], 2),
    ],
)
def test_versions_of_the_code_behind_a_row_are_counted(codes, n):
    made = [{"plugins": {"predictor": f"mine {code}"}} if code else {} for code in codes]
    board = board_rows(
        trial(dataset=dataset, environment=environment)
        for dataset, environment in zip(("breast", "brain"), made, strict=True)
    )
    (part,) = board.protocols
    assert row_of(part, "ridge").n_codes == n
    assert ("Versions of code" in as_markdown(board, "c")) == (n > 1)


def test_the_order_of_the_results_does_not_matter():
    trials = demo_trials()
    shuffled = random.Random(0).sample(trials, len(trials))

    assert repr(board_rows(shuffled)) == repr(board_rows(trials))  # repr, for nan is not nan


def test_protocols_are_kept_apart_and_one_says_if_it_is_not_comparable():
    other = replace(trial(mse=0.1, facts={"comparable": False}), protocol="quick@1")

    demo, quick = board_rows([trial(mse=1.0), other]).protocols

    assert (demo.protocol, demo.comparable) == ("demo@1", True)
    assert (quick.protocol, quick.comparable) == ("quick@1", False)
    assert normalised(demo.rows[0]).value == 1.0


def test_two_results_for_one_cell_are_noted_and_the_successful_one_is_shown():
    part = board_of(failed(key="first"), replace(trial(mse=2.0), key="second"))

    assert score_of(row_of(part, "ridge")).mean == 2.0
    assert part.notes == (
        "2 results stand for breast / none / ridge, seed 0; the one with key second is shown.",
    )
    assert part.failures == ()


def test_facts_that_trials_have_together_are_looked_at_once(monkeypatch):
    class Facts(dict):
        looks = 0

        def get(self, *which):
            Facts.looks += which[0] == "shared_donors"
            return super().get(*which)

    together = Facts(trial().facts, shared_donors=["d"])
    with_them = [replace(trial(seed=seed), facts=together) for seed in range(5)]
    apart = [replace(each, facts=dict(together)) for each in with_them]
    assert astuple(board_rows(with_them)) == astuple(board_rows(apart))  # nan is in them
    assert Facts.looks == 1


def test_no_results_make_an_empty_board():
    assert board_rows([]).protocols == ()


def test_a_protocol_without_a_trial_has_an_empty_part_among_the_others():
    board = board_rows([trial()], protocols=["completion@1", "demo@1"])

    empty, demo = board.protocols
    assert (empty.protocol, empty.rows, empty.datasets) == ("completion@1", (), ())
    assert astuple(demo) == astuple(board_rows([trial()]).protocols[0])


def test_datasets_that_share_slides_do_not_enter_one_mean():
    def scored(dataset, mse, conflicts):
        facts = {"evaluation_split": "test", "conflicts_with": conflicts}
        scores = {"test": {"mse": mse, "pcc-gene": 0.5}}
        return replace(trial(dataset=dataset), scores=scores, facts=facts)

    union = scored("mmbr", 100.0, ["mmbp1", "mmbp2"])
    parts = [scored("mmbp1", 1.0, ["mmbr"]), scored("mmbp2", 2.0, ["mmbr"])]

    (part,) = board_rows([union, *parts, scored("vmb", 3.0, [])]).protocols

    assert {each.name: each.repeats for each in part.datasets if each.repeats} == {
        "mmbr": ("mmbp1", "mmbp2")
    }
    (row,) = part.rows
    assert pcc(row).total == 3 and row.complete
    assert score_of(row, "mmbr").mean == 100.0

    (alone,) = board_rows([union]).protocols
    assert all(dataset.counts for dataset in alone.datasets)


def test_donors_in_train_and_test_are_said_by_every_way_of_reading_the_board():
    facts = {"shared_donors": ["mouse 2", "mouse 1"], "tier": "B"}
    board = board_rows([trial(facts=facts), trial(dataset="olfactory_bulb")])

    (part,) = board.protocols
    shared, apart = part.datasets
    assert shared.shared_donors == ("mouse 1", "mouse 2")
    assert apart.shared_donors == ()
    text = as_markdown(board, "c")
    assert "| breast (donors in train and test): MSE |" in text
    assert r"| olfactory\_bulb: MSE |" in text


def test_of_two_datasets_that_share_slides_one_counts():
    def scored(dataset, conflicts):
        return replace(trial(dataset=dataset), facts={"conflicts_with": conflicts})

    (part,) = board_rows([scored("mmbr", ["mmbp1"]), scored("mmbp1", [])]).protocols
    assert {each.name: each.counts for each in part.datasets} == {"mmbp1": True, "mmbr": False}
