"""Shared fixtures: random numbers, and small data made on the spot; nothing is downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from spared_bench.data import SPATIAL, Patches, Slides, validate_prepared
from spared_bench.specs import SPLITS


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240711)


TESTS = Path(__file__).parent
TOY_PLUGIN = TESTS / "toy_plugin.py"
TOY_PROTOCOL = TESTS / "toy.yaml"


@pytest.fixture(scope="session")
def prepared_workspace(tmp_path_factory) -> Path:
    """A workspace in which the toy dataset is prepared; copy it, do not write to it."""
    from spared_bench.api import make_bench
    from spared_bench.products import make_completed

    root = tmp_path_factory.mktemp("prepared") / "workspace"
    bench = make_bench(str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN], device="cpu")
    make_completed(bench, "toy", "none")
    return root


@pytest.fixture
def workspace(prepared_workspace, tmp_path) -> Path:
    """A workspace of one's own, with the toy dataset prepared and no results."""
    root = tmp_path / "workspace"
    shutil.copytree(prepared_workspace, root)
    return root


@pytest.fixture
def bench(workspace):
    """The toy protocol on that workspace."""
    from spared_bench.api import make_bench

    return make_bench(
        str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu"
    )


class TinySlides(NamedTuple):
    """Training, validation and test slides of a dataset made on the spot."""

    train: Slides
    val: Slides
    test: Slides


@pytest.fixture(scope="session")
def tiny_slides() -> TinySlides:
    """Four slides of 40 spots, 24 px patches and 6 genes that a patch's colours foretell.

    Two slides to train on, one to choose by, one to test on, each of its own donor. Expression is
    linear in the mean red, green and blue of the patch, with a little noise; one in six entries is
    unmeasured. Satisfies ``validate_prepared``.
    """
    from anndata import AnnData

    rng = np.random.default_rng(7)
    splits = {"a": "train", "b": "train", "c": "val", "d": "test"}
    n, n_genes = 40 * len(splits), 6
    colours = rng.uniform(60, 200, size=(n, 1, 1, 3))
    pixels = colours + rng.normal(scale=12, size=(n, 24, 24, 3))
    pixels[:, 4:12, 6:16] -= 40  # a nucleus off the centre, so that symmetries tell patches apart
    images = np.clip(pixels, 0, 255).astype(np.uint8)
    planted = (colours[:, 0, 0] / 255) @ rng.normal(size=(3, n_genes)) * 3 + 5
    expression = planted + rng.normal(scale=0.1, size=(n, n_genes))
    mask = rng.random((n, n_genes)) > 1 / 6
    slide_ids = np.repeat(list(splits), 40)
    place = np.stack([np.tile(np.arange(40) // 8, 4), np.tile(np.arange(40) % 8, 4)], axis=1)
    adata = AnnData(
        X=np.where(mask, np.maximum(np.rint(expression), 1), 0).astype(np.float32),
        obs=pd.DataFrame(
            {
                "slide_id": slide_ids,
                "patient_id": [f"donor_{slide}" for slide in slide_ids],
                "split": [splits[slide] for slide in slide_ids],
                "array_row": place[:, 0],
                "array_col": place[:, 1],
            },
            index=[f"{slide}_{i}" for i, slide in enumerate(slide_ids)],
        ),
        var=pd.DataFrame(
            {
                "gene_name": [f"G{i}" for i in range(n_genes)],
                "gene_length_bp": 1000.0,
                "moran_i": 0.5,
            },
            index=[f"ENSG{i:011d}" for i in range(n_genes)],
        ),
        obsm={SPATIAL: place[:, ::-1] * 100.0 + 50},
        uns={"spared_bench": {"dataset": "tiny", "protocol": "tests"}},
    )
    adata.layers["counts"] = adata.X.copy()
    adata.layers["mask"] = mask
    adata.layers["prefilled"] = expression.astype(np.float32)
    adata.layers["expression"] = adata.layers["prefilled"] * mask
    adata.layers["target"] = adata.layers["prefilled"] * mask
    validate_prepared(adata)
    patches = Patches([images[slide_ids == slide] for slide in splits])
    whole = Slides(adata, patches)
    parts = {split: whole.subset(adata.obs["split"] == split) for split in SPLITS}
    return TinySlides(**parts)
