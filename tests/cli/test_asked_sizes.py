"""Sizes of files to fetch in plans: asked for where a user wants it, and nowhere else."""

from __future__ import annotations

import json
import re

import pytest

from spared_bench.errors import UsageError
from tests.cli.test_runs import spared_bench, toy_run
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.servers import serving

PLUGIN_AWAY = """
from dataclasses import replace
from spared_bench import DatasetSpec, RemoteFile, SlideInfo, hookimpl

LOST = DatasetSpec(
    name="lost", factory="away:read", slides=(SlideInfo("A", "a"), SlideInfo("B", "b")),
    split={{"train": ("A",), "test": ("B",)}},
    files=(RemoteFile("{url}/one.zip"), RemoteFile("{url}/two.bin")),
)


@hookimpl
def spared_bench_datasets():
    known = replace(LOST, name="known", files=(RemoteFile("{url}/k.bin", size=5_000_000),))
    return [LOST, replace(LOST, name="twin"), known]
"""


@pytest.fixture
def away(tmp_path):
    """A server, and what plans datasets of which it has the files."""
    with serving() as server:
        plugin = tmp_path / "away.py"
        plugin.write_text(PLUGIN_AWAY.format(url=server.url))
        names = ["-d", "lost", "-d", "twin", "-d", "known"]
        options = ["--plugin", plugin, "-p", "gene-mean", *names, "--dry-run"]
        yield server, lambda folder, *more: toy_run(folder, *options, *more)


def told_of_files(done):
    lines = done.stdout.splitlines()
    at = lines.index("To fetch first, with `spared-bench data fetch lost known`:")
    return lines[at + 1 : at + 4]


def test_a_plan_asks_no_server_and_says_how_to_ask(workspace, away):
    server, planned = away
    assert told_of_files(planned(workspace)) == [
        "  known: 5 MB",
        "  of unknown size: lost (and with it twin)",
        "`--ask-sizes` asks the servers for sizes that are unknown.",
    ]
    assert "3 trials more on the datasets that are not here." in planned(workspace).stdout
    values = json.loads(planned(workspace, "--json").stdout)
    assert values["downloads"] == {"lost": None, "known": 5_000_000}
    assert values["asked_sizes"] == {}
    assert server.asked == []


def test_a_plan_that_asks_tells_what_servers_say_and_keeps_nothing_of_it(workspace, away):
    server, planned = away
    server.serve("/one.zip", bytes(3_000_000))
    before = {path: path.stat().st_mtime_ns for path in workspace.rglob("*") if path.is_file()}
    assert told_of_files(planned(workspace, "--ask-sizes"))[:2] == [
        "  lost (and with it twin): at least 3 MB, as its server says; no size is told of 1 of"
        " 2 files: the server answered 404 Not Found",
        "  known: 5 MB",
    ]
    server.serve("/two.bin", bytes(2_000_000))
    done = planned(workspace, "--ask-sizes")
    assert told_of_files(done)[0] == "  lost (and with it twin): 5 MB, as its server says"
    assert "--ask-sizes" not in done.stdout
    assert sorted(server.heads) == sorted(server.paths()) == ["/one.zip"] * 2 + ["/two.bin"] * 2
    server.moods["/one.zip"] = server.moods["/two.bin"] = ["405"]
    assert told_of_files(planned(workspace, "--ask-sizes"))[0] == (
        "  lost (and with it twin): of unknown size, asked in vain: the server answered 405 Method"
        " Not Allowed"
    )
    values = json.loads(planned(workspace, "--ask-sizes", "--json").stdout)
    why = "the server answered 405 Method Not Allowed"
    untold = {f"{server.url}/one.zip": why, f"{server.url}/two.bin": why}
    assert values["downloads"] == {"lost": None, "known": 5_000_000}
    assert values["asked_sizes"] == {"lost": {"bytes": 0, "files": 2, "untold": untold}}
    after = {path: path.stat().st_mtime_ns for path in workspace.rglob("*") if path.is_file()}
    assert set(after) == set(before)


def test_a_study_asks_likewise(workspace, away, tmp_path):
    server, _ = away
    protocol = tmp_path / "wide.yaml"
    text = TOY_PROTOCOL.read_text()
    protocol.write_text(re.sub(r"(?m)^datasets: .*$", "datasets: [toy, lost]", text))
    study = tmp_path / "asks.yaml"
    study.write_text(
        "name: asks\nbase: wide.yaml\nmethods: [linear-probe]\nmetric: mse\ncompleters: [none]\n"
        "factors: {alpha: {setting: linear-probe.alpha, levels: [1.0, 10.0]}}\n"
    )
    options = ["--plugin", TOY_PLUGIN, "--plugin", tmp_path / "away.py", "-w", workspace]
    shown = spared_bench("study", "plan", study, *options)
    assert "  of unknown size: lost" in shown.stdout.splitlines()
    assert server.asked == []
    for path in ("/one.zip", "/two.bin"):
        server.serve(path, bytes(1_500_000))
    for command in (["plan", study], ["run", study, "--dry-run"]):
        shown = spared_bench("study", *command, *options, "--ask-sizes")
        assert "  lost: 3 MB, as its server says" in shown.stdout.splitlines()
    values = json.loads(
        spared_bench("study", "plan", study, *options, "--ask-sizes", "--json").stdout
    )
    assert values["asked_sizes"] == {"lost": {"bytes": 3_000_000, "files": 2, "untold": {}}}


@pytest.mark.parametrize("command", [["run"], ["study", "run", "demo-augmentation"]])
def test_sizes_are_asked_for_by_a_plan_that_may_ask_alone(workspace, command):
    with pytest.raises(UsageError, match="add `--dry-run`"):
        spared_bench(*command, "--ask-sizes", "-w", workspace)
    with pytest.raises(UsageError, match="--offline forbids it"):
        spared_bench(*command, "--ask-sizes", "--dry-run", "--offline", "-w", workspace)
