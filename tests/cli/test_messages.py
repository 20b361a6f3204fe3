"""What a stranger's method says of itself where it fails, in a terminal."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

ORDERS = "\x1b[2J\x1b]0;mine\x07 and \u202edlo \x9b31m"
PLUGIN = f"""
from spared_bench import PredictorSpec, hookimpl


class Orders:
    def fit(self, train, val, context):
        raise ValueError({ORDERS!r})

    def predict(self, slides):
        raise ValueError({ORDERS!r})


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("gives-orders", f"{{__name__}}:Orders")]
"""


@pytest.fixture
def plugin(tmp_path):
    (tmp_path / "gives_orders.py").write_text(PLUGIN)
    return tmp_path / "gives_orders.py"


def test_it_can_give_the_terminal_no_orders(workspace, plugin):
    which = ["--plugin", str(TOY_PLUGIN), "--plugin", str(plugin), "-w", str(workspace)]
    ran = ["run", "--suite", str(TOY_PROTOCOL), "-d", "toy", "-c", "none", "-p", "gives-orders"]
    ran += ["--no-track", "--no-figures", "--workers", "1", "--device", "cpu", *which]
    commands = [ran, ["status", "-w", str(workspace)], ["plugins", "check", "gives-orders", *which]]
    for words in commands:
        done = CliRunner().invoke(app, words)
        told = done.stdout + done.stderr
        assert "[2J" in told, words
        for order in ("\x1b", "\x07", "\x9b", "\u202e"):
            assert order not in told, (words, order)

    told = json.loads(CliRunner().invoke(app, ["status", "--json", "-w", str(workspace)]).stdout)
    assert ORDERS in told[0]["message"]  # programs get what was said
