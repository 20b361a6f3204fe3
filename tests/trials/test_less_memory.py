"""What the message of a trial says that ran out of memory."""

from __future__ import annotations

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.trials.less_memory import less_memory
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

PLUGIN = """
from dataclasses import dataclass
from spared_bench import PredictorSpec, hookimpl

@dataclass
class Greedy:
    max_spots: int = 400

    def fit(self, train, val, context):
        raise MemoryError

    def predict(self, slides):
        return None

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("greedy", f"{__name__}:Greedy")]
"""


@pytest.mark.parametrize(
    ("predictor", "parameters", "expected"),
    [
        ("hist2st-gat", {}, "windows of 5000 spots: `--set hist2st-gat.max_spots=1250`"),
        ("hist2st-gat", {"max_spots": 0}, "a whole slide: `--set hist2st-gat.max_spots=1000`"),
        ("st-net", {}, "`--set st-net.micro_batch=32` trains with the same gradients"),
        ("st-net", {"micro_batch": 8}, "`--set st-net.micro_batch=4`"),
    ],
)
def test_a_method_is_told_what_it_can_be_given(workspace, predictor, parameters, expected):
    values = {predictor: parameters} if parameters else None
    bench = make_bench(str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN],
                       parameters=values)  # fmt: skip
    (job, *_) = select(bench, ["toy"], ["none"], [predictor]).cells[0].finals
    assert expected in less_memory(bench, job)


def test_what_helps_no_method_is_told_of_none(bench):
    """BLEEP's loss compares the spots of a step, so that parts of it have another gradient."""
    for predictor in ("bleep", "linear-probe"):
        (job, *_) = select(bench, ["toy"], ["none"], [predictor]).cells[0].finals
        assert less_memory(bench, job) == ""


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_it_stands_in_the_message_of_a_strangers_trial_once(workspace, tmp_path, executor):
    plugin = tmp_path / "greedy_for_memory.py"
    plugin.write_text(PLUGIN)
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN, plugin], device="cpu"
    )
    plan = select(bench, ["toy"], ["none"], ["greedy"])
    (result,) = execute(plan, executor=executor, track=False, figures=False).results
    assert result.status == "out_of_memory", result.message
    assert result.message.count("`--set greedy.max_spots=100`") == 1
