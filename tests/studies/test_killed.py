"""A study whose process is killed outright goes on where it was, and ends as an undisturbed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from spared_bench.studies import kinds
from spared_bench.studies.loading import open_study
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

STUDY = f"""
name: toy-killed
base: {TOY_PROTOCOL}
methods: [linear-probe, toy-slow]
metric: mse
seeds: [0, 1]
set: {{linear-probe.alpha: 10.0, toy-slow.seconds: 0.4}}
factors:
  target:
    setting: processing.target
    levels: [log1p_cp10k, counts]
"""
N_CELLS = 8
TIMES = ["fit_seconds", "predict_seconds"]


def command(study, workspace):
    return [
        sys.executable, "-m", "spared_bench", "study", "run", str(study), "-w", str(workspace),
        "--plugin", str(TOY_PLUGIN), "--device", "cpu", "--workers", "1", "--no-track", "--json",
    ]  # fmt: skip


def trained(workspace):
    """Return the keys of the trainings that are whole in a store."""
    return {path.parent.name for path in workspace.glob("store/trials/*/*/result.json")}


def kill_when(arguments, ready):
    """Start a command, kill it without a word when it is ready, and wait for its workers to end."""
    process = subprocess.Popen(
        arguments, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < until
        time.sleep(0.02)
    children = [
        int(pid)
        for task in Path(f"/proc/{process.pid}/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while any(alive(pid) for pid in children):
        assert time.monotonic() < until, "a worker outlived the command"
        time.sleep(0.05)


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_study_that_is_killed_ends_as_one_that_is_not(tmp_path):
    study, killed, quiet = tmp_path / "study.yaml", tmp_path / "killed", tmp_path / "quiet"
    study.write_text(STUDY)

    kill_when(command(study, killed), lambda: len(trained(killed)) > 4)  # in its second variant
    before = trained(killed)
    assert len(before) < N_CELLS, "nothing was left to do"

    last = subprocess.run(
        command(study, killed), capture_output=True, text=True, timeout=120, check=True
    )
    told = json.loads(last.stdout)
    assert (told["cells"], told["gaps"]) == (N_CELLS, 0)
    assert told["new_trainings"] == N_CELLS - len(before), "it trained again what was there"
    assert before < trained(killed)

    opened = open_study(str(study), workspace=quiet, plugin_files=[TOY_PLUGIN], device="cpu")
    kinds.run_and_report(opened, executor="inline", track=False, log=lambda line: None)
    for name in ("cells", "slides", "comparisons"):
        tables = [
            pd.read_csv(root / "studies" / "toy-killed" / f"{name}.csv") for root in (killed, quiet)
        ]
        found, expected = (each.drop(columns=TIMES, errors="ignore") for each in tables)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
