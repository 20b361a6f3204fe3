"""A workspace with finished runs of the toy dataset, and bundles of them to bend."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.submissions import bundle
from spared_bench.submissions.build import build
from spared_bench.submissions.check import check
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL


@pytest.fixture(scope="session")
def run_workspace(prepared_workspace, tmp_path_factory) -> Path:
    """A workspace in which two toy predictors have run; do not write to it."""
    root = tmp_path_factory.mktemp("run") / "workspace"
    shutil.copytree(prepared_workspace, root)
    plan = select(toy_bench(root), predictors=["toy-ridge", "toy-mean"])
    report = execute(plan, executor="inline", track=False, figures=False)
    assert not report.failed
    return root


def toy_bench(root: Path):
    return make_bench(
        str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN], device="cpu", offline=True
    )


@pytest.fixture(scope="session")
def run_bench(run_workspace):
    return toy_bench(run_workspace)


@pytest.fixture(scope="session")
def archive(run_bench, tmp_path_factory) -> Path:
    """A sound bundle of toy-ridge; do not change it."""
    return build(run_bench, "toy-ridge", tmp_path_factory.mktemp("bundles")).archive


@pytest.fixture
def folder(archive, tmp_path) -> Path:
    """The files of that bundle, to be changed and sealed again."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "folder")
    return tmp_path / "folder"


@pytest.fixture
def checked(run_bench, tmp_path):
    """Check a bundle; a folder is sealed again and packed first."""

    def run(path: Path, leaderboards: Path = tmp_path / "leaderboards", **options):
        if path.is_dir():
            bundle.seal(path)
            bundle.pack(path, tmp_path / "changed.zip")
            path = tmp_path / "changed.zip"
        return check(path, lambda protocol: run_bench, leaderboards, **options)

    return run
