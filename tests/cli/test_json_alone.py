"""``--json`` prints JSON and nothing else, whatever code of plugins prints when it is called."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

PLUGIN = '''
import os, sys

import numpy as np

from spared_bench import CompleterSpec, PredictorSpec, hookimpl


def loud():
    """Print in every way: by Python, its first stream, a descriptor, and a child process."""
    print("loud")
    sys.__stdout__.write("loud\\n")
    os.write(1, b"loud\\n")
    os.system("echo loud")


class Mean:
    def fit(self, train, val, context):
        loud()
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        loud()
        return np.tile(self.mean_, (len(slides), 1))

    def save(self, folder):
        loud()
        np.save(folder / "mean.npy", self.mean_)

    def load(self, folder):
        loud()
        self.mean_ = np.load(folder / "mean.npy")


class Fill:
    def fit(self, train, val, context):
        loud()

    def complete(self, slides):
        loud()
        return np.where(slides.mask, slides.target, 0.0)


def read(folder, slide_id):
    loud()
    from toy_plugin import read_slide

    return read_slide(folder, slide_id)


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("loud", f"{__name__}:Mean")]


@hookimpl
def spared_bench_completers():
    return [CompleterSpec("loud-fill", f"{__name__}:Fill")]


@hookimpl
def spared_bench_datasets():
    from dataclasses import replace
    from toy_plugin import spared_bench_datasets

    return [replace(spared_bench_datasets()[0], name="loud-toy", factory=f"{__name__}:read")]
'''
RUN = f"run --protocol {TOY_PROTOCOL} -p loud -d loud-toy -c loud-fill --no-track"
COMMANDS = (
    RUN,
    "predict loud-toy/loud-fill/loud --image data/loud-toy/one.png --grid-um 100"
    " --um-per-px 6.25 --tissue-share 0",
    "plugins check loud loud-fill loud-toy",
    "data show loud-toy",
    f"data prepare loud-toy --protocol {TOY_PROTOCOL}",
    f"complete loud-toy -c loud-fill --protocol {TOY_PROTOCOL}",
    f"export split -d loud-toy --protocol {TOY_PROTOCOL} --out split",
)


@pytest.fixture
def asked(tmp_path):
    (tmp_path / "loud.py").write_text(PLUGIN)
    (tmp_path / "toy_plugin.py").write_text(TOY_PLUGIN.read_text())

    def ask(command):
        line = [sys.executable, "-m", "spared_bench", *command.split(), "--json"]
        line += ["--plugin", "loud.py", "-w", "."]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)

    return ask


def test_whatever_a_plugin_prints_where_it_is_called_json_stays_json(asked):
    for command in COMMANDS:
        done = asked(command)
        assert json.loads(done.stdout), (command, done.stdout[:300], done.stderr[-1000:])
        assert done.returncode in (0, 1), (command, done.stderr[-1000:])
        assert "Traceback" not in done.stderr, (command, done.stderr[-1000:])


def test_json_that_nobody_reads_ends_without_a_word():
    line = f"{sys.executable} -m spared_bench list predictors --json"
    for way in ("| true", ">&-"):
        done = subprocess.run(["bash", "-c", f"{line} {way}"], capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
