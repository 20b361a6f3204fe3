"""Rows of three levels of trust on one board."""

from __future__ import annotations

import math

import pytest

from spared_bench.leaderboard.entries import MethodEntry
from spared_bench.leaderboard.merging import entry_trials
from spared_bench.leaderboard.tables import as_csv, as_markdown
from tests.board_samples import METRICS, board_rows, trial


def entry(method="Ridge++", version="2", mse=0.5, trust="re-scored", seeds=(0,), **changes):
    results = [
        {
            "dataset": "breast",
            "completer": "none",
            "predictor": "ridge",
            "seed": seed,
            "split_scores": {"test": {"mse": mse, "pcc-gene": 0.7}, "val": {"mse": 0.1}},
        }
        for seed in seeds
    ]
    facts = {"method": method, "version": version, "protocol": "demo@1", "trust": trust}
    return MethodEntry.model_validate({**facts, "results": results, **changes})


def board(*entries, runs=(), datasets=None):
    (part,) = board_rows([*runs, *entry_trials(entries, datasets)]).protocols
    return part


def test_rows_of_one_predictor_stand_side_by_side_by_origin_and_version():
    part = board(entry(), entry(version="1", mse=0.8), runs=[trial("ridge", mse=1.0)])

    rows = [(r.origin.trust, r.origin.method, r.origin.version, r.rank) for r in part.rows]
    assert rows == [
        ("re-scored", "Ridge++", "2", 1),
        ("re-scored", "Ridge++", "1", 2),
        ("reproduced", "", "", 3),
    ]
    mse = METRICS["mse"]
    assert [r.summary(mse).normalised.value for r in part.rows] == [1.0, 1.6, 2.0]
    assert "| Ridge++@2 (re-scored) |" in as_markdown(board_of(part), "c")


def board_of(part):
    from spared_bench.leaderboard.model import Board

    return Board((part,))


def test_a_withdrawn_entry_is_shown_without_rank_and_sets_no_record():
    part = board(entry(withdrawn="Leak found."), runs=[trial("ridge", mse=1.0)])

    withdrawn, run = part.rows
    assert (withdrawn.origin.withdrawn, withdrawn.rank) == ("Leak found.", None)
    assert (run.rank, run.summary(METRICS["mse"]).normalised.value) == (1, 1.0)
    assert "Leak found." in as_csv(board_of(part))


def test_an_entry_answers_for_its_own_seeds_and_a_run_for_the_runs_seeds():
    runs = [trial("ridge", seed=0), trial("ridge", seed=1), trial("stnet", seed=0)]
    part = board(entry(seeds=(0,)), runs=runs)

    complete = {(r.predictor, r.origin.trust): r.complete for r in part.rows}
    assert complete == {
        ("ridge", "re-scored"): True,
        ("ridge", "reproduced"): True,
        ("stnet", "reproduced"): False,
    }


def test_a_known_dataset_is_read_on_its_own_split_and_no_other():
    part = board(entry(), datasets={"breast": {"evaluation_split": "val", "tier": "C"}})

    (row,), (dataset,) = part.rows, part.datasets
    found = row.datasets["breast"]
    assert found.score(METRICS["mse"]).mean == 0.1
    assert math.isnan(found.score(METRICS["pcc-gene"]).mean)
    assert (dataset.tier, dataset.split) == ("C", "val")


@pytest.mark.parametrize("dataset", ["breast", ""])
def test_flags_reach_the_csv_beside_the_values_they_are_about(dataset):
    flag = {"kind": "copy", "reason": "Equals another.", "dataset": dataset}

    assert "copy: Equals another." in as_csv(board_of(board(entry(flags=[flag]))))
