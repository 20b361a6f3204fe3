"""An imported result on the board of a workspace, from the store and from MLflow."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from spared_bench.api import execute, make_bench, select
from spared_bench.cli import app
from spared_bench.errors import UsageError
from spared_bench.inference.trained import find_trained
from spared_bench.keys.hashing import digest
from spared_bench.leaderboard.publish import build_leaderboard
from spared_bench.results import IMPORTED, TrialScores
from spared_bench.store.archives import export, import_archive
from spared_bench.store.entries import Store
from spared_bench.store.trials import read_cell, read_trial
from spared_bench.submissions.add import unreproduced
from spared_bench.trials.cells import finished_cells
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.leaderboard.reading import data_of


def toy_bench(root):
    return make_bench(str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN], device="cpu")


def edited(path, change):
    """Edit a record of an unpacked archive, and make its hash right again."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    manifest = json.loads(path.with_name("manifest.json").read_text())
    manifest["files"][path.name] = {
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_name("manifest.json").write_text(json.dumps(manifest))


def unpacked(archive, folder):
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def packed(folder, archive):
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(folder))
    return archive


@pytest.mark.parametrize("name", ["cells/a.json", "cells/./a.json", "cells/a.json/b.json"])
def test_an_archive_that_holds_one_name_twice_is_refused(tmp_path, name):
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        for each in ("cells/a.json", name):
            info = tarfile.TarInfo(each)
            info.size = 2
            tar.addfile(info, io.BytesIO(b"{}"))
    store = Store(tmp_path / "store")
    with pytest.raises(
        UsageError, match=rf"odd\.tar holds '{name}' twice.*Nothing of it was taken"
    ):
        import_archive(Store(tmp_path / "store"), tmp_path / "odd.tar")
    assert not list(store.root.rglob("*.json"))


def test_an_archive_of_which_a_part_is_lost_is_refused(tmp_path):
    """A header that cannot be read was its end, and the entries behind it did not come."""
    with tarfile.open(tmp_path / "cut.tar", "w") as tar:
        for name in ("cells/a.json", "cells/b.json"):
            tar.addfile(tarfile.TarInfo(name))
    data = (tmp_path / "cut.tar").read_bytes()
    for cut in (
        data[:700],
        data[:520] + b"?" + data[521:],
        bytes(512).join((data[:512], data[512:])),
    ):
        (tmp_path / "cut.tar").write_bytes(cut)
        with pytest.raises(UsageError, match=r"cut\.tar cannot be read as an archive of"):
            import_archive(Store(tmp_path / "store"), tmp_path / "cut.tar")
        assert not list((tmp_path / "store").rglob("*.json"))


