"""Which files a stranger's code brings: those that it names and that lie beside it."""

from __future__ import annotations

import hashlib
import importlib
import sys

import pytest

from spared_bench.keys import code
from spared_bench.keys.named_files import named_files
from spared_bench.registry.modules import from_file

MODEL = """
from importlib import resources
from pathlib import Path

from made_up_brings.deep.layers import f

HERE = Path(__file__).parent
PLAIN = HERE / "plain.json"
BELOW = HERE / "sets" / "deep.yaml"
AT_ONCE = open(HERE / "sets/at once.csv")
UP = HERE.parent / "deep" / "up.txt"
PACKED = resources.files("made_up_brings.data") / "packed.tsv"
LOOP = "loop"
WORDS = ["README", "absent.json", ".", "..", "", "/", "\\0", "x" * 300, "helper.py"]
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that brings files, and some that it does not name."""
    folder = tmp_path / "made_up_brings"
    named = ["plain.json", "sets/deep.yaml", "sets/at once.csv", "data/packed.tsv"]
    named += ["deep/up.txt", "deep/of_layers.npz"]
    others = ["README", "helper.py", "other.json", "sets/other.yaml", "data/other.tsv"]
    for name in [*named, *others]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"of {name}")
    (folder / "__init__.py").write_text("")
    (folder / "deep" / "__init__.py").write_text("")
    (folder / "deep" / "layers.py").write_text("f = 'of_layers.npz'\n")
    (folder / "helper.py").write_text("")
    (folder / "model.py").write_text(MODEL)
    (folder / "loop").symlink_to(folder)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield folder, named
    for name in [name for name in sys.modules if name.startswith("made_up_brings")]:
        del sys.modules[name]
    forget()


def forget():
    importlib.invalidate_caches()
    for cached in (code._source_file, code._home, code.is_installed, code._is_followed):
        cached.cache_clear()


def hashes(folder, names):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_they_are_those_that_are_named_wherever_the_code_of_the_method_lies(package):
    folder, named = package
    assert named_files("made_up_brings.model") == hashes(folder, named)


def test_an_installed_package_brings_none_of_what_lies_beside_it(package):
    folder, named = package
    (folder / "deep" / "layers.py").write_text("f = 'of_layers.npz', 'of_another.json'\n")
    (folder.parent / "of_another.json").write_text("")
    assert set(named_files("made_up_brings.model")) == {
        *hashes(folder, named),
        "../of_another.json",
    }
    (folder.parent / "another-1.0.dist-info").mkdir()
    forget()
    assert named_files("made_up_brings.model") == hashes(folder, named)


def test_a_plugin_file_brings_what_lies_beside_it(tmp_path):
    (tmp_path / "made_up_single.py").write_text("NAMES = 'mine.json', 'of/mine.csv'\n")
    (tmp_path / "of").mkdir()
    for name in ("mine.json", "of/mine.csv", "other.json"):
        (tmp_path / name).write_text("")
    module = from_file(tmp_path / "made_up_single.py")().__name__
    assert set(named_files(module)) == {"mine.json", "of/mine.csv"}


def test_a_file_of_several_methods_is_read_once_as_long_as_it_is_the_same(package, monkeypatch):
    folder, _ = package
    (folder / "other.py").write_text("WEIGHTS = 'plain.json'\n")
    digest = importlib.import_module("spared_bench.keys.named_files").file_digest
    read = []

    def count(path):
        read.append(path.name)
        return digest(path)

    monkeypatch.setattr("spared_bench.keys.named_files.file_digest", count)
    for module in ("model", "other", "model"):
        named_files(f"made_up_brings.{module}")
    assert read.count("plain.json") == 1
    (folder / "plain.json").write_text("another")
    assert named_files("made_up_brings.other") == hashes(folder, ["plain.json"])


def test_a_file_that_may_not_be_read_is_no_error(package, monkeypatch):
    folder, named = package
    (folder / "plain.json").unlink()
    (folder / "plain.json").symlink_to("/proc/self/mem")  # which is a file, and cannot be read so
    found = named_files("made_up_brings.model")
    assert found["plain.json"] == "unreadable"
    assert len(found) == len(named)
