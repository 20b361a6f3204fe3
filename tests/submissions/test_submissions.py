"""From finished runs to an entry on the board."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from spared_bench.api import make_bench
from spared_bench.bench import Bench
from spared_bench.cli import app
from spared_bench.errors import (
    CorruptEntryError,
    MissingFileError,
    SubmissionError,
    UnknownNameError,
    UsageError,
    WorkspaceError,
)
from spared_bench.leaderboard.entries import read_entries
from spared_bench.results import TrialResult
from spared_bench.store.archives import export, import_archive
from spared_bench.store.entries import Store
from spared_bench.submissions import bundle
from spared_bench.submissions.add import add, unreproduced, withdraw
from spared_bench.submissions.build import build
from spared_bench.submissions.check import check
from spared_bench.submissions.codec import read_prediction, write_prediction
from spared_bench.submissions.comment import comment
from spared_bench.submissions.opening import opened
from spared_bench.submissions.schema import read_description
from spared_bench.submissions.truth import table_hash, truth_of
from spared_bench.trials.cells import finished_cells
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.submissions.attacks import PREDICTION

EDITED_MEAN = """
import numpy as np

from spared_bench import PredictorSpec, hookimpl


class EditedMean:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0) + {shift}

    def predict(self, slides):
        return np.tile(self.mean_, (slides.n_spots, 1)).astype(np.float32)


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("edited-mean", f"{{__name__}}:EditedMean")]
"""


def flags_of(report):
    return {flag.kind for flag in report.flags}


def claim(folder, bench, truth, prediction):
    from spared_bench.submissions.rescoring import rescore

    values = json.loads((folder / "results.json").read_text())
    values["results"][0]["split_scores"]["test"] = rescore(bench, truth, prediction)
    (folder / "results.json").write_text(json.dumps(values))


@pytest.fixture(scope="module")
def truth(run_bench):
    return truth_of(run_bench, "toy")


def test_what_a_run_gave_is_accepted_and_rescored_to_the_runs_own_scores(
    archive, checked, run_bench
):
    report = checked(archive)
    (run,) = [
        cell.final
        for cell in finished_cells(run_bench.workspace.store)
        if cell.final.predictor == "toy-ridge"
    ]
    assert report.problems == []
    assert report.rescored
    (result,) = report.results
    for name, value in result.split_scores["test"].items():
        assert value == pytest.approx(run.scores["test"][name], abs=1e-5)
    assert result.n_parameters == run.n_parameters
    assert result.parameters == run.parameters


def test_the_same_runs_give_the_same_bytes(archive, run_bench, tmp_path):
    assert build(run_bench, "toy-ridge", tmp_path).archive.read_bytes() == archive.read_bytes()


def test_an_unpacked_bundle_is_checked_like_the_archive(folder, run_bench, tmp_path):
    from spared_bench.submissions.check import check

    assert check(folder, lambda protocol: run_bench, tmp_path).ok


def test_a_bundle_holds_no_truth_and_only_files_of_the_format(archive):
    with zipfile.ZipFile(archive) as packed:
        assert sorted(packed.namelist()) == [
            "ids/toy.genes.txt",
            "ids/toy.spots.txt",
            "manifest.json",
            PREDICTION,
            "provenance.json",
            "results.json",
            "submission.yaml",
        ]


def test_predictors_without_runs_are_told_with_the_nearest_that_has_some(run_bench, tmp_path):
    with pytest.raises(UnknownNameError, match=r"finished predictor.*Did you mean 'toy-mean'"):
        build(run_bench, "toy-meen", tmp_path)


def test_an_added_entry_is_on_the_board_and_cannot_be_overwritten(archive, checked, tmp_path):
    report = checked(archive)
    path = add(report, tmp_path / "leaderboards", "re-scored")
    entries, refused = read_entries(tmp_path / "leaderboards")
    assert [entry.folder_name for entry in entries] == ["toy-ridge@1"]
    assert entries[0].trust == "re-scored"
    assert entries[0].results == report.results
    assert not refused

    before = path.read_bytes()
    again = checked(archive)
    assert "is on the board already, and entries are never replaced" in again.problems[0]
    with pytest.raises(SubmissionError, match="never replaced"):
        add(report, tmp_path / "leaderboards", "re-scored")
    assert path.read_bytes() == before
    assert {each.name for each in (tmp_path / "leaderboards").iterdir()} == {"toy@1"}


ADDED = """
import os, sys
from pathlib import Path
from spared_bench.store.processes import stamp
Path(sys.argv[1], f".toy-ridge@1.{stamp()}", "toy@1").mkdir(parents=True)
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_addition_left_does_not_stay_in_the_folder_of_entries(
    archive, checked, tmp_path
):
    board, report = tmp_path / "leaderboards", checked(archive)
    subprocess.run([sys.executable, "-c", ADDED, str(board)], check=False)
    assert len(list(board.iterdir())) == 1
    add(report, board, "re-scored")
    assert {each.name for each in board.iterdir()} == {"toy@1"}


