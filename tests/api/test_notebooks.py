"""What a notebook asks of a run, held against the files of the store, scipy, scanpy and squidpy."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from io import BytesIO

import matplotlib
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from PIL import Image

import spared_bench
from spared_bench.api import applying
from spared_bench.api.progress import BarWatcher, default_watcher, in_notebook
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    ImageError,
    MissingFileError,
    PluginError,
    UnknownNameError,
    UsageError,
)
from spared_bench.interfaces import Job, Outcome
from spared_bench.scverse.figures import show_gene
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def made(prepared_workspace, tmp_path_factory):
    """A run of two methods on the toy dataset, and its workspace; do not write to it."""
    root = tmp_path_factory.mktemp("notebook") / "workspace"
    shutil.copytree(prepared_workspace, root)
    report = spared_bench.run(
        ["toy"],
        ["none"],
        ["toy-ridge", "toy-mean"],
        str(TOY_PROTOCOL),
        workspace=root,
        plugin_files=[TOY_PLUGIN],
        device="cpu",
        executor="inline",
        track=False,
        figures=False,
    )
    return report, root


@pytest.fixture(scope="module")
def report(made):
    return made[0]


@pytest.fixture(scope="module")
def demo(made):
    """A built-in dataset with its images, as a notebook loads it; do not write to it."""
    return spared_bench.load_dataset("her2st_demo", workspace=made[1])


def test_predictions_are_what_the_store_has_beside_what_was_measured(report):
    found = report.predictions("toy-ridge")

    folder = report.plan.bench.workspace.store.folder("trials", report.result("toy-ridge").key)
    with np.load(folder / "predictions.npz") as arrays:
        np.testing.assert_array_equal(found.layers["predicted"], arrays["test_prediction"])
        assert list(found.obs_names) == arrays["test_spots"].tolist()
    seen = found.layers["mask"]
    pcc = [
        scipy.stats.pearsonr(found.layers["measured"][m, g], found.X[m, g]).statistic
        for g, m in enumerate(seen.T)
    ]
    np.testing.assert_allclose(found.var["pcc-gene"], pcc, rtol=1e-5)
    assert (found.layers["measured"][~seen] == 0).all()
    assert set(report.predictions("toy-ridge", split="val").obs["split"]) == {"val"}


def test_scanpy_and_squidpy_plot_predictions_and_datasets_as_they_come(report, demo):
    import scanpy
    import squidpy

    dataset = demo.adata.copy()
    for adata in (report.predictions("toy-ridge"), dataset):
        slide = adata.obs["slide_id"].cat.categories[0]
        part = adata[adata.obs["slide_id"] == slide].copy()
        gene = adata.var_names[0]
        scanpy.pl.spatial(part, library_id=slide, color=gene, show=False)
        squidpy.pl.spatial_scatter(adata, library_key="slide_id", color=gene)
        squidpy.gr.spatial_neighbors(part, coord_type="generic")
        assert len(squidpy.gr.spatial_autocorr(part, mode="moran", copy=True)) == part.n_vars
    library = dataset.uns["spatial"][slide]
    hires, factor = library["images"]["hires"], library["scalefactors"]["tissue_hires_scalef"]
    places = dataset.obsm["spatial"][(dataset.obs["slide_id"] == slide).to_numpy()] * factor
    assert (places.max(axis=0) < hires.shape[1::-1]).all()
    assert max(library["images"]["lowres"].shape) <= 600


def test_images_can_be_left_out_and_a_dataset_shares_its_arrays(made, demo):
    without = spared_bench.load_dataset("her2st_demo", workspace=made[1], images=False)
    assert "spatial" not in without.adata.uns
    assert np.shares_memory(demo.adata.layers["target"], without.adata.layers["target"])


def test_a_spatialdata_and_a_zarr_come_back_as_they_were(report, tmp_path):
    pytest.importorskip("spatialdata")
    wanted = report.predictions("toy-ridge")

    data = spared_bench.to_spatialdata(wanted)
    spared_bench.write(wanted, tmp_path / "p.zarr")
    spared_bench.write(wanted, tmp_path / "p.h5ad")

    circles = data.shapes["three_spots"]
    np.testing.assert_allclose(circles.geometry.x, wanted.obsm["spatial"][:, 0])
    assert circles["radius"].iloc[0] == 8  # half of the 16 px that the reader says
    for path in (tmp_path / "p.zarr", tmp_path / "p.h5ad"):
        found = spared_bench.read(path)
        for layer in ("predicted", "measured", "mask"):
            np.testing.assert_array_equal(found.layers[layer], wanted.layers[layer])
        pd.testing.assert_frame_equal(found.obs, wanted.obs, check_categorical=False)
        image = found.uns["spatial"]["three"]["images"]["hires"]
        np.testing.assert_array_equal(image, wanted.uns["spatial"]["three"]["images"]["hires"])
        assert found.uns["spatial"]["three"]["scalefactors"]["spot_diameter_fullres"] == 16


def test_a_part_of_a_dataset_is_written_with_the_slides_that_it_has(demo, tmp_path):
    pytest.importorskip("spatialdata")
    part = demo.adata[demo.adata.obs["slide_id"].isin(["C2", "C4"])]

    spared_bench.write(part, tmp_path / "part.zarr")

    found = spared_bench.read(tmp_path / "part.zarr")
    assert set(found.uns["spatial"]) == {"C2", "C4"} and found.n_obs == part.n_obs
    np.testing.assert_array_equal(found.layers["target"], part.layers["target"])
    lost = part.copy()
    del lost.uns["spatial"]["C4"]
    with pytest.raises(ContractError, match=r"slides that uns\['spatial'\] does not have: C4"):
        spared_bench.to_spatialdata(lost)


def test_what_is_no_adata_is_told_to_give_its_own(demo, report, tmp_path):
    with pytest.raises(ContractError, match=r"found a Prepared\. Give its `\.adata`"):
        spared_bench.write(demo, tmp_path / "d.h5ad")
    pytest.importorskip("spatialdata")
    with pytest.raises(ContractError, match="Expected an AnnData, and found a Report"):
        spared_bench.to_spatialdata(report)


def test_what_cannot_be_written_or_read_is_told(report, tmp_path):
    bare = report.predictions("toy-ridge", images=False)
    with pytest.raises(ContractError, match=r"no uns\['spatial'\]"):
        spared_bench.to_spatialdata(bare)
    with pytest.raises(UsageError, match=r"neither .h5ad nor .zarr"):
        spared_bench.write(bare, tmp_path / "p.txt")
    (tmp_path / "p.zarr").mkdir()
    with pytest.raises(UsageError, match="is there already"):
        spared_bench.write(bare, tmp_path / "p.zarr")
    with pytest.raises(MissingFileError, match="nothing at"):
        spared_bench.read(tmp_path / "no.h5ad")
    (tmp_path / "p.h5ad").write_text("no")
    with pytest.raises(ContractError, match="cannot be read"):
        spared_bench.read(tmp_path / "p.h5ad")


def test_scores_are_tidy_and_agree_with_each_other(made):
    report, root = made
    scores, genes, slides = (report.scores(per) for per in ("split", "gene", "slide"))

    ridge = scores[(scores["predictor"] == "toy-ridge") & (scores["split"] == "test")]
    row = ridge[ridge["metric"] == "pcc-gene"].iloc[0]
    of_genes = genes[(genes["predictor"] == "toy-ridge") & (genes["metric"] == "pcc-gene")]
    assert row["genes_mean"] == pytest.approx(of_genes["value"].mean())
    assert row["genes_low"] < row["genes_mean"] < row["genes_high"]
    of_slides = slides[
        (slides["predictor"] == "toy-ridge")
        & (slides["split"] == "test")
        & (slides["metric"] == "mse")
    ]
    mse = ridge[ridge["metric"] == "mse"]["value"].iloc[0]
    assert of_slides["value"].mean() == pytest.approx(mse)
    every = spared_bench.results(root)
    assert every.set_index("predictor").loc["toy-ridge", "mse"] == pytest.approx(mse)
    assert set(every["origin"]) == {"reproduced"}
    pd.testing.assert_frame_equal(
        spared_bench.results(root, per="gene").sort_values(
            ["predictor", "gene"], ignore_index=True
        ),
        genes.sort_values(["predictor", "gene"], ignore_index=True),
    )
    with pytest.raises(UnknownNameError, match="Known kinds of rows: gene, slide, split"):
        report.scores("spot")


def test_an_empty_workspace_gives_an_empty_frame(tmp_path):
    nothing = spared_bench.results(tmp_path / "none")
    assert nothing.empty and nothing[["predictor", "status", "key"]].shape == (0, 3)
    assert spared_bench.results(tmp_path / "none", per="gene").columns[0] == "protocol"


def test_results_of_a_protocol_are_found_by_its_name_and_by_its_id(made):
    _, root = made
    assert len(spared_bench.results(root, "toy")) == len(spared_bench.results(root, "toy@1")) == 2
    assert spared_bench.results(root, "demo").empty and spared_bench.results(root, "toy@2").empty
    with pytest.raises(UnknownNameError, match="No protocol is named 'dmeo'"):
        spared_bench.results(root, "dmeo@1", per="gene")


def test_results_is_the_function_also_after_its_namesake_was_imported():
    import importlib

    module = importlib.import_module("spared_bench.results")
    assert callable(spared_bench.results)
    assert spared_bench.results is not module


def test_what_tab_offers_is_what_there_is_for_users():
    offered = [name for name in dir(spared_bench) if not name.startswith("_")]
    assert offered == sorted(spared_bench.__all__)
    assert all(getattr(spared_bench, name) is not None for name in offered)


def test_which_result_is_meant_must_be_clear(report):
    with pytest.raises(UsageError, match=r"2 results are meant.*Name predictor"):
        report.predictions()
    with pytest.raises(UsageError, match=r"no result of predictor 'toy-rigde'.*'toy-ridge'"):
        report.show(predictor="toy-rigde")


def test_a_figure_shows_tissue_measured_and_predicted(report):
    figure = report.show("g1", "three", predictor="toy-ridge")
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert titles == ["tissue", "measured", "predicted"]
    assert "g1 on three: toy-ridge, PCC" in figure.get_suptitle()
    with pytest.raises(UnknownNameError, match="No predicted gene"):
        report.show("g77", predictor="toy-ridge")
    with pytest.raises(UnknownNameError, match="No slide"):
        report.show("g1", "four", predictor="toy-ridge")


def test_the_gene_of_the_highest_correlation_is_shown_if_none_is_named(report):
    predictions = report.predictions("toy-ridge")
    layers = predictions.layers
    correlation = [
        np.corrcoef(measured[seen], predicted[seen])[0, 1]
        for measured, predicted, seen in zip(
            layers["measured"].T, layers["predicted"].T, layers["mask"].T.astype(bool), strict=True
        )
    ]
    best = predictions.var["gene_name"].iloc[int(np.argmax(correlation))]
    worst = np.argsort(correlation)[0]
    predictions.var.insert(
        1, "moran-error", np.arange(len(correlation)) == worst
    )  # lower is better

    assert show_gene(predictions).get_suptitle().startswith(f"{best} on ")
    layers["predicted"][:] = 1.0  # no gene has one
    assert show_gene(predictions).get_suptitle().startswith(predictions.var["gene_name"].iloc[0])


def test_a_notebook_shows_the_figure_before_pyplot_has_drawn_anything(report):
    formatters = pytest.importorskip("IPython.core.formatters")
    figure = report.show("g1", "three", predictor="toy-ridge")
    shown, _ = formatters.DisplayFormatter().format(figure)

    with Image.open(BytesIO(shown["image/png"])) as picture:
        assert picture.size == tuple(np.round(figure.get_size_inches() * figure.dpi))
        assert len(set(picture.convert("L").getdata())) > 2


def test_nothing_prints_more_than_a_line_and_html_is_escaped(report, demo):
    spec = report.plan.bench.dataset("toy")
    for thing in (report, report.results[0], demo):
        assert len(repr(thing)) < 200
        assert "\n" not in repr(thing)
    for thing in (report, report.results[0], demo, spec):
        assert thing._repr_html_().startswith("<div><strong>")
        assert len(thing._repr_html_()) < 20_000
    from spared_bench.pretty import table_html

    assert "<script>" not in table_html("<script>", ["<script>"], [["<script>"]] * 100)
    assert "and 40 more" in table_html("t", ["a"], [[1]] * 100)


@pytest.fixture(scope="module")
def fitted(made):
    return spared_bench.fit(
        "shufflenet",
        "toy",
        protocol=str(TOY_PROTOCOL),
        workspace=made[1],
        plugin_files=[TOY_PLUGIN],
        device="cpu",
        lr=0.01,
    )


def test_fit_trains_with_the_parameters_that_are_given(fitted):
    assert fitted.trial.parameters["lr"] == 0.01
    assert fitted.trial.ok
    assert fitted.predictions(images=False).n_obs == 49


def test_fit_takes_a_dataset_that_was_loaded(made, demo):
    again = spared_bench.fit("gene-mean", demo)
    assert again.plan.bench.protocol.id == "demo@1"
    assert again.plan.bench.workspace.root == made[1]


def test_fit_takes_the_protocol_of_a_dataset_that_was_loaded_by_a_file(made, tmp_path):
    mine = tmp_path / "mine.yaml"
    text = TOY_PROTOCOL.read_text()
    assert "iterations: 4," in text
    mine.write_text(text.replace("iterations: 4,", "iterations: 7,"))
    loaded = spared_bench.load_dataset("her2st_demo", mine, workspace=made[1], images=False)

    fitted = spared_bench.fit("gene-mean", loaded)

    assert fitted.plan.bench.protocol == loaded.bench.protocol
    assert fitted.plan.bench.protocol.training.iterations == 7


def test_fit_trains_one_seed_of_a_protocol_and_says_which(made, tmp_path):
    mine = tmp_path / "seeds.yaml"
    mine.write_text(TOY_PROTOCOL.read_text() + "seeds: [3, 5, 8]\n")
    options = {"protocol": mine, "workspace": made[1], "plugin_files": [TOY_PLUGIN]}

    first = spared_bench.fit("gene-mean", "toy", **options)
    other = spared_bench.fit("gene-mean", "toy", seed=8, **options)

    assert [fitted.trial.seed for fitted in (first, other)] == [3, 8]
    entries = (made[1] / "store" / "trials").rglob("result.json")
    told = [json.loads(path.read_text()) for path in entries]
    assert not [each for each in told if each["seed"] == 5]
    with pytest.raises(UsageError, match="has no seed 4; it has 3, 5, 8"):
        spared_bench.fit("gene-mean", "toy", seed=4, **options)


def test_an_interrupt_of_fit_ends_the_cell_of_the_notebook_too(made, monkeypatch):
    whole = applying.execute

    def interrupted(plan, **options):
        return replace(whole(replace(plan, cells=[]), **options), interrupted=True, undone=1)

    monkeypatch.setattr(applying, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spared_bench.fit("gene-mean", "her2st_demo", workspace=made[1])


def test_fit_tells_why_a_training_failed(made):
    with pytest.raises(PluginError, match="could not be trained on 'toy'"):
        spared_bench.fit(
            "toy-raises",
            "toy",
            protocol=str(TOY_PROTOCOL),
            workspace=made[1],
            plugin_files=[TOY_PLUGIN],
        )


def test_predict_takes_an_image_an_adata_and_a_run_by_name(fitted, made):
    root = made[1]
    adata = fitted.predictions()
    adata = adata[adata.obs["slide_id"] == "three"].copy()
    image = adata.uns["spatial"]["three"]["metadata"]["source_image_path"]
    centres = adata.obsm["spatial"]

    from_image = fitted.predict(image, spots=centres, spot_diameter_px=16)
    from_adata = fitted.predict(adata)
    named = spared_bench.predict(
        fitted.trial.key[:12], adata, workspace=root, plugin_files=[TOY_PLUGIN]
    )

    np.testing.assert_allclose(from_image.layers["predicted"], adata.layers["predicted"], atol=1e-4)
    np.testing.assert_array_equal(from_adata.X, from_image.X)
    np.testing.assert_array_equal(named.X, from_image.X)
    assert from_image.uns["spatial"]["three"]["images"]["hires"].shape == (160, 160, 3)
    pixels = adata.copy()
    pixels.uns["spatial"]["three"]["metadata"] = {}
    pixels.uns["spatial"]["three"]["images"]["hires"] = (
        adata.uns["spatial"]["three"]["images"]["hires"] / 255.0
    )
    np.testing.assert_allclose(fitted.predict(pixels).X, from_image.X, atol=1e-5)


def test_spots_are_given_as_any_array_of_pairs(fitted):
    adata = fitted.predictions()
    adata = adata[adata.obs["slide_id"] == "three"].copy()
    image = adata.uns["spatial"]["three"]["metadata"]["source_image_path"]
    centres = adata.obsm["spatial"]
    table = pd.DataFrame({"name": "a", "y": centres[:, 1], "x": centres[:, 0]})

    wanted = fitted.predict(image, spots=centres, spot_diameter_px=16).X
    seurat = pd.DataFrame(centres[:, ::-1], columns=["imagerow", "imagecol"])
    pixels = seurat.set_axis(["pxl_row_in_fullres", "pxl_col_in_fullres"], axis=1)
    for spots in (centres.tolist(), table, pd.DataFrame(centres), seurat, pixels):
        found = fitted.predict(image, spots=spots, spot_diameter_px=16)
        np.testing.assert_array_equal(found.X, wanted)
    for spots in ([1.0, 2.0], [["a", "b"]], [[1, 2, 3]], table.rename(columns={"x": "row"})):
        with pytest.raises(CoordinateError, match="`spots` h"):
            fitted.predict(image, spots=spots, spot_diameter_px=16)


def test_what_is_no_slide_and_no_run_is_told(fitted, report, demo):
    with pytest.raises(UsageError, match=r"an image, or an AnnData; found a ndarray. Write pixels"):
        fitted.predict(np.zeros((9, 9, 3), np.uint8), grid_um=100.0, um_per_px=1.0)
    with pytest.raises(UsageError, match="an image, or an AnnData; found a NoneType"):
        fitted.predict(None)
    with pytest.raises(UsageError, match=r"A run is a report, a result, .* found Prepared"):
        spared_bench.predict(demo, demo.adata)
    with pytest.raises(UnknownNameError, match="No split is named 'tran'"):
        demo.slides("train", "tran")


def test_an_image_in_an_adata_is_read_as_readers_read_it(fitted):
    adata = fitted.predictions()
    adata = adata[adata.obs["slide_id"] == "three"].copy()
    library = adata.uns["spatial"]["three"]
    library["metadata"] = {}
    colours = library["images"]["hires"].copy()
    wanted = fitted.predict(adata).X
    for same in (colours.astype(np.uint16) * 257, colours.astype(np.float32), colours / 255):
        library["images"]["hires"] = same
        np.testing.assert_allclose(fitted.predict(adata).X, wanted, atol=1e-4)
    for unclear in (colours.astype(np.uint16), colours / 2.55, colours // 17):
        library["images"]["hires"] = unclear
        with pytest.raises(ImageError, match="not clear which value is white"):
            fitted.predict(adata)
    library["images"]["hires"] = colours
    adata.obsm["spatial"][3, 0] = np.nan
    with pytest.raises(CoordinateError, match=r"nan or infinite coordinates.* for 1 of"):
        fitted.predict(adata)


def test_predict_tells_what_is_missing(fitted):
    adata = fitted.predictions()
    image = adata.uns["spatial"]["three"]["metadata"]["source_image_path"]
    with pytest.raises(UsageError, match="either `spots` or `grid_um`"):
        fitted.predict(image)
    with pytest.raises(UsageError, match="leave out `spots`"):
        fitted.predict(adata, spots=np.ones((1, 2)))
    with pytest.raises(CoordinateError, match=r"expected finite numbers of shape \(n_spots, 2\)"):
        fitted.predict(image, spots=np.ones((2, 3)), spot_diameter_px=16)
    nowhere = adata.copy()
    del nowhere.obsm["spatial"]
    with pytest.raises(
        CoordinateError, match=r"no spot coordinates in the AnnData: obsm\['spatial'\] must be"
    ):
        fitted.predict(nowhere)
    blind = adata.copy()
    blind.uns["spatial"] = {"three": {"scalefactors": {"spot_diameter_fullres": 16.0}}}
    with pytest.raises(ImageError, match="has no image"):
        fitted.predict(blind)
    blind.uns["spatial"] = {}
    with pytest.raises(UsageError, match="has 0 slides"):
        fitted.predict(blind)


class Shell:
    pass


def test_a_notebook_gets_a_bar_and_a_script_nothing(monkeypatch):
    class IPython:
        shell = Shell()

        @classmethod
        def get_ipython(cls):
            return cls.shell

    assert not in_notebook()
    Shell.__name__ = "ZMQInteractiveShell"
    monkeypatch.setitem(sys.modules, "IPython", IPython)
    assert in_notebook()
    watcher = default_watcher()
    assert isinstance(watcher, BarWatcher)
    watcher.close()


def test_the_bar_counts_trials_and_tells_of_failures(capsys):
    watcher = BarWatcher()
    job = Job("trial", "k", "toy", "none", "toy-ridge")
    watcher.planned(2)
    watcher.started(job)
    watcher.finished(Outcome(job, "error", message="it broke"))
    watcher.planned(1)
    watcher.close()
    out, err = capsys.readouterr()
    assert "it broke" in out + err
    assert "1/2" in err


def test_stability_needs_three_methods_of_one_protocol(made):
    _, root = made
    assert spared_bench.stability("toy", workspace=root) is None  # two methods are too few
    with pytest.raises(UsageError, match=r"no score .* on 'mob_demo' .* on: toy \(none\)"):
        spared_bench.stability("mob_demo", workspace=root)
    with pytest.raises(UnknownNameError, match="No metric is named 'pcc-gen'"):
        spared_bench.stability("toy", "pcc-gen", workspace=root)
    with pytest.raises(UnknownNameError, match="kind of unit"):
        spared_bench.stability("toy", per="spot", workspace=root)


def test_stability_knows_of_a_metric_which_direction_is_better(made, monkeypatch):
    asked = []
    halves = "spared_bench.statistics.split_half.split_half"
    monkeypatch.setattr(halves, lambda matrix, lower_is_better: asked.append(lower_is_better))
    spared_bench.stability("toy", "mse", per="slide", workspace=made[1])
    spared_bench.stability("toy", "pcc-gene", workspace=made[1])
    assert asked == [True, False]


def test_a_slide_whose_image_is_a_reduced_one_is_predicted_on_its_scale(fitted, tmp_path):
    """Who has no full-resolution image has coordinates of one all the same."""
    adata = fitted.predictions()
    adata = adata[adata.obs["slide_id"] == "three"].copy()
    wanted = fitted.predict(adata).X
    library = adata.uns["spatial"]["three"]
    adata.obsm["spatial"] = adata.obsm["spatial"] * 4.0
    for name in library["scalefactors"]:
        library["scalefactors"][name] *= 4.0 if name == "spot_diameter_fullres" else 0.25
    library["metadata"]["um_per_px"] /= 4
    found = fitted.predict(adata)
    np.testing.assert_allclose(found.X, wanted, atol=1e-5)
    np.testing.assert_array_equal(found.obsm["spatial"], adata.obsm["spatial"])
    assert list(found.uns["spatial"]) == ["three"]

    from PIL import Image

    Image.new("RGB", (160, 90)).save(tmp_path / "other.png")
    library["metadata"]["source_image_path"] = str(tmp_path / "other.png")
    with pytest.raises(ImageError, match="the image of another slide, turned, cropped"):
        fitted.predict(adata)


def test_an_adata_is_predicted_by_what_it_says_whatever_its_order_and_names(fitted):
    adata = fitted.predictions()
    adata = adata[adata.obs["slide_id"] == "three"].copy()
    wanted = fitted.predict(adata).X
    library = adata.uns["spatial"]["three"]
    turned = pd.DataFrame(adata.obsm["spatial"][:, ::-1], index=adata.obs_names, columns=["y", "x"])
    adata.obsm["spatial"] = turned
    np.testing.assert_array_equal(fitted.predict(adata).X, wanted)
    library["metadata"] = {}
    library["images"] = {"scan": library["images"]["hires"]}
    library["scalefactors"]["tissue_scan_scalef"] = library["scalefactors"]["tissue_hires_scalef"]
    np.testing.assert_allclose(fitted.predict(adata).X, wanted, atol=1e-5)
    library["scalefactors"]["spot_diameter_fullres"] *= 20
    with pytest.raises(CoordinateError, match="they overlap"):
        fitted.predict(adata)
    del library["scalefactors"]["tissue_scan_scalef"]
    library["scalefactors"]["spot_diameter_fullres"] /= 20
    with pytest.raises(ImageError, match=r"has no image.*'scan' of the file, .* scale is unknown"):
        fitted.predict(adata)
