"""Differences of levels against numpy and scipy, from results that are made up here."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.studies.comparing import compare, limits_of, omnibus
from spared_bench.studies.levels_report import best_level
from spared_bench.studies.model import parse_study
from spared_bench.studies.results import Collected, StudyCell

PCC = MetricSpec(
    "pcc-gene", "a:b", per="gene", bounds=(-1.0, 1.0), undefined="correlation", label="PCC"
)
MSE = MetricSpec("mse", "a:b", per="entry", better="lower", bounds=(0.0, math.inf))
STUDY = parse_study(
    "name: x\nmethods: [m]\nfactors: {f: {setting: s.t, levels: [base, one, two]}}", "x"
)


def cell(level, slides, genes=(), seed=0, metric="pcc-gene", dataset="d", method="m"):
    scores = {f"s{at}": {metric: value} for at, value in enumerate(slides)}
    result = TrialResult(
        "0" * 64,
        "ok",
        "p@1",
        dataset,
        "none",
        method,
        seed=seed,
        scores={"test": {metric: float(np.mean(slides))}},
        slide_scores={"test": scores},
        gene_scores={metric: list(genes)} if len(genes) else {},
        genes=[f"g{at}" for at in range(len(genes))],
        facts={"evaluation_split": "test"},
    )
    return StudyCell({"f": level}, dataset, "none", method, seed, result)


def test_differences_are_of_slides_with_seeds_averaged(rng):
    values = rng.uniform(0, 1, (3, 2, 8))  # level, seed, slide
    cells = [
        cell(level, values[at, seed], seed=seed)
        for at, level in enumerate(["base", "one", "two"])
        for seed in (0, 1)
    ]
    first, second = compare(STUDY, Collected(cells), PCC)

    means = values.mean(axis=1)
    assert (first.level, second.level) == ("one", "two")
    assert first.difference == pytest.approx((means[1] - means[0]).mean())
    assert first.n_blocks == 8
    assert second.better == int((means[2] > means[0]).sum())
    raw = [stats.wilcoxon(means[at] - means[0]).pvalue for at in (1, 2)]
    holm = np.minimum(1, [2 * min(raw), max(*raw, 2 * min(raw))])
    assert sorted([first.p, second.p]) == pytest.approx(sorted(holm))
    assert first.low < first.difference < first.high


def test_a_factor_that_a_method_does_not_use_is_no_difference_of_zero():
    scores = [0.1, math.nan, 0.3]
    cells = [cell(level, scores) for level in ("base", "one")]
    cells += [cell(level, [at, 0.2, 0.3], method="n") for at, level in enumerate(("base", "one"))]
    unused, _, used, _ = compare(STUDY, Collected(cells), PCC)

    assert (unused.method, used.method) == ("m", "n")
    assert "uses nothing that the factor sets" in unused.says
    assert math.isnan(unused.difference)
    assert unused.n_pairs == 0
    assert used.difference == pytest.approx(1 / 3)


def test_where_lower_is_better_a_lower_level_counts_as_better():
    cells = [cell(level, slides, metric="mse") for level, slides in LOWER.items()]
    first, second = compare(STUDY, Collected(cells), MSE)

    assert (first.better, first.effect) == (6, 1.0)
    assert (second.better, second.effect) == (0, -1.0)
    assert first.difference == pytest.approx(-0.1)


LOWER = {"base": [0.5] * 6, "one": [0.4] * 6, "two": [0.7, 0.8, 0.9, 1.0, 1.1, 1.2]}


@pytest.mark.parametrize(("n", "smallest"), [(1, "1"), (2, "0.5"), (5, "0.0625")])
def test_of_few_slides_no_test_is_done_and_it_is_said_why(n, smallest):
    slides = np.linspace(0.1, 0.5, n)
    cells = [cell(level, slides + at) for at, level in enumerate(["base", "one", "two"])]
    first, _ = compare(STUDY, Collected(cells), PCC)

    assert math.isnan(first.p)
    assert f"the smallest p that a paired test could give is {smallest}" in first.says
    assert math.isnan(first.low) == (n < 5)


def test_genes_are_paired_by_name_and_an_undefined_one_counts_as_zero():
    cells = [
        cell("base", [0.3], [0.2, math.nan, 0.4, math.nan]),
        cell("one", [0.3], [0.5, 0.1, math.nan, math.nan]),
    ]
    first, second = compare(STUDY, Collected(cells), PCC)

    assert first.n_genes == 3  # the fourth has no score on either side
    assert first.gene_difference == pytest.approx((0.3 + 0.1 - 0.4) / 3)
    assert (second.n_pairs, second.says) == (0, "No pair of cells has both.")


def test_a_gap_leaves_its_pair_out(rng):
    slides = rng.uniform(0, 1, 6)
    gap = StudyCell({"f": "one"}, "d", "none", "m", 1, None, "error: it failed")
    cells = [cell("base", slides), cell("base", slides, seed=1), cell("one", slides + 1), gap]
    first, _ = compare(STUDY, Collected(cells), PCC)

    assert (first.n_pairs, first.n_blocks) == (1, 6)
    assert first.difference == pytest.approx(1)


def test_friedman_asks_whether_the_levels_differ_at_all(rng):
    values = rng.uniform(0, 1, (3, 7))
    cells = [cell(level, values[at]) for at, level in enumerate(["base", "one", "two"])]

    found = omnibus(STUDY, Collected(cells), PCC, "f", "m")

    assert found.p == pytest.approx(stats.friedmanchisquare(*values).pvalue)
    assert omnibus(STUDY, Collected(cells[:1]), PCC, "f", "m") is None
    few = [cell(level, [0.1, 0.2, 0.3, 0.4]) for level in ("base", "one", "two")]
    assert omnibus(STUDY, Collected(few), PCC, "f", "m") is None


def test_friedman_holds_no_cells_against_others_where_every_level_stands_alone(rng):
    values = rng.uniform(0, 1, (3, 6))
    cells = [cell(lv, values[at], seed=0) for at, lv in enumerate(["base", "one", "two"])]
    cells = [replace(each, levels=each.levels | {"g": "off"}) for each in cells]
    # At the base of f, another factor is varied; and one seed of the base failed at the others.
    moved = cell("base", rng.uniform(5, 9, 6))
    cells.append(replace(moved, levels=moved.levels | {"g": "on"}))
    more = cell("base", rng.uniform(5, 9, 6), seed=1)
    cells.append(replace(more, levels=more.levels | {"g": "off"}))

    found = omnibus(STUDY, Collected(cells), PCC, "f", "m")

    assert found.p == pytest.approx(stats.friedmanchisquare(*values).pvalue)


@pytest.mark.parametrize(("metric", "best"), [(PCC, "one"), (MSE, "two")])
def test_the_best_level_of_a_factor_differs_from_the_base_in_no_other_factor(metric, best):
    def at(level, other, score):
        each = cell(level, [score], metric=metric.name)
        return replace(each, levels=each.levels | {"g": other})

    base = at("base", "off", 0.4)
    cells = [base, at("one", "off", 0.5), at("two", "off", 0.3)]
    cells += [at("base", "on", 0.9), at("one", "on", 0.1)]

    found = best_level(cells, base, "f", metric)

    assert found.levels == {"f": best, "g": "off"}


def test_folds_of_another_dataset_are_held_against_all_folds_of_the_base():
    cells = [cell("base", [score], dataset=f"a.{at}") for at, score in enumerate([0.1, 0.3, 0.8])]
    cells += [cell("one", [score], dataset=f"b.{at}") for at, score in enumerate([0.5, 0.7])]

    first, _ = compare(STUDY, Collected(cells), PCC)

    assert first.mean_against == pytest.approx(0.4)  # and not 0.8, that of the last fold
    assert first.difference == pytest.approx(0.2)
    assert first.n_blocks == 1


def test_what_a_comparison_cannot_say_depends_on_what_there_is():
    cells = [cell("base", [0.1, 0.2]), cell("one", [0.2, 0.3])]
    found = compare(STUDY, Collected(cells), PCC)
    told = " ".join(limits_of(Collected(cells), found))

    assert "One seed" in told
    assert "Fewer than six slides" in told
    assert "share donors" not in told


def test_levels_that_predict_other_genes_are_said_to_on_their_datasets_alone():
    cells = [cell("base", [0.1], [0.1, 0.2]), cell("one", [0.1], [0.1])]
    cells += [cell(level, [0.1], [0.1], dataset="e") for level in ("base", "one")]

    (told,) = [each for each in limits_of(Collected(cells), []) if "same genes" in each]
    assert told.startswith("Not all levels predict the same genes on d: ")
    assert not any("same genes" in each for each in limits_of(Collected(cells[2:]), []))


def test_levels_of_different_methods_are_paired_on_the_slides():
    study = parse_study("name: x\nfactors: {f: {setting: method, levels: [a, b]}}", "x")
    cells = [cell("a", [0.1, 0.2], method="a"), cell("b", [0.4, 0.5], method="b")]
    (found,) = compare(study, Collected(cells), PCC)

    assert found.difference == pytest.approx(0.3)
    assert found.method == "(as the level says)"
