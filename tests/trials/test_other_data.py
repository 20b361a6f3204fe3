"""Results of other data, under the name that a dataset of one's own kept, are not compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import spared_bench
from spared_bench.api import make_bench
from spared_bench.cli import app
from spared_bench.errors import SubmissionError
from spared_bench.submissions.build import build
from tests import made_slides
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.leaderboard.reading import data_of

TEXT = """
name: mine
format: space_ranger
organism: human
tissue: breast
slides:
  T1: {path: slides/T1, patient: p1, image: slides/T1/full.png}
  T2: {path: slides/T2, patient: p2, image: slides/T2/full.png}
  T3: {path: slides/T3, patient: p3, image: slides/T3/full.png}
split: {train: [T1], val: [T2], test: [T3]}
"""


@pytest.fixture(scope="module")
def three_slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    for seed in (1, 2, 3):
        made_slides.space_ranger(folder / f"T{seed}", seed=seed)
        made_slides.picture(seed).save(folder / f"T{seed}/full.png")
    return folder


@pytest.fixture
def place(three_slides, tmp_path):
    """A folder with a description of slides, which is added to the workspace ``w``."""
    shutil.copytree(three_slides, tmp_path / "slides")
    (tmp_path / "mine.yaml").write_text(TEXT)
    command(tmp_path, "data", "add", str(tmp_path / "mine.yaml"))
    return tmp_path


def command(place, *words):
    done = CliRunner().invoke(app, [*words, "-w", str(place / "w")])
    assert done.exit_code == 0, (done.exception, done.stderr)
    return done


def edit(place, old, new):
    text = (place / "mine.yaml").read_text()
    assert text.count(old) == 1
    (place / "mine.yaml").write_text(text.replace(old, new))
    command(place, "data", "add", str(place / "mine.yaml"), "--replace")


def run(place, *predictors, tracked=True):
    words = ["--suite", str(TOY_PROTOCOL), "--plugin", str(TOY_PLUGIN), "-d", "mine", "-c", "none"]
    words += [word for name in predictors for word in ("-p", name)]
    words += ["--workers", "1", "--no-figures", "--device", "cpu", "--json"]
    done = command(place, "run", *words, *([] if tracked else ["--no-track"]))
    if not tracked:
        rebuild(place)
    return json.loads(done.stdout)["new_trials"]


def rebuild(place, source="store"):
    words = ["--from", source, "--plugin", str(TOY_PLUGIN), "--leaderboards", str(place)]
    return command(place, "leaderboard", "build", *words).stderr


def shown(place):
    site = place / "w" / "leaderboard"
    rows = {row["predictor"] for row in data_of(site, "p0/board")["rows"]}
    return rows, data_of(site, "index")["left_out"]


def recorded_ahead(place):
    """Let every record of a cell be of a machine whose clock was a year ahead."""
    for path in (place / "w/store/cells").glob("*.json"):
        record = json.loads(path.read_text())
        record["written"] += 365 * 86_400 * 10**9
        path.write_text(json.dumps(record))


def test_a_clock_that_was_ahead_does_not_let_earlier_data_count(place):
    run(place, "gene-mean", "toy-mean", tracked=False)
    recorded_ahead(place)
    edit(place, "val: [T2], test: [T3]", "val: [T3], test: [T2]")
    run(place, "toy-mean", tracked=False)
    rows, (left_out,) = shown(place)
    assert rows == {"toy-mean"}
    assert "mine · none · gene-mean · 0. The same run" in left_out
    rebuild(place)
    assert shown(place)[0] == {"toy-mean"}


@pytest.mark.parametrize(
    ("tracked", "old", "new"),
    [
        (False, "val: [T2], test: [T3]", "val: [T3], test: [T2]"),
        (
            True,  # of which no spec tells
            "T1: {path: slides/T1, patient: p1, image: slides/T1/full.png}",
            "T1: {path: slides/T1, patient: p1}",
        ),
    ],
)
def test_a_split_or_a_file_that_changed_takes_earlier_results_from_the_board(
    place, old, new, tracked
):
    run(place, "gene-mean", "toy-mean", tracked=tracked)
    assert shown(place) == ({"gene-mean", "toy-mean"}, [])

    edit(place, old, new)
    run(place, "toy-mean", tracked=tracked)
    rows, (left_out,) = shown(place)
    assert rows == {"toy-mean"}
    assert left_out == (
        "1 result of toy@1 on mine made of other data than that has now is not shown: mine · none ·"
        " gene-mean · 0. The same run makes them anew; a dataset of another name keeps both."
    )
    with pytest.warns(UserWarning, match="made of other data than that has now"):
        assert set(spared_bench.results(place / "w", "toy")["predictor"]) == {"toy-mean"}
    found = json.loads(command(place, "status", "--suite", "toy", "--json").stdout)
    assert {each["predictor"]: each["other_data"] for each in found} == {
        "gene-mean": True,
        "toy-mean": False,
    }

    # A run of which all is there, and counts, changes no record: the page would be built again.
    cells = list((place / "w" / "store" / "cells").iterdir())
    written = [path.stat().st_mtime_ns for path in cells]
    assert run(place, "toy-mean", tracked=tracked) == 0
    assert [path.stat().st_mtime_ns for path in cells] == written

    # What is found in the store counts again, also if the record of its cell stays as it was.
    edit(place, new, old)
    assert run(place, "gene-mean", tracked=tracked) == 0
    rows, (left_out,) = shown(place)
    assert rows == {"gene-mean"} and "toy-mean" in left_out
    assert run(place, "toy-mean", tracked=tracked) == 0
    assert shown(place) == ({"gene-mean", "toy-mean"}, [])


@pytest.mark.parametrize("how", ["copied", "exported"])
def test_which_data_were_last_is_known_where_files_have_other_times(place, tmp_path, how):
    """As after `cp -r`, an unpacked backup, or the import of an archive."""
    run(place, "gene-mean", "toy-mean", tracked=False)
    edit(place, "val: [T2], test: [T3]", "val: [T3], test: [T2]")
    run(place, "toy-mean", tracked=False)
    other = tmp_path / "other"
    if how == "exported":
        (other / "w").mkdir(parents=True)
        command(place, "store", "export", str(tmp_path / "all.tar"))
        command(other, "store", "import", str(tmp_path / "all.tar"))
    else:
        shutil.copytree(place / "w", other / "w")
    for path in (other / "w" / "store" / "cells").iterdir():
        is_old = json.loads(path.read_text())["cell"][3] == "gene-mean"
        os.utime(path, (2e9, 2e9) if is_old else (1e9, 1e9))
    rebuild(other)
    rows, (left_out,) = shown(other)
    assert rows == {"toy-mean"} and "gene-mean" in left_out


def test_what_moves_no_number_makes_none_of_other_data(place):
    run(place, "gene-mean")
    edit(place, "tissue: breast", "tissue: breast cancer")
    (place / "slides/T3/other.txt").write_text("a note beside the slide")
    run(place, "toy-mean")
    assert shown(place) == ({"gene-mean", "toy-mean"}, [])


def test_other_datasets_and_results_before_stay(place, workspace):
    run(place, "gene-mean", "toy-mean")
    for path in (place / "w" / "store" / "cells").glob("*.json"):
        record = json.loads(path.read_text())
        del record["data"]  # as an earlier version wrote it
        path.write_text(json.dumps(record))
    edit(place, "val: [T2], test: [T3]", "val: [T3], test: [T2]")
    run(place, "toy-mean")
    assert shown(place) == ({"gene-mean", "toy-mean"}, [])


def run_elsewhere(place, other):
    """Run a method in another folder with the same slides, split otherwise; return the folder."""
    shutil.copytree(place / "slides", other / "slides")
    shutil.copy(place / "mine.yaml", other)
    command(other, "data", "add", str(other / "mine.yaml"))
    edit(other, "val: [T2], test: [T3]", "val: [T3], test: [T2]")
    run(other, "toy-ridge")
    return other


def test_an_imported_result_of_other_data_takes_none_of_ones_own(place, tmp_path):
    run(place, "gene-mean", "toy-mean")
    other = run_elsewhere(place, tmp_path / "elsewhere")
    command(other, "store", "export", str(tmp_path / "theirs.tar.gz"))
    command(place, "store", "import", str(tmp_path / "theirs.tar.gz"))
    rebuild(place)
    rows, (left_out,) = shown(place)
    assert rows == {"gene-mean", "toy-mean"}
    assert "toy-ridge" in left_out


def test_a_tracking_server_of_several_machines_knows_of_what_data_their_results_are(
    place, tmp_path, monkeypatch, empty_database
):
    """The records of a workspace say nothing of what another one logged."""
    shutil.copy(empty_database, tmp_path / "shared.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared.db")
    run(place, "gene-mean", "toy-mean")
    other = run_elsewhere(place, tmp_path / "elsewhere")

    third = tmp_path / "third"
    (third / "w").mkdir(parents=True)
    for machine in (place, other, third):
        rebuild(machine, "mlflow")
        rows, left_out = shown(machine)
        assert rows == {"toy-ridge"}
        assert "2 results of toy@1 on mine made of other data" in left_out[0]

    # Data that come back are those of the last run again, whose runs the server has.
    edit(place, "val: [T2], test: [T3]", "val: [T3], test: [T2]")
    run(place, "toy-mean")
    edit(place, "val: [T3], test: [T2]", "val: [T2], test: [T3]")
    assert run(place, "gene-mean", "toy-mean") == 0
    rebuild(third, "mlflow")
    rows, (left_out,) = shown(third)
    assert rows == {"gene-mean", "toy-mean"} and "toy-ridge" in left_out


def test_a_trained_method_of_other_data_set_by_hand_or_of_other_code_is_applied_and_said_to_be(
    place, tmp_path
):
    """The name of a run says none of it; its key, and the run that trains it anew, do."""
    plugin = tmp_path / "applied_again.py"
    text = (
        "import json\n"
        "import numpy as np\n"
        "from spared_bench import PredictorSpec, hookimpl\n"
        "class Again:\n"
        "    def __init__(self, shift=0.0):\n"
        "        self.shift = shift\n"
        "    def fit(self, train, val, context):\n"
        "        self.mean = np.asarray(train.target).mean(axis=0)\n"
        "    def predict(self, slides):\n"
        "        return np.tile(self.mean, (len(slides.patches), 1)).astype('float32')\n"
        "    def save(self, folder):\n"
        "        (folder / 'm.json').write_text(json.dumps(self.mean.tolist()))\n"
        "    def load(self, folder):\n"
        "        self.mean = np.array(json.loads((folder / 'm.json').read_text()))\n"
        "@hookimpl\n"
        "def spared_bench_predictors():\n"
        "    return [PredictorSpec('again', 'applied_again:Again')]\n"
    )
    plugin.write_text(text)
    spots = tmp_path / "spots.csv"
    spots.write_text("x,y\n40,40\n60,60\n")
    words = ["--plugin", str(plugin), "--suite", str(TOY_PROTOCOL), "-d", "mine", "-c", "none"]
    words += ["--workers", "1", "--no-figures", "--device", "cpu", "--no-track"]

    given = ["predict", "mine/none/again", "--image", str(place / "slides/T1/full.png"), "--json"]
    given += ["--spots", str(spots), "--um-per-px", "5", "--plugin", str(plugin)]
    given += ["--out", str(tmp_path / "o.h5ad")]

    def notes():
        return json.loads(command(place, *given).stdout)["notes"]

    command(place, "run", *words, "-p", "again", "--set", "again.shift=2.5")
    by_hand = "It was trained with again.shift=2.5, set by hand."
    assert notes() == [by_hand]
    edit(place, "val: [T2], test: [T3]", "val: [T3], test: [T2]")
    command(place, "run", *words, "-p", "gene-mean")
    other = "It was trained on other data than mine has now. The same run trains it anew."
    assert notes() == [by_hand, other]
    command(place, "run", *words, "-p", "again")
    assert notes() == []
    plugin.write_text(text.replace("axis=0)", "axis=0) * 1.0"))
    anew = [sys.executable, "-m", "spared_bench", *given, "-w", str(place / "w")]
    done = subprocess.run(anew, capture_output=True, text=True, check=True)  # which read no other
    (code,) = json.loads(done.stdout)["notes"]
    assert "The code of 'again' is not what it was when this was trained" in code


def test_no_submission_is_built_of_them(place, tmp_path):
    run(place, "gene-mean", "toy-mean")
    edit(place, "val: [T2], test: [T3]", "val: [T3], test: [T2]")
    run(place, "toy-mean")
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=place / "w", plugin_files=[TOY_PLUGIN], device="cpu"
    )
    with pytest.raises(SubmissionError, match=r"1 of 1 runs of 'gene-mean' .* of other data"):
        build(bench, "gene-mean", tmp_path / "x.zip")


@pytest.mark.parametrize("source", ["store", "mlflow"])
def test_completers_of_other_data_stand_in_no_table_with_them(place, source):
    rates = ["--mask-rates", "0.3", "--repeats", "2", "--rule", "fraction", "--device", "cpu"]
    words = ["complete", "mine", "--suite", str(TOY_PROTOCOL), "--plugin", str(TOY_PLUGIN), *rates]

    def completers():
        rebuild(place, source)
        found = data_of(place / "w" / "leaderboard", "p0/completion")
        return {each["completer"] for each in found}

    command(place, *words, "-c", "median", "-c", "gene-mean")
    assert completers() == {"median", "gene-mean"}
    edit(place, "val: [T2], test: [T3]", "val: [T3], test: [T2]")
    told = command(place, *words, "-c", "median").stderr
    assert "of other data, are not kept" in told and "mine · gene-mean" in told
    assert completers() == {"median"}
    edit(place, "val: [T3], test: [T2]", "val: [T2], test: [T3]")
    command(place, *words, "-c", "gene-mean")
    assert completers() == {"gene-mean"}


def test_results_scored_by_other_code_stay_and_the_board_says_so(place):
    """A stranger's metric is mended: those who were not run again have its earlier values."""
    metric = place / "mending_metric.py"
    text = (
        "import numpy as np\n"
        "from spared_bench import MetricSpec, hookimpl\n"
        "def value(prediction, target, mask):\n"
        "    return float(1.0)\n"
        "@hookimpl\n"
        "def spared_bench_metrics():\n"
        "    return [MetricSpec('mending', 'mending_metric:value', better='higher')]\n"
    )
    metric.write_text(text)
    protocol = place / "toy.yaml"
    protocol.write_text(TOY_PROTOCOL.read_text() + "\nmetrics: [mse, mending]\n")

    def scored(*predictors):
        words = ["--suite", str(protocol), "--plugin", str(TOY_PLUGIN), "--plugin", str(metric)]
        words += ["-d", "mine", "-c", "none", "--workers", "1", "--no-figures", "--device", "cpu"]
        command(place, "run", *words, *[word for each in predictors for word in ("-p", each)])
        return data_of(place / "w" / "leaderboard", "p0/board")["notes"]

    def told(notes):
        return [note for note in notes if "another version of the code" in note]

    assert told(scored("gene-mean", "toy-mean")) == []
    metric.write_text(text.replace("float(1.0)", "float(2.0)"))
    (note,) = told(scored("toy-mean"))
    assert note == (
        "1 result was prepared or scored by another version of the code than the last on the same"
        " data, so numbers may differ: mine · none · gene-mean · 0. The same run makes them anew,"
        " where that changes them."
    )
    assert told(scored("gene-mean", "toy-mean")) == []


@pytest.mark.parametrize("source", ["store", "mlflow"])
def test_results_that_an_earlier_version_recorded_stay_and_the_board_says_so(place, source):
    """Its records do not say of what they were made, so nobody can tell whether it was the same."""

    def told():
        said = rebuild(place, source)
        notes = data_of(place / "w" / "leaderboard", "p0/board")["notes"]
        found = [note for note in notes if "an earlier version of spared-bench" in note]
        assert all(f"toy@1: {note}" in said for note in found)  # in the terminal, too
        assert found or "an earlier version" not in said
        return found

    run(place, "gene-mean", "toy-mean")
    for path in (place / "w" / "store" / "cells").iterdir():
        record = json.loads(path.read_text())
        if record["cell"][3] == "gene-mean":
            for name in ("settings", "data", "measured_by"):
                del record[name]
            path.write_text(json.dumps(record))
    command(place, "track", "sync")
    (note,) = told()
    assert note.startswith("1 result was recorded by an earlier version of spared-bench, which did")
    assert "mine · none · gene-mean · 0. The same run makes them anew" in note
    run(place, "gene-mean")
    assert told() == []
