"""The specs at the heads of files: what is read without importing is what the files hold."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import spared_bench_plugins
from spared_bench.errors import PluginError
from spared_bench.specs import Spec
from spared_bench_plugins.spec_files import specs_of_files

FOLDERS = Path(spared_bench_plugins.__file__).parent


@pytest.mark.parametrize("kind", ["predictors", "completers"])
def test_what_is_read_is_what_an_import_finds(kind):
    package = f"spared_bench_plugins.{kind}"
    found = specs_of_files(FOLDERS / kind, package)
    imported = [
        value
        for path in sorted((FOLDERS / kind).glob("*.py"))
        if path.stem != "__init__"
        for value in vars(import_module(f"{package}.{path.stem}")).values()
        if isinstance(value, Spec)
    ]
    assert sorted(found, key=lambda spec: spec.name) == sorted(imported, key=lambda s: s.name)
    assert len({spec.name for spec in found}) == len(found) > 0


@pytest.mark.parametrize("kind", ["predictors", "completers"])
def test_each_factory_is_in_the_file_of_its_spec(kind):
    for spec in specs_of_files(FOLDERS / kind, f"spared_bench_plugins.{kind}"):
        module, _, name = spec.factory.partition(":")
        assert getattr(import_module(module), name).__module__ == module


def test_a_file_of_one_line_and_one_of_many_are_read_and_one_without_is_named(tmp_path):
    (tmp_path / "one.py").write_text(
        "import torch_that_is_nowhere\nSPEC = PredictorSpec('one', f'{__name__}:One')\n"
    )
    (tmp_path / "two.py").write_text(
        "SPEC = PredictorSpec(\n    'two',\n    f'{__name__}:Two',\n    search={'lr': (1.0,)},\n)\n"
        "OTHER_SPEC = CompleterSpec(\n    'other',\n    f'{__name__}:Other',\n)\n"
    )
    specs = specs_of_files(tmp_path, "there")
    assert [(spec.name, spec.factory) for spec in specs] == [
        ("one", "there.one:One"),
        ("two", "there.two:Two"),
        ("other", "there.two:Other"),
    ]
    (tmp_path / "zero.py").write_text("x = 1\n")
    with pytest.raises(PluginError, match=r"there\.zero has no statement"):
        specs_of_files(tmp_path, "there")
