"""What `plugins new` refuses, and that its packages install, pass their tests and run."""

from __future__ import annotations

import tomllib

import pytest

from spared_bench.errors import UnknownNameError, UsageError
from spared_bench.registry import discover
from spared_bench.scaffold.packages import new_package


@pytest.fixture(scope="module")
def registry():
    return discover()


@pytest.mark.parametrize("kind", ["predictor", "completer", "dataset"])
def test_a_package_registers_a_plugin_of_its_name_that_passes_the_kit(
    kind, registry, tmp_path, monkeypatch
):
    from spared_bench.testing.conformance import examine

    name = f"new-{kind}.2"
    written = new_package(kind, name, tmp_path, registry)
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


def test_no_file_is_left_with_a_placeholder(registry, tmp_path):
    for kind in ("predictor", "completer", "dataset"):
        for path in new_package(kind, f"plain-{kind}", tmp_path, registry):
            assert "$" not in path.read_text(), path


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
