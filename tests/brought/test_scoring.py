"""Predictions made elsewhere become a scored row of the board, and can be handed in."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint
from typer.testing import CliRunner

from spared_bench.api import make_bench
from spared_bench.brought.scoring import bring
from spared_bench.cli import app
from spared_bench.errors import MissingFileError, SubmissionError, UsageError
from spared_bench.leaderboard.publish import build_leaderboard, collect
from spared_bench.protocol import read_protocol
from spared_bench.store.records import Records
from spared_bench.submissions.build import build, known_name
from spared_bench.submissions.check import check
from spared_bench.tracking.recorder import sync
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL


def test_the_scores_are_those_of_scipy_on_the_measured_spots(bench, table, frame):
    found = bring(bench, frame.sample(frac=1, random_state=1), "toy", method="outside")

    rows = table.obs["split"].to_numpy() == "test"
    truth, mask = (np.asarray(table.layers[x])[rows] for x in ("target", "mask"))
    values = frame.to_numpy(np.float32)
    wanted = np.mean(
        [scipy.stats.pearsonr(truth[m, g], values[m, g])[0] for g, m in enumerate(mask.T)]
    )
    scores = found.result.scores["test"]
    assert scores["pcc-gene"] == pytest.approx(wanted, abs=1e-6)
    assert scores["mse"] == pytest.approx(np.mean((truth - values)[mask] ** 2), rel=1e-5)
    assert found.coverage == {"spots": (rows.sum(),) * 2, "genes": (table.n_vars,) * 2}
    assert found.notes == []


def test_a_missing_gene_counts_0_and_a_missing_spot_as_the_training_mean(bench, table, frame):
    whole = bring(bench, frame, "toy", method="whole").result.scores["test"]["pcc-gene"]
    by_gene = bring(bench, frame, "toy", method="whole").result.gene_scores["pcc-gene"]

    found = bring(bench, frame.iloc[5:, 1:], "toy", method="part")

    only_gene = bring(bench, frame.iloc[:, 1:], "toy", method="gene")
    n = table.n_vars
    lacking = only_gene.result.scores["test"]["pcc-gene"]
    assert lacking == pytest.approx((whole * n - by_gene[0]) / n, abs=1e-6)
    assert found.coverage["spots"] == (len(frame) - 5, len(frame))
    assert "1 of 6 genes are missing" in " ".join(found.notes)
    assert "counts 0 in correlations" in " ".join(found.notes)
    assert found.result.facts["brought"] == {"missing": {"spots": 5, "genes": 1}}
    train = table.obs["split"].to_numpy() == "train"
    mask = np.asarray(table.layers["mask"])[train]
    means = np.ma.masked_array(np.asarray(table.layers["target"])[train], ~mask).mean(axis=0)
    folder = bench.workspace.store.folder("trials", found.result.key)
    with np.load(folder / "predictions.npz") as arrays:
        np.testing.assert_allclose(arrays["test_prediction"][:5], np.tile(means, (5, 1)), rtol=1e-5)
        np.testing.assert_allclose(arrays["test_prediction"][5:, 0], means[0], rtol=1e-5)


def collected(bench, source):
    with Records(bench.workspace.store, genes=False) as records:
        return collect(bench.workspace, "", source, None, records)[0]


def test_the_row_stands_on_the_board_as_brought_from_store_and_from_mlflow(bench, frame):
    bring(bench, frame, "toy", method="outside")
    sync(bench.workspace, bench.protocol.id)

    page = build_leaderboard(
        bench.workspace, protocols=[bench.protocol], source="store", registry=bench.registry
    )

    rows = pd.read_csv(page.parent / "leaderboard.csv")
    (row,) = rows[rows["predictor"] == "outside"].to_dict("records")
    assert row["trust"] == "brought"
    assert bool(row["claimed"])
    stored, tracked = (collected(bench, source) for source in ("store", "mlflow"))
    assert stored[0].scores == tracked[0].scores
    assert stored[0].facts == tracked[0].facts


def test_the_same_file_twice_is_one_row_and_another_file_takes_its_place(bench, frame):
    first = bring(bench, frame, "toy", method="outside")
    again = bring(bench, frame, "toy", method="outside")
    other = bring(bench, frame + 0.5, "toy", method="outside")

    assert first.result.key == again.result.key != other.result.key
    assert [each.key for each in collected(bench, "store")] == [other.result.key]


def test_it_can_be_handed_in_and_is_scored_again(bench, frame, tmp_path):
    bring(bench, frame, "toy", method="outside")

    built = build(bench, known_name(bench, "outside"), tmp_path)
    report = check(built.archive, lambda _: bench, tmp_path / "leaderboards")

    assert report.problems == []
    assert report.rescored
    assert report.description.method == "outside"
    assert [flag.kind for flag in report.evidence.flags if "copy" in flag.kind] == []


def test_what_was_brought_reproduces_nothing(bench, frame, tmp_path):
    from spared_bench.submissions.add import unreproduced

    bring(bench, frame, "toy", method="outside")
    built = build(bench, "outside", tmp_path)
    report = check(built.archive, lambda _: bench, tmp_path / "leaderboards")
    assert "no finished run" in unreproduced(report, bench.workspace.store)[0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "toy-ridge"}, "is a registered predictor"),
        ({"method": "linear-probe+color"}, r"'linear-probe\+color' is a registered predictor"),
        ({"method": "Not A Name"}, "cannot be a method's name"),
        ({}, "Name the method"),
        ({"method": "x", "seed": 7}, "Seed 7 is none"),
    ],
)
def test_names_and_seeds_that_cannot_be_are_refused(options, told, bench, frame):
    with pytest.raises(UsageError, match=told):
        bring(bench, frame, "toy", **options)


@pytest.mark.parametrize("name", ["lost.h5ad", "damaged.h5ad", "damaged.npz", "lost.csv"])
def test_a_file_that_cannot_be_opened_is_told_before_the_dataset_is_prepared(tmp_path, name):
    if name.startswith("damaged"):
        (tmp_path / name).write_bytes(b"nothing")
    root = tmp_path / "workspace"
    bench = make_bench(str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN], device="cpu")
    with pytest.raises((SubmissionError, MissingFileError), match=name):
        bring(bench, tmp_path / name, "toy")
    assert not root.exists()


def test_predictions_of_training_slides_alone_are_none(bench, table, frame):
    train = table.obs_names[table.obs["split"].to_numpy() == "train"]
    frame = frame.iloc[: len(train)].set_axis(train[: len(frame)], axis=0)
    with pytest.raises(
        SubmissionError, match=r"The table has no row that is one of|no spot of the test"
    ):
        bring(bench, frame, "toy", method="outside")


def test_values_in_another_unit_are_doubted(bench, frame):
    found = bring(bench, np.expm1(frame) * 100, "toy", method="outside")
    assert "in the unit of the target (log1p_cp10k)?" in found.notes[-1]


def test_variances_are_scored_and_negative_ones_refused(bench, frame):
    import anndata as ad

    adata = ad.AnnData(frame, layers={"variance": np.full(frame.shape, 0.09)})
    scores = bring(bench, adata, "toy", method="outside").result.scores["test"]
    assert {"nll", "coverage-90"} <= set(scores)
    adata.layers["variance"][0, 0] = -1
    with pytest.raises(SubmissionError, match="A variance is negative"):
        bring(bench, adata, "toy", method="outside")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_an_outsider_goes_from_the_exported_split_to_a_row_with_numpy_alone(
    workspace, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    common = ["--suite", TOY_PROTOCOL, "--plugin", TOY_PLUGIN, "-w", workspace]
    done = run("export", "split", "-d", "toy", "-o", tmp_path / "split", *common)
    assert done.exit_code == 0, done.output

    _outsider(tmp_path / "split", tmp_path / "My Method.csv")

    done = run("score", tmp_path / "My Method.csv", "-d", "toy", *common, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["method"] == "my-method"
    assert told["scores"]["test"]["pcc-gene"] > 0.5
    assert told["notes"] == []
    assert "brought" in (workspace / "leaderboard" / "leaderboard.csv").read_text()


def _outsider(folder, out):
    """Somebody with numpy, pandas and h5py, who has read the README: colours to expression."""
    import h5py

    assert "spared-bench score my-method.csv -d toy" in (folder / "README.md").read_text()
    told = json.loads((folder / "split.json").read_text())
    spots = pd.read_csv(folder / "spots.csv", index_col="spot")
    genes = pd.read_csv(folder / "genes.csv", index_col="gene").index
    colours = pd.concat(
        [
            pd.DataFrame(np.load(folder / "patches" / f"{slide}.npy").mean(axis=(1, 2)), part.index)
            for slide, part in spots.groupby("slide_id", sort=False)
        ]
    ).loc[spots.index]
    colours["one"] = 1.0
    inputs, targets = [], []
    for path in sorted((folder / "train").glob("*.h5ad")):
        with h5py.File(path) as slide:
            names = slide["obs"][slide["obs"].attrs["_index"]].asstr()[:]
            inputs.append(colours.loc[names].to_numpy())
            targets.append(slide["X"][:])
    weights = np.linalg.lstsq(np.concatenate(inputs), np.concatenate(targets), rcond=None)[0]
    wanted = spots.index[spots["split"] == told["evaluation_split"]]
    predicted = colours.loc[wanted].to_numpy() @ weights
    pd.DataFrame(predicted, index=wanted, columns=genes).to_csv(out)
    for path in sorted((folder / told["evaluation_split"]).glob("*.h5ad")):
        with h5py.File(path) as slide:  # the truth is nowhere in it
            held = []
            slide.visit(held.append)
            assert "X" not in slide
            assert list(slide["layers"]) == []


def test_exported_slides_hold_what_was_prepared_and_a_full_folder_is_refused(
    bench, table, tmp_path
):
    import anndata as ad

    from spared_bench.brought.split_export import export_split

    made = export_split(bench, "toy", tmp_path / "split")

    slides = [ad.read_h5ad(path) for path in sorted((tmp_path / "split" / "train").glob("*"))]
    train = table[table.obs["split"].to_numpy() == "train"]
    for slide in slides:
        np.testing.assert_allclose(slide.X, train[slide.obs_names].layers["target"], rtol=1e-6)
        (library,) = slide.uns["spatial"].values()
        assert library["images"]["hires"].shape == (160, 160, 3)
    assert sum(map(len, made.slides.values())) == 3
    assert read_protocol(tmp_path / "split" / "protocol.yaml").hash == bench.protocol.hash
    assert "-d toy --suite protocol.yaml" in (tmp_path / "split" / "README.md").read_text()
    with pytest.raises(UsageError, match="holds something already"):
        export_split(bench, "toy", tmp_path / "split")


def test_an_export_that_does_not_end_leaves_nothing_and_what_was_killed_is_taken_away(
    bench, tmp_path, monkeypatch
):
    from spared_bench.brought import split_export
    from spared_bench.store.processes import place

    folder = tmp_path / "split"

    def fill(*_):
        assert not [path for path in folder.iterdir() if not path.name.startswith(".")]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(split_export, "_write_tables", fill)
        split_export.export_split(bench, "toy", folder)
    assert list(folder.iterdir()) == []
    ended = subprocess.Popen(["true"])
    ended.wait()
    killed = folder / f".export.{place()}.{ended.pid}-1.0123abcd"
    (killed / "train").mkdir(parents=True)
    made = split_export.export_split(bench, "toy", folder)
    assert made.folder == folder
    names = {"README.md", "genes.csv", "patches", "protocol.yaml", "split.json", "spots.csv"}
    assert {path.name for path in folder.iterdir()} == names | set(made.slides)


def test_an_export_that_was_ended_while_it_moved_into_its_place_can_be_made_again(
    bench, tmp_path, monkeypatch
):
    from spared_bench.brought import split_export

    folder, rename = tmp_path / "split", Path.rename
    left = []

    def ends(path, target):
        if path.name == "protocol.yaml":
            left.append(shutil.copytree(folder, tmp_path / "killed"))  # as a kill would leave it
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", ends)
        split_export.export_split(bench, "toy", folder)
    assert list(folder.iterdir()) == []
    (killed,) = left
    assert (killed / "README.md").exists()
    (killed / "mine.txt").write_text("of somebody else")
    monkeypatch.setattr(split_export, "is_orphan", lambda path: True)
    with pytest.raises(UsageError, match="holds something already"):
        split_export.export_split(bench, "toy", killed)
    assert [path.name for path in killed.iterdir()] == ["mine.txt"]
    (killed / "mine.txt").unlink()
    made = split_export.export_split(bench, "toy", killed)
    assert {path.name for path in killed.iterdir()} > {"README.md", *made.slides}
    assert not list(killed.glob(".*"))


def test_a_strangers_metric_that_raises_costs_no_other_score_and_is_named(
    frame, workspace, tmp_path
):
    plugin = tmp_path / "raises_for_brought.py"
    plugin.write_text(
        "from spared_bench import MetricSpec, hookimpl\n"
        "def bad(truth, prediction, mask):\n"
        "    raise ValueError('no such thing')\n"
        "@hookimpl\n"
        "def spared_bench_metrics():\n"
        "    return [MetricSpec('bad', f'{__name__}:bad', per='entry')]\n"
    )
    protocol = tmp_path / "toy.yaml"
    protocol.write_text(TOY_PROTOCOL.read_text() + "metrics: [mse, bad]\n")
    frame.to_csv(tmp_path / "mine.csv")
    words = ["score", str(tmp_path / "mine.csv"), "-d", "toy", "--method", "outside", "--no-page"]
    words += ["--suite", str(protocol), "--plugin", str(TOY_PLUGIN), "--plugin", str(plugin)]
    done = CliRunner().invoke(app, [*words, "-w", str(workspace), "--json"])
    assert done.exit_code == 0, done.exception
    told = json.loads(done.stdout)
    assert set(told["scores"]["test"]) == {"mse"}
    assert told["notes"][-1] == "Metric 'bad' gave nothing: ValueError: no such thing"


def test_people_are_told_the_scores_what_was_in_the_file_and_what_comes_next(
    frame, workspace, tmp_path
):
    protocol = tmp_path / "toy.yaml"
    protocol.write_text(TOY_PROTOCOL.read_text() + "metrics: [mse, pcc-gene, above-control]\n")
    frame.drop(index=frame.index[0]).to_csv(tmp_path / "mine.csv")
    words = ["score", tmp_path / "mine.csv", "-d", "toy", "--method", "outside", "--no-page"]
    words += ["--suite", protocol, "--plugin", TOY_PLUGIN, "-w", workspace]

    told, shown = json.loads(run(*words, "--json").stdout), run(*words).stdout

    scores = {" ".join(line.split()[:-1]): line.split()[-1] for line in shown.splitlines() if line}
    assert float(scores["MSE"]) == pytest.approx(told["scores"]["test"]["mse"], abs=5e-5)
    assert float(scores["PCC-Gene"]) == pytest.approx(told["scores"]["test"]["pcc-gene"], abs=5e-5)
    assert f"spots: {len(frame) - 1} of {len(frame)} are in the file." in shown
    assert f"genes: {frame.shape[1]} of {frame.shape[1]} are in the file." in shown
    share = told["scores"]["test"]["above-control"]
    low, high = proportion_confint(round(6 * share), 6, method="wilson")
    assert f"Genes above the negative control: 95 % from {low:.0%} to {high:.0%}." in shown
    assert f"`spared-bench submit build outside --protocol {protocol}` makes a bundle" in shown


def test_where_mlflow_takes_nothing_the_page_is_made_from_the_store(
    frame, workspace, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    frame.to_csv(tmp_path / "mine.csv")
    words = ["score", tmp_path / "mine.csv", "-d", "toy", "--method", "outside"]
    done = run(*words, "--suite", TOY_PROTOCOL, "--plugin", TOY_PLUGIN, "-w", workspace)
    assert done.exit_code == 0, done.output
    assert "The page is made from the store." in done.output
    assert "outside" in (workspace / "leaderboard" / "leaderboard.csv").read_text()
