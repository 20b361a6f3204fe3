"""The wheel, and a stranger's package beside it, in an environment outside the checkout."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "spared-bench-nearest"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the sdist."""
    pytest.importorskip("build", reason="the package `build` is not installed")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT)
    return out


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory) -> Path:
    """An environment with the wheel and the example plugin; other packages are borrowed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    borrowed = sysconfig.get_path("purelib")
    own = next(folder.glob("lib/python*/site-packages"))
    (own / "borrowed.pth").write_text(f"import site; site.addsitedir({borrowed!r})\n")
    (wheel,) = built.glob("*.whl")
    install = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    run(*install, "--quiet", "--no-deps", "--no-build-isolation", "--no-index", wheel, EXAMPLE)
    return folder


def run(*arguments, cwd=None):
    done = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_module_and_data_file_of_the_tree(built):
    (wheel,) = built.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = run("git", "ls-files", "spared_bench", "plugins", cwd=ROOT).split("\n")
    wanted = {name.replace("plugins/", "spared_bench_plugins/", 1) for name in tracked if name}
    assert wanted - inside == set()


def test_the_sdist_is_there_and_small(built):
    (sdist,) = built.glob("*.tar.gz")
    assert sdist.stat().st_size < 30e6


def test_a_strangers_plugin_runs_in_the_demo_from_the_installed_wheel(environment, tmp_path):
    command = environment / "bin" / "spared-bench"
    where = run(
        environment / "bin" / "python", "-c", "import spared_bench; print(spared_bench.__file__)",
        cwd=tmp_path,
    )  # fmt: skip
    assert where.startswith(str(environment))

    run(
        command, "run", "--suite", "demo", "-d", "her2st_demo", "-c", "none",
        "-p", "nearest", "-p", "gene-mean", "-w", tmp_path / "workspace", cwd=tmp_path,
    )  # fmt: skip

    table = (tmp_path / "workspace" / "leaderboard" / "leaderboard.csv").read_text()
    rows = {row["predictor"]: row for row in csv.DictReader(table.splitlines())}
    assert set(rows) == {"nearest", "gene-mean"}
    assert float(rows["nearest"]["pcc_gene"]) > 0.2
    assert float(rows["gene-mean"]["pcc_gene"]) == 0


def test_the_example_model_is_short():
    lines = (EXAMPLE / "nearest_model.py").read_text().splitlines()
    assert len(lines) <= 30
