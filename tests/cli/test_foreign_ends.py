"""Code of plugins that ends the command in which it is called: never with status 0 in silence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

PLUGIN = """
import os, sys
from os import _exit as kept

from spared_bench import CompleterSpec, PredictorSpec, hookimpl


def end():
    {"exits": lambda: os._exit(0), "kept": lambda: kept(0), "leaves": lambda: sys.exit(0)}[
        os.environ["WAY"]
    ]()


class Mean:
    def fit(self, train, val, context):
        end()

    def predict(self, slides):
        end()


class Fill:
    def fit(self, train, val, context):
        end()

    def complete(self, slides):
        end()


def read(folder, slide_id):
    end()


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("ends", f"{__name__}:Mean")]


@hookimpl
def spared_bench_completers():
    return [CompleterSpec("ends-fill", f"{__name__}:Fill")]


@hookimpl
def spared_bench_datasets():
    from dataclasses import replace
    from toy_plugin import spared_bench_datasets

    return [replace(spared_bench_datasets()[0], name="ends-toy", factory=f"{__name__}:read")]
"""
COMMANDS = (
    "plugins check ends",
    "plugins check ends-fill",
    "plugins check ends-toy",
    "data show ends-toy",
    f"data prepare ends-toy --protocol {TOY_PROTOCOL}",
    f"complete toy -c ends-fill --protocol {TOY_PROTOCOL} --plugin {TOY_PLUGIN}",
)


@pytest.mark.parametrize("way", ["exits", "kept", "leaves"])
def test_code_of_a_plugin_that_ends_a_command_is_told_and_its_status_is_not_0(
    tmp_path, monkeypatch, way
):
    (tmp_path / "ends.py").write_text(PLUGIN)
    (tmp_path / "toy_plugin.py").write_text(TOY_PLUGIN.read_text())
    monkeypatch.setenv("WAY", way)
    for command in COMMANDS:
        line = [sys.executable, "-m", "spared_bench", *command.split()]
        line += ["--plugin", "ends.py", "-w", "."]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)

        said = done.stdout + done.stderr
        assert done.returncode == 1, (command, said[-1000:])
        told = ("sys.exit(0)", "SystemExit: 0") if way == "leaves" else ("calls os._exit(0)",)
        if command.startswith("complete") and way != "leaves":  # where the completer is apart
            told = ("Its process ended with status 0 before it had answered",)
        assert any(each in said for each in told), (command, said[-1000:])
        # Whoever checks a plugin of theirs is shown where it failed.
        assert "Traceback" not in said or "check" in command, (command, said[-1000:])
