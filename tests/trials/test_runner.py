from __future__ import annotations

import errno
import json
from dataclasses import replace

import numpy as np
import pytest

from spared_bench.api import make_bench, select
from spared_bench.errors import ContractError, PluginError, SplitError, UsageError
from spared_bench.executors.work import do_job
from spared_bench.interfaces import Job
from spared_bench.models.weights_folder import WEIGHTS_FOLDER
from spared_bench.planning.plan import Plan
from spared_bench.results import TrialResult, without_times
from spared_bench.store.trials import read_scores
from spared_bench.trials.completed import make_completed
from spared_bench.trials.methods import build
from spared_bench.trials.products import prepare
from spared_bench.trials.record import weights_fact
from spared_bench.trials.runner import run_trial
from spared_bench.trials.scores import make_scores
from spared_bench_plugins.predictors.gene_mean import GeneMean
from spared_bench_plugins.predictors.shufflenet import ShuffleNet
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.toy_plugin import brightness


def only_trial(bench, predictor):
    (cell,) = select(bench, ["toy"], ["none"], [predictor]).cells
    return cell.finals[-1]


def scored(bench, job):
    """Run a trial and score it."""
    result = run_trial(bench, job)
    scoring = Plan(bench, []).score_job(job)
    make_scores(bench, scoring)
    return result.scored(read_scores(bench.workspace.store, scoring.key))


def test_a_trial_leaves_its_record_and_its_predictions(bench):
    job = only_trial(bench, "toy-ridge")
    result = run_trial(bench, job)

    assert result.ok, result.traceback
    assert result.key == job.key
    assert result.scores == {}
    folder = bench.workspace.store.folder("trials", job.key)
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "result.json",
        "predictions.npz",
    }
    stored = TrialResult.from_dict(json.loads((folder / "result.json").read_text()))
    assert stored == result


def test_the_stored_scores_are_those_of_the_stored_predictions(bench):
    job = only_trial(bench, "toy-ridge")
    result = scored(bench, job)
    prepared = prepare(bench, "toy")
    test = prepared.adata[prepared.adata.obs["split"] == "test"]
    stored = np.load(
        bench.workspace.store.folder("trials", job.key) / "predictions.npz", allow_pickle=False
    )

    assert list(stored["test_spots"]) == list(test.obs_names)
    assert list(stored["genes"]) == result.genes == list(test.var_names)
    error = (stored["test_prediction"] - test.layers["target"])[test.layers["mask"]]
    assert result.scores["test"]["mse"] == pytest.approx(np.square(error).mean())
    seen = [
        np.corrcoef(stored["test_prediction"][m, g], test.layers["target"][m, g])[0, 1]
        for g, m in enumerate(test.layers["mask"].T)
    ]
    assert result.scores["test"]["pcc-gene"] == pytest.approx(np.mean(seen))
    assert result.gene_scores["pcc-gene"] == pytest.approx(seen)


def test_a_method_that_can_learn_the_toy_beats_the_mean(bench):
    learned = scored(bench, only_trial(bench, "toy-ridge"))
    mean = scored(bench, only_trial(bench, "toy-mean"))
    assert learned.scores["test"]["pcc-gene"] > 0.4
    assert mean.scores["test"]["pcc-gene"] == 0
    assert learned.scores["test"]["mse"] < mean.scores["test"]["mse"]


@pytest.fixture
def without_test(tmp_path):
    """A bench over the toy dataset without its test slide, under ``hold_out`` or not."""

    def make(rule, split):
        plugin = tmp_path / "untested_plugin.py"
        plugin.write_text(
            "from dataclasses import replace\n"
            "from spared_bench import hookimpl\n"
            "from tests import toy_plugin\n"
            "@hookimpl\n"
            "def spared_bench_datasets():\n"
            "    toy = toy_plugin.spared_bench_datasets()[0]\n"
            f"    return [replace(toy, name='untested', split={split!r})]\n"
        )
        protocol = tmp_path / f"{rule}.yaml"
        text = TOY_PROTOCOL.read_text().replace("completers: [none]", "completers: [spackle]")
        protocol.write_text(text + f"validation: {{without_test: {rule}}}\n")
        return make_bench(
            str(protocol),
            workspace=tmp_path / rule,
            data_dir=tmp_path / "data",
            plugin_files=[TOY_PLUGIN, plugin],
            device="cpu",
        )

    return make


