"""``run``, ``status``, ``plan`` and ``store`` as a user meets them, in this process."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.errors import SparedBenchError, UsageError
from spared_bench.running.run_file import RunFile
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL


def spared_bench(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, SparedBenchError):
        raise done.exception
    return done


def toy_run(workspace, *arguments):
    return spared_bench(
        "run", "--suite", TOY_PROTOCOL, "--plugin", TOY_PLUGIN, "-w", workspace, "-d", "toy",
        "-c", "none", "--device", "cpu", "--executor", "inline", "--no-track", "--no-figures",
        *arguments,
    )  # fmt: skip


def test_status_shows_every_failure_and_why_one_failed(workspace):
    assert toy_run(workspace, "-p", "toy-raises", "-p", "toy-mean").exit_code == 1
    shown = spared_bench("status", "--suite", "toy", "-w", workspace).stdout
    rows = [line.split() for line in shown.splitlines()]
    (failed,) = (row for row in rows if "toy-raises" in row)
    assert "ValueError:" in failed
    assert spared_bench("status", "-w", workspace).stdout == shown  # there is no other protocol
    only = spared_bench("status", "--suite", "toy", "--failed", "-w", workspace).stdout
    assert "toy-mean" not in only

    why = spared_bench("status", "--why", failed[0], "-w", workspace).stdout
    assert "error: ValueError: the fit went wrong" in why
    assert "in fit" in why
    assert "plugins: {" in why
    told = spared_bench("status", "--why", failed[0], "-w", workspace, "--json").stdout
    (record,) = json.loads(told)
    environment = record["environment"]
    assert environment["plugins"]["predictor"].startswith("toy_plugin.py")
    assert {"packages", "device", "driver", "git", "threads", "host"} <= set(environment)


def test_a_method_that_does_not_serve_a_dataset_does_not_fail_the_run_of_the_others(workspace):
    both = toy_run(workspace, "-p", "toy-skips", "-p", "toy-mean")
    assert "toy-skips: skipped: toy is too small" in both.output
    assert both.exit_code == 0
    assert toy_run(workspace, "-p", "toy-skips").exit_code == 1  # no score at all


def test_status_shows_the_failures_of_a_search_that_has_not_ended(workspace):
    done = toy_run(workspace, "-p", "toy-raises-searched", "--breaker", "2")
    assert "3 trials of it not begun. `spared-bench status` shows why" in done.output
    by_file = spared_bench("status", "--suite", TOY_PROTOCOL, "-w", workspace).stdout
    assert by_file.count("ValueError: the fit went wrong") == 2
    toy_run(workspace, "-p", "toy-raises-searched", "--breaker", "0")
    told = spared_bench("status", "--suite", "toy", "-w", workspace, "--json").stdout
    assert len(json.loads(told)) == 5


def test_status_asks_which_protocol_is_meant_where_there_are_several_and_none_is_the_demo(
    workspace, tmp_path
):
    assert spared_bench("status", "-w", workspace).exit_code == 0  # nothing was run yet
    assert toy_run(workspace, "-p", "toy-mean").exit_code == 0
    other = tmp_path / "other.yaml"
    other.write_text(Path(TOY_PROTOCOL).read_text().replace("name: toy", "name: other"))
    toy_run(workspace, "-p", "toy-mean", "--suite", other)
    with pytest.raises(UsageError, match=r"protocols: other, toy\. Name one with `--suite`\."):
        spared_bench("status", "-w", workspace)
    other.write_text(other.read_text().replace("name: other", "name: demo"))
    toy_run(workspace, "-p", "toy-mean", "--suite", other)
    shown = spared_bench("status", "--json", "-w", workspace).stdout
    assert {each["protocol"] for each in json.loads(shown)} == {"demo@1"}


def test_json_lines_tell_every_event_and_nothing_else(workspace):
    done = toy_run(workspace, "-p", "toy-ridge", "-p", "toy-raises", "--log-json", "--json")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    kinds = [event["event"] for event in events]
    ran = [(event["event"], event["kind"]) for event in events if "kind" in event]
    assert ran.count(("started", "trial")) == ran.count(("finished", "trial")) == 3
    assert ran.count(("finished", "score")) == 1
    assert kinds.count("progress") == 2
    trials = [e for e in events if e["event"] == "finished" and e["kind"] == "trial"]
    ended = {e["predictor"]: e["status"] for e in trials}
    assert ended == {"toy-ridge": "ok", "toy-raises": "error"}
    assert json.loads(done.stdout)["new_trials"] == 3


def test_a_dry_run_says_what_is_shared_what_is_to_fetch_and_how_long_it_takes(workspace):
    toy_run(workspace, "-p", "toy-mean")
    shown = toy_run(
        workspace, "-p", "toy-mean", "-p", "toy-staged", "-d", "toy-absent", "--dry-run"
    )
    assert shown.exit_code == 1  # a dataset is missing
    lines = shown.stdout.splitlines()
    assert "2 cells under protocol toy@1: 1 done; 1 trial in the store, 2 to run." in lines
    at = lines.index("Shared products, in this order:")
    assert lines[at + 1 : at + 4] == [
        "  there: prepare toy",
        "  there: complete toy · none",
        "  to make: network toy · none · toy-network · penalty=0.5",
    ]
    absent = workspace / "data" / "toy-absent"
    assert (
        "To put in place by hand, since no address of its files is known: toy-absent, in"
        f" {absent}. `spared-bench info toy-absent` says whose they are."
    ) in lines
    assert "Without a past trial of the same method in this size here: 2 trials." in lines


def test_a_dry_run_makes_no_workspace_and_keeps_in_one_that_is_there_what_it_has_read(tmp_path):
    words = ["run", "-d", "her2st_demo", "-c", "median", "-p", "gene-mean", "--dry-run", "-w"]
    assert CliRunner().invoke(app, [*words, str(tmp_path / "new")]).exit_code == 0
    assert list(tmp_path.iterdir()) == []
    assert CliRunner().invoke(app, [*words, str(tmp_path)]).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["fingerprints.json"]


REFUSED = [
    (["--device", "cuda:99"], r"no GPU|There is no GPU 99"),
    (["--device", "cuda:abc"], "There is no device 'cuda:abc'"),
    (["--device", "cuda:0,cpu"], "several devices must be different GPUs"),
    (["--workers", "0"], "greater than or equal to 1"),
    (["--memory-mb", "-1"], "greater than or equal to 0"),
    (["--timeout", "nan"], "greater than or equal to 0"),
    (["--threads", "0"], "greater than or equal to 1"),
    (["--executor", "nonsense"], "No executor is named 'nonsense'"),
    (["--cluster", "tcp://head:8786"], "has no effect with `--executor inline`"),
    (["--executor", "local", "--cluster", "c.yaml"], "has no effect with `--executor local`"),
    (["--executor", "dask", "--cluster", "c.yaml"], "Cannot read the cluster file c.yaml"),
    (["--executor", "dask", "--cluster", "head"], "'head' is neither the address of a scheduler"),
    (["--timeout", "5"], "does everything in one process"),
    (["--memory-mb", "5000"], "does everything in one process"),
    (["--isolate"], "does everything in one process"),
]


@pytest.mark.parametrize(("options", "told"), REFUSED, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("how", [[], ["--dry-run"], ["--dry-run", "--json"]], ids=str)
def test_what_a_run_refuses_is_refused_before_anything_is_printed(workspace, options, told, how):
    arguments = [
        "run", "--suite", TOY_PROTOCOL, "--plugin", TOY_PLUGIN, "-w", workspace, "-d", "toy",
        "-c", "none", "-p", "toy-mean", "--device", "cpu", "--executor", "inline", "--no-track",
        *options, *how,
    ]  # fmt: skip
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code != 0
    assert re.search(told, f"{done.exception} {done.stderr}")
    assert not done.stdout


@pytest.mark.parametrize(("options", "told"), [REFUSED[3], REFUSED[7], REFUSED[8], REFUSED[10]])
@pytest.mark.parametrize("how", [[], ["--dry-run"]], ids=str)
def test_what_a_run_refuses_a_study_refuses(tmp_path, options, told, how):
    options = [*options, "--executor", "inline"] if options[0] == "--cluster" else options
    arguments = ["study", "run", "demo-augmentation", "-w", tmp_path / "w", *options, *how]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code != 0
    assert re.search(told, f"{done.exception} {done.stderr}")
    assert not done.stdout


@pytest.mark.parametrize(
    "command", [["verify"], ["verify", "--repair"], ["gc"], ["gc", "--yes"], ["export", "x.tar"]],
    ids=" ".join,
)  # fmt: skip
def test_a_store_that_is_not_there_is_not_well(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"There is no store of results in {tmp_path}/misspelt"):
        spared_bench("store", *command, "-w", tmp_path / "misspelt")
    assert not list(tmp_path.iterdir())


def test_shards_together_run_everything(workspace):
    selection = ["-p", "toy-mean", "-p", "toy-ridge", "-p", "toy-nan", "--json"]
    new = [
        json.loads(toy_run(workspace, *selection, "--shard", f"{i}/2").stdout)["new_trials"]
        for i in (1, 2)
    ]
    whole = json.loads(toy_run(workspace, *selection).stdout)
    assert sum(new) == 4
    assert (whole["new_trials"], len(whole["results"])) == (0, 3)


def test_an_exported_plan_is_a_script_whose_tasks_run_its_shards(tmp_path):
    script = tmp_path / "job.sh"
    script.write_text("mine")
    os.link(script, tmp_path / "before.sh")
    selection = ["--all", "--suite", "demo", "-w", "/shared/my work; rm -rf x"]
    spared_bench("plan", "export", "--tasks", 3, "--gpus", 1, "-o", script, "--", *selection)
    text = script.read_text()
    assert (tmp_path / "before.sh").read_text() == "mine"  # replaced, and not written into
    assert "#SBATCH --array=1-3\n" in text
    assert "#SBATCH --gres=gpu:1\n" in text
    called = subprocess.run(
        ["bash", "-c", f"spared-bench() {{ printf '%s\\n' \"$@\"; }}\n{text}"],
        env={"SLURM_ARRAY_TASK_ID": "2"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert called.splitlines() == ["run", *selection, "--no-track", "--shard", "2/3"]
    sync = next(line for line in text.splitlines() if line.startswith("# Afterwards"))
    assert shlex.split(sync)[-2:] == ["-w", "/shared/my work; rm -rf x"]
    joined = spared_bench("plan", "export", "--tasks", 3, "--", "--all", "--workspace=/shared/x")
    assert "track sync -w /shared/x\n" in joined.stdout
    few = ("-d", "planted", "-p", "gene-mean", "-p", "shuffled", "--isolate", "--device", "cuda")
    idle = spared_bench("plan", "export", "--tasks", 3, "--", *few)
    assert "Only 2 of 3 tasks will have something to do" in idle.stderr
    assert "spared-bench run -d planted" in idle.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--all", "--shard", "2"], "must read i/n, for example --shard 1/4"),
        (["run", "--all", "--shard", "5/4"], "There is no shard 5 of 4"),
        (["run", "--all", "--device", "cuda:0,cpu"], "must be different GPUs"),
        (["run", "--all", "--device", "cuda:1,cuda:1"], "must be different GPUs"),
        (["plan", "export", "--tasks", "2", "--", "--shard", "1/2"], "sets --shard itself"),
        (["run", "--all", "--shard", "²/3"], "must read i/n, for example --shard 1/4"),
        (["run", "--all", "--device", "gpu"], "There is no device 'gpu': it is auto, cpu"),
        (["plan", "export", "--tasks", "2", "--time", "1\nrm x", "--", "-p"], "must be one word"),
        (["plan", "export", "--tasks", "2", "--", "--al"], "No such option: --al"),
        (["plan", "export", "--tasks", "2", "--", "-w", "x"], "Nothing is selected"),
        (["plan", "export", "--tasks", "2", "--", "-p", "gene-meen"], "Did you mean 'gene-mean'?"),
        (
            [
                "plan",
                "export",
                "--tasks",
                "2",
                "--",
                "-p",
                "linear-probe",
                "--set",
                "linear-probe.alfa=1",
            ],
            "has no parameter 'alfa'",
        ),
        (["plan", "export", "--tasks", "2", "-o", "/none/x", "--", "--all"], "Cannot write /none"),
        (["status", "--suite", "nonesuch"], "No protocol is named 'nonesuch'"),
        (["store", "import", "none.tar"], "There is no archive none.tar"),
        (["store", "export", "/none/here/x.tar"], "There is no folder /none/here to write"),
    ],
)
def test_a_mistake_says_what_was_expected(tmp_path, monkeypatch, arguments, message):
    monkeypatch.setenv("SPARED_BENCH_WORKSPACE", str(tmp_path / "w"))
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        spared_bench(*arguments)


def test_a_flipped_byte_is_found_reported_and_remade(workspace):
    toy_run(workspace, "-p", "toy-mean")
    (genes,) = (workspace / "store" / "scores").glob("*/*/genes.csv")
    whole = genes.read_bytes()
    genes.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])

    found = spared_bench("store", "verify", "-w", workspace)
    assert found.exit_code == 1
    assert f"{genes.parent}: genes.csv has changed" in found.stdout
    assert spared_bench("store", "verify", "--repair", "-w", workspace).exit_code == 0
    assert json.loads(toy_run(workspace, "-p", "toy-mean", "--json").stdout)["new_trials"] == 0
    assert genes.read_bytes() == whole
    assert "0 damaged" in spared_bench("store", "verify", "-w", workspace).stdout


def test_results_move_to_another_workspace_and_are_not_run_there_again(workspace, tmp_path):
    toy_run(workspace, "-p", "toy-ridge")
    archive = tmp_path / "all.tar"
    done = spared_bench("store", "export", archive, "-w", workspace)
    assert "entries." in done.stdout
    assert done.stderr == ""
    (workspace / "completion").mkdir()
    told = "Results of `complete` are not in it"
    assert told in spared_bench("store", "export", archive, "-w", workspace).stderr
    other = tmp_path / "other"
    assert "3 entries taken over" in spared_bench("store", "import", archive, "-w", other).stdout
    assert json.loads(toy_run(other, "-p", "toy-ridge", "--json").stdout)["new_trials"] == 0


@pytest.mark.parametrize("name", ["all.zip", "slide.tif", "results"])
def test_results_are_written_over_no_file_of_another_kind(workspace, tmp_path, name):
    (tmp_path / "slide.tif").write_text("mine")
    with pytest.raises(UsageError, match=r"is no name for an archive of results: end it in \.tar"):
        spared_bench("store", "export", tmp_path / name, "-w", workspace)
    assert (tmp_path / "slide.tif").read_text() == "mine"


def test_gc_says_what_it_would_remove_before_it_does(workspace):
    toy_run(workspace, "-p", "toy-mean", "--set", "shufflenet.lr=1")
    before = sorted((workspace / "store").glob("*/*/*"))
    assert "0 entries" in spared_bench("store", "gc", "-w", workspace).stdout  # all is young
    for record in (workspace / "store" / "cells").iterdir():
        record.unlink()
    (workspace / "training" / "killed").mkdir(parents=True)
    (workspace / "logs").mkdir(exist_ok=True)
    (workspace / "logs" / "worker-7-0.log").write_text("the last words")
    told = spared_bench("store", "gc", "--days", 0, "-w", workspace).stdout
    kinds = {line.split()[0] for line in told.splitlines()[:-1]}
    assert kinds >= {"trials", "scores", "completed", "prepared", "unfinished", "log"}
    assert f"{len(told.splitlines()) - 1} entries" in told
    assert "`--yes` removes them" in told
    assert sorted((workspace / "store").glob("*/*/*")) == before
    spared_bench("store", "gc", "--days", 0, "--yes", "-w", workspace)
    assert list((workspace / "training").iterdir()) == []
    assert list((workspace / "logs").iterdir()) == []
    assert list((workspace / "store").glob("trials/*/*")) == []


def test_status_shows_a_run_of_a_protocol_file_before_it_has_results(tmp_path):
    run = RunFile(tmp_path / "runs", "toy@1")
    try:
        run.waiting("process 7 on there has prepare toy")
        shown = spared_bench("status", "-w", tmp_path)
    finally:
        run.close()
    assert shown.exit_code == 0, shown.exception
    assert "waits for another run: process 7 on there" in shown.stdout


def test_status_names_a_record_that_cannot_be_read(workspace):
    assert toy_run(workspace, "-p", "toy-mean").exit_code == 0
    (path,) = (workspace / "store" / "cells").glob("*.json")
    path.write_text("[1]")
    shown = spared_bench("status", "-w", workspace)
    assert f"cells/{path.name} is no record of a cell" in shown.stderr
