"""A dataset without images prepares and completes; only what looks at patches needs one."""

from __future__ import annotations

import json
import re

import anndata as ad
import numpy as np
import pytest

from spared_bench.api import load_dataset, make_bench, select
from spared_bench.completion.benchmark import Condition, measure
from spared_bench.errors import ImageError, UsageError
from spared_bench.executors.work import run_job
from spared_bench.planning.images import slides_without_image
from spared_bench.planning.selection import make_plan
from spared_bench.sources.adding import add_description
from spared_bench.sources.description import Description, SlideEntry
from spared_bench.sources.imageless import described_without_image
from spared_bench.trials.products import cut_all_patches, prepare
from spared_bench.trials.runner import run_trial
from tests import made_slides
from tests.cli.test_runs import spared_bench
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

PLUGIN = """
from spared_bench import DatasetSpec, SlideInfo, hookimpl
from tests import toy_plugin

def read(folder, slide_id):
    slide = toy_plugin.read_slide(folder, slide_id)
    slide.uns["slide"]["image_path"] = ""
    return slide

def read_one_without(folder, slide_id):
    return (read if slide_id == "two" else toy_plugin.read_slide)(folder, slide_id)

@hookimpl
def spared_bench_datasets():
    from dataclasses import replace
    toy = toy_plugin.spared_bench_datasets()[0]
    return [
        replace(toy, name="blind", factory=f"{__name__}:read"),
        replace(toy, name="half-blind", factory=f"{__name__}:read_one_without"),
    ]
"""


@pytest.fixture
def options(tmp_path):
    plugin = tmp_path / "blind_plugin.py"
    plugin.write_text(PLUGIN)
    places = {"workspace": tmp_path / "workspace", "data_dir": tmp_path / "data"}
    return {**places, "plugin_files": [TOY_PLUGIN, plugin], "device": "cpu"}


@pytest.fixture
def bench(options):
    return make_bench(str(TOY_PROTOCOL), **options)


@pytest.mark.parametrize("dataset", ["blind", "half-blind"])
def test_it_is_prepared_as_with_images_and_no_image_is_opened(bench, dataset, monkeypatch):
    expected = prepare(bench, "toy").adata
    monkeypatch.setattr("spared_bench.processing.patches.open_image", None)

    prepared = prepare(bench, dataset)

    np.testing.assert_array_equal(prepared.adata.layers["target"], expected.layers["target"])
    assert len(prepared.slides("test").subset(np.arange(5)).patches) == 5


def test_it_completes_and_enters_the_completion_benchmark(bench):
    found = measure(
        bench, ["blind"], ["median", "spackle", "none"], [Condition("fraction", 0.3)], 2
    )
    assert not found.failures
    assert {result.completer for result in found.results} == {"median", "spackle", "none"}
    assert all(result.mean("mse") > 0 for result in found.results)
    assert not list((bench.workspace.store.root / "patches").glob("*"))


def test_a_completer_that_looks_at_patches_says_what_is_missing(bench):
    found = measure(bench, ["blind"], ["stlearn"], [Condition("fraction", 0.3)], 1)
    (told,) = found.failures.values()
    assert "Slides one, two, three of dataset 'blind' have no image (3 of 3)" in told


def test_a_run_prepares_it_and_only_methods_that_look_at_patches_fail(bench):
    plan = select(bench, ["half-blind"], ["none"], ["gene-mean", "shufflenet"])
    run_job(bench, plan.prepare_job("half-blind"))
    mean, network = (run_trial(bench, cell.finals[-1]) for cell in plan.cells)
    assert mean.ok, mean.traceback
    assert network.status == "error"
    assert "Slides two of dataset 'half-blind' have no image (1 of 3)" in network.message


def test_methods_that_look_at_images_are_refused_once_it_is_known_that_there_are_none(bench):
    """Each candidate of a search would be one more trial that fails for the same reason."""
    assert cut_all_patches(bench, "half-blind") == ["two"]
    told = (
        "Predictor '{}' looks at images. Slides two of dataset 'half-blind' have no image (1 of 3)"
    )
    for name in ("linear-probe", "shufflenet", "triplex"):
        with pytest.raises(UsageError, match=re.escape(told.format(name))):
            select(bench, ["half-blind"], ["none"], [name])
    plan = make_plan(bench, ["half-blind", "toy"], ["none"], ["gene-mean", "linear-probe"])
    assert [(cell.dataset, cell.predictor) for cell in plan.cells] == [
        *(("half-blind", "gene-mean"), ("toy", "gene-mean"), ("toy", "linear-probe"))
    ]
    assert [line[:30] for line in plan.left_out] == ["Predictor 'linear-probe' looks"]
    (line,) = make_plan(bench, ["half-blind"], ["none"], ["gene-mean", "triplex", "bleep"]).left_out
    assert line.startswith("Each of the predictors triplex, bleep looks at images. Slides two of")


