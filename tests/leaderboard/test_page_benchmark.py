"""What the benchmark of the page makes up, and what it times, are of the page of today."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from spared_bench.leaderboard.publish import build_leaderboard
from spared_bench.workspace import Workspace

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = 120  # of one method with three completers on forty datasets


@pytest.fixture(scope="module")
def benchmark_():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import leaderboard
        import made_up_board
    finally:
        sys.path.remove(str(BENCHMARKS))
    yield leaderboard, made_up_board
    del sys.modules["leaderboard"], sys.modules["made_up_board"]


@pytest.fixture(scope="module")
def site(benchmark_, tmp_path_factory):
    made_up = benchmark_[1]
    root = tmp_path_factory.mktemp("made_up")
    made_up.write_store(root, RESULTS)
    build_leaderboard(
        Workspace.at(root), source="store", out=root / "site", registry=made_up.registry()
    )
    return root / "site"


def test_every_made_up_result_is_a_value_of_the_board(site):
    (board,) = json.loads((site / "leaderboard.json").read_text(encoding="utf-8"))["protocols"]

    assert {row["completer"] for row in board["rows"]} == {"none", "completer1", "completer2"}
    assert all(row["rank"] is not None for row in board["rows"])
    assert len(board["datasets"]) == 40


def test_what_is_timed_changes_the_page_and_a_reset_undoes_it(benchmark_, open_site, site):
    timing = benchmark_[0]
    page = open_site(site)
    usual = page.url

    for name, action in timing.ACTIONS.items():
        took = page.evaluate(timing.TIMED % action)
        assert took > 0
        assert page.url != usual, f"{name} does nothing"
        page.evaluate(timing.TIMED % timing.RESET)
        assert page.url.removesuffix("#table") == usual
