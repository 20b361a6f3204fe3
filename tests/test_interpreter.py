"""Interpreters with which nothing works are refused with a reason."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CALLED = {
    "command": ["-m", "spared_bench", "run", "--suite", "demo"],
    "notebook": ["-c", "from spared_bench.api import make_bench; make_bench('demo')"],
}


@pytest.mark.parametrize("how", CALLED)
@pytest.mark.parametrize(("optimized", "works"), [("1", True), ("2", False)])
def test_without_docstrings_it_is_said_at_once(tmp_path, how, optimized, works):
    # Compiled in another way: not beside the source, where the next test would find more to do.
    env = os.environ | {"PYTHONOPTIMIZE": optimized, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    words = [*CALLED[how], "--dry-run"] if how == "command" else CALLED[how]
    done = subprocess.run(
        [sys.executable, *words],
        env=env, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode == 0) is works, done.stderr
    assert ("begun without docstrings (`-OO`" in done.stderr) is not works