@pytest.mark.parametrize("path", ["trials/a\0b/c", "cells/\0.json", f"trials/{'a' * 300}/c"])
def test_a_name_that_no_file_can_have_is_the_archives_fault(tmp_path, path):
    with tarfile.open(tmp_path / "odd.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("trials/a/c")
        info.pax_headers = {"path": path}
        tar.addfile(info)
    with pytest.raises(UsageError, match=r"odd\.tar .*(no plain file of|cannot be read as)"):
        import_archive(Store(tmp_path / "store"), tmp_path / "odd.tar")


@pytest.mark.parametrize(
    ("inputs", "facts"),
    [([1], {}), ("trial", {}), ({"a": 1}, {"bytes": None}), ({"a": 1}, {"bytes": "2"})],
)
def test_only_what_the_store_would_open_is_taken_over(tmp_path, inputs, facts):
    sound = {"bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    folder = tmp_path / "odd" / "prepared" / digest(inputs)
    folder.mkdir(parents=True)
    (folder / "x").write_text("{}")
    manifest = {"kind": "prepared", "inputs": inputs, "files": {"x": sound | facts}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    store = Store(tmp_path / "store")
    with pytest.raises(UsageError, match="is damaged or was altered"):
        import_archive(store, packed(tmp_path / "odd", tmp_path / "odd.tar"))
    assert not store.keys("prepared")


@pytest.fixture
def forged(bench, tmp_path):
    """An archive of a finished run whose scores were edited, with all hashes made right again."""
    execute(select(bench, predictors=["toy-mean"]), executor="inline", track=False)
    export(bench.workspace.store, tmp_path / "sound.tar")
    folder = unpacked(tmp_path / "sound.tar", tmp_path / "edited")
    claims = {"origin": {"trust": "reproduced"}, "synthetic": False, "imported": None}
    (record,) = (folder / "trials").glob("*/result.json")
    edited(record, lambda values: values["facts"].update(claims))
    (record,) = (folder / "scores").glob("*/scores.json")
    edited(record, lambda values: values["scores"]["test"].update(mse=1e-6))
    return packed(folder, tmp_path / "forged.tar")


def test_a_forged_archive_is_shown_as_imported_from_the_store_and_from_mlflow(
    forged, prepared_workspace, tmp_path
):
    from spared_bench.tracking.recorder import sync

    shutil.copytree(prepared_workspace, tmp_path / "other")
    other = toy_bench(tmp_path / "other")
    import_archive(other.workspace.store, forged)
    execute(select(other, predictors=["toy-ridge"]), executor="inline", track=False)
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


def test_a_run_that_finds_an_imported_trial_reports_it_by_the_names_that_were_asked_for(
    forged, tmp_path
):
    folder = unpacked(forged, tmp_path / "renamed")
    (record,) = (folder / "trials").glob("*/result.json")
    said = {
        "dataset": "../x",
        "completer": "y",
        "predictor": "z",
        "protocol": "t@9",
        "seed": 10**30,
    }
    edited(record, lambda values: values.update(said, key="0" * 64))
    other = toy_bench(tmp_path / "other")
    import_archive(other.workspace.store, packed(folder, tmp_path / "renamed.tar"))
    report = execute(select(other, predictors=["toy-mean"]), executor="inline", track=False)
    (result,) = report.results
    assert result.cell == ("toy@1", "toy", "none", "toy-mean", 0)
    assert result.facts[IMPORTED]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("environment", {"plugins": [1]}),
        ("environment", {"packages": "numpy"}),
        ("environment", {"machine": {"a": 1}}),
        ("environment", {"device": 7}),
        ("environment", {"attempts": "two"}),
        ("facts", {"slide_checks": [1]}),
        ("facts", {"slide_checks": {"failed": [1]}}),
        ("facts", {"slide_checks": {"failed": {"one": 1}}}),
    ],
)
def test_a_trial_that_says_with_other_types_how_it_was_made_is_none(forged, tmp_path, field, said):
    folder = unpacked(forged, tmp_path / "shapeless")
    (record,) = (folder / "trials").glob("*/result.json")
    edited(record, lambda values: values[field].update(said))
    with pytest.raises(UsageError, match="this is no record of a trial"):
        import_archive(Store(tmp_path / "s"), packed(folder, tmp_path / "shapeless.tar"))


def one_more(values):
    values.append(values[-1])


@pytest.mark.parametrize("field", ["genes", "gene_symbols"])
@pytest.mark.parametrize("change", [list.pop, one_more])
def test_a_trial_of_which_genes_lack_their_symbols_is_none(forged, tmp_path, field, change):
    folder = unpacked(forged, tmp_path / "uneven")
    (record,) = (folder / "trials").glob("*/result.json")
    edited(record, lambda values: change(values[field]))
    with pytest.raises(UsageError, match="this is no record of a trial: it has"):
        import_archive(Store(tmp_path / "s"), packed(folder, tmp_path / "uneven.tar"))


@pytest.mark.parametrize("change", [list.clear, list.pop, one_more])
def test_scores_of_another_number_of_genes_are_not_those_of_a_trial(bench, change):
    execute(select(bench, predictors=["toy-ridge"]), executor="inline", track=False)
    (cell,) = finished_cells(bench.workspace.store)
    assert cell.final.ok
    edited(
        cell.scores / "scores.json",
        lambda values: [change(each) for each in values["gene_scores"].values()],
    )
    (cell,) = finished_cells(bench.workspace.store)
    assert (cell.final.status, cell.final.scores) == ("error", {})
    assert "of another number of genes" in cell.final.message


def test_imported_results_of_further_seeds_leave_no_other_imported_row_incomplete(bench, tmp_path):
    protocol = tmp_path / "two_seeds.yaml"
    protocol.write_text(f"{TOY_PROTOCOL.read_text()}\nseeds: [0, 7]\n")
    options = {"workspace": bench.workspace.root, "plugin_files": [TOY_PLUGIN], "device": "cpu"}
    two_seeds = make_bench(str(protocol), **options)
    execute(select(two_seeds, predictors=["toy-mean"]), executor="inline", track=False)
    execute(select(bench, predictors=["toy-network"]), executor="inline", track=False)
    export(bench.workspace.store, tmp_path / "sound.tar")
    other = toy_bench(tmp_path / "other")
    import_archive(other.workspace.store, tmp_path / "sound.tar")

    for protocols, seeds in (([bench.protocol], [1, 1]), ([two_seeds.protocol], [2, 1])):
        left_out = []
        options = {"source": "store", "registry": other.registry, "protocols": protocols}
        build_leaderboard(other.workspace, **options, left_out=left_out)
        rows = json.loads((other.workspace.leaderboard / "leaderboard.json").read_text())
        found = {row["predictor"]: row["datasets"]["toy"] for row in rows["protocols"][0]["rows"]}
        assert [found[name]["seeds"] for name in ("toy-mean", "toy-network")] == seeds
        assert found["toy-network"]["failed"] == max(seeds) - 1
        told = [each for each in left_out if "of seed 7, and it has 0." in each]
        assert len(told) == (max(seeds) == 1)


def test_a_study_of_difficulty_names_imported_scores_as_such(forged, prepared_workspace, tmp_path):
    from spared_bench.studies.difficulty import scores_of

    shutil.copytree(prepared_workspace, tmp_path / "other")
    other = toy_bench(tmp_path / "other")
    import_archive(other.workspace.store, forged)
    execute(select(other, predictors=["toy-ridge"]), executor="inline", track=False)
    found = scores_of(other, other.registry.get("metric", "mse").spec)["toy"]
    assert {each.method: each.trust for each in found} == {
        "toy-mean (none)": "imported",
        "toy-ridge (none)": "reproduced",
    }


def test_status_and_whoever_applies_an_imported_method_say_that_it_was_imported(bench, tmp_path):
    execute(select(bench, ["toy"], ["none"], ["toy-network"]), executor="inline", track=False)
    export(bench.workspace.store, tmp_path / "honest.tar")
    other = toy_bench(tmp_path / "other").workspace
    import_archive(other.store, tmp_path / "honest.tar")

    def states(place):
        for _ in range(2):  # the second from the index
            told = CliRunner().invoke(app, ["status", "--suite", str(TOY_PROTOCOL), "-w", place])
        return [line.partition(" 0 ")[2].strip() for line in told.stdout.splitlines()[1:]]

    assert states(str(bench.workspace.root)) == ["ok"]
    assert states(str(other.root)) == ["ok, imported"]
    name = "toy/none/toy-network"
    assert find_trained(bench.workspace.store, name).remarks == ()
    assert "`store import`" in " ".join(find_trained(other.store, name).remarks)


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
    store = bench.workspace.store
    (cell,) = finished_cells(store)
    claims = {"origin": {"trust": "re-scored"}, "unlisted": True, "unscored": [1], IMPORTED: True}
    facts = {**cell.final.facts, **claims}
    values = replace(cell.final, facts=facts).as_dict()
    edited(cell.folder / "result.json", lambda old: old.update(values))
    edited(cell.scores / "scores.json", lambda old: old.update(imported=[{"archive": "a.tar"}]))
    result, _ = read_trial(store, cell.final.key)
    assert not {"origin", "unlisted", "unscored", IMPORTED} & set(result.facts)
    (cell,) = finished_cells(store)
    assert cell.final.scores["test"]
    assert IMPORTED not in cell.final.facts


def test_scores_that_were_imported_are_not_those_of_a_run_here(
    forged, prepared_workspace, tmp_path
):
    """The training was done here; what was edited are its scores, which come alone."""
    from spared_bench.submissions.build import build
    from spared_bench.submissions.check import check

    shutil.copytree(prepared_workspace, tmp_path / "other")
    other = toy_bench(tmp_path / "other")
    store = other.workspace.store
    execute(select(other, predictors=["toy-mean"]), executor="inline", track=False)
    report = check(build(other, "toy-mean", tmp_path).archive, lambda _: other, tmp_path / "none")
    assert unreproduced(report, store) == []
    (cell,) = finished_cells(store)
    honest = cell.final.scores["test"]["mse"]
    store.remove("scores", cell.scores.name)
    shutil.rmtree(tmp_path / "edited" / "trials")
    shutil.rmtree(tmp_path / "edited" / "figures", ignore_errors=True)
    alone = packed(tmp_path / "edited", tmp_path / "scores.tar")
    assert import_archive(store, alone) == (1, 0)

    (cell,) = finished_cells(store)
    assert (cell.final.scores["test"]["mse"], honest) == (1e-6, pytest.approx(honest))
    assert cell.final.facts[IMPORTED][0]["archive"] == "scores.tar"
    assert IMPORTED not in read_trial(store, cell.final.key)[0].facts
    assert unreproduced(report, store) == [
        "toy / none / toy-mean / 0: there is no finished run of it."
    ]
    out = tmp_path / "site"
    build_leaderboard(other.workspace, source="store", out=out, registry=other.registry)
    (row,) = data_of(out, "p0/board")["rows"]
    assert (row["trust"], row["claimed"]) == ("imported", True)


def of_a_text(values):
    values["scores"]["test"]["mse"] = "<b>"


def of_a_list(values):
    values["slide_scores"] = [1]


def of_a_word(values):
    values["gene_scores"] = {"mse": "low"}


def of_another_status(values):
    values["status"] = "excellent"


def of_nothing(values):
    values.clear()


ABSURD = [of_a_text, of_a_list, of_a_word, of_another_status, of_nothing]


@pytest.mark.parametrize("change", ABSURD)
def test_absurd_scores_are_none_and_are_named_and_made_again(bench, tmp_path, change):
    store = bench.workspace.store
    plan = select(bench, predictors=["toy-mean"])
    execute(plan, executor="inline", track=False)
    (cell,) = finished_cells(store)
    edited(cell.scores / "scores.json", change)

    unread = []
    assert list(finished_cells(store, unread=unread)) == []
    (told,) = unread
    assert told.startswith(f"scores/{cell.scores.name[:12]} cannot be read and is left out")
    export(store, tmp_path / "odd.tar")
    with pytest.raises(UsageError, match="this is no record of scores"):
        import_archive(Store(tmp_path / "empty"), tmp_path / "odd.tar")
    execute(plan, executor="inline", track=False)
    (again,) = finished_cells(store)
    assert again.final.scores == cell.final.scores


@pytest.mark.parametrize("values", [[1], ["scores"], "scores", 7, None])
def test_what_is_no_record_of_scores_at_all_is_told_as_such(values):
    with pytest.raises(ValueError, match="this is no record of scores"):
        TrialScores.from_dict(values)


def test_an_archive_whose_scores_are_a_list_is_refused_and_one_in_the_store_is_named(
    bench, tmp_path
):
    store = bench.workspace.store
    execute(select(bench, predictors=["toy-mean"]), executor="inline", track=False)
    (cell,) = finished_cells(store)
    path = cell.scores / "scores.json"
    path.write_text("[1]")
    edited(path, lambda values: None)  # its hash is right

    unread = []
    assert list(finished_cells(store, unread=unread)) == []
    assert "this is no record of scores" in unread[0]
    export(store, tmp_path / "list.tar")
    with pytest.raises(UsageError, match="this is no record of scores"):
        import_archive(Store(tmp_path / "empty"), tmp_path / "list.tar")


def test_scores_nested_beyond_all_measure_are_none(bench):
    store = bench.workspace.store
    execute(select(bench, predictors=["toy-mean"]), executor="inline", track=False)
    (cell,) = finished_cells(store)
    path = cell.scores / "scores.json"
    text = path.read_text().replace('"scores": {', '"scores": ' + '{"a": ' * 50_000 + "{", 1)
    path.write_text(text)
    manifest = json.loads(path.with_name("manifest.json").read_text())
    manifest["files"]["scores.json"]["bytes"] = path.stat().st_size
    path.with_name("manifest.json").write_text(json.dumps(manifest))
    assert list(finished_cells(store)) == []


def test_a_trial_of_an_imported_dataset_is_not_trained_on_known_data(bench, workspace, tmp_path):
    export(bench.workspace.store, tmp_path / "all.tar", products=True)
    shutil.copytree(workspace, tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "store")
    other = toy_bench(tmp_path / "other")
    assert import_archive(other.workspace.store, tmp_path / "all.tar")[0] > 0
    execute(select(other, predictors=["toy-mean"]), executor="inline", track=False)
    (cell,) = finished_cells(other.workspace.store)
    (station,) = cell.final.facts[IMPORTED]
    assert any(
        digest(entry.inputs) == station["made_from"]
        for kind in ("prepared", "patches", "completed")
        for entry in other.workspace.store.entries(kind)
    )


@pytest.mark.parametrize("imported", ["the better candidate", "the worse candidate"])
def test_a_trial_that_imported_candidates_choose_is_not_shown_as_this_workspaces_own(
    prepared_workspace, bench, tmp_path, imported
):
    """The archive says of one candidate alone how well it did; what it chooses is trained here."""
    plan = select(bench, predictors=["toy-ridge"])
    (honest,) = execute(plan, executor="inline", track=False).results
    export(bench.workspace.store, tmp_path / "all.tar")
    folder = unpacked(tmp_path / "all.tar", tmp_path / "edited")
    for kind in ("cells", "scores", "figures"):
        shutil.rmtree(folder / kind)
    better = imported == "the better candidate"
    for record in (folder / "trials").glob("*/result.json"):
        if (record.parent.name == honest.key) != better:
            shutil.rmtree(record.parent)
        else:
            claimed = 1e9 if better else 1e-9
            edited(record, lambda values, claimed=claimed: values.update(validation_mse=claimed))
    shutil.copytree(prepared_workspace, tmp_path / "other")
    other = toy_bench(tmp_path / "other")
    protocol = other.protocol.model_copy(update={"seeds": (0, 1)})
    settings = replace(other.settings, protocol=protocol.model_dump(mode="json"))
    other = type(other)(settings, other.registry)
    assert import_archive(other.workspace.store, packed(folder, tmp_path / "one.tar")) == (1, 0)

    report = execute(select(other, predictors=["toy-ridge"]), executor="inline", track=False)
    cells = list(finished_cells(other.workspace.store))
    assert len(cells) == 2
    for result in (*report.results, *(cell.final for cell in cells)):
        assert result.parameters != honest.parameters
        assert result.facts[IMPORTED]
    again = execute(select(other, predictors=["toy-ridge"]), executor="inline", track=False)
    assert all(result.facts[IMPORTED] for result in again.results)
    build_leaderboard(
        other.workspace, source="store", out=tmp_path / "site", registry=other.registry
    )
    (row,) = data_of(tmp_path / "site", "p0/board")["rows"]
    assert row["trust"] == "imported"


def of_another_name(names):
    return {"cell": [*names[:3], "toy-ridge", 0]}


def of_no_name(names):
    return {"file": "anything.json"}


def of_its_own(names):
    return {}


def of_scores_of_another(names):
    return {"scores": True}


@pytest.mark.parametrize("forge", [of_another_name, of_no_name, of_its_own, of_scores_of_another])
def test_a_record_that_comes_chooses_no_result_of_this_workspace(
    prepared_workspace, tmp_path, capsys, forge
):
    """A record of a cell bears no mark; with nothing but records, the board must stay as it was."""
    shutil.copytree(prepared_workspace, tmp_path / "other")
    store = toy_bench(tmp_path / "other").workspace.store
    execute(
        select(toy_bench(tmp_path / "other"), predictors=["toy-mean", "toy-ridge"]),
        executor="inline",
        track=False,
    )
    cells = {cell.final.predictor: cell for cell in finished_cells(store)}
    path = store.root / "cells" / f"{digest(['toy@1', 'toy', 'none', 'toy-mean', 0])}.json"
    record = json.loads(path.read_text())
    path.unlink()
    change = forge(record["cell"])
    name = change.pop("file", None)
    if change.pop("scores", False):
        change = {"scores": cells["toy-ridge"].scores.name}
    record |= change
    folder = tmp_path / "edited" / "cells"
    folder.mkdir(parents=True)
    (folder / (name or f"{digest(record['cell'])}.json")).write_text(json.dumps(record))

    if forge is of_another_name:
        (store.root / "cells" / f"{digest(record['cell'])}.json").unlink()
    before = [cell.final.predictor for cell in finished_cells(store)]
    import_archive(store, packed(tmp_path / "edited", tmp_path / "cells.tar"))
    assert [cell.final.predictor for cell in finished_cells(store)] == before
    assert "1 records of cells are left out" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "\x1b[2J"])
