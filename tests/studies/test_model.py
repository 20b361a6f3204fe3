"""A study's YAML: what is refused before anything is planned, and with which words."""

from __future__ import annotations

import pytest

from spared_bench.errors import StudyError
from spared_bench.studies.model import parse_study

PLAIN = "name: x\nmethods: [linear-probe]\n"
FACTOR = "factors: {a: {setting: patches.size, levels: [8, 16]}}\n"


def refused(text: str) -> str:
    with pytest.raises(StudyError) as caught:
        parse_study(text, "x.yaml")
    return str(caught.value)


def test_levels_in_a_list_are_called_by_their_values():
    study = parse_study(PLAIN + "factors: {a: {setting: s.t, levels: [true, 1.5, x]}}", "x")

    assert list(study.factors["a"].levels) == ["yes", "1.5", "x"]
    assert study.factors["a"].base_level == "yes"


def test_every_level_is_held_against_the_base_and_then_what_the_study_adds():
    study = parse_study(
        PLAIN
        + "factors: {a: {setting: s, levels: [x, y, z], base: y}}\n"
        + "compare: [{factor: a, level: x, against: z}]",
        "x",
    )

    pairs = [(each.level, each.against) for each in study.comparisons()]
    assert pairs == [("x", "y"), ("z", "y"), ("x", "z")]


def test_a_misspelt_setting_is_refused_with_the_nearest():
    assert "Did you mean 'factors'?" in refused(PLAIN + "factor: {}")


def test_a_study_without_methods_is_refused():
    assert "it names no `methods`" in refused("name: x\n" + FACTOR)


def test_a_method_may_be_a_level():
    levels = "{setting: method, levels: [linear-probe, gene-mean]}"
    assert parse_study(f"name: x\nfactors: {{m: {levels}}}", "x").methods == ()


def test_a_study_without_factors_is_refused():
    assert "there is nothing to compare" in refused(PLAIN)


def test_one_level_is_no_factor():
    told = refused(PLAIN + "factors: {a: {setting: s, levels: [1]}}")
    assert "it has 1 levels; a factor has 2 to 64" in told


def test_a_level_that_stands_twice_is_refused():
    assert "'8' stands twice" in refused(PLAIN + "factors: {a: {setting: s, levels: [8, 8]}}")


def test_a_base_that_is_no_level_is_refused_with_the_nearest():
    text = PLAIN + "factors: {a: {setting: s, levels: {small: 1, large: 2}, base: smal}}"
    assert "Did you mean 'small'? Levels: small, large" in refused(text)


def test_without_a_setting_a_level_is_a_mapping():
    told = refused(PLAIN + "factors: {a: {levels: {x: 3, y: {patches.size: 8}}}}")
    assert "level 'x' is 3; without `setting`, a level is a mapping" in told


@pytest.mark.parametrize(("written", "told"), [("1", "1"), ("on", "True"), ("null", "None")])
def test_a_level_sets_what_has_a_name(written, told):
    text = f"factors: {{a: {{levels: {{x: {{{written}: 2}}, y: {{patches.size: 8}}}}}}}}"
    assert f"level 'x' sets {told}, which is the name of no setting" in refused(PLAIN + text)


def test_a_comparison_of_no_level_is_refused():
    text = PLAIN + FACTOR + "compare: [{factor: a, level: '8', against: '17'}]"
    assert "names the level '17' of factor 'a'" in refused(text)
    text = PLAIN + FACTOR + "compare: [{factor: b, level: '8', against: '16'}]"
    assert "names the factor 'b'" in refused(text)


def test_what_is_no_mapping_is_refused():
    assert "must be a YAML mapping" in refused("- a\n- b")


SIZES = "setting: patches.size, levels: [8, 16]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"factors: {{a: {{{SIZES}}}, b: {{levels: {{x: {{patches.size: 8}}, y: {{}}}}}}}}",
            r"factors 'a' and 'b' both set 'patches.size'",
        ),
        (
            "factors:\n  a: {setting: method.lr, levels: [1, 2]}\n"
            "  b: {setting: m.lr, levels: [3, 4]}",
            r"factors 'a' and 'b' both set 'm.lr'",
        ),
        (
            "factors:\n  a: {setting: p.q.r, levels: [1, 2]}\n"
            "  b: {setting: p.q, levels: [{r: 1}, {r: 2}]}",
            r"factors 'a' and 'b' both set 'p.q'",
        ),
        (
            f"factors: {{a: {{{SIZES}}}}}\ncompare: [{{factor: a, level: 8, against: 8}}]",
            r"holds the level '8' of factor 'a' against itself",
        ),
        (f"kind: robustness\nfactors: {{a: {{{SIZES}}}}}", r"`factors` has no effect .*robustness"),
        ("kind: robustness\ncolours: true", r"`colours` has no effect .* `kind: robustness`"),
        ("kind: difficulty", r"`methods` has no effect .*\(it belongs to factors and robustness\)"),
        (
            f"factors: {{a: {{{SIZES}}}}}\nshifts: [blur]",
            r"`shifts` has no effect .*`kind: factors`",
        ),
        (
            f"factors: {{a: {{{SIZES}}}}}\nlaboratories: {{x: [A1]}}",
            r"`laboratories` has no effect without `colours: true`",
        ),
        (
            f"factors: {{a: {{{SIZES}}}}}\ncolours: true\nlaboratories: {{x: [A1], y: [A1]}}",
            r"`laboratories` names slide 'A1' more than once",
        ),
        (
            f"factors: {{a: {{{SIZES}}}}}\ncompare: [{{factr: a, level: 8, against: 8}}]",
            r"unknown setting 'compare.0.factr'. Did you mean 'factor'\?",
        ),
        (f"factors: {{' ': {{{SIZES}}}}}", r"a factor is called ' '; a name is 1 to"),
        (f'factors: {{"a\\e[2J": {{{SIZES}}}}}', r"a factor is called 'a\\x1b\[2J'; .* one line"),
        (
            f'factors: {{a: {{{SIZES}}}}}\ncolours: true\nlaboratories: {{"a\\nb": [x]}}',
            r"a laboratory is called 'a\\nb'",
        ),
        ("factors: {a: {setting: x.y, levels: {'': 1, b: 2}}}", r"a level is called ''"),
        ("factors: {a: {setting: x.y, levels: {' y': 1, 'y': 2}}}", r"a level is called ' y'"),
        (
            'factors: {a: {setting: x.y, levels: {"one\\ntwo": 1, b: 2}}}',
            r"a level is called .one.{1,3}ntwo",
        ),
        (
            'factors: {a: {setting: x.y, levels: ["one\\u202etwo", b]}}',
            r"a level is called .one.{1,3}u202etwo",
        ),
        (
            "factors: {a: {setting: x.y, levels: {yes: 1, true: 2}}}",
            r"'yes' and 'true' are one key",
        ),
        ("yes: 1", r"the file has a key that is read as True, which is no text"),
        (
            "factors: {1: {setting: x.y, levels: {a: 1, b: 2}}}",
            r"factors has a key that is read as 1",
        ),
    ],
)
def test_what_would_compare_nothing_is_refused(text, message):
    with pytest.raises(StudyError, match=message):
        parse_study(f"name: x\nmethods: [m]\n{text}\n", "x")


