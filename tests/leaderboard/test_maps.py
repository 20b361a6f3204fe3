"""Maps of the page: from the store, exact to a step, bounded, and absent where nothing is drawn."""

from __future__ import annotations

import base64
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from anndata import read_h5ad

from spared_bench.api import execute, select
from spared_bench.bench import Bench
from spared_bench.leaderboard import maps as board_maps
from spared_bench.leaderboard.map_truth import ordered_genes
from spared_bench.leaderboard.publish import build_leaderboard
from spared_bench.specs import MetricSpec
from spared_bench.store import records as reading
from spared_bench.store.imports import write_mark
from spared_bench.store.records import Records
from spared_bench.store.trials import read_cell
from spared_bench.trials.raw_slides import read_raw_slides
from tests.board_samples import METRICS
from tests.leaderboard.reading import data_of, row_of

PCC = METRICS["pcc-gene"]


@pytest.fixture
def trial(bench):
    """One finished trial of the toy dataset, with its scores."""
    return finished(bench, "toy-ridge")


def finished(bench, predictor):
    plan = select(bench, ["toy"], ["none"], [predictor])
    (result,) = execute(plan, executor="inline", track=False).results
    return result


def unpacked(files, name, slide: int) -> np.ndarray:
    """Values of one slide, (n_spots, n_genes), as the page's scripts read them."""
    truth = next(
        files[each] for each in files if each.startswith("truth") and "slides" in files[each]
    )
    about = truth["slides"][slide]
    parts = []
    for number in range(0, len(truth["symbols"]), about["genes_per_file"]):
        part = files[f"{name}-s{slide}-g{number // about['genes_per_file']}"]
        steps = np.frombuffer(zlib.decompress(base64.b64decode(part["steps"])), dtype=np.uint8)
        steps = steps.reshape(len(part["low"]), about["spots"]).T.astype(float)
        low, high = np.array(part["low"]), np.array(part["high"])
        parts.append(np.where(steps == 255, np.nan, low + (high - low) * steps / truth["levels"]))
    return np.concatenate(parts, axis=1)


def maps_of(bench: Bench, **rows) -> list[board_maps.Map]:
    with Records(bench.workspace.store) as records:
        return board_maps.find_maps(records, rows)


def drawn_of(bench: Bench, trial, **options) -> dict:
    maps = maps_of(bench, row=[trial])
    drawn = board_maps.draw(maps, [METRICS["mse"], PCC], **options)
    return {each.name: each.values for each in drawn}


def test_a_map_holds_every_gene_measured_and_predicted_to_one_step(bench, trial):
    files = drawn_of(bench, trial)
    truth_name, map_name = files["maps"]["row"]["toy"]
    truth = files[truth_name]

    (found,) = maps_of(bench, row=[trial])
    adata = read_h5ad(found.prepared / "dataset.h5ad")
    split = trial.facts["evaluation_split"]
    whole = np.flatnonzero(adata.obs["split"].to_numpy() == split)
    with np.load(found.folder / "predictions.npz", allow_pickle=False) as file:
        predicted = file[f"{split}_prediction"]

    genes = truth["columns"]
    assert sorted(genes) == list(range(adata.n_vars))
    assert truth["symbols"] == [str(adata.var["gene_name"].iloc[gene]) for gene in genes]
    slides = adata.obs["slide_id"].astype(str).to_numpy()[whole]
    for number, about in enumerate(truth["slides"]):
        here = slides == about["name"]
        assert about["spots"] == about["of"] == here.sum()
        places = files[f"{truth_name}-s{number}"]
        expected = np.asarray(adata.obsm["spatial"])[whole[here]]
        np.testing.assert_allclose(np.column_stack([places["x"], places["y"]]), expected, atol=0.06)
        target = np.asarray(adata.layers["target"])[whole[here]][:, genes]
        seen = np.asarray(adata.layers["mask"])[whole[here]][:, genes]
        measured, drawn = (unpacked(files, name, number) for name in (truth_name, map_name))
        step = np.ptp(np.asarray(adata.layers["target"])[whole], axis=0).max() / 254
        np.testing.assert_array_equal(np.isnan(measured), ~seen)
        np.testing.assert_allclose(measured[seen], target[seen], atol=step)
        step = np.ptp(predicted, axis=0).max() / 254
        np.testing.assert_allclose(drawn, predicted[here][:, genes], atol=step)


