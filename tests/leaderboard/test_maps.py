"""Maps of the page: from the store, exact to a step, bounded, and absent where nothing is drawn."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from anndata import read_h5ad

from spared_bench.api import select
from spared_bench.bench import Bench
from spared_bench.executors.work import run_job
from spared_bench.leaderboard import maps as board_maps
from spared_bench.leaderboard.publish import build_leaderboard
from spared_bench.specs import MetricSpec
from spared_bench.trials.cells import finished_cells, record_cells
from tests.board_samples import METRICS
from tests.leaderboard.reading import data_of, row_of

PCC = METRICS["pcc-gene"]


@pytest.fixture
def trial(bench):
    """One finished trial of the toy dataset."""
    plan = select(bench, ["toy"], ["none"], ["toy-ridge"])
    results = {job.key: run_job(bench, job) for cell in plan.cells for job in cell.finals}
    chosen = plan.cells[0].chosen(results)
    run_job(bench, plan.score_job(chosen))
    record_cells(plan, results)
    return next(cell.final for cell in finished_cells(bench.workspace.store))


def unpacked(column) -> np.ndarray:
    steps = np.frombuffer(base64.b64decode(column["steps"]), dtype=np.uint8).astype(float)
    values = column["low"] + (column["high"] - column["low"]) * steps / 254
    return np.where(steps == 255, np.nan, values)


def drawn_of(bench: Bench, trial) -> dict:
    maps = board_maps.find_maps(bench.workspace.store, {"row": [trial]})
    return {each.name: each.values for each in board_maps.draw(maps, [METRICS["mse"], PCC])}


def test_a_map_holds_what_was_measured_and_predicted_to_one_step(bench, trial):
    files = drawn_of(bench, trial)
    truth_name, map_name = files["maps"]["row"]["toy"]
    truth, drawn = files[truth_name], files[map_name]

    (found,) = board_maps.find_maps(bench.workspace.store, {"row": [trial]})
    adata = read_h5ad(found.prepared / "dataset.h5ad")
    split = trial.facts["evaluation_split"]
    rows = adata.obs["split"].to_numpy() == split
    with np.load(found.folder / "predictions.npz", allow_pickle=False) as file:
        predicted = file[f"{split}_prediction"]

    assert truth["n_spots"] == len(truth["x"]) == rows.sum()
    for column, mine in zip(truth["genes"], drawn["genes"], strict=True):
        gene = column["gene"]
        assert mine["gene"] == gene
        target = np.asarray(adata.layers["target"])[rows, gene]
        seen = np.asarray(adata.layers["mask"])[rows, gene]
        step = max(column["high"] - column["low"], mine["high"] - mine["low"]) / 254
        np.testing.assert_array_equal(np.isnan(unpacked(column)), ~seen)
        np.testing.assert_allclose(unpacked(column)[seen], target[seen], atol=step)
        np.testing.assert_allclose(unpacked(mine), predicted[:, gene], atol=step)


def test_spots_beyond_the_bound_are_left_out_evenly_and_counted(bench, trial, monkeypatch):
    whole = drawn_of(bench, trial)
    monkeypatch.setattr(board_maps, "MOST_SPOTS", 10)
    files = drawn_of(bench, trial)

    (truth_name, map_name) = files["maps"]["row"]["toy"]
    full, thin = whole[truth_name], files[truth_name]
    stride = -(-full["n_spots"] // 10)
    assert thin["n_spots"] == full["n_spots"]
    assert thin["x"] == full["x"][::stride]
    kept = unpacked(whole[map_name]["genes"][0])[::stride]
    step = (files[map_name]["genes"][0]["high"] - files[map_name]["genes"][0]["low"]) / 200
    np.testing.assert_allclose(unpacked(files[map_name]["genes"][0]), kept, atol=step + 0.02)


def test_a_result_that_mlflow_gave_back_without_its_genes_makes_the_same_maps(bench, trial):
    assert trial.gene_scores
    assert drawn_of(bench, replace(trial, gene_scores={}, genes=[])) == drawn_of(bench, trial)


def test_what_the_store_lacks_is_not_drawn(bench, trial):
    store = bench.workspace.store
    unknown = replace(trial, key="0" * 64)
    failed = replace(trial, status="error")

    assert board_maps.find_maps(store, {"row": [unknown]}) == []
    assert board_maps.find_maps(store, {"row": [failed]}) == []


def test_the_chosen_genes_are_the_best_the_middle_and_the_worst_over_methods():
    scores = [
        {"pcc-gene": [0.1, 0.9, 0.5, float("nan"), 0.7, 0.2, 0.3, 0.8]},
        {"pcc-gene": [0.1, 0.9, 0.5, float("nan"), 0.7, 0.2, 0.3, 1.0]},
        {"pcc-gene": [0.5]},
    ]

    assert board_maps.chosen_genes(scores, PCC, 8).tolist() == [1, 7, 4, 6, 0, 3]
    assert board_maps.chosen_genes([], PCC, 3).tolist() == [0, 1, 2]
    assert board_maps.chosen_genes(scores, None, 3).tolist() == [0, 1, 2]


def test_genes_of_lower_error_come_first():
    error = MetricSpec("gene-error", "a:b", better="lower")

    found = board_maps.chosen_genes([{"gene-error": [0.5, 0.1, float("nan")]}], error, 3)

    assert found.tolist() == [1, 0, 2]


def test_the_site_of_a_workspace_has_the_maps_of_its_runs(bench, trial, tmp_path):
    none: Path = tmp_path / "none"
    none.mkdir()
    page = build_leaderboard(
        bench.workspace,
        source="store",
        out=tmp_path / "site",
        leaderboards=none,
        registry=bench.registry,
    )

    assert page is not None
    row = row_of(page.parent, "toy-ridge")
    truth, drawn = data_of(page.parent, "p0/maps")[row["id"]]["toy"]
    assert data_of(page.parent, f"p0/{drawn}")["seed"] == 0
    assert data_of(page.parent, f"p0/{truth}")["slides"]
