"""Two builds of one page at the same time: what is there in the end shows everything."""

from __future__ import annotations

import csv

from spared_bench.api import execute, select
from spared_bench.leaderboard import publish

QUIET = {"track": False, "figures": False, "executor": "inline"}


def test_a_build_that_another_has_overtaken_does_not_take_results_off_the_page(bench, monkeypatch):
    execute(select(bench, ["toy"], ["none"], ["toy-mean"]), **QUIET)
    space, collect, begun = bench.workspace, publish.collect, []

    def build():
        return publish.build_leaderboard(space, source="store", registry=bench.registry, maps=False)

    def suspended_once(*arguments):
        found = collect(*arguments)
        begun.append(found)
        if len(begun) == 1:  # suspended here, while another run ends
            execute(select(bench, ["toy"], ["none"], ["toy-reports"]), **QUIET)
            build()
        return found

    monkeypatch.setattr(publish, "collect", suspended_once)
    page = build()

    with (page.parent / "leaderboard.csv").open() as file:
        shown = {row["predictor"] for row in csv.DictReader(file)}
    assert shown == {"toy-mean", "toy-reports"}
    assert not list(page.parent.glob(".building*"))
