"""A protocol of a plugin that cannot be made is named, and stops nothing but itself."""

from __future__ import annotations

import pytest

from spared_bench.api.protocols import load_protocol
from spared_bench.errors import PluginError
from spared_bench.executors.listing import listed_apart
from spared_bench.leaderboard.plugin_facts import known_to
from spared_bench.registry import discover
from spared_bench.workspace import Workspace

PLUGIN = """
from spared_bench import ProtocolSpec, hookimpl


def absent():
    return open("/nowhere/mine.yaml").read()


def nothing():
    "A function that lacks its return."


def another():
    return "name: another\\nversion: 1\\ndatasets: [her2st_demo]\\n"


@hookimpl
def spared_bench_protocols():
    return [ProtocolSpec(f"made-{{n}}", f"{{__name__}}:{{n}}") for n in ("{factory}", "another")]
"""
TOLD = {
    "absent": r"'made-absent' of .*: its factory '.*:absent' failed: FileNotFoundError: ",
    "nothing": r"'made-nothing' of .* returned a NoneType; expected the text of a YAML",
    "another": r"'made-another' of .* calls itself 'another' in its YAML.*both the same name",
}


@pytest.mark.parametrize("factory", ["absent", "nothing"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_protocol_that_cannot_be_made_is_named_and_stops_no_board(factory, apart, tmp_path):
    plugin = tmp_path / f"protocols_of_{factory}_{apart}.py"
    plugin.write_text(PLUGIN.format(factory=factory))
    space = Workspace.at(tmp_path / "workspace")
    registry = discover([plugin], only=() if apart else None)
    if apart:
        registry = listed_apart(registry, [plugin], space)

    assert "demo@1" in known_to(registry, []).rankings
    for name in (factory, "another"):
        with pytest.raises(PluginError, match=TOLD[name]):
            load_protocol(f"made-{name}", registry)