def test_slides_that_chose_nothing_are_reported_where_a_protocol_holds_out(without_test):
    split = {"train": ("one", "three"), "val": ("two",)}
    found = {}
    for rule in ("report_val", "hold_out"):
        bench = without_test(rule, split)
        (cell,) = select(bench, ["untested"], ["spackle"], ["toy-ridge"]).cells
        found[rule] = scored(bench, cell.finals[-1])
        assert found[rule].ok, found[rule].traceback
    published, strict = found["report_val"], found["hold_out"]
    assert set(published.slide_scores["val"]) == {"two"}
    assert published.scores["val"]["mse"] == published.validation_mse  # what strict must not do
    assert set(strict.slide_scores["test"]) == {"two"}
    assert set(strict.slide_scores["val"]) == {"one", "three"}
    assert strict.validation_mse != strict.scores["test"]["mse"]
    assert (published.facts["tier"], published.facts["evaluation_split"]) == ("C", "val")
    assert (strict.facts["tier"], strict.facts["evaluation_split"]) == ("A", "test")


def test_a_dataset_with_nothing_to_report_is_named_before_anything_is_made(without_test):
    bench = without_test("hold_out", {"train": ("one", "two", "three")})
    plan = select(bench, ["untested"], ["none"], ["toy-ridge"])
    assert not plan.cells
    assert "'untested' has training slides only" in plan.unavailable["untested"]
    with pytest.raises(SplitError, match="Name a slide for `test`"):
        prepare(bench, "untested")


@pytest.mark.parametrize(
    ("predictor", "status", "message"),
    [
        ("toy-raises", "error", "ValueError: the fit went wrong"),
        ("toy-nan", "diverged", "'toy-nan' predicts nan or infinite values"),
        ("toy-wrong-shape", "error", "returned shape (49, 5); expected (49, 6)"),
        ("toy-peeks", "error", "Layer 'target' is not visible here"),
        ("toy-skips", "skipped", "toy is too small"),
        ("toy-no-predict", "error", "lacks predict; a predictor needs fit and predict"),
    ],
)
def test_a_failure_is_a_result_that_says_why(bench, predictor, status, message):
    result = run_trial(bench, only_trial(bench, predictor))
    assert (result.status, result.ok) == (status, False)
    assert message in result.message
    again = run_trial(bench, only_trial(bench, predictor))
    assert without_times(again) == without_times(result)


def test_an_unknown_parameter_names_the_known_ones(workspace):
    bench = make_bench(
        str(TOY_PROTOCOL),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN],
        parameters={"toy-slow": {"second": 3}},
    )
    with pytest.raises(UsageError, match=r"Did you mean 'seconds'\? Its parameters are: seconds"):
        only_trial(bench, "toy-slow")


def test_a_trial_that_was_planned_by_other_code_is_refused(bench):
    job = replace(only_trial(bench, "toy-mean"), key="0" * 64)
    with pytest.raises(PluginError, match="files of data or settings were changed since"):
        run_trial(bench, job)


def test_a_disk_that_fails_is_no_failure_of_a_trial_nor_damage(bench, monkeypatch):
    def fail(*_):
        raise ContractError("It is damaged.") from OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("spared_bench.trials.runner.prepare", fail)
    job = only_trial(bench, "toy-mean")
    outcome = do_job(bench, job)
    assert outcome.status == "unwritable"
    assert outcome.message.startswith("Its disk fails, or the server that has it is away")
    assert outcome.message.endswith("What was found: It is damaged.")
    assert not bench.workspace.store.has("trials", job.key)


def test_a_completer_that_changes_measured_entries_is_refused(bench):
    with pytest.raises(PluginError, match="'toy-cheats' changed measured entries"):
        make_completed(bench, "toy", "toy-cheats")


