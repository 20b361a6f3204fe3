"""Shared fixtures: random numbers, and small data made on the spot; nothing is downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from spared_bench.data import validate_prepared
from spared_bench.testing import TinySlides
from spared_bench.testing import tiny_slides as make_tiny_slides


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240711)


TESTS = Path(__file__).parent
TOY_PLUGIN = TESTS / "toy_plugin.py"
TOY_PROTOCOL = TESTS / "toy.yaml"
#: The images of her2st_demo.
EMBEDDED_IMAGES = TESTS.parent / "plugins/datasets/embedded/her2st/data/ST-imgs"


@pytest.fixture(scope="session")
def prepared_workspace(tmp_path_factory) -> Path:
    """A workspace in which the toy dataset is prepared; copy it, do not write to it."""
    from spared_bench.api import make_bench
    from spared_bench.trials.products import make_completed

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


@pytest.fixture(scope="session")
def tiny_slides() -> TinySlides:
    """Four slides of 40 spots, 24 px patches and 6 genes that a patch's colours foretell."""
    made = make_tiny_slides()
    validate_prepared(made.train.adata)
    return made