def test_a_cell_whose_names_no_method_can_have_is_none_and_ends_no_log(bench, name):
    """MLflow makes a folder of the protocol's name: a null there ended the log of all others."""
    from spared_bench.tracking.recorder import sync

    execute(select(bench, predictors=["toy-mean", "toy-ridge"]), executor="inline", track=False)
    store = bench.workspace.store
    path = store.root / "cells" / f"{digest(['toy@1', 'toy', 'none', 'toy-mean', 0])}.json"
    record = json.loads(path.read_text())
    record["cell"][0] = name
    path.write_text(json.dumps(record))
    assert read_cell(path) is None
    assert [cell.final.predictor for cell in finished_cells(store)] == ["toy-ridge"]
    assert sync(bench.workspace) == 1


def test_the_records_of_an_honest_archive_are_taken_over(
    bench, tmp_path, prepared_workspace, capsys
):
    execute(select(bench, predictors=["toy-mean"]), executor="inline", track=False)
    export(bench.workspace.store, tmp_path / "all.tar")
    shutil.copytree(prepared_workspace, tmp_path / "other")
    store = toy_bench(tmp_path / "other").workspace.store
    import_archive(store, tmp_path / "all.tar")
    (cell,) = finished_cells(store)
    assert cell.final.predictor == "toy-mean"
    assert cell.figures is not None
    assert "left out" not in capsys.readouterr().err


