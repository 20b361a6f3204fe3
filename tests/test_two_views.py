"""A stranger's method of two views and a variance: run, handed in, scored again, and shown.

The commands are those of ``examples/two-views/README.md``, on the toy dataset.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.executors.slot import Slot
from spared_bench.store.entries import Store
from spared_bench.store.trials import PREDICTIONS
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.leaderboard.reading import data_of, row_of

EXAMPLE = Path(__file__).parents[1] / "examples" / "two-views"
PLUGINS = ["--plugin", EXAMPLE / "two_views_plugin.py", "--plugin", TOY_PLUGIN]
PROTOCOL = ["--protocol", TOY_PROTOCOL]


def command(*arguments):
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def told_of_jobs(path):
    """Return what gives a slot a job, and writes down whether that forks for it."""
    give = Slot.give

    def tell(slot, job):
        with path.open("a") as file:
            file.write(f"{job.kind} forks={slot.forks}\n")
        give(slot, job)

    return tell


@pytest.fixture(scope="module")
def place(prepared_workspace, tmp_path_factory):
    """A folder in which the method was run, handed in, and accepted by someone without its code."""
    folder = tmp_path_factory.mktemp("stranger")
    for name in ("own", "theirs"):
        shutil.copytree(prepared_workspace, folder / name)
    bundle, report, boards = folder / "bundle.zip", folder / "report.json", folder / "boards"
    report.write_text(command("plugins", "check", "two-views", "--json", *PLUGINS))
    own = [*PROTOCOL, *PLUGINS, "-w", folder / "own"]
    chosen = ["-d", "toy", "-c", "none", "-p", "two-views", "--device", "cpu", "--workers", 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Slot, "give", told_of_jobs(folder / "jobs.txt"))
        command("run", *chosen, *own)
    command("submit", "build", "two-views", "--out", bundle, "--conformance", report, *own)
    theirs = ["--plugin", TOY_PLUGIN, "-w", folder / "theirs"]
    assert "accepted, re-scored" in command("submit", "check", bundle, *PROTOCOL, *theirs)
    kept = ["--leaderboards", boards]
    command("submit", "add", bundle, *kept, *PROTOCOL, *theirs)
    command("leaderboard", "build", "--from", "store", "--out", folder / "site", *kept, *theirs)
    yield folder
    sys.modules.pop("two_views_model", None)


@pytest.fixture(scope="module")
def result(place):
    """What the accepted entry says of the one run."""
    entry = json.loads((place / "boards" / "toy@1" / "two-views@1" / "entry.json").read_text())
    assert entry["trust"] == "re-scored"
    (found,) = entry["results"]
    return found


@pytest.fixture(scope="module")
def measured(place):
    """What was measured on the test slide, with mean and deviation of what was predicted of it."""
    store = Store(place / "own" / "store")
    (prepared,), (trial,) = store.entries("prepared"), store.entries("trials")
    table = ad.read_h5ad(prepared.folder / "dataset.h5ad")
    table = table[table.obs["split"] == "test"]
    mask = np.asarray(table.layers["mask"], bool)
    with np.load(trial.folder / PREDICTIONS) as stored:
        mean, variance = stored["test_prediction"], stored["test_variance"]
    return [np.asarray(each, float)[mask] for each in (table.layers["target"], mean, variance**0.5)]


def test_it_is_forty_lines_of_code():
    lines = []
    for path in EXAMPLE.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(text), clean=False)
        lines += [line for line in text.replace(f'"""{docstring}"""', "").splitlines() if line]
    assert 30 < len(lines) <= 40


def test_the_page_of_this_kind_shows_it_as_it_is():
    page = (EXAMPLE.parents[1] / "docs" / "write-a-view-method.md").read_text(encoding="utf-8")
    names = ("two_views_model.py", "two_views_plugin.py")
    shown = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert shown == [(EXAMPLE / name).read_text(encoding="utf-8") for name in names]


def test_the_kit_finds_nothing_against_it(place):
    report = json.loads((place / "report.json").read_text())
    assert report["failed"] == 0
    assert sum(each["status"] == "passed" for each in report["checks"]) >= 14


def test_it_is_trained_in_a_process_of_its_own(place):
    assert "trial forks=True" in (place / "jobs.txt").read_text().splitlines()


def test_its_variance_is_scored_again_as_scipy_does(result, measured):
    truth, mean, deviation = measured
    scores = result["split_scores"]["test"]
    assert scores["nll"] == pytest.approx(-norm.logpdf(truth, mean, deviation).mean(), rel=1e-3)
    assert scores["sharpness"] == pytest.approx(deviation.mean(), rel=1e-3)
    for level in (0.5, 0.9):
        low, high = norm.interval(level, mean, deviation)
        share = ((low <= truth) & (truth <= high)).mean()
        assert scores[f"coverage-{100 * level:.0f}"] == pytest.approx(share, abs=1e-9)
    assert 0 < scores["coverage-50"] < scores["coverage-90"]


def test_the_board_says_how_far_it_sees(place, result):
    widest = 4.6 * 16 * 6.25  # spot diameters, px, µm per px
    assert result["field_of_view_um"] == pytest.approx(widest)
    row = row_of(place / "site", "two-views")
    assert row["field_of_view_um"] == pytest.approx(widest)
    assert row["cells"]["field_of_view_um"][1] == "460 µm (claimed)"


def test_its_page_has_the_calibration_curve(place, measured):
    truth, mean, deviation = measured
    page = data_of(place / "site", f"p0/method-{row_of(place / 'site', 'two-views')['id']}")
    (trial,) = page["trials"]
    # A level holds what lies nearer to the mean than its quantile.
    holding = 1 - 2 * norm.sf(np.abs(truth - mean) / deviation)
    expected = [(holding <= level).mean() for level in page["levels"]]
    assert len(expected) == 11
    np.testing.assert_allclose(trial["calibration"], expected, atol=1.5 / truth.size)
