"""Encoders of others' plugins: told to the process that plans, and run where it is not."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from spared_bench.api import execute, make_bench, select
from spared_bench.cli import app
from spared_bench.errors import UsageError
from spared_bench.executors.plugin_lock import strangers_of
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

ENCODERS = """
from dataclasses import dataclass

from spared_bench import EncoderSpec, PredictorSpec, hookimpl


def load(weights):
    from torch import nn

    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())


def leaves(weights):
    raise SystemExit(0)


@hookimpl
def spared_bench_encoders():
    ours = {"arguments": {"model": "test_vit", "img_size": 32, "dynamic_img_size": True}}
    return [
        EncoderSpec("coded", "their_encoders:load", loader="factory", width=12, multiple=1),
        EncoderSpec("leaving", "their_encoders:leaves", loader="factory", width=12, multiple=1),
        EncoderSpec(
            "described", source="hf-hub:a/b", pooling="cls", width=64, size=32, multiple=16, **ours
        ),
    ]


@hookimpl
def spared_bench_predictors():
    probe = "spared_bench_plugins.predictors.linear_probe:LinearProbe"
    return [PredictorSpec("their-probe", probe, encoder="encoder")]
"""
ENDS = """
from spared_bench import EncoderSpec, hookimpl


class Mute(BaseException):
    __str__ = None


def load(weights):
    from torch import nn

    class Ends(nn.Module):
        def forward(self, patches):
            if len(patches) == 1 or {always}:
                raise {error}
            return patches.flatten(1)[:, :12]

    return Ends()


@hookimpl
def spared_bench_encoders():
    return [EncoderSpec("ending", "{name}:load", loader="factory", width=12, size=8, multiple=1)]
"""
QUIET = {"track": False, "figures": False, "breaker": 0, "workers": 1}


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "plugin" / "their_encoders.py"
    path.parent.mkdir()
    path.write_text(ENCODERS)
    return path


def bench_with(workspace, plugin, **parameters):
    return make_bench(
        str(TOY_PROTOCOL),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN, plugin],
        parameters={"linear-probe": {"alpha": 10.0}, **parameters},
        device="cpu",
        apart=True,
    )


def test_they_are_run_without_being_imported_here_and_end_nothing_but_their_trial(
    workspace, plugin
):
    names = ["linear-probe+coded", "linear-probe+leaving", "linear-probe+described", "their-probe",
             "their-probe+coded"]  # fmt: skip
    bench = bench_with(workspace, plugin, **{"linear-probe+described": {"weights": "random"}})

    plan = select(bench, ["toy"], ["none"], names)
    strangers = strangers_of(plan)
    found = {each.predictor: each for each in execute(plan, **QUIET).results}

    assert strangers["encoder their_encoders.py:described"] == "their_encoders.py"
    assert {name: found[name].status for name in names} == {
        name: "error" if name.endswith("leaving") else "ok" for name in names
    }
    assert "cannot be made: SystemExit: 0" in found["linear-probe+leaving"].message
    assert "their_encoders" not in sys.modules
    assert found["linear-probe+described"].parameters["weights"] == "random"
    assert found["linear-probe+coded"].facts["encoder"]["name"] == "coded"
    # Of what a stranger's code makes, the head of ours and theirs learn the same.
    assert found["their-probe"].scores != found["their-probe+coded"].scores


def test_a_parameter_of_a_variant_is_set_by_its_own_name(workspace, plugin):
    values = {"linear-probe+color": {"alpha": 3.0}, "linear-probe": {"intercept": False}}
    bench = bench_with(workspace, plugin, **values)
    chosen = bench.chosen("predictor", "linear-probe+color").values
    assert chosen == {"alpha": 3.0, "intercept": False, "encoder": "color"}

    bench = bench_with(workspace, plugin, **{"linear-probe+color": {"encoder": "uni"}})
    with pytest.raises(UsageError, match=r"Ask for `-p linear-probe\+uni`"):
        bench.chosen("predictor", "linear-probe+color")


def test_a_bench_keeps_its_encoders_after_another_was_made(workspace, plugin):
    bench = bench_with(workspace, plugin)
    make_bench("demo", workspace=workspace, device="cpu")

    (cell,) = select(bench, ["toy"], ["none"], ["linear-probe+coded"]).cells

    assert cell.finals[0].parameters["encoder"] == "coded"
    assert bench.known_encoder_of("predictor", cell.predictor).distribution == "their_encoders.py"


def test_a_network_of_timm_is_a_variant_too_and_a_long_name_says_what_to_do(workspace, plugin):
    bench = bench_with(workspace, plugin)
    entry = bench.registry.get("predictor", "linear-probe+test_resnet")
    assert entry.spec.fixed == {"encoder": "test_resnet"}
    long = "vit_so150m2_patch16_reg1_gap_256.sbb_e200_in12k_ft_in1k"
    with pytest.raises(UsageError, match=rf"--set linear-probe.encoder={long}"):
        bench.registry.get("predictor", f"linear-probe+{long}")


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("error", ["SystemExit(0)", "Mute()"])
def test_an_encoder_that_ends_its_check_ends_no_other(tmp_path, error, always):
    plugin = tmp_path / f"{tmp_path.name}.py"  # a module of its own for each case
    plugin.write_text(ENDS.format(error=error, always=always, name=plugin.stem))
    asked = ["encoders", "check", "ending", "color", "--plugin", str(plugin)]

    done = CliRunner().invoke(app, [*asked, "--json"])

    assert done.exit_code == 1, done.output
    found = json.loads(done.stdout)
    told = {each["check"]: each for each in found["ending"]}[
        "loads" if always else "another size of batch"
    ]
    assert (told["state"], error.partition("(")[0] in told["told"]) == ("failed", True), told
    assert all(each["state"] != "failed" for each in found["color"])
