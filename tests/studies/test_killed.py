"""A study whose process is killed outright goes on where it was, and ends as an undisturbed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pandas as pd

from spared_bench.studies import kinds
from spared_bench.studies.loading import open_study
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.processes import wait_for, workers_of

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


def kill_when(arguments, workspace, ready):
    """Start a command, kill it without a word when it is ready, and wait for its workers to end."""
    process = subprocess.Popen(
        arguments, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: ready() or process.poll() is not None, 120)
    assert process.poll() is None, "it ended before it was killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not workers_of(workspace))


def test_a_study_that_is_killed_ends_as_one_that_is_not(tmp_path):
    study, killed, quiet = tmp_path / "study.yaml", tmp_path / "killed", tmp_path / "quiet"
    study.write_text(STUDY)

    kill_when(command(study, killed), killed, lambda: len(trained(killed)) > 4)
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