def test_without_data_an_entry_is_no_more_than_reported(archive, checked, tmp_path):
    report = checked(archive, with_data=False)
    assert report.ok
    assert not report.rescored
    with pytest.raises(SubmissionError, match="can only be added as 'reported'"):
        add(report, tmp_path / "leaderboards", "re-scored")
    add(report, tmp_path / "leaderboards", "reported")


def test_a_workspace_or_disk_that_fails_the_checker_refuses_no_bundle(
    archive, checked, run_bench, tmp_path, monkeypatch
):
    def fails(*_):
        raise WorkspaceError("Cannot write to the workspace.")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def bench_of(_):
        return fails()

    with pytest.raises(WorkspaceError, match="Cannot write"):
        check(archive, bench_of, tmp_path / "leaderboards")
    for name in ("look_at_own_runs", "rescore", "finished_cells", "look_across"):
        with monkeypatch.context() as patch, pytest.raises(WorkspaceError, match="Cannot write"):
            patch.setattr(f"spared_bench.submissions.check.{name}", fails)
            checked(archive)
    monkeypatch.setattr("spared_bench.sources.archives._copy", full)
    with pytest.raises(WorkspaceError, match=r"temporary files \(.*\) became full .* in TMPDIR"):
        check(archive, lambda _: run_bench, tmp_path / "leaderboards")


