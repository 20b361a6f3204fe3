"""Shared fixtures: random numbers, and small data made on the spot; nothing is downloaded."""

from __future__ import annotations

import gc
import os

# Before libraries read it: threads that wait, in more processes than there are cores, would turn in
# circles instead: a tenth of what the tests take of the processors, and two thirds of some.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # sixteen ticks; by itself, 67 million

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import settings

from spared_bench.data import validate_prepared
from spared_bench.testing import TinySlides
from spared_bench.testing import tiny_slides as make_tiny_slides
from spared_bench.threads import usable_cores
from tests import warm


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240711)


# Hundreds of processes that tests begin would each compile our code: a tenth of all their time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Tests time nothing: an example may take long where other work runs.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TESTS = Path(__file__).parent
#: What ``pytest -m quick`` runs: files and folders whose tests train nothing.
QUICK = (
    *("test_floors.py", "test_protocol.py", "test_parameters.py", "test_specs.py"),
    *("test_strict.py", "test_registry.py", "test_geometry.py", "test_data.py", "metrics"),
    *("statistics", "store/test_entries.py", "running/test_queue.py"),
    *("leaderboard/test_columns.py", "leaderboard/test_rows.py", "leaderboard/test_entries.py"),
    "plugins/test_metric_specs.py",
)


@cache
def is_quick(path: Path) -> bool:
    return any(path == TESTS / name or TESTS / name in path.parents for name in QUICK)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files out that have no quick test where only these are asked for: imports take long."""
    asked = config.getoption("markexpr") == "quick" and collection_path.name.startswith("test_")
    return True if asked and collection_path.is_file() and not is_quick(collection_path) else None


#: What the plugins of tests are told by: not read while our own code is imported.
TOLD_BY = (
    *("TOY_SIGN", "TOY_TRAININGS", "TOY_SPACE", "TOY_DIED", "TOY_DEATHS", "STRANGER_SIGN"),
    *("STRANGER_CHILD", "HOSTILE_SIGN", "THIEF_PORT", "THIEF_FOLDERS", "THIEF_FILES", "WAY"),
    *("VICTIM", "SECTIONS_NOISE"),
)


@pytest.fixture(scope="session", autouse=True)
def _few_fork_servers() -> None:
    """Let a session fork its workers from few servers, which take seconds to begin."""
    from spared_bench.executors import worker_process

    worker_process.READ_LATER.update(TOLD_BY)
    worker_process.KEPT = 4


#: What a worker holds at the end of the suite, with the server that forks for it.
_WORKER_BYTES = 4 << 30
OF_DASK = ("DASK_PARENT", "MALLOC_TRIM_THRESHOLD_", "PYTHONHASHSEED")


def pytest_xdist_auto_num_workers() -> int:
    """Take one worker more than there are cores, if they fit: tests wait for what they begin."""
    cores = usable_cores()
    return cores + (psutil.virtual_memory().available > (cores + 1) * _WORKER_BYTES)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cold", action="store_true", help="begin every interpreter by itself; see tests/warm.py"
    )


@pytest.fixture(scope="session")
def warm_server() -> Iterator[warm.Server]:
    """What forks interpreters, in a session that does not begin them by themselves."""
    server = warm.begin_server()
    yield server
    server.end()


@pytest.fixture(scope="session", autouse=True)
def _warm_interpreters(request) -> Iterator[None]:
    """Fork the interpreters that many tests begin."""
    few = len(request.session.items) < warm.WORTH
    if request.config.getoption("cold") or few or not warm.can_be():
        yield
        return
    server = request.getfixturevalue("warm_server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", subprocess.Popen)
        patch.setattr(os, "posix_spawn", os.posix_spawn)
        warm.install(server)
        yield


@pytest.fixture
def cold(monkeypatch) -> None:
    """Begin each interpreter by itself: for tests of what one imports."""
    monkeypatch.setattr(subprocess, "Popen", warm.POPEN)


@pytest.fixture(autouse=True)
def _variables_of_dask() -> Iterator[None]:
    """Take back what Dask sets for its workers: no interpreter that is begun later is the same."""
    before = {name: os.environ.get(name) for name in OF_DASK}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session", autouse=True)
def _one_new_database(tmp_path_factory) -> Iterator[None]:
    """Let MLflow's migrations, a second of work, make the tables of a session's databases once."""
    from spared_bench.tracking import connection
    from spared_bench.tracking.database import database_file, make_database

    first = tmp_path_factory.mktemp("tracking") / "new.db"

    def make_or_copy(path: Path, make: Callable[[str], None]) -> None:
        def put(uri: str) -> None:
            if not first.exists():
                make(uri)
                shutil.copyfile(database_file(uri), first.with_suffix(".part"))
                first.with_suffix(".part").rename(first)
            else:
                shutil.copyfile(first, database_file(uri))

        make_database(path, put)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "make_database", make_or_copy)
        yield


def pytest_sessionstart() -> None:
    # Modules of torch, scanpy and mlflow stay until the end; looking through them costs seconds.
    gc.set_threshold(50_000, 20, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_quick(item.path):
            item.add_marker("quick")


BROWSER_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
TOY_PLUGIN = TESTS / "toy_plugin.py"
TOY_PROTOCOL = TESTS / "toy.yaml"
#: The images of her2st_demo.
EMBEDDED_IMAGES = TESTS.parent / "plugins/datasets/embedded/her2st/data/ST-imgs"


@pytest.fixture(scope="session")
def prepared_workspace(tmp_path_factory) -> Path:
    """A workspace in which the toy dataset is prepared; copy it, do not write to it.

    Patches, checks and pictures of its slides are there, too: as its reader is not ours, a fresh
    interpreter would make them in each of many tests.
    """
    from spared_bench.api import make_bench
    from spared_bench.leaderboard.slides import make_pictures
    from spared_bench.reports.slide_checks import check_slides
    from spared_bench.trials.completed import make_completed
    from spared_bench.trials.products import make_dataset
    from spared_bench.trials.raw_slides import read_raw_slides

    root = tmp_path_factory.mktemp("prepared") / "workspace"
    bench = make_bench(str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN], device="cpu")
    slides = read_raw_slides(bench, "toy")
    make_dataset(bench, "toy", slides=lambda: slides)
    check_slides(bench, "toy", lambda: slides)
    make_pictures(bench, "toy", list(slides))
    make_completed(bench, "toy", "none")
    return root


@pytest.fixture
def workspace(prepared_workspace, tmp_path) -> Path:
    """A workspace of one's own, with the toy dataset prepared and no results."""
    root = tmp_path / "workspace"
    shutil.copytree(prepared_workspace, root)
    return root


@pytest.fixture
def prepared_alone(workspace: Path) -> None:
    """Take what is made of the toy slides beside the prepared dataset, for tests of making it."""
    for kind in ("patches", "facts", "checks", "pictures"):
        shutil.rmtree(workspace / "store" / kind)


@pytest.fixture
def bench(workspace):
    """The toy protocol on that workspace."""
    from spared_bench.api import make_bench

    return make_bench(
        str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu"
    )


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api",
        reason="playwright is not installed: nothing was tried in a browser",
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium is installed: nothing was tried in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """MLflow takes seconds to make its tables; the tests copy them."""
    from spared_bench.tracking.tracker import Tracker

    folder = tmp_path_factory.mktemp("mlflow")
    Tracker(folder, uri=f"sqlite:///{folder}/mlflow.db").connect()
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def tiny_slides() -> TinySlides:
    """Four slides of 40 spots, 24 px patches and 6 genes that a patch's colours foretell."""
    made = make_tiny_slides()
    validate_prepared(made.train.adata)
    return made
