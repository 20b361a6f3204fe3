"""Ranks with intervals, and the comment that tells them."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.leaderboard.entries import EntryResult, Flag, MethodEntry
from spared_bench.specs import MetricSpec
from spared_bench.submissions.comment import comment, plain
from spared_bench.submissions.report import Report
from spared_bench.submissions.schema import Description
from spared_bench.submissions.standing import rank_interval, standings
from tests.board_samples import METRICS

DATASETS = ["a", "b", "c"]
SHOWN = [METRICS["mse"], METRICS["pcc-gene"]]


def results(errors, predictor="net", completer="none", seeds=(0,)):
    return [
        EntryResult(
            dataset=dataset,
            completer=completer,
            predictor=predictor,
            seed=seed,
            split_scores={"test": {"mse": error + 0.01 * seed, "pcc-gene": 0.5}},
        )
        for dataset, error in zip(DATASETS, errors, strict=False)
        for seed in seeds
    ]


def entry(name, errors, **facts):
    return MethodEntry(
        method=name,
        version="1",
        protocol="demo@1",
        trust="re-scored",
        results=results(errors, name),
        **facts,
    )


def test_the_rank_is_that_of_the_mean_normalised_error():
    others = [entry("x", [1.0, 2.0, 4.0]), entry("y", [2.0, 1.0, 1.0])]
    (found,) = standings(results([1.5, 1.5, 0.5]), others, DATASETS, METRICS["mse"])
    means = {
        "x": np.mean([1, 2, 8]),
        "y": np.mean([2, 1, 2]),
        "mine": np.mean([1.5, 1.5, 1]),
    }
    assert found.normalised_error == pytest.approx(means["mine"])
    assert found.rank == 1
    assert found.n_rows == 3
    assert found.overtaken == ("x@1 / x / none", "y@1 / y / none")
    assert found.best_on == ("c",)


def test_others_are_read_on_the_split_on_which_the_submission_is_scored():
    mine = [
        each.model_copy(update={"split_scores": {"val": {"mse": 1.0}}})
        for each in results([1.0, 1.0, 1.0])
    ]
    both = [
        each.model_copy(update={"split_scores": {"test": {"mse": 0.1}, "val": {"mse": 2.0}}})
        for each in results([2.0, 2.0, 2.0], "x")
    ]
    other = entry("x", [2.0, 2.0, 2.0]).model_copy(update={"results": both})
    (found,) = standings(mine, [other], DATASETS, METRICS["mse"])
    assert (found.rank, found.overtaken) == (1, ("x@1 / x / none",))


def test_seeds_are_averaged_and_rows_without_a_dataset_have_no_rank():
    others = [entry("short", [0.1, 0.1]), entry("x", [1.005, 1.005, 1.005])]
    (found,) = standings(results([1.0, 1.0, 1.0], seeds=(0, 1)), others, DATASETS, METRICS["mse"])
    assert found.n_rows == 2
    assert found.rank == 1
    assert found.overtaken == ()  # exactly as good: 1.0 and 1.01 average to 1.005
    assert standings(results([1.0, 1.0]), others, DATASETS, METRICS["mse"]) == []


def test_errors_that_differ_in_rounding_alone_are_the_same_and_nobody_is_best():
    third = results([0.1 + 0.2, 1.0, 1.0], "third")
    both = results([0.3, 1.0, 1.0]) + third  # 0.30000000000000004
    for found in standings(both, [], DATASETS, METRICS["mse"]):
        assert (found.rank, found.low, found.high, found.best_on) == (1, 1, 1, ())


def test_several_rows_of_the_first_submission_overtake_nobody_there_is():
    report = report_of()
    report.results += results([2.0, 2.0, 2.0], completer="median")
    text = comment(report, [], DATASETS, SHOWN)
    assert "| net | none | 1 of 2 |" in text
    assert "No accepted entry has all these datasets yet." in text


def test_a_withdrawn_entry_competes_with_no_one():
    others = [entry("x", [0.1, 0.1, 0.1], withdrawn="by its authors")]
    (found,) = standings(results([1.0, 1.0, 1.0]), others, DATASETS, METRICS["mse"])
    assert (found.rank, found.n_rows) == (1, 1)


def test_the_interval_of_the_rank_covers_what_resampled_datasets_give(rng):
    relative = rng.uniform(1, 2, size=(6, 8))
    ranks = []
    for _ in range(4_000):
        means = relative[:, rng.integers(8, size=8)].mean(axis=1)
        ranks.append((means < means[2]).sum() + 1)
    low, high = np.percentile(ranks, [2.5, 97.5])
    found = rank_interval(relative, 2)
    assert abs(found[0] - low) <= 1
    assert abs(found[1] - high) <= 1


def test_a_row_best_everywhere_is_first_in_every_resample():
    relative = np.array([[1.0, 1.0, 1.0], [1.1, 1.2, 1.3]])
    assert rank_interval(relative, 0) == (1, 1)
    assert rank_interval(relative, 1) == (2, 2)


def report_of(**facts):
    described = Description(method="net", version="1", protocol="demo@1")
    return Report("net.zip", described, results=results([1.0, 1.0, 1.0]), rescored=True, **facts)


def test_the_comment_tells_rank_interval_changes_and_flags():
    report = report_of()
    report.evidence.flags.append(Flag(kind="copy", reason="like x@1", dataset="a"))
    text = comment(report, [entry("x", [2.0, 2.0, 2.0])], DATASETS, SHOWN)
    assert "### Submission net@\u200b1: accepted as re-scored, 1 flag\n" in text
    assert "| net | none | 1 of 2 | 1 to 1 | 1.000 | a, b, c |" in text
    assert "It would stand before x@\u200b1 / x / none." in text
    assert "With 3 ranked datasets, an interval over datasets says little." in text
    assert "- **copy** (a): like x@\u200b1" in text


def test_the_comment_of_a_refusal_tells_the_problems_and_no_rank():
    report = report_of(problems=["results.json is missing."])
    text = comment(report, [], DATASETS, SHOWN)
    assert "### Submission net@\u200b1: refused" in text
    assert "- results.json is missing." in text
    assert "| rank |" not in text


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "[click](https://evil.example)",
        "![x](https://evil.example/x.png)",
        "`code` **bold** | cell",
        "# heading",
        "@everyone",
        "a\n\n# b",
        "\u202eabc\x1b[2J",
    ],
)
def test_nothing_of_a_submission_is_markup_in_the_comment(text):
    shown = plain(text)
    assert "<" not in shown
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "@e" not in shown
    assert "://" not in shown
    for mark in "[]`*|":
        assert shown.count(mark) == shown.count("\\" + mark)
    assert not shown.startswith("#")


def test_nothing_of_a_submission_links_to_an_issue_or_a_site_in_the_comment():
    shown = plain("closes #12, org/repo#3, GH-4, WWW.evil.example")

    for link in ("#1", "#3", "GH-4", "WWW."):
        assert link not in shown
    assert shown.replace("\u200b", "") == "closes #12, org/repo#3, GH-4, WWW.evil.example"


def test_the_place_is_by_the_metric_that_the_protocol_ranks_by():
    def of(name, value):
        scores = {"test": {"mse": 1.0, "pcc-gene": value}}
        facts = {"completer": "none", "predictor": name, "seed": 0, "split_scores": scores}
        return [EntryResult(dataset=dataset, **facts) for dataset in DATASETS]

    worse = MethodEntry(
        method="x", version="1", protocol="demo@1", trust="re-scored", results=of("x", 0.2)
    )
    (found,) = standings(of("net", 0.6), [worse], DATASETS, METRICS["pcc-gene"])
    assert (found.rank, found.normalised_error) == (1, 1.0)
    (behind,) = standings(worse.results, [], DATASETS, METRICS["pcc-gene"])
    assert behind.rank == 1  # alone
    unbounded = MetricSpec("gain", "a:b", better="higher")
    assert standings(of("net", 0.6), [worse], DATASETS, unbounded) == []
