"""Levels as protocols: what each sets, what stays, and what is refused when planning."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from spared_bench.api import execute, select
from spared_bench.errors import StudyError
from spared_bench.specs import Speed
from spared_bench.studies.planning import forecast_study, plan_study
from spared_bench.studies.variants import variants_of
from tests.changed_specs import with_changed
from tests.studies.conftest import STUDY


def refused(opened, text: str) -> str:
    of = opened(text)
    with pytest.raises(StudyError) as caught:
        plan_study(of.study, of.base)
    return str(caught.value)


def study(factors: str, rest: str = "methods: [linear-probe]") -> str:
    return f"name: x\nbase: toy\nmetric: mse\n{rest}\nfactors: {factors}\n"


@pytest.mark.parametrize("kind", ["factors", "robustness", "difficulty"])
def test_a_metric_that_is_best_in_between_is_refused(opened, kind):
    factors = "factors: {alpha: {setting: linear-probe.alpha, levels: [1.0, 10.0]}}"
    text = f"name: x\nbase: toy\nmetric: coverage-90\nkind: {kind}\n"
    text += "" if kind == "difficulty" else "methods: [linear-probe]\n"
    told = refused(opened, text + (factors if kind == "factors" else ""))
    assert "compares by 'coverage-90', which is best at 0.9" in told
    assert "Name a `metric` that is better the higher or the lower it is" in told


def test_every_combination_is_a_variant_and_the_base_comes_first(opened):
    of = opened(
        study(
            "{size: {setting: patches.size, levels: [8, 16]},"
            " alpha: {setting: linear-probe.alpha, levels: [1.0, 10.0, 100.0], base: '10.0'}}"
        )
    )
    found = variants_of(of.study, of.base)

    expected = itertools.product(["8", "16"], ["10.0", "1.0", "100.0"])
    assert [tuple(each.levels.values()) for each in found] == list(expected)
    assert [each.protocol.patches.size for each in found] == [8, 8, 8, 16, 16, 16]
    assert found[1].parameters == {"linear-probe": {"alpha": 1.0}}


def test_settings_of_a_section_that_a_protocol_need_not_have_are_set_one_by_one(opened):
    of = opened(study("{a: {setting: known.register, levels: [rigid, none]}}"))
    found = [each.protocol.known for each in variants_of(of.study, of.base)]
    assert [(each.register_by, each.sections) for each in found] == [
        ("rigid", "first"),
        ("none", "first"),
    ]
    said = refused(opened, study("{a: {setting: known.regster, levels: [rigid, none]}}"))
    assert "Did you mean 'register'?" in said
    assert "image_only, register, require_quality" in said


def test_of_a_single_design_each_level_stands_alone(opened):
    of = opened(
        study(
            "{a: {setting: patches.size, levels: [8, 16]},"
            " b: {setting: processing.n_genes, levels: [6, 4, 2]}}",
            "design: single\nmethods: [linear-probe]",
        )
    )
    found = [tuple(each.levels.values()) for each in variants_of(of.study, of.base)]

    assert found == [("8", "6"), ("16", "6"), ("8", "4"), ("8", "2")]


def test_the_trainings_of_the_base_are_those_of_the_protocol_itself(opened):
    of = opened(STUDY.replace("set: {linear-probe.alpha: 10.0}\n", ""))
    plan = plan_study(of.study, of.base)

    def keys(cells):
        return {job.key for cell in cells for job in (*cell.search, *cell.finals)}

    own = select(of.base, predictors=["linear-probe"])
    base, *others = [keys(group.plan.cells) for group in plan.groups]
    assert base == keys(own.cells)
    assert not any(base & other for other in others)


def test_seeds_of_all_levels_are_the_same_so_that_only_the_level_differs(opened):
    of = opened()
    groups = plan_study(of.study, of.base).groups
    seeds = {
        group.plan.bench.trial_inputs("toy", "none", "linear-probe", {}, 0)["seed"]
        for group in groups
    }
    assert len(seeds) == 1


def test_levels_may_select_dataset_completer_method_and_seed(opened):
    of = opened(
        study(
            "{m: {setting: method, levels: [linear-probe, gene-mean]},"
            " s: {setting: seed, levels: [0, 3]}}",
            "set: {linear-probe.alpha: 1.0}",
        )
    )
    plan = plan_study(of.study, of.base)

    assert len(plan.groups) == 1  # one protocol, one set of parameters: one plan
    cells = {(cell.predictor, cell.seed) for cell in plan.groups[0].plan.cells}
    assert cells == {("linear-probe", 0), ("linear-probe", 3), ("gene-mean", 0), ("gene-mean", 3)}


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ("{a: {setting: processing.tarket, levels: [x, y]}}", r"Did you mean 'target'\?"),
        ("{a: {setting: procesing.target, levels: [x, y]}}", r"Did you mean 'processing'\?"),
        ("{a: {setting: processing, levels: [x, y]}}", "is a section, not a setting"),
        ("{a: {setting: processing.target, levels: [counts, cp10k]}}", "cannot be 'cp10k'"),
        ("{a: {setting: patches.size, levels: [8, many]}}", "patches.size cannot be 'many'"),
        ("{a: {setting: name, levels: [x, y]}}", "'name' cannot be varied: it names the protocol"),
        ("{a: {setting: linear-probe.alfa, levels: [1.0, 2.0]}}", r"Did you mean 'alpha'\?"),
        ("{a: {setting: linear-probe.alpha, levels: [1.0, x]}}", "of type str; expected float"),
        ("{a: {setting: shufflenet.lr, levels: [0.1, 0.2]}}", "which this study does not run"),
        ("{a: {setting: method.lr, levels: [0.1, 0.2]}}", "has no parameter 'lr'"),
        ("{a: {setting: method, levels: [linear-probe, linear-prob]}}", "'linear-probe'"),
        ("{a: {setting: seed, levels: [0, x]}}", "seed is 'x'; expected a whole number"),
        ("{a: {setting: dataset, levels: [toy, her2st]}}", "does not list the dataset 'her2st'"),
        ("{a: {setting: pooling.x, levels: [slide, split]}}", "nothing stands below 'pooling'"),
        ("{a: {setting: linear-probe.alpha, levels: [1, 1.0]}}", "sets the same as 'a = 1'"),
        ("{a: {setting: method.freeze, levels: [yes, no]}}", "has no parameter 'freeze'"),
        ("{a: {levels: {x: {pooling: split, patches.size: no}, y: {}}}}", "patches.size cannot be"),
    ],
)
def test_a_wrong_level_is_refused_with_what_is_near(opened, factors, message):
    with pytest.raises(StudyError, match=message):
        rest = "" if "setting: method," in factors else "methods: [linear-probe]"
        of = opened(study(factors, rest))
        plan_study(of.study, of.base)


def test_a_message_says_of_which_level_it_speaks(opened):
    told = refused(opened, study("{size: {setting: patches.size, levels: {good: 8, bad: 4000}}}"))
    assert told.startswith("study 'x', factor 'size', level 'bad': patches.size cannot be 4000")


def test_a_study_that_is_too_large_is_refused_with_its_number(opened):
    rest = "methods: [linear-probe, gene-mean]\nmax_cells: 5\nseeds: [0, 1]"
    told = refused(opened, study("{a: {setting: patches.size, levels: [8, 16]}}", rest))
    assert "has 8 cells (2 combinations of levels × 2 methods × 1 dataset" in told
    assert "raise `max_cells` to 8" in told


def test_a_forecast_counts_the_trainings_of_all_variants(opened):
    of = opened()
    plan = plan_study(of.study, of.base)
    ahead = forecast_study(plan)

    assert (plan.n_cells, ahead.open_trials, ahead.done) == (3, 3, 0)
    assert [each["done"] for each in ahead.as_dict(plan)["variants"]] == [0, 0, 0]


def test_a_forecast_names_the_methods_of_all_variants_that_have_no_figure(opened):
    levels = "{probe: {method: linear-probe, linear-probe.alpha: 1.0}, mean: {method: toy-mean}}"
    of = opened(study("{what: {levels: " + levels + "}}", ""))
    changes = {
        "linear-probe": {"speeds": (Speed("m", 0.0, 100.0),)},
        "toy": {"n_spots": 300},
    }
    of.base.registry = with_changed(of.base.registry, changes)
    plan = plan_study(of.study, of.base)
    assert len(plan.groups) == 2
    ahead = forecast_study(plan)
    assert (ahead.figures["m"].trainings, ahead.figures["m"].without) == (1, ["toy-mean"])
    assert ahead.without_figures == ["toy-mean"]


def test_a_forecast_takes_figures_for_what_has_no_past_and_past_trials_of_the_same_size(opened):
    of = opened()
    of.base.registry = with_changed(
        of.base.registry,
        {
            "toy": {"n_spots": 300},
            "linear-probe": {"speeds": (Speed("a fast machine", 0.0, 100.0),)},
        },
    )
    plan = plan_study(of.study, of.base)
    before = forecast_study(plan)
    assert (before.hours, before.without_past, before.disk_bytes) == ({}, 3, None)
    figures = before.figures["a fast machine"]
    assert figures.trainings == 3
    assert 3 * 200 / 100 / 3600 <= figures.hours <= 3 * 300 / 100 / 3600  # of most of its spots

    execute(plan.groups[0].plan, executor="inline", track=False, figures=False)
    after = forecast_study(plan_study(of.study, of.base))
    assert (after.open_trials, after.without_past, after.figures) == (2, 0, {})
    assert after.hours["cpu"] > 0
    assert after.disk_bytes is not None


def test_a_study_of_a_protocol_that_lists_no_datasets_must_name_them(opened):
    of = opened()
    protocol = of.base.settings.protocol | {"datasets": []}
    from spared_bench.bench import Bench

    bare = Bench(replace(of.base.settings, protocol=protocol), of.base.registry)
    with pytest.raises(StudyError, match="names no `datasets`"):
        plan_study(of.study, bare)


def test_a_laboratory_of_slides_that_are_not_there_is_refused(opened):
    found = opened(STUDY + "colours: true\nlaboratories: {here: [one], there: [tow]}\n")

    with pytest.raises(StudyError, match=r"slide 'tow' of 'there', which none .* mean 'two'"):
        plan_study(found.study, found.base)


def test_settings_of_a_level_are_taken_together_in_whatever_order(opened):
    """Pearson residuals need two other settings: alone, they are refused."""
    for order in itertools.permutations(
        [
            "processing.target: pearson_residuals",
            "processing.zeros: measured",
            "processing.ranked_on: log1p_cp10k",
        ]
    ):
        of = opened(study("{t: {levels: {own: {}, residuals: {" + ", ".join(order) + "}}}}"))
        base, residuals = variants_of(of.study, of.base)
        assert residuals.protocol.processing.target == "pearson_residuals"
        assert base.protocol.processing.target == "log1p_cp10k"


def test_a_seed_that_stands_twice_is_refused(opened):
    sizes = "{a: {setting: patches.size, levels: [8, 16]}}"
    with pytest.raises(StudyError, match="seeds: 3 stands there more than once"):
        opened(study(sizes, "methods: [linear-probe]\nseeds: [3, 3]"))


def test_of_several_methods_each_gets_the_value_as_it_takes_it(opened):
    """A whole number is a float to one method and stays a whole number to the next."""
    from types import SimpleNamespace

    from spared_bench.parameters import Parameter, Signature
    from spared_bench.studies.settings import set_parameter

    of = opened()
    signatures = {
        name: Signature({"x": Parameter("x", kind, 0)}, False, {})
        for name, kind in (("linear-probe", float), ("toy-mean", int))
    }
    bench = SimpleNamespace(
        registry=of.base.registry,
        predictor=of.base.predictor,
        signature=lambda kind, name: signatures[name],
    )
    found = set_parameter(bench, list(signatures), [], "method.x", 3, "a level")
    assert found == {"linear-probe": {"x": 3.0}, "toy-mean": {"x": 3}}
    assert isinstance(found["toy-mean"]["x"], int)


@pytest.mark.parametrize(
    "levels",
    [
        "{x: [flips], y: flips}",
        "{x: [blur], y: [{blur: {p: 0.5}}]}",
        "{x: [], y: no}",
        "{x: yes, y: [symmetries]}",
    ],
)
def test_an_augmentation_that_is_written_in_another_way_is_no_other_level(opened, levels):
    factors = f"{{a: {{setting: shufflenet.augment, levels: {levels}}}}}"
    told = refused(opened, study(factors, "methods: [shufflenet]"))
    assert "'a = y' sets the same as 'a = x'" in told


@pytest.mark.parametrize(
    ("rest", "levels"),
    [
        ("methods: [linear-probe]", "{x: {}, y: {linear-probe.standardise: true}}"),
        ("methods: [shufflenet]", "{x: {}, y: {shufflenet.configuration: published}}"),
        ("methods: [linear-probe]", "{x: {}, y: {patches.stain_to: some-slide}}"),
        (
            "methods: [shufflenet]\nset: {training.augment: false}",
            "{x: {shufflenet.augment: [flips]}, y: {shufflenet.augment: false}}",
        ),
    ],
)
def test_a_default_that_is_named_and_a_setting_without_effect_are_no_other_level(
    opened, rest, levels
):
    told = refused(opened, study(f"{{a: {{levels: {levels}}}}}", rest))
    assert "'a = y' sets the same as 'a = x'" in told


def test_a_searched_parameter_and_its_default_are_two_levels(opened):
    """The grid of the search may choose another value than the default."""
    default = of_default(opened, "linear-probe", "alpha")
    levels = f"{{searched: {{}}, fixed: {{linear-probe.alpha: {default}}}}}"
    of = opened(study(f"{{a: {{levels: {levels}}}}}"))
    assert len(variants_of(of.study, of.base)) == 2


def of_default(opened, method: str, parameter: str) -> float:
    signature = opened().base.signature("predictor", method)
    return signature.parameters[parameter].default


@pytest.mark.parametrize(
    "setting", ["training.iterations", "patches.scale", "processing.filtering.real_fraction"]
)
def test_yes_is_no_number(opened, setting):
    told = refused(opened, study(f"{{a: {{setting: {setting}, levels: [yes, no]}}}}"))
    assert "level 'yes'" in told and "expected a number; found True" in told


def test_more_combinations_than_cells_are_refused_before_they_are_made(opened):
    settings = ("linear-probe.alpha", "processing.n_genes", "training.iterations", "patches.size",
                "training.batch_size", "search.trials")  # fmt: skip
    levels = list(range(1, 65))  # 69 thousand million of them
    factors = {name: {"setting": name, "levels": levels} for name in settings}
    told = refused(opened, study(json.dumps(factors)))
    assert "68,719,476,736 combinations of levels (64 × 64 × 64 × 64 × 64 × 64)" in told

    single = study(json.dumps(factors), "methods: [linear-probe]\ndesign: single")
    assert "379 combinations of levels" in refused(opened, single)


@pytest.mark.parametrize("level", ["7", "[linear-probe]", "{a: 1}", "yes"])
def test_a_level_after_the_first_that_is_no_name_is_refused_where_it_stands(opened, level):
    factors = f"{{a: {{setting: method, levels: {{x: linear-probe, y: {level}}}}}}}"
    assert "factor 'a', level 'y': method is" in refused(
        opened, study(factors, "set: {linear-probe.alpha: 1.0}")
    )


def test_a_seed_below_0_is_refused_where_it_stands(opened):
    told = refused(opened, study("{a: {setting: seed, levels: [0, -1]}}"))
    assert "factor 'a', level '-1': seed is -1; expected a whole number from 0 on." in told


def test_what_a_study_without_factors_runs_has_a_name_for_messages(opened):
    of = opened("name: x\nbase: toy\nmetric: mse\nkind: robustness\nmethods: [linear-probe]\n")
    (variant,) = variants_of(of.study, of.base)
    assert variant.label == "toy@1"
