"""Rows of three levels of trust on one board."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from spared_bench.leaderboard.entries import EntryResult, MethodEntry
from spared_bench.leaderboard.merging import entry_trials, with_listing, without_foreign_facts
from spared_bench.leaderboard.tables import as_markdown
from spared_bench.leaderboard.text import row_name
from spared_bench.results import IMPORTED, UNLISTED
from tests.board_samples import METRICS, as_csv, board_rows, trial


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


def test_rows_of_one_entry_with_several_predictors_have_names_of_their_own():
    both = entry().model_dump()["results"]
    both += [{**both[0], "predictor": "st-net"}]
    part = board(entry(results=both), entry(method="Alone"), runs=[trial("ridge", mse=1.0)])

    names = {row_name(row.origin, row.predictor) for row in part.rows}
    assert names == {"Ridge++ 2 ridge", "Ridge++ 2 st-net", "Alone 2", "ridge"}
    told = as_markdown(board_of(part), "c")
    for name in ("Ridge++@2 ridge", "Ridge++@2 st-net", "Alone@2"):
        assert f"| {name} (re-scored) |" in told


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


def on(name, mse):
    return {
        "dataset": name,
        "completer": "none",
        "predictor": "ridge",
        "split_scores": {"test": {"mse": mse}},
    }


def test_where_a_protocol_names_no_datasets_those_run_here_count_and_no_further_ones():
    entries = [entry(results=[on("breast", 0.5), on("theirs", 1e-9)])]
    imported = [
        replace(each, facts={**each.facts, IMPORTED: True})
        for each in (trial("ridge", mse=3.0), trial("ridge", dataset="theirs", mse=1e-9))
    ]
    runs = [trial("ridge", mse=1.0), trial("stnet", mse=2.0)]

    for listed in ({"demo@1": ()}, {}):
        trials = [*runs, *imported, *entry_trials(entries)]
        (part,) = board_rows(with_listing(trials, listed)).protocols
        ranks = [(row.predictor, row.origin.trust, row.rank) for row in part.rows]
        assert ranks == [
            ("ridge", "re-scored", 1),
            ("ridge", "reproduced", 2),
            ("stnet", "reproduced", 3),
            ("ridge", "imported", 4),
        ]
        (part,) = board_rows(with_listing(entry_trials(entries), listed)).protocols
        assert {each.name for each in part.datasets if each.counts} == {"breast", "theirs"}


def test_a_further_dataset_of_one_entry_takes_nobodys_rank_and_enters_no_mean():
    results = [on("breast", 0.5), on("planted-by-me", 1e-9)]
    odd = entry().model_copy(update={"results": [EntryResult(**each) for each in results]})
    shares = {"planted-by-me": {"conflicts_with": ("breast",)}}
    trials = [trial("ridge", mse=1.0), trial("stnet", mse=2.0), *entry_trials([odd], shares)]

    (part,) = board_rows(with_listing(trials, {"demo@1": ("breast",)})).protocols

    assert [(row.predictor, row.origin.method, row.rank) for row in part.rows] == [
        ("ridge", "Ridge++", 1),
        ("ridge", "", 2),
        ("stnet", "", 3),
    ]
    assert [row.summary(METRICS["mse"]).normalised.value for row in part.rows] == [1.0, 2.0, 4.0]
    assert all(
        row.complete and row.summary(METRICS["mse"]).normalised.total == 1 for row in part.rows
    )
    assert {c.name: (c.listed, c.counts) for c in part.datasets} == {
        "breast": (True, True),
        "planted-by-me": (False, False),
    }
    assert "planted-by-me (not of the protocol): MSE" in as_markdown(board_of(part), "c")


def test_folds_count_where_they_were_run_and_not_where_an_entry_brings_them():
    of_breast = {"breast.lodo-1": {"fold_of": "breast"}}
    fold = entry().model_copy(update={"results": [EntryResult(**on("breast.lodo-1", 0.5))]})
    mine = replace(trial("ridge", dataset="breast.lodo-1"), facts=of_breast["breast.lodo-1"])
    listed = {"demo@1": ("breast",)}

    (theirs,) = with_listing(entry_trials([fold], of_breast), listed)
    (own,) = with_listing([mine], listed)
    assert (theirs.facts.get(UNLISTED), own.facts.get(UNLISTED)) == (True, None)


def test_folds_of_another_scheme_than_the_listed_one_do_not_count():
    def run(dataset):
        return replace(trial("ridge", dataset=dataset), facts={"fold_of": "breast"})

    runs = [run("breast.lodo-1"), run("breast.pairs-1"), trial("ridge", dataset="breast")]
    listed = {"demo@1": ("breast.lodo-1", "breast.lodo-2")}
    found = {each.dataset: each.facts.get(UNLISTED) for each in with_listing(runs, listed)}
    assert found == {"breast.lodo-1": None, "breast.pairs-1": True, "breast": True}
    by_scheme = {"demo@1": ("breast.lodo", "breast")}  # a scheme that no plugin here knows
    found = {each.dataset: each.facts.get(UNLISTED) for each in with_listing(runs, by_scheme)}
    assert found == {"breast.lodo-1": None, "breast.pairs-1": True, "breast": None}


def test_a_mean_over_listed_folds_is_what_an_entry_may_report():
    whole = entry().model_copy(update={"results": [EntryResult(**on("breast", 0.5))]})
    listed, joined = {"demo@1": ("breast.lodo-1",)}, {"demo@1": {"breast"}}
    (theirs,) = with_listing(entry_trials([whole]), listed, joined)
    (own,) = with_listing([trial("ridge", dataset="breast")], listed, joined)
    assert (theirs.facts.get(UNLISTED), own.facts.get(UNLISTED)) == (None, True)


def test_of_what_nothing_changes_no_copy_is_made():
    mine = trial("ridge", dataset="breast")
    (found,) = with_listing([mine], {"demo@1": ("breast",)})
    assert found is mine


def test_a_trial_cannot_say_itself_whether_its_dataset_counts():
    odd = replace(trial("ridge"), facts={UNLISTED: True})
    (found,) = with_listing([odd], {"demo@1": ("breast",)})
    assert UNLISTED not in found.facts


def imported(*arguments, **facts):
    given = trial(*arguments)
    return replace(given, facts={**given.facts, "imported": [{"archive": "a.tar"}], **facts})


def test_imported_runs_are_rows_of_their_own_that_never_count_as_trained_here():
    (part,) = board_rows([trial("ridge", mse=1.0), imported("stnet")]).protocols
    shown = {row.predictor: (row.origin.trust, row.origin.trained_here) for row in part.rows}
    assert shown == {"ridge": ("reproduced", True), "stnet": ("imported", False)}
    text = as_markdown(board_of(part), "c")
    assert "| stnet (imported) |" in text
    assert "| 1 k (claimed) | 2.50 s (claimed) |" in text
    assert "| 1 k | 2.50 s |" in text


def test_imported_runs_say_nothing_of_datasets():
    odd = imported("stnet", synthetic=True, conflicts_with=["breast", "x"], shared_donors=["d"])
    known = {"breast": {"evaluation_split": "test", "tier": "A", "synthetic": False}}
    (found,) = without_foreign_facts([odd], known, {})
    assert found.facts["synthetic"] is False
    assert not {"conflicts_with", "shared_donors"} & set(found.facts)
    (part,) = board_rows([trial("ridge"), found]).protocols
    assert [row.rank for row in part.rows] == [1, 1]


def test_costs_of_entries_are_claims_whatever_their_trust():
    results = [{**on("breast", 0.5), "n_parameters": 7_000_000, "train_seconds": 60}]
    for trust in ("reported", "re-scored", "reproduced"):
        odd = MethodEntry.model_validate(entry(trust=trust).model_dump() | {"results": results})
        assert "| 7 M (claimed) | 1 min 00 s (claimed) |" in as_markdown(board_of(board(odd)), "c")


def test_how_far_an_entry_sees_is_a_claim_and_bounded():
    results = [{**on("breast", 0.5), "field_of_view_um": 1234.5}]
    seeing = MethodEntry.model_validate(entry().model_dump() | {"results": results})
    (trial_of,) = entry_trials([seeing], {})
    assert trial_of.facts["field_of_view_um"] == 1234.5
    assert "1,234 µm (claimed)" in as_markdown(board_of(board(seeing)), "c")
    for odd in (-1, "wide", float("inf")):
        with pytest.raises(ValueError, match="field_of_view_um"):
            EntryResult.model_validate({**on("breast", 0.5), "field_of_view_um": odd})


@pytest.mark.parametrize("number", [10**12 + 1, -1, 2.5, "7", True])
def test_a_number_of_parameters_is_whole_and_bounded(number):
    with pytest.raises(ValueError, match="n_parameters"):
        EntryResult.model_validate({**on("breast", 0.5), "n_parameters": number})
