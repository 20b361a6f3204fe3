"""Who sets records: rows that nobody can vouch for move no row but themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spared_bench.leaderboard.comparisons import comparison
from spared_bench.leaderboard.entries import MethodEntry
from spared_bench.leaderboard.merging import entry_trials
from spared_bench.results import BROUGHT, IMPORTED
from tests.board_samples import METRICS, board_rows, failed, trial

DATASETS = ("one", "two", "three", "four", "five", "six")
MSE = METRICS["mse"]
SOUND = ("re-scored", "reproduced")
#: Whatever stands on all datasets and must set no record beside rows that were checked.
UNSOUND = {
    "reported": {"trust": "reported"},
    "flagged": {"flags": [{"kind": "copy", "reason": "Equals another."}]},
    "flagged on one dataset": {"flags": [{"kind": "copy", "reason": "?", "dataset": "one"}]},
    "withdrawn": {"withdrawn": "Leak found."},
}


def entry(method, errors, **changes):
    """Return the trials of an entry by its error on each of its datasets; re-scored by default."""
    results = [
        {
            "dataset": name,
            "completer": "none",
            "predictor": method,
            "split_scores": {"test": {"mse": mse}},
        }
        for name, mse in errors.items()
    ]
    facts = {"method": method, "version": "1", "protocol": "demo@1", "trust": "re-scored"}
    made = MethodEntry.model_validate({**facts, **changes, "results": results})
    return list(entry_trials([made], {}))


def runs(predictor, errors, **facts):
    return [trial(predictor, dataset=name, mse=mse, facts=facts) for name, mse in errors.items()]


def on_all(*errors):
    return dict(zip(DATASETS, errors, strict=True))


def board(*trials):
    (part,) = board_rows(trials).protocols
    return part


def said_of(part, names):
    """Return what a board says of some rows by what it ranks by, and in which order they stand."""
    rows = [row for row in part.rows if row.predictor in names]
    own = {
        row.predictor: (
            [row.datasets[name].score(MSE).normalised for name in DATASETS],
            row.summary(MSE).normalised.value,
            row.summary(MSE).interval,
        )
        for row in rows
    }
    return own, [row.predictor for row in rows if row.rank is not None]


# Ridge is better on one dataset and st-net on the others: a tiny divisor turns their order round.
RIDGE = on_all(1.0, 2.0, 2.0, 2.0, 2.0, 2.0)
STNET = on_all(2.0, 1.5, 1.5, 1.5, 1.5, 1.5)
CHECKED = [*runs("ridge", RIDGE), *runs("stnet", STNET)]
ABSURD = on_all(1e-9, 3.0, 3.0, 3.0, 3.0, 3.0)
#: Of these the flag is about all values.
WHOLLY = sorted(UNSOUND.keys() - {"flagged on one dataset"})


@pytest.mark.parametrize("kind", UNSOUND)
def test_an_entry_that_is_not_sound_turns_no_order_round(kind):
    before = said_of(board(*CHECKED), ("ridge", "stnet"))
    part = board(*CHECKED, *entry("absurd", ABSURD, **UNSOUND[kind]))

    assert said_of(part, ("ridge", "stnet")) == before
    assert before[1] == ["stnet", "ridge"]
    (absurd,) = (row for row in part.rows if row.predictor == "absurd")
    assert absurd.datasets["one"].score(MSE).normalised == pytest.approx(1e-9)


@pytest.mark.parametrize(
    "others",
    [
        entry("absurd", {"one": 1e-9}),
        runs("absurd", {"one": 1e-9}),
        [*runs("absurd", {"one": 1e-9}), failed("No memory.", predictor="absurd", dataset="two")],
        runs("absurd", ABSURD, **{IMPORTED: {"archive": "other.zip"}}),
        runs("absurd", ABSURD, control=True),
    ],
    ids=["entry on one", "run on one", "run that failed", "imported", "control"],
)
def test_what_is_not_complete_or_not_seen_here_turns_no_order_round(others):
    before = said_of(board(*CHECKED), ("ridge", "stnet"))

    assert said_of(board(*CHECKED, *others), ("ridge", "stnet")) == before


def test_a_doubt_about_one_value_takes_no_record_on_another_dataset():
    flag = {"kind": "suspect-cell", "reason": "Equals another.", "dataset": "one"}
    part = board(*CHECKED, *entry("good", on_all(*[0.5] * 6), flags=[flag]))

    assert {each.name: each.best["mse"] for each in part.datasets} == on_all(1.0, *[0.5] * 5)


@pytest.mark.parametrize("trust", SOUND)
def test_an_entry_that_was_checked_sets_the_record(trust):
    part = board(*CHECKED, *entry("good", on_all(*[0.5] * 6), trust=trust))

    assert [each.best["mse"] for each in part.datasets] == [0.5] * 6


def test_predictions_that_were_scored_here_set_the_record():
    part = board(*CHECKED, *runs("good", on_all(*[0.5] * 6), **{BROUGHT: {"source": "mine"}}))

    assert [each.best["mse"] for each in part.datasets] == [0.5] * 6


def test_published_numbers_set_the_record_among_themselves_and_incomplete_ones_last():
    complete = entry("whole", on_all(*[2.0] * 6), trust="reported")
    partial = entry("partial", {"one": 1.0}, trust="reported")

    both = board(*complete, *partial)
    alone = board(*partial, *entry("other", {"two": 3.0}, trust="reported"))

    assert {each.name: each.best["mse"] for each in both.datasets} == on_all(*[2.0] * 6)
    assert {each.name: each.best["mse"] for each in alone.datasets} == {"one": 1.0, "two": 3.0}


values = st.floats(0.1, 10.0)
lines = st.tuples(*[values] * len(DATASETS))


@given(
    st.lists(lines, min_size=2, max_size=4),
    st.lists(
        st.tuples(st.sampled_from([*WHOLLY, "partial"]), st.tuples(*[st.floats(1e-12, 10)] * 6)),
        min_size=1,
        max_size=4,
    ),
)
def test_no_crowd_of_unsound_entries_moves_what_was_checked(checked, others):
    names = [f"run-{i}" for i in range(len(checked))]
    mine = [each for n, line in zip(names, checked, strict=True) for each in runs(n, on_all(*line))]
    theirs = []
    for i, (kind, line) in enumerate(others):
        errors = on_all(*line)
        if kind == "partial":
            errors = {name: errors[name] for name in DATASETS[: 1 + i % 5]}
        theirs += entry(f"entry-{i}", errors, **UNSOUND.get(kind, {}))

    assert said_of(board(*mine, *theirs), names) == said_of(board(*mine), names)


def test_an_entry_on_half_of_the_datasets_takes_none_out_of_the_tests_of_others():
    part = board(*CHECKED, *entry("half", dict.fromkeys(DATASETS[:3], 1e-9)))
    names = [str(place) for place in range(len(part.rows))]

    found = comparison(part, MSE, names, part.rows)

    assert (found["n_datasets"], found["n_methods"]) == (6, 2)
    (left_out,) = found["methods_left_out"].items()
    assert (part.rows[int(left_out[0])].predictor, left_out[1]) == ("half", 3)


def test_an_absurd_published_number_moves_no_test_between_two_others():
    def p(part):
        names = [row.predictor for row in part.rows]
        found = comparison(part, MSE, names, part.rows)
        pairs = found["pairs"]
        return found["matrices"]["effect"][pairs.index("ridge")][pairs.index("stnet")]

    absurd = entry("absurd", ABSURD, trust="reported")

    assert p(board(*CHECKED, *absurd)) == p(board(*CHECKED))
