"""What people give in Python where names are asked for, and what they are told of other things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spared_bench
from spared_bench.api import RunOptions, make_bench, notebooks
from spared_bench.bench import Limits
from spared_bench.errors import UsageError


class Mine:
    """A method as a notebook defines one."""

    def fit(self, train, val, context):
        """Learn nothing."""


@pytest.fixture
def asked(monkeypatch):
    """Plan what is given, and carry nothing out; holds the options of the run."""
    options = {}
    monkeypatch.setattr(notebooks, "execute", lambda plan, **given: options.update(given) or plan)
    return options


@pytest.mark.parametrize(
    "given",
    [
        "mob_demo",
        ["mob_demo"],
        {"mob_demo"},
        pd.Series(["mob_demo"]),
        np.array(["mob_demo"]),
        iter(["mob_demo"]),
        (name for name in ["mob_demo", "mob_demo"]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_one_name_and_any_names_are_taken_once(asked, given, tmp_path):
    plan = spared_bench.run(given, "none", iter(["gene-mean"]), workspace=tmp_path)

    assert {(cell.dataset, cell.completer, cell.predictor) for cell in plan.cells} == {
        ("mob_demo", "none", "gene-mean")
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"predictors": [Mine]}, "`predictors` takes names, .* not the class Mine. .*plugin_files"),
        ({"predictors": Mine()}, "not a Mine. A method is run by the name that a plugin gives it"),
        ({"datasets": [3]}, "`datasets` takes names, as they are listed by .* not 3"),
        ({"completers": [None]}, "`completers` takes names.* not a NoneType"),
        ({"protocol": {"name": "mine"}}, "`protocol` takes a name, or the path .* not a dict"),
        ({"parameters": {"alpha": 1.0}}, "a mapping of methods to their parameters.* not 1.0"),
        ({"parameters": ["linear-probe.alpha=1"]}, "a mapping of methods .* not a list"),
        ({"worksapce": "here"}, "no option 'worksapce'. Did you mean 'workspace'?"),
        ({"workers": 0}, "`workers` is 0; expected a whole number of at least 1"),
        ({"workers": "2"}, "`workers` is '2'; expected a whole number"),
    ],
)
def test_what_is_no_name_and_no_option_is_told_in_the_words_of_the_function(given, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        spared_bench.run(
            **{"datasets": "mob_demo", "predictors": "gene-mean", "workspace": tmp_path, **given}
        )


@pytest.mark.parametrize("given", [["mob_demo"], None, 3])
def test_a_single_dataset_is_asked_for_by_one_name(given, tmp_path):
    for ask in (
        lambda: spared_bench.load_dataset(given, workspace=tmp_path),
        lambda: spared_bench.fit("gene-mean", given, workspace=tmp_path),
        lambda: spared_bench.score(pd.DataFrame(), given, "mine", workspace=tmp_path),
    ):
        with pytest.raises(UsageError, match="`datasets` takes names"):
            ask()


def test_a_protocol_and_a_plugin_may_be_paths(asked, tmp_path):
    here = Path(__file__).parents[1]
    plan = spared_bench.run(
        "toy", "none", "toy-mean", here / "toy.yaml",
        workspace=tmp_path, plugin_files=here / "toy_plugin.py",
    )  # fmt: skip
    assert plan.bench.protocol.id == "toy@1" and len(plan.cells) == 1


def test_numbers_of_numpy_are_parameters_as_those_of_python_are(tmp_path):
    def settings(alpha, components):
        values = {"linear-probe": {"alpha": alpha, "components": components}}
        return make_bench("demo", workspace=tmp_path, parameters=values).settings

    assert settings(np.float64(3.0), np.int64(2)) == settings(3.0, 2)


@pytest.mark.parametrize("half", [{"strict": True}, {"limits": Limits(timeout=9.0, strict=True)}])
def test_a_strict_run_is_strict_where_it_lists_and_where_it_trains(
    asked, monkeypatch, half, tmp_path
):
    made = {}
    monkeypatch.setattr(
        notebooks, "make_bench", lambda *args, **given: made.update(given) or make_bench(*args)
    )
    spared_bench.run("mob_demo", "none", "gene-mean", workspace=tmp_path, **half)

    limits = RunOptions(**asked).limits
    assert made["strict"] and limits.strict and limits.isolate
    assert limits.timeout == half.get("limits", Limits()).timeout