def test_numbers_and_bools_are_labels_too():
    text = "factors: {a: {setting: m.hops, base: 3, levels: {2: 2, 3: 3, yes: 4}}}"
    more = "compare: [{factor: a, level: 2, against: yes}]"
    study = parse_study(f"name: x\nmethods: [m]\n{text}\n{more}\n", "x")
    assert list(study.factors["a"].levels) == ["2", "3", "yes"]
    assert study.factors["a"].base_level == "3"
    assert study.comparisons()[-1].against == "yes"


LEVELS = "levels: {x: {patches.size: 8, m.lr: 1}, y: {patches.size: 16}}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            f"set: {{patches.size: 8}}\nfactors: {{a: {{{SIZES}}}}}",
            "`set` gives 'patches.size' a value, which has no effect: every level of the factor 'a'"
            " sets 'patches.size'. Take one of them out",
        ),
        (
            f"set: {{patches.size: 8}}\nfactors: {{a: {{{LEVELS}}}}}",
            "the factor 'a' sets 'patches.s",
        ),
        (
            "set: {m.lr: 1}\nfactors: {a: {setting: method.lr, levels: [1, 2]}}",
            "`set` gives 'm.lr' a value, which has no effect: every level of the factor 'a' sets"
            " 'method.lr'",
        ),
        (
            "set: {method.lr: 1}\nfactors: {a: {setting: linear-probe.lr, levels: [1, 2]}}",
            "every level of the factor 'a' sets 'linear-probe.lr'",
        ),
        (
            "set: {p.q.r: 1}\nfactors: {a: {setting: p.q, levels: [{r: 2}, {r: 3}]}}",
            "`set` gives 'p.q.r' a value, which has no effect: every level of the factor 'a' sets",
        ),
        (
            f"set: {{m.lr: 1, method.lr: 2}}\nfactors: {{a: {{{SIZES}}}}}",
            "`set` gives 'method.lr' a",
        ),
        (
            "set: {completer: median}\nfactors: {a: {setting: completer, levels: [median, none]}}",
            "`set` gives 'completer' a value, which has no effect: every level of the factor 'a'",
        ),
        (
            "completers: [none]\nfactors: {a: {setting: completer, levels: [median, none]}}",
            "`completers` has no effect: every level of the factor 'a' sets 'completer'. Take one",
        ),
        (
            f"seeds: [0, 1]\nset: {{seed: 1}}\nfactors: {{a: {{{SIZES}}}}}",
            "`seeds` has no effect: `set` gives 'seed' a value, too. Take one of them out",
        ),
        (
            "factors: {a: {setting: method, levels: [linear-probe, stnet]}}",
            "`methods` has no effect: every level of the factor 'a' sets 'method'",
        ),
    ],
)
def test_what_every_level_overrides_is_refused_since_it_has_no_effect(text, told):
    assert told in refused(PLAIN + text)


@pytest.mark.parametrize(
    "text",
    [
        f"set: {{m.lr: 1}}\nfactors: {{a: {{{LEVELS}}}}}",  # of level y
        "set: {method.lr: 1}\nfactors: {a: {setting: m.lr, levels: [1, 2]}}",  # of linear-probe
        f"set: {{method.lr: 1, m.lr: 2}}\nfactors: {{a: {{{SIZES}}}}}",
        "set: {training.lr: 1}\nfactors: {a: {setting: method.lr, levels: [1, 2]}}",
        "factors: {a: {setting: training.augment, levels: [yes, no]},"
        " b: {setting: method.augment, levels: [[], [flips]]}}",
        "set: {p.q: {r: 1, s: 1}}\nfactors: {a: {setting: p.q.r, levels: [2, 3]}}",
    ],
)
def test_what_some_cells_take_is_no_setting_without_effect(text):
    parse_study(PLAIN + text, "x.yaml")
