from __future__ import annotations

import math
from dataclasses import replace

import pytest

from spared_bench.api import make_bench, select
from spared_bench.bench import Bench
from spared_bench.cli.plan import warn_of_hours
from spared_bench.errors import UnknownNameError, UsageError
from spared_bench.interfaces import Job
from spared_bench.planning.past import PastTrials
from spared_bench.planning.plan import Cell
from spared_bench.protocol import Protocol
from spared_bench.results import TrialResult
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

pytestmark = pytest.mark.usefixtures("prepared_alone")


def trial(key, validation_mse=math.nan, status="ok"):
    return TrialResult(key, status, "toy@1", "d", "c", "p", validation_mse=validation_mse)


def cell(n_candidates):
    search = tuple(Job("trial", f"s{i}", "d", "median", "p") for i in range(n_candidates))
    finals = tuple(Job("trial", f"f{i}", "d", "none", "p") for i in range(n_candidates))
    return Cell("d", "none", "p", 0, search, finals)


def test_a_dataset_is_divided_once_until_other_plugins_are_taken_over(bench, monkeypatch):
    divided = []
    monkeypatch.setattr(Protocol, "divide", lambda _, spec: divided.append(spec) or spec)
    assert bench.dataset("toy") is bench.dataset("toy") is divided[0]
    assert len(divided) == 1
    bench.adopt(bench.registry)
    assert bench.dataset("toy") is divided[1]


def test_the_candidate_of_lowest_validation_error_is_chosen():
    results = {"s0": trial("s0", 0.5), "s1": trial("s1", 0.2), "s2": trial("s2", 0.3)}
    assert cell(3).chosen(results).key == "f1"


def test_nothing_is_chosen_while_a_candidate_is_missing():
    assert cell(2).chosen({"s0": trial("s0", 0.5)}) is None


@pytest.mark.parametrize("bad", [trial("s0", math.nan), trial("s0", 0.0, "diverged")])
def test_a_candidate_that_failed_is_not_chosen(bad):
    assert cell(2).chosen({"s0": bad, "s1": trial("s1", 9.0)}).key == "f1"


def test_test_scores_do_not_move_the_choice():
    results = {"s0": trial("s0", 0.5), "s1": trial("s1", 0.2)}
    tempting = replace(results["s0"], scores={"test": {"mse": 0.0, "pcc-gene": 1.0}})
    assert cell(2).chosen({**results, "s0": tempting}).key == "f1"


def test_a_search_is_made_once_per_dataset_on_the_completer_that_the_protocol_names(
    workspace, tmp_path
):
    text = TOY_PROTOCOL.read_text().replace(
        "search: {completer: none}", "search: {completer: median}"
    )
    path = tmp_path / "searching.yaml"
    path.write_text(text + "seeds: [0, 1]\n")
    bench = make_bench(str(path), workspace=workspace, plugin_files=[TOY_PLUGIN])

    plan = select(bench, ["toy"], ["none", "median"], ["toy-ridge"])

    assert len(plan.cells) == 4
    searches = {tuple(job.key for job in cell.search) for cell in plan.cells}
    assert len(searches) == 1
    assert {job.completer for cell in plan.cells for job in cell.search} == {"median"}
    with_search = next(c for c in plan.cells if c.completer == "median" and c.seed == 0)
    assert [job.key for job in with_search.finals] == list(searches.pop())


def test_a_fixed_parameter_is_not_searched(workspace):
    bench = make_bench(
        str(TOY_PROTOCOL),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN],
        parameters={"toy-ridge": {"penalty": 3.0}},
    )
    (planned,) = select(bench, ["toy"], ["none"], ["toy-ridge"]).cells
    assert planned.search == ()
    assert planned.finals[0].parameters == {"penalty": 3.0}


@pytest.mark.parametrize(
    "change",
    [
        {"threads": 2},
        {"device": "cuda"},
        {"parameters": {"toy-slow": {"seconds": 2.0}}},
        {"protocol": {"training": {"iterations": 5}}},
        {"protocol": {"processing": {"n_genes": 5}}},
        {"protocol": {"patches": {"size": 9}}},
    ],
)
def test_a_key_moves_with_everything_that_can_move_a_score(bench, change):
    settings = bench.settings
    protocol = {
        **settings.protocol,
        **{
            section: {**settings.protocol[section], **values}
            for section, values in change.get("protocol", {}).items()
        },
    }
    other = Bench(replace(settings, **{**change, "protocol": protocol}), bench.registry)
    before = select(bench, ["toy"], ["none"], ["toy-slow"]).cells[0].finals[0].key
    assert select(other, ["toy"], ["none"], ["toy-slow"]).cells[0].finals[0].key != before


