"""What the statistics page says follows from the board."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spared_bench.leaderboard.comparisons import MOST_PAIRWISE, relative
from spared_bench.leaderboard.comparisons import comparisons as comparisons_of
from spared_bench.leaderboard.comparisons import completion_effects as effects_of
from spared_bench.leaderboard.published import published_view as published_view_of
from spared_bench.leaderboard.site_data import plain
from tests.board_samples import METRICS, board_rows, trial


def comparisons(part, metric="mse"):
    return comparisons_of(part, METRICS[metric])


def completion_effects(part, metric="mse"):
    return effects_of(part, METRICS[metric])


def published_view(part, metric="mse"):
    return published_view_of(part, METRICS[metric])


def board(methods: int, datasets: int, completers=("none",), **changes):
    rng = np.random.default_rng(3)
    trials = [
        trial(
            f"m{m:02}", c, f"d{d}", mse=(1 + m / 10) * (1 + d) * rng.uniform(0.99, 1.01) - 0.2 * k
        )
        for m in range(methods)
        for d in range(datasets)
        for k, c in enumerate(completers)
    ]
    (part,) = board_rows([*trials, *changes.get("more", ())]).protocols
    return part


def test_rows_are_compared_all_together_and_completer_by_completer():
    found = comparisons(board(3, 6, ("none", "median")))

    assert [(each["completer"], each["n_methods"]) for each in found] == [
        ("", 6),
        ("median", 3),
        ("none", 3),
    ]
    assert all(each["n_datasets"] == each["total"] == 6 for each in found)
    assert found[0]["friedman"]["p"] < 0.01


def test_controls_take_no_part_and_thin_rows_are_named_with_their_coverage():
    more = [
        *(trial("gene-mean", dataset=f"d{d}", facts={"control": True}) for d in range(6)),
        trial("thin", dataset="d0"),
    ]
    part = board(3, 6, more=more)
    (found,) = comparisons(part)

    thin = next(str(i) for i, row in enumerate(part.rows) if row.predictor == "thin")
    assert found["methods_left_out"] == {thin: 1}
    assert found["n_methods"] == 3
    named = {part.rows[int(place)].predictor for place in found["ranks"]}
    assert named == {"m00", "m01", "m02"}


def test_a_single_dataset_is_not_compared_in_pairs_and_no_test_speaks():
    (found,) = comparisons(board(4, 1))

    assert "matrices" not in found
    assert [each["speaks"] for each in found["reach"]] == [False, False, False]


def test_two_rows_on_two_datasets_are_a_pair():
    (found,) = comparisons(board(2, 2))

    assert np.array(found["matrices"]["wilcoxon"]).shape == (2, 2)


@pytest.mark.parametrize(("metric", "wanted"), [("mse", [1.5, 1.0]), ("nll", [0.5, 0.0])])
def test_errors_are_over_the_lowest_or_beyond_it_where_they_have_no_zero(metric, wanted):
    errors = pd.DataFrame([[1.5, 1.0], [np.nan, np.nan]], ["d", "lacks"], ["a", "b"])

    found = relative(errors, METRICS[metric])

    assert found.loc["d"].to_list() == pytest.approx(wanted)
    assert found.loc["lacks"].isna().all()


def test_matrices_hold_the_best_rows_only():
    (found,) = comparisons(board(MOST_PAIRWISE + 5, 4))

    assert found["n_methods"] == MOST_PAIRWISE + 5
    assert np.array(found["matrices"]["wilcoxon"]).shape == (MOST_PAIRWISE, MOST_PAIRWISE)
    assert max(found["pairwise_ranks"].values()) <= MOST_PAIRWISE


def test_wilcoxon_compares_relative_errors_so_that_large_datasets_do_not_decide():
    # m1 is a tenth worse on five small datasets and a little better on the largest one.
    trials = [trial("m0", dataset=f"d{d}", mse=1.0) for d in range(5)]
    trials += [trial("m1", dataset=f"d{d}", mse=1.1) for d in range(5)]
    trials += [trial("m0", dataset="large", mse=1000.0), trial("m1", dataset="large", mse=999.0)]
    trials += [trial("m2", dataset=d, mse=5000.0) for d in ("large", *(f"d{i}" for i in range(5)))]
    (part,) = board_rows(trials).protocols
    (found,) = comparisons(part)

    places = [part.rows[int(place)].predictor for place in found["pairs"]]
    i, j = places.index("m0"), places.index("m1")
    assert found["matrices"]["effect"][i][j] == pytest.approx(1 - 2 * 1 / 21)


def test_a_dataset_with_large_errors_does_not_decide_whether_completion_helps():
    raw = np.array([1.0, 1.1, 0.9, 1.2, 1.05, 0.8, 300.0])
    completed = raw * np.array([0.8, 0.81, 0.79, 0.82, 0.78, 0.83, 1.01])
    trials = [
        trial("m", completer, f"d{at}", mse=value)
        for completer, values in (("none", raw), ("median", completed))
        for at, value in enumerate(values)
    ]
    (part,) = board_rows(trials).protocols

    (found,) = completion_effects(part)

    lowest = np.minimum(raw, completed)
    (method,) = found["methods"]
    wanted = stats.wilcoxon(completed / lowest - raw / lowest).pvalue
    assert method["p"] == pytest.approx(wanted)
    assert wanted < 0.05 < stats.wilcoxon(completed - raw).pvalue
    # The same two rows, compared as a pair of methods.
    (both, *_) = comparisons(part)
    assert both["matrices"]["wilcoxon"][0][1] == pytest.approx(wanted)
    assert method["median_change"] == pytest.approx(np.median(completed / raw - 1))


def test_raw_and_completed_are_paired_by_method():
    (found,) = completion_effects(board(3, 6, ("none", "median")))

    assert found["completer"] == "median"
    assert [each["method"] for each in found["methods"]] == ["m00", "m01", "m02"]
    assert all(each["better"] == each["n_datasets"] == 6 for each in found["methods"])
    assert completion_effects(board(2, 3)) == []


def test_without_a_completer_beside_raw_training_nothing_is_compared_nor_imported(monkeypatch):
    raw, both = board(3, 6), board(3, 6, ("none", "median"))
    monkeypatch.setitem(sys.modules, "spared_bench.statistics.paired", None)
    assert completion_effects(raw) == []
    assert completion_effects(board(3, 6, ("mean", "median"))) == []
    with pytest.raises(ImportError):
        completion_effects(both)


def test_a_board_without_published_rows_has_no_published_view():
    assert published_view(board(2, 3)) is None


def test_published_rows_of_one_method_are_told_apart_by_predictor_and_completer():
    long = "m" * 64
    trials = [
        trial(name, c, d, mse=mse + k, facts={"origin": reported(long)})
        for mse, name in enumerate(("ridge", "forest"), start=1)
        for k, c in enumerate(("none", "median"))
        for d in ("d0", "d1")
    ]

    found = plain(published_view(board_rows(trials).protocols[0]))

    assert found["all"]["wins"] == {
        f"{long}@1 ridge none": 2,
        f"{long}@1 ridge median": 0,
        f"{long}@1 forest none": 0,
        f"{long}@1 forest median": 0,
    }
    assert found["dunn"]["methods"] == found["methods"]


def reported(method: str):
    told = {"method": method, "version": "1", "source": "", "withdrawn": None, "flags": []}
    return {"trust": "reported", **told}


def test_completers_of_runs_made_here_and_of_imported_ones_are_compared_each_with_its_own():
    facts = {"": {}, "imported": {"imported": [{"archive": "a.tar"}]}, "brought": {"brought": {}}}
    trials = [
        trial("ridge", c, f"d{d}", mse=1 + d + k + (c == "none"), facts=said)
        for k, said in enumerate(facts.values())
        for c in ("none", "median")
        for d in range(3)
        if (c, k) != ("none", 2)
    ]
    (part,) = board_rows(trials).protocols
    (found,) = completion_effects(part)

    assert [(each["method"], each["n_datasets"], each["better"]) for each in found["methods"]] == [
        ("ridge", 3, 3),
        ("ridge (imported)", 3, 3),
    ]
