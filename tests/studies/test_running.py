"""Studies on the toy dataset: what is trained, what is found again, and what is left of a stop."""

from __future__ import annotations

import csv
import json
import re
import shutil
import threading
from dataclasses import replace

import pandas as pd
import pytest

from spared_bench.api import execute, select
from spared_bench.store.archives import export, import_archive
from spared_bench.store.entries import Store
from spared_bench.store.leases import Leases
from spared_bench.store.maintenance import unneeded
from spared_bench.studies import kinds
from spared_bench.studies.comparing import compare, in_other_units
from spared_bench.studies.factors_report import sections_of
from spared_bench.studies.levels_report import cost_section
from spared_bench.studies.planning import plan_study
from spared_bench.studies.results import Collected, collect
from spared_bench.studies.running import run_study
from tests.studies.conftest import STUDY

QUIET = {"log": lambda line: None, "executor": "inline"}


def run(of, **options):
    return kinds.run_and_report(of, track=False, command="a test", **QUIET | options)


def test_a_second_run_trains_nothing_and_the_report_lies_there(opened):
    of = opened()
    first, second = run(of), run(of)

    assert (first.run.new, first.cells, first.gaps, first.exit_status) == (3, 3, 0, 0)
    assert (second.run.new, second.run.cached) == (0, 3)
    assert first.page.name == "index.html"
    assert {path.name for path in first.files} == {
        *("cells.csv", "slides.csv", "genes.csv", "comparisons.csv")
    }


def test_no_level_is_called_the_best_by_an_error_in_other_units(opened):
    done = run(opened())
    page = done.page.read_text(encoding="utf-8")
    assert "so MSE of different levels is of different quantities and none is called" in page
    assert not re.search("has the lowest MSE, |a lower MSE than the base|of 0 the level is", page)
    (table,) = [path for path in done.files if path.name == "comparisons.csv"]
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["level"], row["better"], row["effect"], row["p"]) for row in rows] == [
        ("log1p_cpm", "", "", ""), ("counts", "", "", "")
    ]  # fmt: skip
    assert all(float(row["difference"]) for row in rows)

    page = run(opened(STUDY.replace("metric: mse", "metric: r2-gene"))).page.read_text("utf-8")
    assert "different quantities" not in page
    assert re.search("has the highest R2-Gene, |a higher R2-Gene than the base", page)
    assert "Right of 0 the level is better." in page


def test_the_trainings_of_a_search_that_seeds_share_are_counted_once(opened):
    text = STUDY.replace("set: {linear-probe.alpha: 10.0}\n", "seeds: [0, 1]\n")
    of = opened(text.replace(", counts]", "]"))
    trained = run(of, report=False).run.new

    section = cost_section(of.study, collect(plan_study(of.study, of.base)))
    assert trained > 4  # of two levels and seeds
    assert sum(int(row[4]) for row in section.parts[0].rows) == trained


@pytest.mark.parametrize("spoilt", [bytes, lambda n: b"PK" + bytes(n - 2)], ids=["zeros", "zip"])
def test_damaged_predictions_are_named_on_the_page_and_end_no_report(opened, spoilt):
    of = opened()
    run(of)
    files = list(of.base.workspace.store.root.glob("trials/*/*/predictions.npz"))
    for path in files:
        path.write_bytes(spoilt(path.stat().st_size))
    assert files
    page = run(of).page.read_text(encoding="utf-8")
    assert "(toy, linear-probe) predicted cannot be read, so no map is drawn of it" in page


def test_what_the_protocol_has_trained_is_used_again(opened):
    of = opened(STUDY.replace("set: {linear-probe.alpha: 10.0}\n", ""))
    execute(select(of.base, predictors=["linear-probe"]), track=False, figures=False, **QUIET)

    trained = run(of, report=False).run

    # One candidate per level of the search is there for the base, and none for the two others.
    candidates = len(of.base.candidates("linear-probe"))
    assert trained.new == 2 * candidates


