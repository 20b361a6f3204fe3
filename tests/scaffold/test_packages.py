"""What `plugins new` refuses, and that its packages install, pass their tests and run."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib

import pytest

from spared_bench.errors import UnknownNameError, UsageError
from spared_bench.registry import discover
from spared_bench.scaffold.packages import new_package


@pytest.fixture(scope="module")
def registry():
    return discover()


ALL = [
    ("predictor", ""), ("predictor", "patch"), ("predictor", "slide"), ("predictor", "features"),
    ("predictor", "known"),
    ("completer", ""), ("dataset", ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "form"), ALL)
def test_a_package_registers_a_plugin_of_its_name_that_passes_the_kit(
    kind, form, registry, tmp_path, monkeypatch
):
    from spared_bench.testing.conformance import examine

    name = f"new-{kind}.{form}2"
    written = new_package(kind, name, tmp_path, registry, form)
    project = tomllib.loads((tmp_path / name / "pyproject.toml").read_text())
    ((_, module),) = project["project"]["entry-points"]["spared_bench"].items()
    assert {f"{each}.py" for each in project["tool"]["setuptools"]["py-modules"]} <= {
        path.name for path in written
    }
    monkeypatch.syspath_prepend(tmp_path / name)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / name))
    found = discover([tmp_path / name / f"{module}.py"])
    assert found.quarantined == []
    results = list(examine(found, [(kind, name)]))
    assert [each.message for each in results if each.status == "failed"] == []
    assert sum(each.status == "passed" for each in results) >= 6


def test_the_slides_of_a_new_dataset_raise_no_doubt(registry, tmp_path, monkeypatch):
    from spared_bench.data import validate_raw_slide
    from spared_bench.reports.quality import check_slide

    new_package("dataset", "undoubted", tmp_path, registry)
    monkeypatch.syspath_prepend(tmp_path / "undoubted")
    reader = importlib.import_module("undoubted_reader")
    for slide_id in ("s1", "s2", "s3"):
        slide = reader.read_slide(tmp_path, slide_id)
        validate_raw_slide(slide, slide_id)
        doubts = [check.message for check in check_slide(slide) if check.passed is False]
        assert doubts == []


def test_no_file_is_left_with_a_placeholder(registry, tmp_path):
    for kind, form in ALL:
        for path in new_package(kind, f"plain-{kind}{form}", tmp_path, registry, form):
            assert "$" not in path.read_text(), path


@pytest.mark.parametrize("form", ["slide", "features", "known"])
def test_the_tests_of_a_package_pass_where_it_is_installed(form, registry, tmp_path):
    new_package("predictor", "mine", tmp_path, registry, form)
    # As `pip install -e` leaves it: modules to be found, and a distribution with the entry point.
    site = tmp_path / "site"
    (site / "spared_bench_mine-0.1.0.dist-info").mkdir(parents=True)
    metadata = site / "spared_bench_mine-0.1.0.dist-info"
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: spared-bench-mine\nVersion: 0.1.0\n"
    )
    (metadata / "entry_points.txt").write_text("[spared_bench]\nmine = mine_plugin\n")
    path = os.pathsep.join([str(site), str(tmp_path / "mine")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "mine")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_a_form_is_one_of_a_predictor(registry, tmp_path):
    with pytest.raises(UnknownNameError, match=r"Did you mean 'slide'"):
        new_package("predictor", "mine", tmp_path, registry, "slides")
    with pytest.raises(UsageError, match=r"a completer has one template"):
        new_package("completer", "mine", tmp_path, registry, "slide")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["My", "2x", "", "a b", "../x", "x/", "class", "none", "true", "x-", "ü", "a" * 80]
)
def test_a_name_that_no_package_can_have_is_refused(name, registry, tmp_path):
    with pytest.raises(UsageError, match="cannot name a package"):
        new_package("predictor", name, tmp_path, registry)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_taken_and_a_folder_that_is_there_are_refused(registry, tmp_path):
    with pytest.raises(UsageError, match="A predictor named 'linear-probe' is installed already"):
        new_package("predictor", "linear-probe", tmp_path, registry)
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="is there already, and nothing in it is overwritten"):
        new_package("predictor", "mine", tmp_path, registry)
    with pytest.raises(UnknownNameError, match="Did you mean 'completer'"):
        new_package("complete", "x", tmp_path, registry)


def test_a_package_has_a_name_that_installers_take_and_that_replaces_no_library(registry, tmp_path):
    for name, distribution in (
        ("a+b", "a-b"),
        ("numpy", "numpy"),
        ("spared-bench", "spared-bench"),
    ):
        new_package("predictor", name, tmp_path, registry)
        project = tomllib.loads((tmp_path / name / "pyproject.toml").read_text())["project"]

        assert project["name"] == f"spared-bench-{distribution}"


def test_a_file_in_the_place_of_the_folder_is_explained(registry, tmp_path):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(UsageError, match=r"cannot be written: .*--out"):
        new_package("predictor", "mine", tmp_path / "file", registry)
