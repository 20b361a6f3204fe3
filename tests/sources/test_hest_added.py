"""Samples of HEST are looked at as other slides are when they are added."""

from __future__ import annotations

import json

import anndata as ad
import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.testing.hest import make_sample


@pytest.fixture
def folder(tmp_path):
    """Two samples of HEST-1k."""
    made = tmp_path / "hest"
    (made / "metadata").mkdir(parents=True)
    for seed, sample in enumerate(("A1", "B1")):
        make_sample(made, sample, seed, kind="st", side=32)
        facts = {"dataset_title": "T", "patient": sample, "pixel_size_um_estimated": 0.25}
        (made / "metadata" / f"{sample}.json").write_text(json.dumps(facts))
    return made


def add(folder, workspace):
    added = CliRunner().invoke(
        app, ["data", "add", "--hest", str(folder), "-w", str(workspace), "--json"]
    )
    assert added.exit_code == 0, added.output
    assert "hest1k" in json.loads(added.stdout)
    return added.stderr


def test_nothing_is_told_of_samples_as_they_should_be(folder, tmp_path):
    assert not add(folder, tmp_path / "w")


def test_what_is_in_doubt_of_a_sample_is_told(folder, tmp_path):
    path = folder / "st" / "A1.h5ad"
    sample = ad.read_h5ad(path)
    sample.var_names = [
        "1-Mar" if place == 0 else name for place, name in enumerate(sample.var_names)
    ]
    sample.write_h5ad(path)
    told = add(folder, tmp_path / "w")
    assert "hest1k: Slide 'A1': 1 gene called as a date ('1-Mar')" in told


def test_the_checks_of_slides_are_made_of_samples_too(folder, tmp_path):
    path = folder / "st" / "A1.h5ad"
    sample = ad.read_h5ad(path)
    library = sample.uns["spatial"]["ST"]
    library["images"]["downscaled_fullres"] = 255 - library["images"]["downscaled_fullres"]
    sample.write_h5ad(path)
    told = add(folder, tmp_path / "w")
    assert "Slide A1 of hest1k may " in told