def test_a_completer_never_sees_the_test_slides(bench):
    entry = make_completed(bench, "toy", "none")
    layer = np.load(entry.folder / "completed.npy")
    split = prepare(bench, "toy").adata.obs["split"].to_numpy()
    assert np.isnan(layer[split == "test"]).all()
    assert np.isfinite(layer[split != "test"]).all()


def test_patches_belong_to_their_spots(bench):
    prepared = prepare(bench, "toy")
    rows, columns = prepared.adata.obs["array_row"], prepared.adata.obs["array_col"]
    shade = prepared.patches[:][:, 4, 4, 0].astype(float)
    for slide_id in ("one", "two", "three"):
        here = (prepared.adata.obs["slide_id"] == slide_id).to_numpy()
        index = (rows[here] * 7 + columns[here]).astype(int)
        painted = 40 + 200 * brightness(slide_id)[index]
        assert shade[here] == pytest.approx(np.floor(painted), abs=2)


def test_the_delta_target_is_the_difference_from_the_train_mean(workspace, tmp_path):
    text = TOY_PROTOCOL.read_text().replace("validate_every: 2", "validate_every: 2, delta: true")
    protocol = tmp_path / "delta.yaml"
    protocol.write_text(text)
    bench = make_bench(str(protocol), workspace=workspace, plugin_files=[TOY_PLUGIN])
    delta = scored(bench, only_trial(bench, "toy-mean"))
    plain = make_bench(str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN])
    absolute = scored(plain, only_trial(plain, "toy-mean"))
    assert delta.key != absolute.key
    assert delta.scores["test"]["mse"] == pytest.approx(absolute.scores["test"]["mse"], rel=1e-5)


def test_the_search_space_of_a_method_is_bounded_by_the_protocol(workspace, tmp_path):
    text = TOY_PROTOCOL.read_text().replace("search: {completer: none}", "search: {max_trials: 1}")
    protocol = tmp_path / "small.yaml"
    protocol.write_text(text)
    bench = make_bench(str(protocol), workspace=workspace, plugin_files=[TOY_PLUGIN])
    with pytest.raises(UsageError, match="has 2 points; protocol toy@1 allows 1"):
        bench.candidates("toy-ridge")


def test_a_folder_of_weights_counts_by_the_file_that_a_method_takes(bench, tmp_path, monkeypatch):
    def described(**parameters):
        return bench.trial_inputs("toy", "none", "shufflenet", parameters, 0)["predictor"]

    published = described(weights="pretrained")
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    (tmp_path / "resnet18.safetensors").write_bytes(b"of another backbone")
    assert described(weights="pretrained") == published

    file = tmp_path / "shufflenet_v2_x0_5.safetensors"
    file.write_bytes(b"one")
    first = described(weights="pretrained")
    file.write_bytes(b"other one")
    second = described(weights="pretrained")

    assert published != first != second
    assert described(weights="random") == published | {"parameters": {"weights": "random"}}
    assert "weights" in described(weights="pretrained", backbone="resnet18")

    def told(predictor):
        return weights_fact(bench, Job("trial", "key", "toy", "none", predictor.name), predictor)

    assert told(ShuffleNet()) == {"weights": file.name}
    assert told(ShuffleNet(weights="random")) == {"weights": "random"}
    assert told(ShuffleNet(backbone="resnet50")) == {"weights": "pretrained"}


@pytest.mark.parametrize("name", ["linear-probe", "known-ridge", "egn", "view-attention"])
def test_features_of_colour_have_no_weights_and_those_of_a_network_have(bench, name):
    job = Job("trial", "key", "toy", "none", name)
    factory = bench.registry.get("predictor", name).load()
    assert weights_fact(bench, job, factory(encoder="color")) == {}
    network = factory(encoder="resnet18", weights="random")
    assert weights_fact(bench, job, network) == {"weights": "random"}