def test_what_slides_are_said_to_be_like_is_found_here_and_not_taken_over(bench, tmp_path):
    """Checks and pictures are shown, and written into records of trials, without their mark."""
    inputs = {"of": "a slide"}
    other = Store(tmp_path / "other")
    for kind in ("checks", "pictures", "facts", "features"):
        other.obtain(kind, inputs, lambda folder: (folder / "said.json").write_text("[]"))
    export(other, tmp_path / "all.tar", products=True)
    store = bench.workspace.store
    assert import_archive(store, tmp_path / "all.tar") == (1, 0)
    there = [k for k in ("checks", "pictures", "facts", "features") if store.find(k, inputs)]
    assert there == ["features"]


def test_a_board_shows_runs_made_here_beside_imported_ones_of_the_same_methods(
    prepared_workspace, tmp_path
):
    protocol = TOY_PROTOCOL.read_text().replace("[none]", "[none, median]")
    benches = []
    for seed in (0, 1):
        shutil.copytree(prepared_workspace, tmp_path / f"{seed}")
        path = tmp_path / f"toy-{seed}.yaml"
        path.write_text(f"{protocol}seeds: [{seed}]\n")
        bench = make_bench(
            str(path), workspace=tmp_path / f"{seed}", plugin_files=[TOY_PLUGIN], device="cpu"
        )
        execute(select(bench, predictors=["toy-mean"]), executor="inline", track=False)
        benches.append(bench)
    here, other = benches
    export(other.workspace.store, tmp_path / "all.tar")
    import_archive(here.workspace.store, tmp_path / "all.tar")
    out = tmp_path / "site"
    build_leaderboard(here.workspace, source="store", out=out, registry=here.registry)
    assert sorted((r["completer"], r["trust"]) for r in data_of(out, "p0/board")["rows"]) == [
        *(("median", "imported"), ("median", "reproduced")),
        *(("none", "imported"), ("none", "reproduced")),
    ]
    (effects,) = data_of(out, "p0/statistics-0")["completers"]
    assert {each["method"] for each in effects["methods"]} == {"toy-mean", "toy-mean (imported)"}


