"""What makes a dataset hard: made-up facts by hand, and the embedded datasets by the command."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.errors import MissingFileError
from spared_bench.leaderboard.text import NONE
from spared_bench.studies import difficulty as studied
from tests.board_samples import METRICS
from tests.conftest import EMBEDDED_IMAGES

EMBEDDED = EMBEDDED_IMAGES.parent

#: Spots, slides, genes, tissue, best score, and the share that is missing; absent where nan.
MADE = {
    "a": (100, 2, 32, "brain", 0.1, 0.50),
    "b": (900, 4, 32, "brain", 0.4, 0.30),
    "c": (400, 3, 128, "breast", 0.3, 0.40),
    "d": (50, 9, 128, "breast", 0.2, None),
    "e": (700, 1, 128, "breast", 0.6, 0.10),
}


def spec_of(name):
    n_spots, n_slides, n_genes, tissue, _, missing = MADE[name]
    return SimpleNamespace(
        name=name,
        organism="human",
        tissue=tissue,
        task="inter_patient" if name in "ab" else "intra_patient",
        n_spots=n_spots,
        slides=[None] * n_slides,
        parameters={"n_genes": n_genes},
        # In percent, as the catalogue has it: of a it says something else than is computed.
        stated={"missing_pct": 20.0 if name == "d" else 100 * missing + (3 if name == "a" else 0)},
    )


class Bench:
    dataset = staticmethod(spec_of)

    def listed(self):
        return list(MADE)

    def data_inputs(self, name):
        if MADE[name][-1] is None:
            raise MissingFileError(f"{name} is not here.")


@pytest.fixture
def report(monkeypatch, tmp_path):
    """Return the sections by their titles, and the table of datasets."""

    def make(metric, better=max):
        def scores_of(bench, wanted):
            worse = -0.05 if better is max else 0.05
            return {
                name: [
                    studied.Score("behind", best + worse, "reproduced"),
                    studied.Score("first" if name != "c" else "other", best, "reported"),
                ]
                for name, (*_, best, _) in MADE.items()
            }

        monkeypatch.setattr(studied, "scores_of", scores_of)
        monkeypatch.setattr(
            studied, "missing_shares", lambda bench, name: (0.9, MADE[name][-1], 0.25)
        )
        plan = SimpleNamespace(base=Bench(), study=SimpleNamespace(datasets=(), notes=("Mine.",)))
        sections, files = studied.difficulty(plan, METRICS[metric], tmp_path, lambda text: None)
        with files[0].open(encoding="utf-8", newline="") as file:
            rows = {row["dataset"]: row for row in csv.DictReader(file)}
        return {section.title: section.parts for section in sections}, rows

    return make


@pytest.mark.parametrize(
    ("metric", "better", "hardest_first"), [("pcc-gene", max, "adcbe"), ("mse", min, "ebcda")]
)
def test_the_hardest_dataset_stands_first_and_its_best_method_is_named(
    report, metric, better, hardest_first
):
    sections, rows = report(metric, better)

    (plot,) = sections["The best method on each dataset"]
    assert "".join(row.label for row in plot.rows) == hardest_first
    assert {row.label: row.note for row in plot.rows}["c"] == "other, reported"
    for name, (*_, best, _) in MADE.items():
        assert float(rows[name][f"best {metric}"]) == pytest.approx(best)
        assert rows[name]["best method"] == ("other" if name == "c" else "first")
    (limits,) = sections["What this cannot say"]
    assert limits.lines[:2] == (
        "Mine.", "5 of 10 scores are reported by others and were not checked.",
    )  # fmt: skip


def test_facts_are_ranked_against_the_best_score_as_scipy_does(report):
    sections, _ = report("pcc-gene")

    (table,) = sections["Numbers against the best score"]
    best = [each[4] for each in MADE.values()]
    wanted = {
        "spots": [each[0] for each in MADE.values()],
        "slides": [each[1] for each in MADE.values()],
        "genes": [each[2] for each in MADE.values()],
        "missing share": [0.2 if each[5] is None else each[5] for each in MADE.values()],
    }
    found = {row[0]: row[1:] for row in table.rows}
    for name, values in wanted.items():
        asked = stats.spearmanr(values, best)
        rank, p, n = found[name]
        assert float(rank.replace("−", "-")) == pytest.approx(asked.statistic, abs=6e-4)
        assert float(p) == pytest.approx(asked.pvalue, abs=6e-4)
        assert n == "5"
    assert "corrupt spots" not in found  # the same everywhere: no rank
    assert "raw missing share" not in found
    assert "the 4 facts" in table.caption and "0.013" in table.caption


def test_groups_hold_the_best_scores_of_their_datasets(report):
    sections, _ = report("pcc-gene")

    groups = {plot.title: plot.rows for plot in sections["Groups of datasets"]}
    assert set(groups) == {"By task", "By number of genes", "By tissue"}  # one organism alone
    assert [(row.label, row.n) for row in groups["By tissue"]] == [("brain", 2), ("breast", 3)]
    assert [(row.label, row.n) for row in groups["By task"]] == [
        ("between patients", 2), ("within a patient", 3),
    ]  # fmt: skip


def test_shares_stand_beside_the_stated_ones_and_say_where_they_differ(report):
    sections, rows = report("pcc-gene")

    table, away = sections["Missing shares and corrupt spots"]
    shares = {row[0]: row[5] for row in table.rows}
    assert shares["a"] == "50.0 % / 53 % (differ)"
    assert shares["b"] == "30.0 % / 30 %"
    assert shares["d"] == f"{NONE} / 20 %"
    assert {row[0]: row[6] for row in table.rows}["e"] == f"25.0 % / {NONE}"
    assert away.lines == ("1 of 5 datasets are not here, so nothing was computed of them.",)
    assert rows["d"]["not computed"] == "d is not here."
    assert float(rows["e"]["missing"]) == pytest.approx(0.1)


def test_the_command_reports_the_embedded_datasets(tmp_path):
    study = tmp_path / "hard.yaml"
    study.write_text("name: hard\nkind: difficulty\nbase: demo\nmetric: pcc-gene\n")
    words = ["-w", str(tmp_path / "w")]
    run = ["run", "-d", "her2st_demo", "-c", "median", "-p", "linear-probe", "-p", "gene-mean"]
    assert CliRunner().invoke(app, [*run, "--suite", "demo", "--no-track", *words]).exit_code == 0

    done = CliRunner().invoke(app, ["study", "run", str(study), "--no-track", *words])

    assert done.exit_code == 0, done.output
    (page,) = (tmp_path / "w").rglob("index.html")
    assert "linear-probe (median)" in page.read_text(encoding="utf-8")
    (table,) = (tmp_path / "w").rglob("datasets.csv")
    rows = {row["dataset"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert rows["her2st_demo"]["best method"] == "linear-probe (median)"  # a control is none
    assert rows["her2st_demo"]["not computed"] == ""
    unread = size = 0
    for section in ("C2", "C3", "C4"):
        table = pd.read_csv(EMBEDDED / "ST-cnts" / f"{section}.tsv.gz", sep="\t", index_col=0)
        spots = pd.read_csv(EMBEDDED / "ST-spotfiles" / f"{section}_selection.tsv", sep="\t")
        under = table.index.isin(spots["x"].astype(str) + "x" + spots["y"].astype(str))
        unread, size = unread + (table[under] == 0).to_numpy().sum(), size + table[under].size
    raw = unread / size
    assert float(rows["her2st_demo"]["raw missing"]) == pytest.approx(raw)
    assert 0 < float(rows["her2st_demo"]["missing"]) < raw
