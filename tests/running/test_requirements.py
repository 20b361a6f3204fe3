"""What a machine lacks for a plan is told before anything runs, and only if it is needed."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from spared_bench.api import execute, make_bench, select
from spared_bench.cli import app
from spared_bench.errors import UsageError, WeightsUnavailableError
from spared_bench.models.weights_folder import WEIGHTS_FOLDER, downloads, is_offline
from spared_bench.running.requirements import check_requirements, missing_device
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    """No caches, no folder of weights, and nobody who answers."""
    monkeypatch.delenv(WEIGHTS_FOLDER, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: None)
    monkeypatch.setattr("spared_bench.models.weights.urlopen", _nobody)


def _nobody(*arguments, **options):
    raise OSError("no route to host")


def plan_of(workspace, predictors, completers=("none",), **options):
    options = {"device": "cpu"} | options
    bench = make_bench(str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN], **options)
    return select(bench, ["toy"], completers, predictors)


def test_all_missing_weights_are_one_error_and_nothing_is_run(workspace):
    plan = plan_of(workspace, ["vit-b", "st-net", "sepal", "toy-mean", "egn", "shufflenet"])
    with pytest.raises(WeightsUnavailableError) as caught:
        execute(plan, executor="inline", track=False, figures=False)
    told = str(caught.value)
    assert "no route to host" in told
    for method in ("vit-b", "st-net", "sepal", "egn"):
        assert method in told
    assert "toy-mean" not in told and "shufflenet" not in told  # the protocol says: random
    assert not list((workspace / "store").glob("trials/*/*"))


def test_weights_may_be_random_or_a_file_or_in_the_folder(workspace, tmp_path, monkeypatch):
    check_requirements(plan_of(workspace, ["vit-b", "sepal"], weights="random"))
    with pytest.raises(WeightsUnavailableError, match=r"vit-b with '.*no such file"):
        check_requirements(plan_of(workspace, ["vit-b"], weights=str(tmp_path / "none.pth")))
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, told in (("weihgts/a.pth", "Did you mean 'weights'"), ("weights", "It is a folder")):
        with pytest.raises(WeightsUnavailableError, match=told):
            check_requirements(plan_of(workspace, ["vit-b"], weights=str(tmp_path / name)))
    save_file({"x": torch.zeros(1)}, folder / "vit_b_16.safetensors")
    monkeypatch.setenv(WEIGHTS_FOLDER, str(folder))
    network = make_bench(device="cpu").signature("predictor", "vit-b").parameters["backbone"]
    (folder / "vit_b_16.safetensors").rename(folder / f"{network.default}.safetensors")
    check_requirements(plan_of(workspace, ["vit-b"]))


@pytest.mark.parametrize(
    ("name", "begin", "is_told"),
    [
        ("he.png", b"\x89PNG\r\n\x1a\n", True),
        ("page.pth", b"<!doctype html>", True),
        ("pointer.safetensors", b"version https://git-lfs", True),
        ("empty.pth", b"", True),
        ("torch.pth", None, False),
        ("named.bin", None, False),
        ("own.safetensors", None, False),
    ],
)
def test_a_file_that_holds_no_weights_is_one_error_before_anything_runs(
    workspace, tmp_path, name, begin, is_told
):
    path = tmp_path / name
    if begin is not None:
        path.write_bytes(begin)
    elif path.suffix == ".safetensors":
        save_file({"x": torch.zeros(1)}, path)
    else:
        torch.save({"x": torch.zeros(1)}, path)
    plan = plan_of(workspace, ["vit-b"], weights=str(path))
    if not is_told:  # whether they fit is found where they are loaded
        check_requirements(plan)
        return
    with pytest.raises(WeightsUnavailableError, match=rf"vit-b .*{name} cannot be read"):
        check_requirements(plan)


@pytest.mark.parametrize("kind", ["predictor", "completer"])
def test_frozen_encoders_need_weights_unless_they_are_colours(workspace, kind):
    name = {"predictor": "linear-probe", "completer": "stlearn"}[kind]
    chosen = {
        "predictors": ["linear-probe" if kind == "predictor" else "toy-mean"],
        "completers": ["stlearn" if kind == "completer" else "none"],
    }
    check_requirements(plan_of(workspace, **chosen))
    parameter = {"predictor": "encoder", "completer": "backbone"}[kind]
    plan = plan_of(workspace, **chosen, parameters={name: {parameter: "resnet18"}})
    with pytest.raises(WeightsUnavailableError, match=f"{name} with 'resnet18'"):
        check_requirements(plan)


def test_a_network_that_no_library_has_is_told_before_our_methods_are_run(workspace):
    plan = plan_of(workspace, ["vit-b"], parameters={"vit-b": {"backbone": "vit_bsae_patch16_224"}})
    with pytest.raises(WeightsUnavailableError, match="vit-b with 'vit_bsae_patch16_224'"):
        check_requirements(plan)


def test_offline_asks_nobody_and_says_so(workspace, monkeypatch):
    def asked(*arguments, **options):
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("spared_bench.models.weights.urlopen", asked)
    plan = plan_of(workspace, ["vit-b"], offline=True)
    with pytest.raises(WeightsUnavailableError, match="and downloading is switched off"):
        check_requirements(plan)


def test_downloads_are_switched_off_for_a_while_only(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with downloads(allowed=False):
        with downloads(allowed=True):
            assert is_offline()
        with downloads(allowed=False):
            assert is_offline()
        assert is_offline()
    assert not is_offline()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert is_offline()


@NO_GPU
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused_before_anything_runs(workspace, device):
    plan = plan_of(workspace, ["toy-mean"], device=device)
    with pytest.raises(UsageError, match=f"`--device {device}` was asked for"):
        execute(plan, executor="inline", track=False, figures=False)
    assert not list((workspace / "store").glob("trials/*/*"))


def test_a_gpu_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert missing_device("cuda") == missing_device("cuda:1") == ""
    assert "no GPU 2: PyTorch finds 2" in missing_device("cuda:2")
    assert "no GPU 5" in missing_device("cuda", ["1", "5"])


@NO_GPU
def test_what_is_in_the_store_needs_no_device(workspace):
    plan = plan_of(workspace, ["toy-mean"])
    execute(plan, executor="inline", track=False, figures=False)
    plan.bench.settings = plan.bench.settings.__class__(
        **{**plan.bench.settings.__dict__, "device": "cuda"}
    )
    check_requirements(plan)  # its keys are the ones that are there


def test_the_summary_counts_every_trial_that_failed(workspace):
    done = CliRunner().invoke(app, [
        "run", "--suite", str(TOY_PROTOCOL), "--plugin", str(TOY_PLUGIN), "-w", str(workspace),
        "-d", "toy", "-c", "none", "--device", "cpu", "--executor", "inline", "--no-track",
        "--no-figures", "-p", "toy-raises-searched", "-p", "toy-mean", "-p", "toy-skips",
        "--breaker", "0",
    ])  # fmt: skip
    assert "7 trials run, 0 found in the store, 5 failed, 2 cells without a score" in done.output
