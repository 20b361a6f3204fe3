"""A command draws to files, whatever window a shell names for figures."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import spared_bench.cli
from spared_bench.__main__ import main

def asked():
    import matplotlib
    print(matplotlib.get_backend().lower())

spared_bench.cli.main = asked  # in the place of a command
main()
"""


@pytest.mark.parametrize("named", ["Qt4Agg", "TkAgg", "module://not_installed"])
def test_a_window_that_a_shell_names_is_not_asked_for(tmp_path, named):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "MPLBACKEND": named},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["agg"], done.stderr