def test_spots_have_the_size_that_the_raw_slide_gives_them(bench, trial):
    files = drawn_of(bench, trial)
    about = files[files["maps"]["row"]["toy"][0]]["slides"][0]
    raw = read_raw_slides(bench, "toy", [about["name"]])[about["name"]].uns["slide"]

    assert about["diameter"] == pytest.approx(raw["spot_diameter_px"])
    assert about["um_per_px"] == pytest.approx(raw["um_per_px"])


def test_genes_come_from_the_best_predicted_to_the_worst_with_their_scores(bench, trial):
    files = drawn_of(bench, trial)
    truth_name, map_name = files["maps"]["row"]["toy"]
    found = files[map_name]["scores"]["pcc-gene"]
    known = [value for value in found if value is not None]

    assert known == sorted(known, reverse=True)
    expected = [trial.gene_scores["pcc-gene"][gene] for gene in files[truth_name]["columns"]]
    assert [v for v in expected if np.isfinite(v)] == pytest.approx(known, rel=1e-5)
    heat = files[files["prepared"]["toy"]["by_gene"]]
    assert heat["rows"] == [["row", found]]
    assert heat["symbols"] == files[truth_name]["symbols"]


def test_what_processing_left_is_told_of_each_slide(bench, trial):
    (found,) = maps_of(bench, row=[trial])
    adata = read_h5ad(found.prepared / "dataset.h5ad")
    told = drawn_of(bench, trial)["prepared"]["toy"]

    assert told["genes"] == adata.n_vars
    assert told["missing"] == pytest.approx(1 - np.asarray(adata.layers["mask"]).mean(), rel=1e-5)
    kept = adata.obs.groupby("slide_id", observed=True).size()
    assert {name: slide["kept"] for name, slide in told["slides"].items()} == dict(kept)
    assert told["imported"] is False
    write_mark(found.prepared, {"archive": "theirs"})
    assert drawn_of(bench, trial)["prepared"]["toy"]["imported"] is True


