"""Studies count the scores that the board shows: of the same rows, on the same split."""

from __future__ import annotations

import pytest

from spared_bench.leaderboard.counted import counted_scores
from spared_bench.leaderboard.entries import EntryResult, Flag, MethodEntry, write_entry
from spared_bench.studies.difficulty import scores_of


@pytest.fixture
def enter(bench, tmp_path, monkeypatch):
    """Return what makes an entry of a method; values are by split, or a list of them by seed."""
    monkeypatch.chdir(tmp_path)

    def make(method, *seeds, **facts):
        results = [
            EntryResult(
                dataset="toy",
                completer="none",
                predictor=method,
                seed=seed,
                split_scores={split: {"mse": value} for split, value in scores.items()},
            )
            for seed, scores in enumerate(seeds)
        ]
        entry = MethodEntry(
            **{"version": "1", "protocol": bench.protocol.id, "trust": "re-scored", **facts},
            method=method,
            results=results,
        )
        write_entry(tmp_path / "leaderboards", entry)

    return make


def of_the_study(bench):
    found = scores_of(bench, bench.metric("mse")).get("toy", [])
    return {each.method: each.value for each in found}


def test_a_split_on_which_the_board_compares_nobody_is_not_read(bench, enter):
    enter("both", {"test": 0.5, "val": 0.1})
    enter("other", {"val": 0.1})
    assert of_the_study(bench) == {"both": 0.5}


def test_copies_and_withdrawn_entries_are_left_aside_wholly(bench, enter):
    enter("honest", {"test": 0.5})
    enter("copy", {"test": 0.4}, flags=[Flag(kind="copy", reason="Of another's.")])
    enter("doubted", {"test": 0.4}, flags=[Flag(kind="far-above", reason="Far.", dataset="toy")])
    enter("elsewhere", {"test": 0.6}, flags=[Flag(kind="far-above", reason="Far.", dataset="mob")])
    enter("gone", {"test": 0.4}, withdrawn="By its authors.")
    assert of_the_study(bench) == {"honest": 0.5, "elsewhere": 0.6}


def test_seeds_are_averaged_so_that_the_luckiest_is_not_the_best_method(bench, enter):
    enter("lucky", {"test": 0.1}, {"test": 0.9})
    enter("steady", {"test": 0.4}, {"test": 0.4})
    assert of_the_study(bench) == {"lucky": pytest.approx(0.5), "steady": pytest.approx(0.4)}


def test_a_score_beyond_the_bounds_of_its_metric_refuses_the_entry_as_on_the_board(
    bench, enter, tmp_path
):
    enter("impossible", {"test": -1.0})
    assert counted_scores(bench, bench.metric("mse"), tmp_path / "leaderboards") == {}