def test_a_key_does_not_depend_on_the_workspace_or_on_what_else_is_planned(bench, tmp_path):
    elsewhere = Bench(replace(bench.settings, workspace=str(tmp_path)), bench.registry)
    alone = select(bench, ["toy"], ["none"], ["toy-mean"]).cells[0].finals[0].key
    among = select(elsewhere, ["toy"], ["median", "none"], ["toy-ridge", "toy-mean"]).cells
    assert alone in {job.key for cell in among for job in cell.finals}


def test_seeds_come_from_names(bench):
    assert bench.seed_of("a", "b", 0) == bench.seed_of("a", "b", 0)
    assert (
        len({bench.seed_of("a", "b", 0), bench.seed_of("a", "b", 1), bench.seed_of("b", "a", 0)})
        == 3
    )


def test_a_dataset_that_is_not_there_leaves_the_others(bench):
    plan = select(bench, ["toy-absent", "toy"], ["none"], ["toy-mean"])
    assert [cell.dataset for cell in plan.cells] == ["toy"]
    assert "The files of dataset 'toy-absent' are not in" in plan.unavailable["toy-absent"]


def test_unknown_names_are_refused_before_anything_runs(bench):
    with pytest.raises(UnknownNameError, match=r"No predictor is named 'toy-men'. Did you mean"):
        select(bench, ["toy"], ["none"], ["toy-men"])
    with pytest.raises(UnknownNameError, match="No completer is named 'mediam'"):
        select(bench, ["toy"], ["mediam"], ["toy-mean"])


def test_a_parameter_of_an_unknown_predictor_is_refused(workspace):
    with pytest.raises(UsageError, match="No predictor is named 'shuffelnet'"):
        make_bench(workspace=workspace, parameters={"shuffelnet": {"lr": 1}})


def toy_bench(workspace, protocol=TOY_PROTOCOL, **options):
    return make_bench(
        str(protocol), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu", **options
    )


def protocol_with(tmp_path, lines):
    path = tmp_path / "changed.yaml"
    text = TOY_PROTOCOL.read_text()
    path.write_text(text[: text.index("overrides:")] + lines)
    return path


def test_wrong_parameters_of_all_selected_methods_are_told_before_data_are_read(
    workspace, tmp_path
):
    protocol = protocol_with(
        tmp_path, "overrides: {toy-ridge: {penatly: 3}, median: {n_hops: four}}"
    )
    bench = toy_bench(workspace, protocol, parameters={"toy-slow": {"seconds": "long"}})
    bench.data_inputs = None  # whoever asks for data fails
    with pytest.raises(UsageError) as caught:
        select(bench, ["toy"], ["median"], ["toy-ridge", "toy-slow", "toy-mean"])
    told = str(caught.value).splitlines()
    assert told == [
        "overrides of protocol toy@1: parameter 'n_hops' of completer 'median' is 'four', of type"
        " str; expected int.",
        "overrides of protocol toy@1: predictor 'toy-ridge' has no parameter 'penatly'. Did you"
        " mean 'penalty'? Its parameters are: penalty (float).",
        "--set: parameter 'seconds' of predictor 'toy-slow' is 'long', of type str; expected"
        " float.",
    ]


def test_a_protocol_that_overrides_what_is_not_there_is_refused(workspace, tmp_path):
    protocol = protocol_with(tmp_path, "overrides: {toy-rigde: {penalty: 3}}")
    with pytest.raises(UsageError, match=r"'toy-rigde', and no .* Did you mean 'toy-ridge'"):
        select(toy_bench(workspace, protocol), ["toy"], ["none"], ["toy-mean"])


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("search: {grids: {penatly: [1.0]}}", "'penatly' .* no predictor searches. Did you .*'pen"),
        ("search: {grids: {penalty: []}}", "'search.grids.penalty': expected at least 1"),
        ("search: {grids: {penalty: [.inf]}}", "'search.grids.penalty.0': .* neither nan nor inf"),
        ("processing: {per_dataset: {toi: {n_genes: 3}}}", "per_dataset.*No dataset .* 'toy'"),
        ("processing: {per_dataset: {stnet.patient: {n_genes: 3}, TOY: {n_genes: 3}}}", "as 'toy'"),
    ],
)
def test_settings_of_a_protocol_that_nothing_would_take_are_refused(
    workspace, tmp_path, section, told
):
    protocol = tmp_path / "own.yaml"
    protocol.write_text(f"name: own\nversion: 1\n{section}\n")
    with pytest.raises(UsageError, match=told):
        select(toy_bench(workspace, protocol), ["toy"], ["none"], ["toy-mean"])


