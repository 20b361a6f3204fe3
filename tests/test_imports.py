"""An imported result on the board of a workspace, from the store and from MLflow."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from dataclasses import replace

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.board import build_leaderboard
from spared_bench.cells import finished_cells
from spared_bench.imports import IMPORTED, read_result
from spared_bench.store import digest
from spared_bench.submissions.add import unreproduced
from spared_bench.upkeep import export, import_archive
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.leaderboard.reading import data_of


def toy_bench(root):
    return make_bench(str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN], device="cpu")


@pytest.fixture
def forged(bench, tmp_path):
    """An archive of a finished run whose scores were edited, with all hashes made right again."""
    execute(select(bench, predictors=["toy-mean"]), executor="inline")
    export(bench.workspace.store, tmp_path / "sound.tar")
    with tarfile.open(tmp_path / "sound.tar") as tar:
        tar.extractall(tmp_path / "edited", filter="data")
    for path in (tmp_path / "edited" / "trials").glob("*/result.json"):
        values = json.loads(path.read_text())
        values["scores"]["test"]["mse"] = 1e-6
        values["facts"] |= {"origin": {"trust": "reproduced"}, "synthetic": False, "imported": None}
        path.write_text(json.dumps(values))
        manifest = json.loads(path.with_name("manifest.json").read_text())
        manifest["files"]["result.json"] = {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        path.with_name("manifest.json").write_text(json.dumps(manifest))
    with tarfile.open(tmp_path / "forged.tar", "w") as tar:
        for path in sorted((tmp_path / "edited").rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(tmp_path / "edited"))
    return tmp_path / "forged.tar"


def test_a_forged_archive_is_shown_as_imported_from_the_store_and_from_mlflow(
    forged, prepared_workspace, tmp_path
):
    from spared_bench.board import sync

    shutil.copytree(prepared_workspace, tmp_path / "other")
    other = toy_bench(tmp_path / "other")
    import_archive(other.workspace.store, forged)
    execute(select(other, predictors=["toy-ridge"]), executor="inline")
    sync(other.workspace)

    for source in ("store", "mlflow"):
        out = tmp_path / source
        build_leaderboard(other.workspace, source=source, out=out, registry=other.registry)
        rows = data_of(out, "p0/board")["rows"]
        assert {row["predictor"]: (row["trust"], row["claimed"]) for row in rows} == {
            "toy-mean": ("imported", True),
            "toy-ridge": ("reproduced", False),
        }
        assert "toy-mean (imported)" in (out / "leaderboard.md").read_text()


def test_an_imported_run_confirms_no_submission(forged, prepared_workspace, tmp_path, bench):
    from spared_bench.submissions.build import build
    from spared_bench.submissions.check import check

    archive = build(bench, "toy-mean", tmp_path).archive
    report = check(archive, lambda protocol: bench, tmp_path / "leaderboards")
    assert unreproduced(report, bench.workspace.store) == []
    shutil.copytree(prepared_workspace, tmp_path / "other")
    store = toy_bench(tmp_path / "other").workspace.store
    export(bench.workspace.store, tmp_path / "honest.tar")
    import_archive(store, tmp_path / "honest.tar")
    assert unreproduced(report, store) == [
        "toy / none / toy-mean / 0: there is no finished run of it."
    ]


def test_a_record_cannot_say_itself_where_it_comes_from(forged, bench):
    (cell,) = finished_cells(bench.workspace.store)
    facts = {**cell.final.facts, "origin": {"trust": "re-scored"}, "unlisted": True, IMPORTED: True}
    path = cell.folder / "result.json"
    path.write_text(json.dumps(replace(cell.final, facts=facts).as_dict()))
    assert not {"origin", "unlisted", IMPORTED} & set(read_result(cell.folder).facts)


def test_a_trial_of_an_imported_dataset_is_not_trained_on_known_data(bench, workspace, tmp_path):
    export(bench.workspace.store, tmp_path / "all.tar", products=True)
    shutil.copytree(workspace, tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "store")
    other = toy_bench(tmp_path / "other")
    assert import_archive(other.workspace.store, tmp_path / "all.tar")[0] > 0
    execute(select(other, predictors=["toy-mean"]), executor="inline")
    (cell,) = finished_cells(other.workspace.store)
    (station,) = cell.final.facts[IMPORTED]
    assert any(
        digest(entry.inputs) == station["made_from"]
        for kind in ("prepared", "patches", "completed")
        for entry in other.workspace.store.entries(kind)
    )
