"""Lasting objects are made without a look for circles among them, which is taken up afterwards."""

from __future__ import annotations

import gc

import pytest

from spared_bench.api import execute, select
from spared_bench.leaderboard import maps, publish, site
from spared_bench.memory import uncollected


@pytest.fixture(autouse=True)
def _as_before():
    """Leave the collector as it was, whatever a test has found."""
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_however_the_making_ends(enabled):
    (gc.enable if enabled else gc.disable)()
    with pytest.raises(ValueError, match="damaged"), uncollected() as resume:
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()  # the inner one does not end the outer one's
        resume()
        assert gc.isenabled() == enabled
        raise ValueError("damaged")
    assert (gc.isenabled(), gc.get_freeze_count()) == (enabled, 0)


def test_what_was_made_before_work_goes_on_is_not_looked_at_and_a_new_circle_is_taken_away():
    with uncollected() as resume:
        made = [[number] for number in range(1000)]
        resume()
        circle: list[object] = []
        circle.append(circle)
        del circle
        assert gc.get_freeze_count() > len(made)
        assert not any(each is made[0] for each in gc.get_objects())
        assert gc.collect() >= 1
    assert any(each is made[0] for each in gc.get_objects())


def test_a_board_reads_its_results_uncollected_and_draws_with_the_collector(
    bench, tmp_path, monkeypatch
):
    execute(select(bench, ["toy"], ["none"], ["toy-mean"]), executor="inline", track=False)
    state = {}

    def noted(name, module=publish):
        done = getattr(module, name)

        def do(*arguments, **options):
            state[name] = gc.isenabled(), gc.get_freeze_count() > 0
            return done(*arguments, **options)

        monkeypatch.setattr(module, name, do)

    for name in ("collect", "with_what_is_known", "completions"):
        noted(name)
    noted("method_data", site)
    noted("find_maps", maps)
    publish.build_leaderboard(
        bench.workspace, source="store", out=tmp_path / "site", registry=bench.registry
    )
    assert state == {
        "collect": (False, False),
        "with_what_is_known": (False, False),
        "completions": (False, False),
        "method_data": (False, False),
        "find_maps": (True, True),
    }
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)
