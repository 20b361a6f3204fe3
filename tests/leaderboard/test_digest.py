"""The summary at the end of a run of own slides, worked out by hand or with scipy."""

from __future__ import annotations

import pytest
import scipy.stats

from spared_bench.leaderboard.digest import digest
from spared_bench.leaderboard.rows import Known
from tests.board_samples import METRICS, failed, trial


def told(trials, slides=None, datasets=("breast",)):
    facts = {name: {"slides": slides or []} for name in datasets}
    return digest(trials, Known(datasets=facts, metrics=METRICS))


def on_slides(predictor, values, **changes):
    """A trial of which the error on every slide is given."""
    scores = {"test": {name: {"mse": mse, "pcc-gene": 0.5} for name, mse in values.items()}}
    mean = sum(values.values()) / len(values)
    return trial(predictor, mse=mean, slide_scores=scores, **changes)


def donors(n, per_donor=1):
    return [
        {"slide_id": f"S{d}{s}", "patient_id": f"p{d}"} for d in range(n) for s in range(per_donor)
    ]


def test_the_best_row_stands_first_with_its_interval_and_the_control_beside_it():
    better = on_slides("ridge", {"S00": 0.8, "S10": 1.0})
    worse = on_slides("net", {"S00": 1.0, "S10": 1.2})
    control = on_slides("gene-mean", {"S00": 2.0, "S10": 2.0}, facts={"control": True})

    lines = told([worse, control, better], donors(2))

    assert lines[0] == "breast (test slides):"
    # Two slides: 0.9 and 12.706 standard errors of 0.1 to each side, but no error is below 0.
    assert lines[1] == (
        "  best     ridge · none: MSE 0.900, 95 % interval 0.000 to 2.171, over 2 slides"
    )
    assert lines[2].startswith("  next     net · none: 1.100; not known to be worse: 2 donors")
    assert lines[3] == "  control  gene-mean · none: 2.000"


def test_an_interval_over_sections_of_few_donors_says_how_many_they_are():
    sections = {"S00": 0.8, "S01": 0.9, "S10": 1.0, "S11": 1.1}
    lines = told([on_slides("ridge", sections)], donors(2, per_donor=2))
    assert lines[1].endswith(", over 4 slides of 2 donors")
    (unknown,) = told([on_slides("ridge", sections)])[1:]
    assert unknown.endswith(", over 4 slides")


def test_one_slide_has_no_interval():
    lines = told([on_slides("ridge", {"S00": 0.8})])
    assert lines[1].endswith("no interval: one slide")


def test_a_score_of_all_spots_together_has_no_interval_of_another_number():
    scores = {"test": {name: {"mse": mse} for name, mse in {"S00": 0.8, "S10": 1.0}.items()}}
    lines = told([trial("ridge", mse=0.95, slide_scores=scores)])
    assert lines[1].endswith("no interval: the score is not the mean over its slides")


def test_a_control_that_is_better_is_pointed_out():
    lines = told([trial("ridge", mse=2.0), trial("gene-mean", mse=1.0, facts={"control": True})])
    assert "nothing here is better than a control" in lines[-1]


@pytest.mark.parametrize(
    "slides", [[], [{"slide_id": f"S{at}", "patient_id": ""} for at in range(7)]]
)
def test_slides_whose_donors_nobody_said_are_not_called_donors(slides):
    first, second = (
        on_slides(name, {f"S{at}": worse + 0.1 * at for at in range(7)})
        for name, worse in (("ridge", 0.5), ("net", 0.6))
    )
    lines = told([first, second], slides)
    assert "(p = 0.016, signed-rank test over 7 slides of unknown donors)" in lines[2]
    few = [on_slides(name, {"S0": 0.5, "S1": worse}) for name, worse in (("a", 0.5), ("b", 0.7))]
    assert "not known to be worse: 2 slides of unknown donors to test on" in told(few, slides)[2]


def test_the_difference_on_a_dataset_is_tested_over_donors():
    first = [0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    second = [1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2]
    slides = donors(7)
    names = [each["slide_id"] for each in slides]

    lines = told(
        [
            on_slides("ridge", dict(zip(names, first, strict=True))),
            on_slides("net", dict(zip(names, second, strict=True))),
        ],
        slides,
    )

    p = scipy.stats.wilcoxon(first, second).pvalue
    assert p < 0.05
    assert f"significantly worse (p = {p:.2g}, signed-rank test over 7 donors)" in lines[2]


def test_slides_of_one_donor_count_once():
    slides = donors(1, per_donor=8)
    names = [each["slide_id"] for each in slides]
    lines = told(
        [
            on_slides("ridge", {name: 1.0 + i / 100 for i, name in enumerate(names)}),
            on_slides("net", {name: 2.0 + i / 10 for i, name in enumerate(names)}),
        ],
        slides,
    )
    assert "1 donor to test on" in lines[2]


def test_the_means_over_seeds_are_compared():
    slides = donors(6)
    names = [each["slide_id"] for each in slides]
    trials = [
        on_slides("ridge", dict.fromkeys(names, 1.0), seed=0),
        on_slides("ridge", dict.fromkeys(names, 3.0), seed=1),
        on_slides("net", {n: 2.1 + i / 10 for i, n in enumerate(names)}, seed=0),
        on_slides("net", {n: 2.1 + i / 10 for i, n in enumerate(names)}, seed=1),
    ]
    lines = told(trials, slides)
    assert lines[1].split()[1] == "ridge"  # 2.0 against 2.35
    assert "p = 0.031" in lines[2]  # 2 / 2^6: all six agree


def over(n, methods):
    """Trials of methods on n datasets; each method's errors are a multiple of the first one's."""
    return [
        trial(name, dataset=f"d{i}", mse=factor * (1 + i / 7) + i / 1000)
        for i in range(n)
        for name, factor in methods.items()
    ]


@pytest.mark.parametrize(("n", "possible"), [(6, False), (7, True)])
def test_over_datasets_it_says_what_can_be_significant(n, possible):
    methods = {"a": 1.0, "b": 2.0, "c": 3.0}  # three pairs: 3 * 2 / 2^6 > 0.05 > 3 * 2 / 2^7
    lines = told(over(n, methods), datasets=[f"d{i}" for i in range(n)])
    end = lines[lines.index(f"over {n} datasets:") :]
    assert end[1].startswith("  best     a · none")
    if possible:
        assert end[2].endswith("(signed-rank test, Holm): b · none, c · none")
        assert end[3] == "  not significantly worse: none"
    else:
        assert "3 methods need 7 datasets" in end[2]


def test_what_was_not_scored_gives_no_line():
    assert told([failed()]) == []
    assert told([]) == []


def test_runs_made_here_and_imported_ones_are_told_apart():
    slides = donors(7)
    here = {each["slide_id"]: 1.0 + i / 100 for i, each in enumerate(slides)}
    imported = {"imported": [{"archive": "a.tar"}]}
    theirs = on_slides("ridge", {name: 2 * value for name, value in here.items()}, facts=imported)
    lines = told([on_slides("ridge", here), theirs], slides)
    assert lines[1].startswith("  best     ridge · none: MSE 1.030")
    assert lines[2].startswith(
        "  next     ridge (imported) · none: 2.060; significantly worse (p = "
    )
