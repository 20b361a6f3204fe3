"""Methods that do to their process what no method should: each ends, or disturbs, itself alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.bench import Limits
from spared_bench.store import archives
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.processes import alive, wait_for

STRANGER = Path(__file__).parents[1] / "stranger_plugin.py"
QUIET = {"track": False, "figures": False, "breaker": 0}
WAYS = {
    "inline": {"executor": "inline"},
    "shared": {"workers": 1},
    "isolated": {"workers": 1, "limits": Limits(isolate=True)},
}


def run(workspace, predictors, completers=("none",), **options):
    """Return what became of each predictor."""
    found = run_all(workspace, ["toy"], completers, predictors, **options)
    return {each.predictor: each for each in found}


def run_all(workspace, datasets, completers, predictors, **options):
    bench = make_bench(str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN, STRANGER])
    plan = select(bench, list(datasets), list(completers), list(predictors))
    return execute(plan, **options, **QUIET).results


@pytest.mark.parametrize("way", WAYS)
def test_a_method_that_ends_oddly_is_an_error_of_its_own_trial(workspace, way):
    odd = ["odd-leaves", "odd-stopsoddly", "odd-mute", "odd-talks", "odd-namesfile"]
    found = run(workspace, [*odd, "odd-mean"], **WAYS[way])
    assert [found[name].status for name in odd] == ["error"] * 5
    assert found["odd-leaves"].message == "SystemExit: 0"
    assert found["odd-stopsoddly"].message == "Stops: stopped"
    assert found["odd-mute"].message.startswith("Speechless: ")
    assert "characters ...] xxx" in found["odd-talks"].message
    assert found["odd-namesfile"].message.endswith(r"no array in caf\udce9.npy")
    assert found["odd-namesfile"].traceback.encode()
    assert len(found["odd-talks"].message + found["odd-talks"].traceback) < 50_000
    assert found["odd-mean"].ok


@pytest.mark.parametrize("way", ["shared", "isolated"])
def test_a_method_that_reads_standard_input_finds_it_empty_and_takes_no_job_away(workspace, way):
    found = run(workspace, ["odd-asks", "odd-mean"], **WAYS[way])
    assert found["odd-asks"].ok
    assert found["odd-mean"].ok


@pytest.mark.parametrize("way", ["shared", "isolated"])
def test_a_process_that_ends_without_an_answer_was_killed_whatever_its_status(workspace, way):
    found = run(workspace, ["odd-leavesatonce", "odd-mean"], **WAYS[way])
    assert found["odd-leavesatonce"].status == "killed"
    assert "ended with status 0" in found["odd-leavesatonce"].message
    assert found["odd-mean"].ok


def test_what_a_process_tells_that_cannot_be_read_costs_its_own_trial_alone(workspace):
    odd = ["odd-writesanywhere", "odd-stopstheclock"]
    found = run(workspace, [*odd, "odd-mean"], workers=1, limits=Limits(timeout=20))
    assert found["odd-writesanywhere"].ok
    assert found["odd-stopstheclock"].status == "error"
    assert "cannot be read: this is no record of a trial" in found["odd-stopstheclock"].message
    assert "seconds.fit" in found["odd-stopstheclock"].message
    assert found["odd-mean"].ok


def test_what_a_process_tells_in_its_workers_or_anothers_name_is_not_believed(workspace):
    odd = ["odd-saysitdied", "odd-saysitended", "odd-saysitisanother", "odd-diesofararesignal"]
    found = run_all(
        workspace, ["toy"], ["none"], [*odd, "odd-mean"], workers=1, limits=Limits(timeout=5)
    )
    assert [each.predictor for each in found] == [*odd, "odd-mean"]
    assert [each.status for each in found] == ["ok", "timeout", "error", "killed", "ok"]
    assert "says otherwise than was planned (predictor)" in found[2].message
    assert "was killed by signal 40" in found[3].message


class Told:
    """Stands for a terminal, and for one who looks at every step."""

    def __init__(self):
        self.values, self.steps = {}, 0

    def progress(self, job, step, values):
        self.steps += 1
        for name, value in values.items():
            self.values[name[:80]] = f"{value:.3f}"

    def __getattr__(self, name):
        return lambda *_: None


def test_what_a_process_tells_without_end_or_in_words_is_not_listened_to(workspace):
    told = Told()
    found = run(workspace, ["odd-saysmanythings", "odd-mean"], workers=1, watcher=told)
    assert found["odd-saysmanythings"].ok
    assert found["odd-mean"].ok
    assert told.values == {"loss": "1.000"}


@pytest.mark.parametrize("way", ["inline", "shared"])
def test_what_a_method_sets_for_its_process_does_not_reach_the_next(workspace, way):
    here, errors = Path.cwd(), np.geterr()
    found = run(workspace, ["odd-unsettles", "odd-looks"], **WAYS[way])
    seen = {name: points[0][1] for name, points in found["odd-looks"].curves.items()}
    assert seen == {
        "folder": 0.0, "deaf": 0.0, "threads": 1.0, "torch_threads": 1.0, "gradients": 1.0,
        "picky": 0.0, "double": 0.0, "strict": 0.0,
    }  # fmt: skip
    assert (Path.cwd(), np.geterr()) == (here, errors)


def test_a_completer_that_draws_from_the_global_generator_gives_the_same_again(workspace, tmp_path):
    shutil.copytree(workspace, tmp_path / "other")
    first = run(workspace, ["odd-mean"], ["odd-sloppy"], executor="inline")
    np.random.normal(size=3)
    other = run(tmp_path / "other", ["odd-mean"], ["odd-sloppy"], executor="inline")
    assert first["odd-mean"].validation_mse == other["odd-mean"].validation_mse


def test_numbers_of_other_libraries_are_taken_as_progress(workspace):
    found = run(workspace, ["odd-reportstensors"], workers=1)
    assert found["odd-reportstensors"].curves == {"train_mse": [(1, 0.5)], "val_mse": [(1, 1.0)]}


def test_children_of_a_method_do_not_outlive_its_trial_when_it_is_ended(
    workspace, tmp_path, monkeypatch
):
    for name, limits, status in (
        ("odd-dieswithchild", Limits(), "killed"),
        ("odd-dieswithchild", Limits(isolate=True), "killed"),
        ("odd-hangswithchild", Limits(timeout=1), "timeout"),
        ("odd-hangswithchild", Limits(timeout=1, isolate=True), "timeout"),
    ):
        sign = tmp_path / "child"
        monkeypatch.setenv("STRANGER_CHILD", str(sign))
        shutil.rmtree(workspace / "store" / "trials", ignore_errors=True)
        found = run(workspace, [name], workers=1, limits=limits)
        assert found[name].status == status
        wait_for(lambda path=sign: not alive(int(path.read_text())))


def test_predictions_that_are_no_real_numbers_are_refused(workspace):
    found = run(workspace, ["odd-complex", "odd-texts"], executor="inline")
    assert "complex64; expected numbers" in found["odd-complex"].message
    assert "<U32; expected numbers" in found["odd-texts"].message


def test_a_link_among_saved_files_is_refused_so_that_every_export_can_be_imported(
    workspace, tmp_path
):
    found = run(workspace, ["odd-saveslink", "odd-mean"], executor="inline")
    assert "model/weights was saved, which is no plain file" in found["odd-saveslink"].message
    bench = make_bench(str(TOY_PROTOCOL), workspace=workspace)
    archives.export(bench.workspace.store, tmp_path / "all.tar")
    other = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "other").workspace.store
    # Two trials and a score.
    assert archives.import_archive(other, tmp_path / "all.tar") == (3, 0)


def test_a_method_that_stops_its_worker_is_ended_with_it_and_the_run_goes_on(
    workspace, monkeypatch
):
    monkeypatch.setattr("spared_bench.executors.slot._SILENT_SECONDS", 1.0)
    found = run(workspace, ["odd-stopsitsworker", "odd-mean"], workers=1, limits=Limits(timeout=4))
    assert found["odd-stopsitsworker"].status == "timeout"
    assert found["odd-mean"].ok


@pytest.mark.parametrize("way", ["inline", "shared"])
def test_a_method_that_finds_another_disk_full_fails_alone_and_the_run_goes_on(workspace, way):
    odd = ["odd-fillsitscache", "odd-findsitreadonly", "odd-blamestheworkspace"]
    found = run(workspace, [*odd, "odd-mean"], **WAYS[way])
    assert [found[name].status for name in odd] == ["error"] * 3
    assert found["odd-fillsitscache"].message == "OSError: [Errno 28] No space left on device"
    assert "'/opt/cache'" in found["odd-findsitreadonly"].message
    assert found["odd-mean"].ok


@pytest.mark.parametrize("way", ["inline", "shared"])
def test_only_our_own_check_of_plan_against_worker_ends_everybodys_run(workspace, way):
    completers, datasets = ["none", "odd-blames-the-plan"], ["toy", "odd-blames"]
    found = run_all(workspace, datasets, completers, ["odd-mean", "odd-blamestheplan"], **WAYS[way])
    status = {(each.dataset, each.completer, each.predictor): each.status for each in found}
    assert len(status) == 8
    assert [cell for cell in status if status[cell] == "ok"] == [("toy", "none", "odd-mean")]
    assert {each.message for each in found if not each.ok} == {"Other plugins than planned."}


def test_a_method_that_looks_for_expression_where_it_predicts_is_told_what_is_there(workspace):
    found = run(workspace, ["odd-looksatx"], executor="inline")["odd-looksatx"]
    assert found.status == "error"
    assert "What `return slides.adata.X[:, :6]` asks for is not there" in found.message


def test_a_plugin_without_rights_elsewhere_fails_alone_and_does_not_blame_the_workspace(workspace):
    found = run(workspace, ["odd-mean"], ["none", "odd-forbidden"], executor="inline")
    assert found["odd-mean"].status == "error"
    assert found["odd-mean"].message.endswith("'/somewhere/else'")
    assert os.access(workspace, os.W_OK)
