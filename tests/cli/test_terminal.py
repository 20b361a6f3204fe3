"""Whatever a stranger has written, it gives the terminal in which it is shown no orders."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import warnings

import pytest
from rich.console import Console

from spared_bench.cli.fetch_progress import BarWatcher
from spared_bench.cli.run_progress import LiveWatcher
from spared_bench.cli.terminal import tame_warnings
from spared_bench.harmless import harmless
from spared_bench.interfaces import Job
from spared_bench.store.leases import described

STEERS = "\x1b]0;owned\x07 \x1b[31mred \x9b2J \u202egnp.exe \rok"
PLUGIN = f"""
from spared_bench import DatasetSpec, PredictorSpec, SlideInfo, hookimpl

TEXT = {STEERS!r}


def read(folder, slide):
    raise ValueError(TEXT)


@hookimpl
def spared_bench_datasets():
    told = {{"organism": "human", "tissue": TEXT, "technology": "visium", "licence": TEXT}}
    slides = {{"slides": (SlideInfo("a"),), "split": {{"train": ("a",)}}, "synthetic": True}}
    return [DatasetSpec("steers", factory=f"{{__name__}}:read", summary=TEXT, **told, **slides)]


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("steers-method", f"{{__name__}}:read", summary=TEXT, citation=TEXT)]
"""
BROKEN = f"raise RuntimeError({STEERS!r})"
ORDERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    ("words", "plugin"),
    [
        (["list", "predictors"], PLUGIN),
        (["list", "datasets"], PLUGIN),
        (["info", "steers"], PLUGIN),
        (["info", "steers-method"], PLUGIN),
        (["data", "show", "steers"], PLUGIN),
        (["list", "metrics"], BROKEN),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_no_text_of_a_plugin_steers_the_terminal(tmp_path, words, plugin):
    (tmp_path / "theirs.py").write_text(plugin, encoding="utf-8")
    command = [sys.executable, "-m", "spared_bench", *words, "--plugin", "theirs.py"]
    shown = subprocess.run(
        [*command, "-w", "workspace"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    told = shown.stdout + shown.stderr
    assert "owned" in told
    assert not ORDERS.search(told)


def test_neither_bars_nor_warnings_nor_leases_hand_on_what_they_name(monkeypatch):
    name = f"[a[/b] {STEERS}"
    bars = BarWatcher(Console(file=io.StringIO(), force_terminal=True, width=200))
    bars.meter(name)
    (task,) = bars._progress.tasks
    column = bars._progress.columns[0].render(task)  # no markup, of which [/b] would be an error
    live = LiveWatcher(Console(file=io.StringIO(), force_terminal=True))
    live.started(Job("trial", "k", "d", "none", "x", {"weights": STEERS}, 0))
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    tame_warnings()
    told = [
        column.plain,
        live.table().renderables[0].columns[1]._cells[0].plain,
        warnings.formatwarning(name, UserWarning, "theirs.py", 1),
        described({"pid": 1, "host": STEERS, "place": ""}),
    ]
    for each in told:
        assert "owned" in each
        assert not ORDERS.search(each)
    assert column.plain.startswith("[a[/b] ")


def test_lines_blanks_and_letters_of_any_language_stay():
    text = "  two lines\n\tand «Größe», 大小, a\u00a0b, ß"
    assert harmless(text) == text