def test_a_run_that_is_stopped_goes_on_where_it_was(opened):
    of = opened()
    plan = plan_study(of.study, of.base)
    done = []

    def stopped(each, options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(execute(each, log=lambda line: None, **options))
        return done[-1]

    with pytest.raises(KeyboardInterrupt):
        run_study(plan, watch=stopped, **QUIET)

    rest = run(of)
    assert (rest.run.new, rest.run.cached, rest.cells) == (1, 2, 3)


def test_variants_come_to_no_board_and_stay_in_the_store(opened):
    of = opened()
    run(of)
    store = of.base.workspace.store

    assert not list((store.root / "cells").glob("*.json"))
    kept = {kind for kind, _, _ in unneeded(store, 0)}
    assert not kept & {"trials", "scores", "prepared", "completed"}
    (store.root / "studies" / "toy-study@1.json").unlink()
    assert "trials" in {kind for kind, _, _ in unneeded(store, 0)}


def test_a_failed_cell_is_a_gap_with_its_reason(opened):
    of = opened(
        STUDY.replace("levels: [log1p_cp10k, log1p_cpm, counts]", "levels: [counts, log2_tpm]")
    )
    done = run(of)  # the made-up genes have no lengths

    assert (done.cells, done.gaps, done.exit_status) == (1, 1, 1)
    (gap,) = collect(plan_study(of.study, of.base)).gaps
    assert "so none has the length" in gap.gap
    html = done.page.read_text()
    assert "so none has the length" in html
    assert "Gaps" in html


def test_the_record_of_a_study_names_its_methods_and_report(opened):
    of = opened()
    run(of)
    path = of.base.workspace.store.root / "studies" / "toy-study@1.json"
    about = json.loads(path.read_text())["about"]

    assert about["methods"] == ["linear-probe"]
    assert (of.base.workspace.root / about["report"]).is_file()


def test_scores_in_the_table_are_those_of_the_trials(opened):
    import pandas as pd

    of = opened()
    done = run(of)
    table = pd.read_csv(done.page.with_name("cells.csv"))
    cells = collect(plan_study(of.study, of.base)).cells

    assert list(table["target"]) == ["log1p_cp10k", "log1p_cpm", "counts"]
    assert list(table["mse"]) == pytest.approx([cell.score("mse") for cell in cells])


def test_a_level_may_freeze_the_body(opened):
    import pandas as pd

    frozen = "{body: {setting: method.freeze, levels: {trained: false, frozen: true}}}"
    of = opened(
        "name: frozen\nbase: toy\nmetric: mse\nmethods: [shufflenet]\n"
        f"set: {{shufflenet.lr: 0.01}}\nfactors: {frozen}\n"
    )
    table = pd.read_csv(run(of).page.with_name("cells.csv")).set_index("body")
    # ShuffleNet V2 x0.5 ends in a layer from 1,024 features to the six genes of the toy protocol.
    assert table.loc["frozen", "n_parameters"] == 1024 * 6 + 6
    assert table.loc["trained", "n_parameters"] > 300_000
    assert table.loc["frozen", "mse"] != table.loc["trained", "mse"]


def test_why_a_cell_has_no_scores_is_told_again_by_later_commands(opened):
    """A failure that lies in the store is no news of the run, and still why there is a gap."""
    of = opened(STUDY.replace("[linear-probe]", "[linear-probe, toy-nan]"))
    run(of)
    again, report = run(of), kinds.report_only(of, log=lambda line: None)

    for done in (again, report):
        assert (done.cells, done.gaps) == (3, 3)
        reasons = list(done.as_dict()["missing"].values())
        assert len(reasons) == 3 and all("nan or infinite" in why for why in reasons)
        assert done.told.count("  3 cells: diverged: Predictor 'toy-nan'") == 1
    assert again.exit_status == 1


def test_before_a_run_the_report_says_that_nothing_was_run(opened):
    done = kinds.report_only(opened(), log=lambda line: None)

    assert set(done.as_dict()["missing"].values()) == {"it was not run yet"}
    assert "  3 cells: it was not run yet" in done.told


def test_two_reports_of_a_study_are_written_one_after_the_other(opened):
    """Two at once would mix their tables, and leave cells in MLflow whose parent the other took."""
    of = opened()
    run(of, report=False)
    root = of.base.workspace.store.root
    page = of.base.workspace.root / "studies" / "toy-study" / "index.html"
    other = Leases(root / "leases")
    assert other.take("study-toy-study")
    try:
        writing = threading.Thread(target=lambda: kinds.report_only(of, log=lambda line: None))
        writing.start()
        writing.join(5)
        assert writing.is_alive() and not page.exists()
    finally:
        other.close()
    writing.join(60)
    assert page.is_file()


def test_a_report_that_was_suspended_does_not_stay_over_a_newer_one(opened, monkeypatch):
    of, collect, written = opened(), kinds.collect, []

    def suspended_once(plan, *arguments):
        collected = collect(plan, *arguments)
        written.append(len(collected.done))
        if len(written) == 1:  # here, and another has taken its lease and run the study
            kinds.run_study(plan, executor="inline", track=False, log=lambda line: None)
            (lease,) = of.base.workspace.store.root.glob("leases/study-*.lease")
            lease.unlink()
        return collected

    monkeypatch.setattr(kinds, "collect", suspended_once)
    done = kinds.report_only(of, log=lambda line: None)

    assert written == [0, 3]
    assert (done.cells, done.gaps) == (3, 0)


def test_what_was_imported_is_told_in_the_report_in_its_tables_and_in_mlflow(
    opened, tmp_path, monkeypatch
):
    here = opened()
    own = run(here)
    assert (own.as_dict()["imported"], "store import" in own.told) == (0, False)
    assert "store import" not in own.page.read_text()
    archive, store = tmp_path / "results.tar", here.base.workspace.store
    assert export(store, archive)
    shutil.rmtree(store.root)
    import_archive(Store(store.root), archive)
    logged = []
    monkeypatch.setattr(
        "spared_bench.tracking.studies.log_study", lambda *given: logged.extend(given[3])
    )

    done = kinds.report_only(opened(), log=lambda line: None, track=True)

    said = "3 of 3 results came with `store import`"
    assert (done.as_dict()["imported"], said in done.told) == (3, True)
    assert said in done.page.read_text()
    cells, slides, genes, _ = map(pd.read_csv, done.files)
    assert list(cells["imported"]) == ["yes"] * 3
    assert set(slides["imported"]) == set(genes["imported"]) == {"yes"}
    assert [cell.params["imported"] for cell in logged] == ["true"] * 3


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ("{x: {dataset: toy}, y: {dataset: toy-broken}}", ["a"]),
        ("{x: {}, y: {scored_genes: [gene1]}}", ["a"]),
        ("{x: {}, y: {patches.size: 9, processing.n_genes: 3}}", ["a"]),
        ("{x: {}, y: {linear-probe.alpha: 3.0, patches.size: 9}}", []),
    ],
)
def test_errors_of_other_genes_and_of_other_datasets_are_of_different_quantities(
    opened, levels, told
):
    text = f"name: x\nbase: toy\nmethods: [linear-probe]\nfactors: {{a: {{levels: {levels}}}}}\n"
    of = opened(text)
    assert in_other_units(of.study, of.base.metric("mse")) == told
    assert in_other_units(of.study, of.base.metric("pcc-gene")) == []


