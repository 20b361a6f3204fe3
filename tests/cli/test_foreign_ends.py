"""Code of plugins that ends the command in which it is called: never with status 0 in silence."""

from __future__ import annotations

import json
import re
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


FORKS = """
import os

import numpy as np

from spared_bench import PredictorSpec, StudySpec, hookimpl

STUDY = '''
name: forks-study
base: toy.yaml
methods: [linear-probe]
metric: mse
factors:
  target: {setting: processing.target, levels: [log1p_cp10k, log1p_cpm]}
'''


def do():
    if os.environ["WAY"] == "forks" and not os.path.exists("forked"):
        open("forked", "w").close()  # once: copies that make copies would fill the machine
        os.fork()  # and goes on in both
    if os.environ["WAY"] == "pipe":
        raise BrokenPipeError("the server has gone")
    if os.environ["WAY"] == "system's pipe":
        raise BrokenPipeError(32, "the server has gone")


class Mean:
    def fit(self, train, val, context):
        do()
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        do()
        return np.tile(self.mean_, (len(slides), 1))


def read(folder, slide_id):
    do()
    from toy_plugin import read_slide

    return read_slide(folder, slide_id)


def study():
    do()
    return STUDY


@hookimpl
def spared_bench_studies():
    return [StudySpec("forks-study", f"{__name__}:study")]


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("forks", f"{__name__}:Mean")]


@hookimpl
def spared_bench_datasets():
    from dataclasses import replace
    from toy_plugin import spared_bench_datasets

    return [replace(spared_bench_datasets()[0], name="forks-toy", factory=f"{__name__}:read")]
"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    (tmp_path / "forks.py").write_text(FORKS)
    (tmp_path / "toy_plugin.py").write_text(TOY_PLUGIN.read_text())
    (tmp_path / "toy.yaml").write_text(TOY_PROTOCOL.read_text())

    def ask(way, command):
        monkeypatch.setenv("WAY", way)
        line = [sys.executable, "-m", "spared_bench", *command.split(), "--json", "-w", "."]
        line += ["--plugin", "forks.py", "--plugin", "toy_plugin.py"]
        return subprocess.run(
            line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    return ask


@pytest.mark.parametrize(
    "command",
    [
        "data show forks-toy",
        "data prepare forks-toy --protocol toy.yaml",
        "study plan forks-study",
        "plugins check forks",
    ],
)
def test_a_copy_of_the_command_that_code_of_a_plugin_forks_says_nothing(asked, command):
    done = asked("forks", command)

    assert json.loads(done.stdout), done.stdout[-300:]


@pytest.mark.parametrize("way", ["pipe", "system's pipe"])
def test_a_pipe_of_a_plugin_that_breaks_does_not_end_a_command_in_silence(asked, way):
    done = asked(way, "data show forks-toy")

    assert done.returncode == 1
    assert re.search("BrokenPipeError: .*the server has gone", done.stderr)


RAISES = """
from dataclasses import replace

import numpy as np
import toy_plugin

from spared_bench import hookimpl


def read(folder, slide_id):
    return np.zeros(2).reshape(3)


@hookimpl
def spared_bench_datasets():
    (toy, *_) = toy_plugin.spared_bench_datasets()
    return [replace(toy, name="raises-toy", factory=f"{__name__}:read")]
"""


@pytest.mark.parametrize("command", ["show", "prepare --protocol toy.yaml"])
def test_an_error_of_a_reader_names_slide_and_line_of_the_plugin(tmp_path, monkeypatch, command):
    (tmp_path / "raises.py").write_text(RAISES)
    (tmp_path / "toy_plugin.py").write_text(TOY_PLUGIN.read_text())
    (tmp_path / "toy.yaml").write_text(TOY_PROTOCOL.read_text())
    line = f"{sys.executable} -m spared_bench data {command} raises-toy -w . --plugin raises.py"
    done = subprocess.run(
        line.split(), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 1
    told = r"failed on slide 'one': ValueError: cannot reshape .* \(raises\.py, line 11\)"
    assert re.search(told, done.stderr), done.stderr[-1000:]
    assert "Traceback" not in done.stderr


STAYS = """
import threading
import time

import typer

from spared_bench import guard
from spared_bench.cli import app, main

guard.end_despite_threads.__defaults__ = (0.5,)


@app.command("stays")
def stays(status: int):
    threading.Thread(target=time.sleep, args=(1_000_000,), name="theirs").start()
    print("done")
    raise typer.Exit(status)


main()
"""


@pytest.mark.parametrize("status", [0, 3])
def test_a_thread_that_does_not_end_keeps_no_command_and_changes_no_status(status):
    command = [sys.executable, "-c", STAYS, "stays", str(status)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status
    assert done.stdout == "done\n"
    assert done.stderr.splitlines()[-1].endswith("do not end, and are left: 'theirs'.")


GOES_ON = """
import contextlib
import sys
import threading
import time

from spared_bench import guard
from spared_bench.cli import main

guard.end_despite_threads.__defaults__ = (0.5,)
ended = threading.Event()
threading.Thread(target=ended.wait).start()
sys.argv[1:] = ["--version"]
with contextlib.suppress(SystemExit):
    main()
time.sleep(1.5)
ended.set()
sys.exit(5)
"""


def test_a_process_that_goes_on_after_a_command_is_not_ended():
    command = [sys.executable, "-c", GOES_ON]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (5, "")