def test_networks_that_others_build_on_are_checked_too(workspace):
    bench = toy_bench(workspace, parameters={"toy-network": {"penalty": "x"}})
    with pytest.raises(UsageError, match="'penalty' of predictor 'toy-network'"):
        select(bench, ["toy"], ["none"], ["toy-staged"])


def test_parameters_by_any_spelling_of_a_name_reach_the_method(workspace):
    bench = toy_bench(workspace, parameters={"Toy-Ridge": {"penalty": 3}})
    (planned,) = select(bench, ["toy"], ["none"], ["toy-ridge"]).cells
    assert planned.finals[0].parameters == {"penalty": 3.0}


def test_settings_without_effect_are_said(workspace, tmp_path):
    bench = toy_bench(workspace, parameters={"toy-ridge": {"penalty": 3}})
    (note,) = select(bench, ["toy"], ["none"], ["toy-mean"]).warnings
    assert (
        note == "`--set` fixes parameters of 'toy-ridge', which is not among the selected methods."
    )

    bench = toy_bench(workspace, weights="random")
    (note,) = select(bench, ["toy"], ["none"], ["toy-mean", "linear-probe"]).warnings
    assert note.startswith("`--weights random` has no effect: no selected method starts from weig")
    assert not select(bench, ["toy"], ["none"], ["toy-mean", "shufflenet"]).warnings

    protocol = protocol_with(tmp_path, "configuration: smal")
    (note,) = select(toy_bench(workspace, protocol), ["toy"], ["none"], ["hist2st"]).warnings
    assert "No selected method offers the configuration 'smal' of protocol toy@1" in note
    assert "They offer: small" in note


def test_a_protocol_of_a_plugin_may_name_a_configuration_that_no_selected_method_offers(
    workspace,
):
    bench = make_bench("demo", workspace=workspace, device="cpu")
    assert bench.protocol.configuration == "small"
    assert not select(bench, ["mob_demo"], ["none"], ["linear-probe"]).warnings


def test_only_a_protocol_that_names_a_configuration_has_another_hash(workspace, tmp_path):
    hashes = [
        toy_bench(workspace, protocol_with(tmp_path, f"configuration: {name}")).protocol.hash
        for name in ("published", "small")
    ]
    plain = toy_bench(workspace, protocol_with(tmp_path, "")).protocol.hash
    assert hashes[0] == plain != hashes[1]


def test_a_run_without_a_gpu_is_told_the_hours_of_past_trials(workspace, monkeypatch, capsys):
    known = lambda self, bench, wanted: ({"cpu": 12.5}, wanted[1:])  # noqa: E731
    monkeypatch.setattr(PastTrials, "hours", known)
    monkeypatch.setattr("spared_bench.planning.figures._speeds_of", lambda bench, name: {})

    def told(device, predictors):
        options = {"workspace": workspace, "plugin_files": [TOY_PLUGIN], "device": device}
        bench = make_bench(str(TOY_PROTOCOL), **options)
        warn_of_hours(select(bench, ["toy"], ["none"], predictors))
        return capsys.readouterr().err

    lines = told("cpu", ["vit-b", "st-net"]).splitlines()
    assert lines[0] == "About 12.50 hours of one worker on cpu, from past trials."
    assert lines[1:] == [
        "Without a past trial of the same method in this size here: 7 trials.",
        "No hours can be told of these: no figure is known, in the configuration that is run, for"
        " vit-b, st-net. A first trial here gives one.",
    ]
    assert told("cpu", ["shufflenet"]) == told("cuda:0", ["vit-b"]) == ""


def test_a_plan_without_a_gpu_warns_of_methods_that_are_hopeless_without(workspace):
    def warned(device="cpu", protocol=str(TOY_PROTOCOL), dataset="toy", **more):
        options = {"workspace": workspace, "plugin_files": [TOY_PLUGIN], "device": device}
        bench = make_bench(protocol, **options, **more)
        return select(bench, [dataset], ["none"], ["vit-b", "st-net", "shufflenet"]).warnings

    (told,) = warned()
    assert told.startswith("vit-b, st-net: training without a GPU is hopeless")
    assert "'cpu'" in told and "`--device cuda`" in told and "--dry-run" in told
    assert warned("cuda:1") == []
    small = {"backbone": "test_vit", "image_size": 48}
    (told,) = warned(parameters={"vit-b": small})  # a size that one chose for the machine
    assert told.startswith("st-net: ")
    assert warned(protocol="demo", dataset="planted") == []  # its overrides are made for two cores
