"""Views in the process that a stranger's method has for itself."""

from __future__ import annotations

from pathlib import Path

from spared_bench.api import execute, make_bench, select
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

PLUGIN = Path(__file__).parents[1] / "view_plugin.py"


def test_a_stranger_reads_the_views_that_the_plan_has_cut_and_makes_none_for_others(workspace):
    bench = make_bench(str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN, PLUGIN])
    plan = select(bench, ["toy"], ["none"], ["sees-all"])
    report = execute(plan, workers=1, track=False, figures=False)
    assert [result.status for result in report.results] == ["ok"], report.results[0].message
    store = bench.workspace.store
    views = [entry.inputs for entry in store.entries("views")]
    assert len(views) == 4
    assert not [inputs for inputs in views if "made_by" in inputs]
    features = [entry.inputs for entry in store.entries("features")]
    assert len(features) == 4
    assert all("made_by" in inputs for inputs in features)