def test_where_room_is_short_steps_are_coarse_and_spots_are_left_out_of_every_slide(bench, trial):
    whole = drawn_of(bench, trial)
    n_genes = whole["prepared"]["toy"]["genes"]
    files = drawn_of(bench, trial, characters=2 * 6 * n_genes * 0.9)

    (truth_name, map_name) = files["maps"]["row"]["toy"]
    truth, full = files[truth_name], whole[truth_name]
    assert (full["levels"], truth["levels"]) == (254, 31)
    for number, (thin, all_) in enumerate(zip(truth["slides"], full["slides"], strict=True)):
        assert 0 < thin["spots"] < thin["of"] == all_["of"] == all_["spots"]
        places = whole[f"{truth_name}-s{number}"]["x"]
        stride = -(-all_["spots"] // thin["spots"])
        assert files[f"{truth_name}-s{number}"]["x"] == places[::stride]
        kept = unpacked(whole, map_name, number)[::stride]
        step = np.ptp(kept, axis=0).max() / 31 + 0.02
        np.testing.assert_allclose(unpacked(files, map_name, number), kept, atol=step)


def test_a_result_that_mlflow_gave_back_without_its_genes_makes_the_same_maps(bench, trial):
    assert trial.gene_scores
    assert drawn_of(bench, replace(trial, gene_scores={}, genes=[])) == drawn_of(bench, trial)


def test_what_the_store_lacks_is_not_drawn(bench, trial):
    unknown = replace(trial, key="0" * 64)
    failed = replace(trial, status="error")

    assert maps_of(bench, row=[unknown]) == []
    assert maps_of(bench, row=[failed]) == []


def test_genes_are_ordered_by_their_mean_over_methods_and_unscored_ones_come_last():
    scores = [
        {"pcc-gene": [0.1, 0.9, 0.5, float("nan"), 0.7, 0.2, 0.3, 0.8]},
        {"pcc-gene": [0.1, 0.9, 0.5, float("nan"), 0.7, 0.2, 0.3, 1.0]},
        {"pcc-gene": [0.5]},
    ]

    assert ordered_genes(scores, PCC, 8).tolist() == [1, 7, 4, 2, 6, 5, 0, 3]
    assert ordered_genes([], PCC, 3).tolist() == [0, 1, 2]
    assert ordered_genes(scores, None, 3).tolist() == [0, 1, 2]


def test_genes_of_lower_error_come_first():
    error = MetricSpec("gene-error", "a:b", better="lower")

    found = ordered_genes([{"gene-error": [0.5, 0.1, float("nan")]}], error, 3)

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


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rewritten(path):
    path.write_bytes(Random(7).randbytes(path.stat().st_size))


def of_other_arrays(path):
    np.savez(path, other=np.zeros(3))


def of_other_shape(path):
    arrays = dict(np.load(path))
    np.savez(path, **{name: values[:2] for name, values in arrays.items()})


def a_flipped_member(path):
    """The list of members is whole, and the data of one are not."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as packed:
        member = packed.getinfo("test_prediction.npy")
    middle = member.header_offset + member.compress_size // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [cut_short, rewritten, of_other_arrays, of_other_shape, a_flipped_member]
)
def test_one_damaged_prediction_costs_its_own_map_and_is_named(bench, trial, damage):
    other = finished(bench, "toy-mean")
    maps = maps_of(bench, row=[trial], whole=[other])
    damage(maps[0].folder / "predictions.npz")

    left_out: list[str] = []
    files = {each.name: each.values for each in board_maps.draw(maps, [PCC], left_out)}
    assert list(files["maps"]) == ["whole"]
    assert set(files["maps"]["whole"]["toy"]) < set(files)
    (told,) = left_out
    assert f"The predictions of toy-ridge on toy ({trial.key[:12]}) cannot be read" in told


@pytest.mark.parametrize("damage", [cut_short, rewritten])
def test_a_damaged_dataset_costs_its_maps_and_not_the_board(bench, trial, damage):
    maps = maps_of(bench, row=[trial])
    damage(maps[0].prepared / "dataset.h5ad")
    left_out: list[str] = []
    drawn = list(board_maps.draw(maps, [PCC], left_out))
    assert drawn == [board_maps.Drawn("prepared", {}), board_maps.Drawn("maps", {})]
    assert "The prepared dataset toy cannot be read" in left_out[0]


def test_a_file_that_may_not_be_read_is_named_on_the_site_which_is_written(
    bench, trial, tmp_path, monkeypatch
):
    (bench.workspace.store.root / "cells" / "odd.json").write_text("[")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "predictions.npz")

    monkeypatch.setattr("numpy.load", refuse)
    page = build_leaderboard(
        bench.workspace, source="store", out=tmp_path / "site", registry=bench.registry
    )
    assert page is not None
    assert row_of(page.parent, "toy-ridge")["rank"] is None  # generated data
    told = data_of(page.parent, "index")["left_out"]
    assert ["cells/odd.json is no record" in each for each in told] == [True, False]
    assert "cannot be read, so no map is drawn" in told[1]
    assert "Permission denied" in told[1]


@pytest.fixture
def read_again(monkeypatch) -> list[str]:
    """Keys of the trials whose records are read for maps."""
    read: list[str] = []
    read_cell_of = board_maps.finished_cell

    def counted(records, file):
        read.append(file.record["final"])
        return read_cell_of(records, file)

    monkeypatch.setattr(board_maps, "finished_cell", counted)
    return read


def test_only_results_that_may_be_drawn_are_read_again(bench, trial, read_again):
    other = finished(bench, "toy-mean")
    (bench.workspace.store.folder("trials", other.key) / "predictions.npz").unlink()

    assert len(maps_of(bench, row=[trial], other=[other])) == 1
    assert read_again == [trial.key]


def test_of_several_seeds_the_first_with_predictions_is_read_again_and_no_other(bench, read_again):
    protocol = bench.protocol.model_copy(update={"seeds": (0, 1, 2)})
    settings = replace(bench.settings, protocol=protocol.model_dump(mode="json"))
    plan = select(Bench(settings, bench.registry), ["toy"], ["none"], ["toy-ridge"])
    results = execute(plan, executor="inline", track=False).results
    keys = {result.seed: result.key for result in results}
    read_again.clear()

    assert [each.trial.seed for each in maps_of(bench, row=results[::-1])] == [0]
    (bench.workspace.store.folder("trials", keys[0]) / "predictions.npz").unlink()
    assert [each.trial.seed for each in maps_of(bench, row=results[::-1])] == [1]
    assert read_again == [keys[0], keys[1]]


def test_the_record_of_a_cell_is_read_once_for_a_site(bench, trial, monkeypatch, tmp_path):
    read = []

    def counted(path):
        read.append(path.name)
        return read_cell(path)

    monkeypatch.setattr(reading, "read_cell", counted)
    build_leaderboard(
        bench.workspace, source="store", out=tmp_path / "site", registry=bench.registry
    )
    assert len(read) == 1
