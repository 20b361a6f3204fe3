"""A submission that leads every other method by far, on the board and among one's own runs."""

from __future__ import annotations

import pytest

from spared_bench.leaderboard.entries import EntryResult, MethodEntry, write_entry
from spared_bench.specs import MetricSpec
from spared_bench.submissions.evidence import Evidence
from spared_bench.submissions.suspicion import look_across
from tests.board_samples import METRICS

CHOSEN = [METRICS["mse"], METRICS["pcc-gene"]]


def result(pcc, mse, dataset="a", predictor="mine"):
    scores = {"test": {"pcc-gene": pcc, "mse": mse}}
    places = {"dataset": dataset, "completer": "none", "predictor": predictor}
    return EntryResult.model_validate({**places, "split_scores": scores})


def entry(method, pcc, mse, **facts):
    head = {"method": method, "version": "1", "protocol": "demo@1", "trust": "re-scored"}
    return MethodEntry.model_validate({**head, "results": [result(pcc, mse)], **facts})


def flagged(tmp_path, mine, entries=(), runs=(), own="mine@1", metrics=CHOSEN):
    for each in entries:
        write_entry(tmp_path, each)
    evidence = Evidence(
        rival_scores={"a": [(name, {"pcc-gene": pcc, "mse": mse}) for name, pcc, mse in runs]}
    )
    look_across(evidence, [mine], tmp_path, "demo@1", own, metrics)
    return [flag.reason.split(": ")[1].split(" ")[0] for flag in evidence.flags]


FIELD = [entry("x", 0.50, 1.0), entry("y", 0.45, 1.1), entry("z", 0.40, 1.2)]


@pytest.mark.parametrize(
    ("pcc", "mse", "expected"),
    [
        (0.55, 0.9, []),
        (0.65, 0.9, ["pcc-gene"]),
        (0.55, 0.7, ["mse"]),
        (0.90, 0.3, ["mse", "pcc-gene"]),
        (None, 0.0, ["mse"]),
        (None, None, []),
    ],
)
def test_a_lead_over_all_others_is_flagged_by_metric(tmp_path, pcc, mse, expected):
    assert flagged(tmp_path, result(pcc, mse), FIELD) == expected


def test_runs_of_ones_own_count_as_others_and_few_others_say_nothing(tmp_path):
    runs = [("r", 0.5, 1.0), ("s", 0.4, 1.0)]
    assert flagged(tmp_path, result(0.9, 1.0), (), runs) == []
    assert flagged(tmp_path, result(0.9, 1.0), (), [*runs, ("t", 0.3, 1.0)]) == ["pcc-gene"]


def test_withdrawn_reported_and_own_entries_are_no_field(tmp_path):
    odd = [
        entry("x", 0.5, 1.0, withdrawn="leak"),
        entry("y", 0.45, 1.0, trust="reported"),
        entry("z", 0.4, 1.0),
        entry("MINE", 0.4, 1.0),
    ]
    assert flagged(tmp_path, result(0.9, 1.0), odd) == []
    assert flagged(tmp_path, result(0.9, 1.0), [], [("v", 0.1, 1.0), ("w", 0.2, 1.0)]) == [
        "pcc-gene"
    ]


@pytest.mark.parametrize(("share", "expected"), [(0.54, []), (0.56, ["hits"])])
def test_any_bounded_metric_of_genes_counts_by_its_range(tmp_path, share, expected):
    hits = MetricSpec("hits", "its.module:hits", per="gene", bounds=(0.0, 1.0))
    spots = MetricSpec("dots", "its.module:dots", per="spot", bounds=(0.0, 1.0))
    evidence = Evidence(
        rival_scores={
            "a": [(name, {"hits": 0.5, "dots": 0.1}) for name in ("r", "s", "t")],
        }
    )
    mine = result(0.0, 1.0).model_copy(
        update={"split_scores": {"test": {"hits": share, "dots": 0.9}}}
    )
    look_across(evidence, [mine], tmp_path, "demo@1", "mine@1", [hits, spots])
    assert [flag.reason.split(": ")[1].split(" ")[0] for flag in evidence.flags] == expected