@pytest.mark.parametrize("field", ["final", "scores", "figures"])
def test_a_record_of_a_cell_names_entries_by_keys_alone(tmp_path, field):
    record = {"cell": ["a@1", "b", "c", "d", 0], "final": "0a", "search": [], "scores": "0b"}
    record["figures"] = ""
    path = tmp_path / f"{digest(record['cell'])}.json"
    path.write_text(json.dumps(record))
    assert read_cell(path) == record
    for odd in ("\ud800", "../0b", "0\0"):
        path.write_text(json.dumps(record | {field: odd}))
        assert read_cell(path) is None


@pytest.mark.parametrize("cell", [["a@1", "b", "c", "d", 0, "e"], ["a@1", "b", "c", "x", 0]])
def test_a_record_that_was_given_another_cell_is_none(tmp_path, cell):
    """One of six parts ended status, board and log; one of another method bore its name there."""
    record = {"final": "0a", "search": [], "scores": "", "figures": ""}
    path = tmp_path / f"{digest(['a@1', 'b', 'c', 'd', 0])}.json"
    path.write_text(json.dumps(record | {"cell": ["a@1", "b", "c", "d", 0]}))
    assert read_cell(path) is not None
    path.write_text(json.dumps(record | {"cell": cell}))
    assert read_cell(path) is None


def test_an_archive_whose_headers_make_no_sense_is_told_as_damaged(tmp_path):
    member = tarfile.TarInfo("trials/aa/aa/result.json")
    member.pax_headers = {"GNU.sparse.map": "a,b", "GNU.sparse.size": "9"}
    with tarfile.open(tmp_path / "odd.tar", "w") as archive:
        archive.addfile(member)
    with pytest.raises(UsageError, match=r"odd\.tar cannot be read .* headers that make no sense"):
        import_archive(Store(tmp_path / "store"), tmp_path / "odd.tar")
