from __future__ import annotations

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.errors import UsageError
from spared_bench.planning.forecast import forecast
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

QUIET = {"track": False, "figures": False}


def test_a_plan_says_what_is_open_what_is_shared_and_in_which_order(tmp_path):
    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path, plugin_files=[TOY_PLUGIN])
    plan = select(bench, ["toy", "toy-absent"], ["none", "median"], ["toy-staged", "toy-mean"])
    ahead = forecast(plan)

    assert (ahead.cached, ahead.open_trials) == (0, 5)  # 2 candidates + 1 chosen, and 2 means
    assert [(job.kind, job.completer, made) for job, made in ahead.products] == [
        ("prepare", "", False),
        ("complete", "median", False),
        ("complete", "none", False),
        ("network", "median", False),
        ("network", "none", False),
    ]
    assert ahead.downloads == {"toy-absent": None}
    assert ahead.hours == {}
    assert ahead.without_past == 5
    assert ahead.disk_bytes is None


def test_hours_and_disk_are_those_of_past_trials_of_the_same_predictor(bench):
    plan = select(bench, ["toy"], ["none"], ["toy-mean"])
    (result,) = execute(plan, executor="inline", **QUIET).results
    done = forecast(plan)
    assert (done.cached, done.open_trials, done.hours) == (1, 0, {})
    assert all(made for _, made in done.products)

    ahead = forecast(select(bench, ["toy"], ["median"], ["toy-mean", "toy-nan"]))
    assert ahead.open_trials == 2
    assert ahead.without_past == 1
    assert ahead.hours == {"cpu": pytest.approx(result.seconds["total"] / 3600)}
    folder = bench.workspace.store.folder("trials", result.key)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert ahead.disk_bytes == 2 * size


TRAINING = "training: {iterations: 4, batch_size: 16, validate_every: 2}"


@pytest.mark.parametrize(
    ("said", "known", "factor"),
    [
        (TRAINING, {"toy-mean", "shufflenet"}, 1),
        # Twice the steps take twice as long where a method is trained by steps, and only there.
        (TRAINING.replace("4", "8"), {"toy-mean", "shufflenet"}, 2),
        (TRAINING.replace("16", "8"), set(), 0),
        (f"{TRAINING}\nconfiguration: small", {"toy-mean"}, 0),  # which has one configuration
    ],
)
def test_hours_are_taken_from_past_trials_of_the_same_size_alone(tmp_path, said, known, factor):
    def ahead(said, completer):
        path = tmp_path / "protocol.yaml"
        path.write_text(TOY_PROTOCOL.read_text().replace(TRAINING, said))
        options = {"workspace": tmp_path, "plugin_files": [TOY_PLUGIN], "device": "cpu"}
        bench = make_bench(str(path), parameters={"shufflenet": {"lr": 0.01}}, **options)
        return select(bench, ["toy"], [completer], ["toy-mean", "shufflenet"])

    results = execute(ahead(TRAINING, "none"), executor="inline", **QUIET).results
    took = {result.predictor: result.seconds["total"] / 3600 for result in results}
    assert {result.predictor: bool(result.curves) for result in results} == {
        "toy-mean": False,
        "shufflenet": True,
    }
    found = forecast(ahead(said, "median"))
    assert found.open_trials == 2
    assert found.without_past == 2 - len(known)
    wanted = took["toy-mean"] * ("toy-mean" in known) + took["shufflenet"] * factor
    assert found.hours == ({"cpu": pytest.approx(wanted)} if known else {})
    assert (found.disk_bytes is None) == (known != {"toy-mean", "shufflenet"})


def test_features_that_methods_ask_for_are_told_and_found_once_they_are_made(tmp_path):
    bench = make_bench(
        str(TOY_PROTOCOL),
        workspace=tmp_path,
        plugin_files=[TOY_PLUGIN],
        parameters={"egn": {"encoder": "test_resnet"}},
    )
    names = ["linear-probe", "egn", "toy-mean"]
    before = forecast(select(bench, ["toy"], ["none"], names))
    assert before.features == [("toy", "color", False), ("toy", "test_resnet", False)]
    assert ("features", "toy · color", False) in before.shared
    assert [kind for kind, _, _ in before.shared[:2]] == ["prepare", "features"]
    completed = forecast(select(bench, ["toy"], ["stlearn"], ["toy-mean"]))
    assert completed.features == [("toy", "color", False)]

    execute(select(bench, ["toy"], ["none"], ["linear-probe"]), executor="inline", **QUIET)
    after = forecast(select(bench, ["toy"], ["stlearn"], names))
    assert after.features == [("toy", "color", True), ("toy", "test_resnet", False)]
    assert {"kind": "features", "of": "toy · color", "made": True} in after.as_dict()["products"]


def test_the_forecast_counts_the_trials_that_a_run_then_does(bench):
    plan = select(bench, ["toy"], ["none"], ["toy-ridge", "toy-mean", "toy-raises"])
    ahead = forecast(plan)
    assert execute(plan, executor="inline", **QUIET).new == ahead.open_trials == 4


@pytest.mark.parametrize(("number", "of"), [(0, 3), (4, 3), (1, 0)])
def test_a_shard_that_is_none_says_how_they_are_counted(bench, number, of):
    with pytest.raises(UsageError, match="shards are counted from 1"):
        select(bench, ["toy"], ["none"], ["toy-mean"]).shard(number, of)


def test_folds_of_one_source_are_to_be_fetched_once(tmp_path):
    bench = make_bench("jiang", workspace=tmp_path, device="cpu")
    plan = select(bench, (), (), ["gene-mean"])
    assert len(plan.unavailable) == 46  # 36 and 9 folds, and one split
    assert list(forecast(plan).downloads) == ["her2st", "visium_breast"]
