"""Slides of one's own that this package wrote are told of when they are added."""

from __future__ import annotations

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import spared_bench
from spared_bench.api import make_bench
from spared_bench.brought.split_export import export_split
from spared_bench.cli import app
from spared_bench.sources.written_before import written_before
from tests import made_slides
from tests.conftest import TOY_PROTOCOL

TOLD = "was written by spared-bench: it holds the genes and spots that protocol toy@1 left"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a dataset prepared with 7 of 12 genes, written in all ways; and its table."""
    folder = tmp_path_factory.mktemp("written")
    for seed, slide in enumerate(("T1", "T2")):
        made_slides.space_ranger(folder / slide, seed=seed)
    added = add(folder, "mine", "space_ranger", "{T1: {path: T1}, T2: {path: T2}}")
    assert (added.exit_code, TOLD in added.stderr) == (0, False)
    paths = {"workspace": folder / "w", "data_dir": folder / "w/data"}
    adata = spared_bench.load_dataset("mine", TOY_PROTOCOL, **paths).adata
    spared_bench.write(adata, folder / "mine.h5ad")
    spared_bench.write(adata, folder / "mine.zarr")
    bench = make_bench(str(TOY_PROTOCOL), datasets=["mine"], device="cpu", **paths)
    export_split(bench, "mine", folder / "split", patches=False)
    return folder, adata


def add(folder, name, form, slides, more=""):
    path = folder / f"{name}.yaml"
    path.write_text(
        f"{{name: {name}, format: {form}, organism: human, slides: {slides}, {more}"
        " split: {train: [T1, T2]}, parameters: {n_genes: 7}}"
    )
    return CliRunner().invoke(app, ["data", "add", str(path), "-w", str(folder / "w")])


@pytest.mark.parametrize(
    ("form", "slides", "more"),
    [
        ("h5ad", "{T1: {path: mine.h5ad}, T2: {path: mine.h5ad}}", "slide_column: slide_id,"),
        (
            "spatialdata",
            "{T1: {path: mine.zarr, shapes: T1_spots, image: T1_hires},"
            " T2: {path: mine.zarr, shapes: T2_spots, image: T2_hires}}",
            "",
        ),
    ],
)
def test_a_prepared_dataset_is_told_of_whose_depths_are_over_fewer_genes(
    written, form, slides, more
):
    folder, adata = written
    added = add(folder, f"again_{form}", form, slides, more)
    assert added.exit_code == 0, added.output
    assert added.stderr.count(TOLD) == 1  # for both slides of the file

    paths = {"workspace": folder / "w", "data_dir": folder / "w/data"}
    again = spared_bench.load_dataset(f"again_{form}", TOY_PROTOCOL, images=False, **paths).adata
    sums = np.asarray(again.layers["counts"].sum(axis=1))
    np.testing.assert_array_equal(again.obsm["depth"].ravel(), sums.ravel())
    everything = np.concatenate([made_slides.counts(12, seed).sum(axis=1) for seed in (0, 1)])
    np.testing.assert_array_equal(adata.obsm["depth"].ravel(), everything)
    of_file = [list(adata.obs_names).index(name) for name in again.obs["barcode"]]
    assert (everything[of_file] > sums.ravel()).all()


def test_slides_of_an_exported_split_are_told_of(written):
    folder, _ = written
    parts = {path.stem: path.parent.name for path in (folder / "split").glob("*/*.h5ad")}
    slides = ", ".join(
        f"{slide}: {{path: split/{part}/{slide}.h5ad, layer: counts}}"
        for slide, part in parts.items()
    )
    added = add(folder, "from_split", "h5ad", f"{{{slides}}}")
    assert added.exit_code == 0, added.output
    assert added.stderr.count(TOLD) == len(parts) == 2


@pytest.mark.parametrize("held", ["my notes\x1b[31m", ["a@1", "b@1"], 3.5, None, b"toy@1" * 40])
def test_what_others_keep_under_that_name_is_no_protocol(tmp_path, held):
    path = tmp_path / "theirs.h5ad"
    with h5py.File(path, "w") as file:
        if held is None:
            file.create_group("uns/spared_bench/protocol")
        else:
            file["uns/spared_bench/protocol"] = held
    slides = {"T1": SimpleNamespace(path=str(path), table="")}
    assert written_before(SimpleNamespace(format="h5ad", slides=slides)) == []