def test_another_content_of_a_folder_of_weights_is_another_trial(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = {}
    for folder in ("hub", "pretrained"):  # the second is not what the word means
        (tmp_path / folder).mkdir()
        for content in ("one", "other"):
            (tmp_path / folder / "config.json").write_text(content)
            asked = {"encoder": "phikon", "weights": folder}
            keys[folder, content] = bench.trial_inputs("toy", "none", "linear-probe", asked, 0)

    assert keys["hub", "one"] != keys["hub", "other"]
    assert keys["pretrained", "one"] == keys["pretrained", "other"]


def test_another_file_of_weights_of_the_same_name_is_another_trial(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file, keys = tmp_path / "w.safetensors", {}
    for content in (b"one", b"other one"):
        file.write_bytes(content)
        for name in (str(file), "~/w.safetensors"):
            inputs = bench.trial_inputs("toy", "none", "shufflenet", {"weights": name}, 0)
            keys[content, name] = inputs["predictor"]["weights"]
    assert keys[b"one", str(file)] == keys[b"one", "~/w.safetensors"]
    assert len(set(keys.values())) == 2


@pytest.mark.parametrize("learned_from", [False, True])
def test_validation_spots_are_learnt_from_where_a_protocol_says_so(
    workspace, tmp_path, monkeypatch, learned_from
):
    protocol = tmp_path / "toy.yaml"
    section = f"\nvalidation: {{learned_from: {str(learned_from).lower()}}}\n"
    protocol.write_text(TOY_PROTOCOL.read_text() + section)
    bench = make_bench(str(protocol), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu")
    job = only_trial(bench, "gene-mean")
    shown = []
    fit = GeneMean.fit
    monkeypatch.setattr(
        GeneMean, "fit", lambda self, *given: shown.append(given[:2]) or fit(self, *given)
    )
    assert run_trial(bench, job).ok

    ((train, val),) = shown
    split = prepare(bench, "toy").adata.obs["split"]
    learnt = ["train", "val"] if learned_from else ["train"]
    assert list(train.adata.obs_names) == list(split.index[split.isin(learnt)])
    assert list(val.adata.obs_names) == list(split.index[split == "val"])


@pytest.fixture
def bench_in(workspace, tmp_path):
    """A bench whose protocol asks for a precision."""

    def make(precision, **parameters):
        protocol = tmp_path / f"{precision}.yaml"
        text = TOY_PROTOCOL.read_text().replace(
            "training: {", f"training: {{precision: {precision}, "
        )
        protocol.write_text(text)
        return make_bench(
            str(protocol),
            workspace=workspace,
            plugin_files=[TOY_PLUGIN],
            device="cpu",
            parameters=parameters,
        )

    return make


def test_a_protocol_fixes_the_precision_of_networks_whatever_the_cpu(bench_in, monkeypatch):
    # A CPU with bfloat16, on which every network is large enough to gain.
    monkeypatch.setattr("spared_bench.models.precision._cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr("spared_bench.models.precision._LARGE", 0)
    made, keys = {}, set()
    for precision in ("auto", "float32", "bfloat16"):
        job = only_trial(bench_in(precision), "shufflenet")
        keys.add(job.key)
        made[precision] = run_trial(bench_in(precision), job)
        assert made[precision].ok, made[precision].traceback
    assert len(keys) == 3
    assert {name: result.facts["precision"] for name, result in made.items()} == {
        "auto": "bfloat16",
        "float32": "float32",
        "bfloat16": "bfloat16",
    }
    # Whoever loads the trained network later, for another slide, computes it in the same.
    assert made["float32"].parameters["precision"] == "float32"
    assert made["auto"].parameters["precision"] == "auto"


def test_networks_under_others_and_what_is_set_for_one_method(bench_in):
    bench = bench_in("float32", shufflenet={"precision": "bfloat16"})
    assert build(bench, "predictor", "sepal", {}).precision == "float32"
    assert build(bench, "predictor", "vit-b-delta", {}).precision == "float32"
    own = bench.chosen("predictor", "shufflenet").values
    assert build(bench, "predictor", "shufflenet", own).precision == "bfloat16"
    assert not hasattr(build(bench, "predictor", "toy-mean", {}), "precision")
