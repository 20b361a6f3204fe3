"""What code of papers does where it runs: files beside it, workers of its own, a command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spared_bench import sandbox
from spared_bench.api import execute, make_bench, select
from spared_bench.bench import Limits
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

QUIET = {"track": False, "figures": False, "breaker": 0}
STRICT = Limits(timeout=120.0, isolate=True, strict=True)
WAYS = {
    "inline": {"executor": "inline"},
    "shared": {"workers": 2},
    "strict": {"workers": 1, "limits": STRICT},
}
needs_landlock = pytest.mark.skipif(
    bool(sandbox.why_unavailable()), reason=sandbox.why_unavailable()
)
EVERY = [pytest.param(way, marks=[needs_landlock] * (way == "strict")) for way in WAYS]

MODEL = '''
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Keeps:
    """Keeps the best of its network where it runs, as scripts do, and reads it back at the end."""

    lr: float = 1.0

    def fit(self, train, val, context):
        assert not os.listdir()
        Path("best.txt").write_text(str(self.lr))
        time.sleep(0.3)  # in which others keep theirs
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        assert Path("best.txt").read_text() == str(self.lr)
        return np.tile(self.mean_, (len(slides), 1))


@dataclass
class Configured(Keeps):
    config: str = "sets/ported.txt"

    def fit(self, train, val, context):
        assert Path(self.config).read_text() == "set"
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))


@dataclass
class Fills:
    config: str = "sets/ported.txt"

    def fit(self, train, val, context):
        assert Path(self.config).read_text() == "set"

    def complete(self, slides):
        return np.array(slides.target)


class Patches:
    def __init__(self, patches):
        self.patches = patches

    def __len__(self):
        return len(self.patches)

    def __getitem__(self, row):
        return self.patches[row][0].mean(axis=(0, 1)).astype(np.float32)


class Loads:
    """Asks workers for the mean colours that it finds itself."""

    def fit(self, train, val, context):
        own = np.array([train.patches[row][0].mean(axis=(0, 1)) for row in range(len(train))])
        for begin in ("fork", "spawn"):
            np.testing.assert_allclose(self.read(train.patches, begin), own, rtol=1e-6)
        self.mean_ = train.target.mean(axis=0)

    def read(self, patches, begin):
        from torch.utils.data import DataLoader

        loader = DataLoader(
            Patches(patches), 16, num_workers=2, multiprocessing_context=begin, timeout=60
        )
        return np.concatenate([batch.numpy() for batch in loader])

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))


class Parses(Keeps):
    def fit(self, train, val, context):
        import argparse

        argparse.ArgumentParser().add_argument("--data", required=True)
        parser = argparse.ArgumentParser()
        parser.add_argument("--data", required=True)
        parser.parse_args([])
'''

PLUGIN = """
from spared_bench import CompleterSpec, PredictorSpec, hookimpl

MODEL = "ported_model"

@hookimpl
def spared_bench_completers():
    return [CompleterSpec("ported-fills", f"{MODEL}:Fills")]

@hookimpl
def spared_bench_predictors():
    return [
        PredictorSpec("ported-keeps", f"{MODEL}:Keeps", search={"lr": (1.0, 2.0, 3.0)}),
        PredictorSpec("ported-configured", f"{MODEL}:Configured"),
        PredictorSpec("ported-loads", f"{MODEL}:Loads"),
        PredictorSpec("ported-parses", f"{MODEL}:Parses"),
    ]
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("ported")
    (place / "ported_model.py").write_text(MODEL)
    (place / "ported_plugin.py").write_text(PLUGIN)
    return place / "ported_plugin.py"


def run(workspace, plugin, name, way, protocol=TOY_PROTOCOL, completer="none", **parameters):
    options = WAYS[way]
    bench = make_bench(
        str(protocol),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN, plugin],
        device="cpu",
        strict=way == "strict",
        parameters={name: parameters} if parameters else {},
    )
    plan = select(bench, ["toy"], [completer], [name])
    return execute(plan, **options, **QUIET)


@pytest.mark.parametrize("way", EVERY)
def test_what_a_method_writes_where_it_runs_is_its_own(
    workspace, plugin, way, tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "notes.txt").write_text("mine")
    run(workspace, plugin, "ported-keeps", way)
    entries = (workspace / "store" / "trials").rglob("result.json")
    of_search = [json.loads(path.read_text()) for path in entries]
    assert sorted(each["parameters"]["lr"] for each in of_search) == [1.0, 2.0, 3.0]
    assert {each["message"] for each in of_search} == {""}
    assert [path.name for path in Path.cwd().iterdir()] == ["notes.txt"]
    assert not list((workspace / "store" / "tmp").iterdir())


@pytest.mark.parametrize("way", EVERY)
def test_a_file_that_is_named_by_hand_is_found_from_there(
    workspace, plugin, way, tmp_path, monkeypatch
):
    here = tmp_path / "here"
    (here / "sets").mkdir(parents=True)
    (here / "sets" / "ported.txt").write_text("set")
    (tmp_path / "above.txt").write_text("set")
    monkeypatch.chdir(here)
    (lost,) = run(workspace, plugin, "ported-configured", way).results
    assert lost.status == "error"
    assert f"'sets/ported.txt'. It lies in {here}, but a method works in an" in lost.message
    for named in ("sets/ported.txt", "../above.txt"):
        (found,) = run(workspace, plugin, "ported-configured", way, config=named).results
        assert found.ok, found.message


@pytest.mark.parametrize("way", ["inline", "shared"])
def test_a_file_that_a_protocol_names_is_found(workspace, plugin, way, tmp_path, monkeypatch):
    (tmp_path / "sets.txt").write_text("set")
    text = TOY_PROTOCOL.read_text()
    assert "overrides:\n" in text
    config = "{config: sets.txt}"
    of_both = f"overrides:\n  ported-configured: {config}\n  ported-fills: {config}\n"
    named = text.replace("overrides:\n", of_both)
    (tmp_path / "named.yaml").write_text(named)
    monkeypatch.chdir(tmp_path)
    protocol = tmp_path / "named.yaml"
    (found,) = run(
        workspace, plugin, "ported-configured", way, protocol, completer="ported-fills"
    ).results
    assert found.ok, found.message


@pytest.mark.parametrize("way", EVERY[1:])  # a process of pytest's own imports nothing of ours
def test_workers_of_a_method_read_what_it_reads_itself(workspace, plugin, way, tmp_path):
    deep = tmp_path.joinpath(*["a folder with a long name"] * 3)
    deep.parent.mkdir(parents=True)
    workspace.rename(deep)
    (found,) = run(deep, plugin, "ported-loads", way).results
    assert found.ok, found.message


def test_a_method_that_reads_the_command_line_is_told_where_its_values_come_from(workspace, plugin):
    (result,) = run(workspace, plugin, "ported-parses", "shared").results
    assert result.status == "error"
    assert result.message.startswith("SystemExit: 2, as a parser of command lines")