def test_the_user_is_told_which_slide_of_which_dataset_lacks_its_image(bench, options):
    prepared = prepare(bench, "half-blind")
    with pytest.raises(ImageError, match=r"Slides two of dataset 'half-blind'.*Add the images"):
        prepared.slides("train").patches[:2]
    del options["plugin_files"], options["device"]
    assert load_dataset("mob_demo", **options).slides("train").patches[0].shape == (1, 48, 48, 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: [1],
        lambda facts: 7,
        dict.fromkeys,
        lambda facts: dict.fromkeys(facts, "x"),
        lambda facts: {slide_id: {"width": 0} for slide_id in facts},
        lambda facts: {slide_id: {**each, "width": "0"} for slide_id, each in facts.items()},
    ],
)
def test_facts_of_images_that_hold_something_else_tell_nothing_and_end_no_plan(bench, change):
    cut_all_patches(bench, "half-blind")
    (facts,) = bench.workspace.store.root.rglob("facts.json")
    assert slides_without_image(bench, "half-blind") == ["two"]
    text = facts.read_text()
    facts.write_text(json.dumps(change(json.loads(text))).ljust(len(text)))
    assert slides_without_image(bench, "half-blind") == []
    assert select(bench, ["half-blind"], ["none"], ["shufflenet"]).cells


def test_data_prepare_names_slides_without_an_image(options, tmp_path):
    places = ["-w", tmp_path / "workspace", "--data-dir", tmp_path / "data"]
    plugins = [word for file in options["plugin_files"] for word in ("--plugin", file)]
    words = ["data", "prepare", "half-blind", "--protocol", TOY_PROTOCOL, *places, *plugins]
    assert "Without an image: two. No patches are cut" in spared_bench(*words).stdout
    told = json.loads(spared_bench(*words, "--json").stdout)
    assert told["half-blind"]["slides_without_image"] == ["two"]
    page = spared_bench("data", "show", "blind", "--protocol", TOY_PROTOCOL, *places, *plugins)
    assert "Preparing it failed" not in page.stdout


def test_the_benchmark_of_completion_ends_where_one_completer_looks_at_patches(options, tmp_path):
    places = ["-w", tmp_path / "workspace", "--data-dir", tmp_path / "data", "--device", "cpu"]
    plugins = [word for file in options["plugin_files"] for word in ("--plugin", file)]
    words = ["complete", "blind", "toy", "-c", "median", "-c", "stlearn", "--repeats", "1"]
    done = spared_bench(
        *words, "--mask-rates", "0.3", "--protocol", TOY_PROTOCOL, *places, *plugins, "--json"
    )
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert list(told["failures"]) == ["blind · stlearn"]
    measured = {(each["dataset"], each["completer"]) for each in told["results"]}
    assert measured == {("blind", "median"), ("toy", "median"), ("toy", "stlearn")}
    assert {"map_blind.png", "map_toy.png"} <= {file.rpartition("/")[2] for file in told["files"]}


@pytest.mark.parametrize("images", [{}, {"hires": np.zeros((4, 4, 3), np.uint8)}])
def test_an_anndata_file_is_known_to_hold_no_image_before_its_slides_are_read(tmp_path, images):
    adata = ad.AnnData(np.ones((2, 2), np.float32))
    adata.uns["spatial"] = {"library": {"images": images, "scalefactors": {}}}
    adata.write_h5ad(tmp_path / "a.h5ad")
    entry = SlideEntry(path=str(tmp_path / "a.h5ad"))
    slides = {"T1": entry, "T2": entry.model_copy(update={"image": "full.tif"})}
    split = {"train": ["T1"], "test": ["T2"]}
    described = Description(
        name="mine", format="h5ad", organism="human", slides=slides, split=split
    )
    assert described_without_image(described) == ([] if images else ["T1"])


def test_files_that_hold_their_images_are_known_to_hold_none(tmp_path):
    for name, images in {"bare": {}, "seen": {"hires": 1}}.items():
        adata = ad.AnnData(np.ones((2, 2), np.float32))
        adata.uns["spatial"] = {"ST": {"images": images}}
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
        (tmp_path / f"{name}.zarr/images").mkdir(parents=True)
        (tmp_path / f"{name}.zarr/images/zarr.json").touch()
    (tmp_path / "seen.zarr/images/he").mkdir()
    for form, end in (("hest", "h5ad"), ("spatialdata", "zarr")):
        slides = {name: {"path": str(tmp_path / f"{name}.{end}")} for name in ("bare", "seen")}
        if form == "hest":
            slides["cut"] = {**slides["bare"], "patches": "cut.h5"}
        described = Description(
            name="mine", format=form, organism="human", slides=slides, split={"train": ["bare"]}
        )
        assert described_without_image(described) == ["bare"]


def test_of_a_description_the_error_names_its_key_and_what_to_add_again(tmp_path):
    for seed, name in enumerate(("T1", "T2")):
        made_slides.space_ranger(tmp_path / name, seed=seed)
        for picture in (tmp_path / name / "spatial").glob("*.png"):
            picture.unlink()
    description = tmp_path / "mine.yaml"
    description.write_text(
        "name: mine\nformat: space_ranger\norganism: human\n"
        "slides: {T1: {path: T1}, T2: {path: T2}}\nsplit: {train: [T1], test: [T2]}\n"
    )
    add_description(description, tmp_path / "w/data")
    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    with pytest.raises(
        UsageError, match="'linear-probe' looks at images"
    ):  # the description says so
        select(bench, ["mine"], ["none"], ["linear-probe"])
    assert len(select(bench, ["mine"], ["none"], ["gene-mean"]).cells) == 1
    with pytest.raises(ImageError) as raised:
        prepare(bench, "mine").slides("test").patches[:2]
    told = str(raised.value)
    assert told.startswith("Slides T1, T2 of dataset 'mine' have no image (2 of 2)")
    assert "(`image: FILE`; kept as" in told and "`spared-bench data add FILE --replace`" in told
