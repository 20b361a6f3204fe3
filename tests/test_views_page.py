"""The example of docs/views.md runs, keeps what a predictor promises, and is 40 lines long."""

from __future__ import annotations

import re

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.registry import discover
from spared_bench.testing import outcomes, predictor_checks
from tests.conftest import TESTS, TOY_PLUGIN, TOY_PROTOCOL


@pytest.fixture
def plugin(tmp_path):
    text = (TESTS.parent / "docs" / "views.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 40
    path = tmp_path / "two_views.py"
    path.write_text(code, encoding="utf-8")
    return path


def test_the_example_of_two_views_runs(plugin, workspace):
    bench = make_bench(str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN, plugin])
    plan = select(bench, ["toy"], ["none"], ["two-views", "toy-mean"])
    report = execute(plan, executor="inline", track=False, figures=False)
    error = {result.predictor: result.validation_mse for result in report.results}
    assert error["two-views"] < error["toy-mean"]
    assert len(bench.workspace.store.keys("views")) == 2


def test_the_example_of_two_views_keeps_what_a_predictor_promises(plugin):
    checks = predictor_checks("two-views", discover([plugin]))
    assert [
        each.message for each in outcomes("predictor two-views", checks) if each.status == "failed"
    ] == []