def test_an_entry_for_which_there_is_no_space_is_not_said_to_be_there_already(
    archive, checked, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    report = checked(archive)
    monkeypatch.setattr("pathlib.Path.rename", full)
    with pytest.raises(SubmissionError, match=r"No space left on device\. Free some space, or"):
        add(report, tmp_path / "leaderboards", "reported")


def test_data_that_the_checker_lacks_are_no_fault_of_the_bundle(
    archive, folder, checked, tmp_path, monkeypatch
):
    def lacks(bench, dataset):
        raise MissingFileError(f"The files of {dataset} are not in /checker/data.")

    monkeypatch.setattr("spared_bench.submissions.check.truth_of", lacks)
    report = checked(archive)
    assert report.lacking == {"toy": "The files of toy are not in /checker/data."}
    (problem,) = report.problems
    assert "The data of toy cannot be used where this was checked" in problem
    assert "no fault of the bundle" in problem
    assert "For one: The files of toy are not in" in problem
    shown = comment(report, [], [], [])
    assert "### Submission toy-ridge@\u200b1: not checked\n" in shown
    assert "It is not checked because of this:" in shown
    assert "refused" not in shown.split("Flags")[0]
    with pytest.raises(SubmissionError, match="is not checked: The data of toy"):
        add(report, tmp_path / "leaderboards", "re-scored")

    (folder / "provenance.json").write_text("{}")  # what is wrong in itself is told first
    assert checked(folder).verdict == "refused"


def test_a_refused_submission_cannot_be_added(folder, checked, tmp_path):
    (folder / "provenance.json").unlink()
    report = checked(folder)
    with pytest.raises(SubmissionError, match=r"is refused: provenance\.json is missing"):
        add(report, tmp_path / "leaderboards", "reported")


def test_runs_of_ones_own_confirm_a_submission_or_say_where_they_do_not(
    archive, checked, run_bench, prepared_workspace
):
    from spared_bench.store.entries import Store

    report = checked(archive)
    assert unreproduced(report, run_bench.workspace.store) == []
    missing = unreproduced(report, Store(prepared_workspace / "store"))
    assert missing == ["toy / none / toy-ridge / 0: there is no finished run of it."]
    report.results[0].split_scores["test"]["mse"] += 0.5
    (told,) = unreproduced(report, run_bench.workspace.store)
    assert "mse is" in told


def test_a_withdrawn_entry_stays_with_its_reason(archive, checked, tmp_path):
    board = tmp_path / "leaderboards"
    add(checked(archive), board, "re-scored")
    withdraw(board, "toy@1", "toy-ridge@1", "trained on the\ntest slides")
    (entry,) = read_entries(board)[0]
    assert entry.withdrawn == "trained on the test slides"
    with pytest.raises(UsageError, match="is withdrawn already: trained on"):
        withdraw(board, "toy@1", "toy-ridge@1", "again")
    with pytest.raises(UnknownNameError, match="Did you mean 'toy-ridge@1'"):
        withdraw(board, "toy@1", "toy-rigde@1", "x")
    with pytest.raises(UsageError, match="needs a reason"):
        withdraw(board, "toy@1", "toy-ridge@1", " ")


def test_a_missing_dataset_refuses_unless_it_is_declared(folder, checked, run_bench):
    values = json.loads((folder / "results.json").read_text())
    assert run_bench.protocol.datasets == ("toy",)
    values["results"][0]["completer"] = "median"
    (folder / PREDICTION).parent.parent.parent.rename(folder / "predictions" / "x")
    (folder / "results.json").write_text(json.dumps(values))
    report = checked(folder)
    assert any("predictions/toy/median/toy-ridge/0.npz is missing" in p for p in report.problems)
    text = (folder / "submission.yaml").read_text()
    (folder / "submission.yaml").write_text(
        text + "absent: [{dataset: toy, reason: too large for it}]\n"
    )
    report = checked(folder)
    assert "toy is declared absent and has results." in report.problems
    assert "absent" in flags_of(report)


@pytest.mark.parametrize(
    ("line", "nearest"), [("autors: [A]", "authors"), ("absent: [{datset: toy}]", "dataset")]
)
def test_a_misspelt_key_of_a_description_is_told_with_the_nearest(line, nearest):
    text = f"method: x\nversion: '1'\nprotocol: demo@1\n{line}\n"
    with pytest.raises(SubmissionError, match=rf"is not known here \(did you mean '{nearest}'\?\)"):
        read_description(text, "submission.yaml")


def test_a_dataset_without_runs_is_declared_absent_with_the_reason_given(run_bench, tmp_path):
    from spared_bench.submissions.check import check

    protocol = run_bench.settings.protocol | {"datasets": ["toy", "planted", "mob_demo"]}
    wider = Bench(replace(run_bench.settings, protocol=protocol), run_bench.registry)
    built = build(wider, "toy-ridge", tmp_path, reasons={"planted": "needs 2 TB of memory"})
    assert built.missing == ["planted", "mob_demo"]
    report = check(built.archive, lambda protocol: wider, tmp_path / "leaderboards")
    assert report.ok
    assert {(flag.dataset, flag.reason) for flag in report.flags if flag.kind == "absent"} == {
        ("planted", "No result: needs 2 TB of memory"),
        ("mob_demo", "No result: not run"),
    }
    undeclared = build(run_bench, "toy-ridge", tmp_path / "other").archive
    refused = check(undeclared, lambda protocol: wider, tmp_path / "leaderboards")
    assert "2 results are missing, the first of planted / none / toy-ridge" in refused.problems[0]


def test_runs_on_datasets_that_the_protocol_does_not_list_are_no_submission(run_bench, tmp_path):
    protocol = run_bench.settings.protocol | {"datasets": ["planted", "mob_demo"]}
    other = Bench(replace(run_bench.settings, protocol=protocol), run_bench.registry)
    with pytest.raises(
        SubmissionError, match=r"does not list \(toy\)\. It lists planted, mob_demo"
    ):
        build(other, "toy-ridge", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_copy_of_an_accepted_entry_is_flagged(archive, folder, checked, tmp_path):
    board = tmp_path / "leaderboards"
    add(checked(archive), board, "re-scored")
    text = (folder / "submission.yaml").read_text()
    (folder / "submission.yaml").write_text(text.replace("method: toy-ridge", "method: another"))
    report = checked(folder, board)
    assert report.ok
    reasons = [flag.reason for flag in report.flags if flag.kind == "copy"]
    assert len(reasons) == 2
    # Least squares on one colour: the genes differ in nothing but level and scale.
    assert "Of 100% of the genes" in reasons[0]
    assert "are spread as those of toy-ridge@1 (none, toy-ridge)" in reasons[0]
    assert "are spread as those of the run of toy-ridge here" in reasons[1]


def test_a_later_version_of_the_same_method_is_no_copy(folder, checked, tmp_path):
    text = (folder / "submission.yaml").read_text() + "code: https://example.org/x\n"
    (folder / "submission.yaml").write_text(text)
    add(checked(folder), tmp_path / "leaderboards", "re-scored")
    (folder / "submission.yaml").write_text(text.replace("version: '1'", "version: '2'"))
    report = checked(folder)
    assert report.ok
    assert "copy" not in flags_of(report)


def test_a_prediction_made_of_the_answer_is_flagged_and_an_honest_one_is_not(
    folder, checked, run_bench, truth, archive
):
    assert flags_of(checked(archive)) == set()
    leaked = truth.target * 0.9 + 0.2
    write_prediction(folder / PREDICTION, leaked)
    claim(folder, run_bench, truth, read_prediction(folder / PREDICTION, truth.shape))
    report = checked(folder)
    assert report.ok
    assert "noise-ceiling" in flags_of(report)


def test_a_gene_of_the_answer_among_predictions_is_flagged(
    folder, checked, run_bench, truth, monkeypatch
):
    monkeypatch.setattr("spared_bench.submissions.forensics._FEW_VALUES", 100)  # toys are small
    predicted = read_prediction(folder / PREDICTION, truth.shape).astype(np.float64)
    assert "holds-answers" not in flags_of(checked(folder))
    predicted[:, 0] = truth.target[:, 0]
    write_prediction(folder / PREDICTION, predicted)
    claim(folder, run_bench, truth, read_prediction(folder / PREDICTION, truth.shape))
    assert "holds-answers" in flags_of(checked(folder))


def test_predictions_that_follow_the_library_size_are_flagged(folder, checked, run_bench, truth):
    followed = np.log1p(truth.counts.sum(axis=1, keepdims=True)) + np.zeros(truth.shape)
    write_prediction(folder / PREDICTION, followed)
    claim(folder, run_bench, truth, read_prediction(folder / PREDICTION, truth.shape))
    assert "follows-library-size" in flags_of(checked(folder))


def test_a_dataset_seen_before_that_does_not_exist_is_refused(folder, checked):
    """Misspelt, it would raise no flag."""
    text = (folder / "submission.yaml").read_text()
    (folder / "submission.yaml").write_text(text + "pretrained_on: [toyy]\n")
    (problem,) = checked(folder).problems
    assert problem.startswith("submission.yaml, pretrained_on: No dataset is named 'toyy'")


@pytest.mark.parametrize(
    "code", ["https://github.com@evil.example/lab/x", "https://a:b@c.example/x", "https://a b/x"]
)
def test_an_address_with_a_user_before_its_host_is_refused(folder, checked, code):
    text = (folder / "submission.yaml").read_text()
    (folder / "submission.yaml").write_text(text + f"code: {code}\n")
    (problem,) = checked(folder).problems
    assert "submission.yaml is not valid: code: " in problem


def test_a_method_pretrained_on_the_dataset_is_flagged(folder, checked):
    text = (folder / "submission.yaml").read_text()
    (folder / "submission.yaml").write_text(text + "pretrained_on: [toy]\n")
    (flag,) = checked(folder).flags
    assert flag.kind == "pretrained-on-test"


def test_the_hash_of_a_dataset_changes_with_a_count_a_name_or_a_split(run_bench):
    from spared_bench.trials.products import prepared_table

    adata = prepared_table(run_bench, "toy")
    first = table_hash(adata)
    assert table_hash(adata.copy()) == first
    renamed = adata.copy()
    renamed.obs_names = ["x", *renamed.obs_names[1:]]
    moved = adata.copy()
    moved.obs["split"] = ["val", *moved.obs["split"][1:]]
    counted = adata.copy()
    counts = counted.layers["counts"].toarray()
    counts[0, 0] += 1
    counted.layers["counts"] = counts
    assert len({first, *map(table_hash, (renamed, moved, counted))}) == 4


def test_a_run_of_other_spots_cannot_be_handed_in(run_workspace, tmp_path):
    from tests.submissions.conftest import toy_bench

    shutil.copytree(run_workspace, tmp_path / "w")
    bench = toy_bench(tmp_path / "w")
    for cell in finished_cells(bench.workspace.store):
        arrays = dict(np.load(cell.folder / "predictions.npz"))
        arrays["test_spots"] = arrays["test_spots"][::-1]
        np.savez_compressed(cell.folder / "predictions.npz", **arrays)
        size = (cell.folder / "predictions.npz").stat().st_size
        manifest = json.loads((cell.folder / "manifest.json").read_text())
        manifest["files"]["predictions.npz"]["bytes"] = size
        (cell.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SubmissionError, match="predicted other spots or genes than this workspace"):
        build(bench, "toy-ridge", tmp_path)


def test_a_failed_run_cannot_be_handed_in(run_bench, monkeypatch, tmp_path):
    monkeypatch.setattr(TrialResult, "ok", property(lambda self: False))
    with pytest.raises(SubmissionError, match="1 of 1 runs of 'toy-ridge' have no score"):
        build(run_bench, "toy-ridge", tmp_path)


def test_runs_of_an_earlier_version_are_not_handed_in_as_the_installed_one(run_workspace, tmp_path):
    source = TOY_PLUGIN.read_text()
    plugin = tmp_path / "toy_plugin_of_version_two.py"
    plugin.write_text(source.replace(':Ridge", search', ':Ridge", version="2", search'))
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=run_workspace, plugin_files=[plugin], device="cpu"
    )
    with pytest.raises(SubmissionError) as refused:
        build(bench, "toy-ridge", tmp_path)
    assert "1 of 1 runs of 'toy-ridge' are of version 1, and 2 is installed" in str(refused.value)
    assert build(bench, "toy-ridge", tmp_path, version="1").description.version == "1"
    assert build(bench, "toy-mean", tmp_path).description.version == "1"


def test_whoever_builds_a_bundle_of_imported_runs_is_told(bench, run_workspace, tmp_path):
    export(Store(run_workspace / "store"), tmp_path / "theirs.tar")
    store = bench.workspace.store
    import_archive(store, tmp_path / "theirs.tar")
    command = ["submit", "build", "toy-ridge", "--protocol", str(TOY_PROTOCOL)]
    command += ["--plugin", str(TOY_PLUGIN), "--out", str(tmp_path), "-w"]
    told, own = (
        CliRunner().invoke(app, [*command, str(root)]).output
        for root in (bench.workspace.root, run_workspace)
    )
    assert "1 result of these came with `store import`" in " ".join(told.split())
    assert "store import" not in own


def test_a_bundle_of_runs_before_and_after_an_edit_says_so(prepared_workspace, tmp_path):
    shutil.copytree(prepared_workspace, tmp_path / "w")
    plugin = tmp_path / "edited_mean_plugin.py"
    options = ["--protocol", str(TOY_PROTOCOL), "-w", str(tmp_path / "w")]
    options += ["--plugin", str(TOY_PLUGIN), "--plugin", str(plugin)]
    told = []
    for completer, shift in (("none", 0), ("median", 1), ("none", 1)):
        plugin.write_text(EDITED_MEAN.format(shift=shift))
        run = ["-c", completer, "-p", "edited-mean", "--executor", "inline"]
        quick = ["--no-track", "--no-figures", "--offline"]
        # A process hashes the code of a plugin once.
        command = [sys.executable, "-m", "spared_bench", "run", *options, *run, *quick]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
        build_it = ["submit", "build", "edited-mean", *options, "--out", str(tmp_path)]
        told.append(CliRunner().invoke(app, build_it).output)

    assert "1 results" in told[0]
    assert "versions of the code" not in told[0]
    assert "2 results" in told[1]
    assert "by 2 versions of the code of edited-mean@1 and its completers" in told[1]
    assert "2 results" in told[2]
    assert "versions of the code" not in told[2]  # two completers are no two versions of one


def test_names_of_predictions_are_those_of_their_results(archive, checked):
    (result,) = checked(archive).results
    assert bundle.prediction_name(result) == PREDICTION


def test_a_bundle_is_one_method(folder, checked):
    """A hundred predictors in one bundle: the best of them would be the best by chance."""
    values = json.loads((folder / "results.json").read_text())
    (first,) = values["results"]
    for number in range(100):
        name = f"toy-ridge{number}"
        values["results"].append({**first, "predictor": name})
        target = folder / "predictions" / "toy" / "none" / name / "0.npz"
        target.parent.mkdir()
        shutil.copyfile(folder / PREDICTION, target)
    (folder / "results.json").write_text(json.dumps(values))
    (problem,) = checked(folder).problems
    assert "The bundle has 101 predictors with 1 completers; it can have one" in problem


def test_a_run_of_ones_own_that_is_damaged_is_left_out(archive, run_workspace, checked, tmp_path):
    from spared_bench.submissions.check import check
    from tests.submissions.conftest import toy_bench

    shutil.copytree(run_workspace, tmp_path / "w")
    bench = toy_bench(tmp_path / "w")
    for cell in finished_cells(bench.workspace.store):
        path = cell.folder / "predictions.npz"
        path.write_bytes(bytes(path.stat().st_size))
    assert check(archive, lambda protocol: bench, tmp_path / "leaderboards").ok
    with pytest.raises(CorruptEntryError, match=r"predictions.npz cannot be read: it is no arch"):
        build(bench, "toy-ridge", tmp_path)


@pytest.mark.parametrize("of_a_system", ["__MACOSX/._manifest.json", ".DS_Store", "predictions/"])
def test_a_bundle_that_was_packed_again_is_told_as_that(archive, tmp_path, of_a_system):
    with zipfile.ZipFile(archive) as made, zipfile.ZipFile(tmp_path / "x.zip", "w") as again:
        for name in made.namelist():
            again.writestr(name, made.read(name))
        again.writestr(of_a_system, b"")
    told = "Hand in the zip as `submit build` made it: one"
    with pytest.raises(SubmissionError, match=told), opened(tmp_path / "x.zip"):
        pass