def page_without(of, plan, lost):
    """Return the text of the page of a study, some of whose cells are gaps."""
    cells = [
        replace(cell, result=None, gap="lost") if (cell.levels["target"], cell.seed) in lost
        else cell
        for cell in collect(plan).cells
    ]  # fmt: skip
    metric = of.base.metric("pcc-gene")
    found = Collected(cells)
    return str(sections_of(plan, found, compare(of.study, found, metric), metric))


def test_a_level_that_lacks_cells_says_how_many_its_box_is_of(opened):
    of = opened(STUDY.replace("metric: mse", "metric: pcc-gene\nseeds: [0, 1]"))
    run(of, report=False)
    plan = plan_study(of.study, of.base)
    uneven = "Of the levels of target, not all have the same cells"

    assert uneven not in (text := page_without(of, plan, [])) and "of 2 cells" not in text
    text = page_without(of, plan, [("counts", 1)])
    assert uneven in text and text.count("note='1 of 2 cells'") == 1
    every = [(label, 1) for label in of.study.factors["target"].levels]
    assert uneven not in (text := page_without(of, plan, every))
    assert text.count("note='1 of 2 cells'") == 3
    # A level without any has no box and no row that could be held against another's.
    assert uneven not in page_without(of, plan, [("counts", 0), ("counts", 1)])


def test_a_level_of_fewer_genes_is_told_with_its_difference_over_the_genes_of_both(opened):
    levels = "{setting: processing.n_genes, levels: [6, 5]}"
    alpha = "{setting: linear-probe.alpha, levels: [10.0, 1000.0]}"
    head = "name: x\nbase: toy\nmethods: [linear-probe]\n"
    of = opened(f"{head}factors: {{n: {levels}, alpha: {alpha}}}\n")
    page = run(of).page.read_text(encoding="utf-8")
    genes = pd.read_csv(of.base.workspace.root / "studies" / "x" / "genes.csv")
    by_gene = genes.groupby(["n", "gene", "alpha"])["pcc-gene"].sum().unstack(["n", "alpha"])
    both = by_gene.dropna()
    assert (len(by_gene), len(both)) == (6, 5)
    difference = (both[5] - both[6]).mean().mean()
    told = re.findall(r"<li>(.*?)</li>", page.partition("In short")[2].partition("<h2>")[0])
    (of_genes,) = [line for line in told if line.startswith("n, linear-probe")]
    (of_alpha,) = [line for line in told if line.startswith("alpha, linear-probe")]
    shown = f"{difference:+z.3f}".replace("-", "−")
    assert of_genes.endswith(f"Over the genes that both have, from the base: 5 ({shown}).")
    assert "different genes" not in of_alpha
