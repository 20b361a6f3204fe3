"""Modules of a repository that a plugin brings in a folder beside it, and puts on its path."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from spared_bench.keys import code, named
from spared_bench.keys.code import code_hash, sources
from spared_bench.keys.named_files import named_files
from spared_bench.registry.modules import from_file

PLUGIN = """
import runpy
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent / "third_party" / "repo"
sys.path.insert(0, str(REPOSITORY))
sys.path.append(f"{Path(__file__).parent}/other/src")

def f():
    from model import Net
    import tools.layers
    runpy.run_path(REPOSITORY / "scripts/made.py")
    from spared_bench.metrics.mse import mse
"""
REPOSITORY = {
    "model.py": "from utils import f\nfrom tools import heads\n",
    "utils.py": "import numpy\nfrom spared_bench.geometry import spacing\n",
    "tools/__init__.py": "",
    "tools/layers.py": "from .deep.parts import f\nfrom . import near\nfrom .. import above\n",
    "tools/heads.py": "print 'of Python 2'\n",
    "tools/near.py": "",
    "tools/deep/parts.py": "from ..second import f\n",
    "tools/second.py": "",
    "scripts/made.py": "import by_script\n",
    "by_script.py": "",
}
NEIGHBOURS = ("train.py", "tools/unused.py", "scripts/other.py", "elsewhere/model.py")


@pytest.fixture
def plugin(tmp_path):
    """A plugin file, and the repository beside it."""
    return made(tmp_path / "one")


def made(place: Path) -> Path:
    repository = place / "third_party" / "repo"
    for name, text in [*REPOSITORY.items(), *((name, "") for name in NEIGHBOURS)]:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    (place / "vendoring_plugin.py").write_text(PLUGIN)
    return place / "vendoring_plugin.py"


def module_of(plugin: Path) -> str:
    forget()
    return from_file(plugin)().__name__


def forget():
    caches = (code._source_file, code._imports, code._is_followed, code._home, code.code_hash)
    for cached in caches:
        cached.cache_clear()


def test_they_are_found_by_the_folders_that_are_named_and_what_is_imported(plugin):
    module = module_of(plugin)
    found = {name for name in sources(module) if not name.startswith("spared_bench.")}
    assert found - {module} == {f"third_party/repo/{name}" for name in REPOSITORY}
    ours = {"spared_bench.metrics.mse", "spared_bench.geometry"}
    assert ours <= set(sources(module))


@pytest.mark.parametrize("name", sorted(REPOSITORY))
def test_an_edit_of_one_is_an_edit_of_the_method(plugin, name):
    module = module_of(plugin)
    before = code_hash(module)
    path = plugin.parent / "third_party" / "repo" / name
    path.write_text(path.read_text() + "# edited\n")
    assert code.is_edited(module)
    forget()
    assert code_hash(module) != before


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_an_edit_of_what_nobody_imports_is_none(plugin, name):
    module = module_of(plugin)
    before = code_hash(module)
    (plugin.parent / "third_party" / "repo" / name).write_text("edited = True\n")
    forget()
    assert code_hash(module) == before


def test_a_plugin_has_its_own_where_another_has_imported_modules_of_the_same_names(
    plugin, tmp_path, monkeypatch
):
    other = made(tmp_path / "two")
    monkeypatch.syspath_prepend(other.parent / "third_party" / "repo")
    import utils  # noqa: F401 - as the other's plugin has it

    assert sys.modules["utils"].__file__ == str(other.parent / "third_party/repo/utils.py")
    module = module_of(plugin)
    found = sources(module)
    assert found["third_party/repo/utils.py"] == plugin.parent / "third_party/repo/utils.py"
    assert not [path for path in found.values() if other.parent in path.parents]
    monkeypatch.delitem(sys.modules, "utils")


def test_the_hash_is_the_same_wherever_a_plugin_lies(plugin, tmp_path, monkeypatch):
    module = module_of(plugin)
    here = {name: path for name, path in sources(module).items() if name != module}
    monkeypatch.chdir(tmp_path)
    elsewhere = module_of(made(tmp_path / "moved" / "deeper"))
    assert set(sources(elsewhere)) - {elsewhere} == set(here)


def test_the_hash_is_the_same_where_the_plugins_folder_is_the_current_one(plugin, monkeypatch):
    beside = {
        "beside.py": "import packed.one\n",
        "packed/__init__.py": "",
        "packed/one.py": "",
        "spaced/two.py": "",  # of a package without __init__.py
    }
    for name, text in beside.items():
        (plugin.parent / name).parent.mkdir(exist_ok=True)
        (plugin.parent / name).write_text(text)
    plugin.write_text(f"{plugin.read_text()}\n    import beside\n    import spaced.two\n")
    found, hashed = sources(module := module_of(plugin)), code_hash(module)
    monkeypatch.syspath_prepend(plugin.parent)  # as Python has it for `-m`
    assert sources(module_of(plugin)) == found
    assert code_hash(module) == hashed
    assert {plugin.parent / name for name in beside} <= set(found.values())


def test_of_pythons_own_modules_no_neighbour_counts():
    assert set(sources("types")) == {"types"}


def test_a_folder_that_may_not_be_listed_is_asked_for_each_name(plugin, monkeypatch):
    module = module_of(plugin)
    listed = set(sources(module))

    def refuse(place):
        raise PermissionError(place)

    monkeypatch.setattr(named.os, "scandir", refuse)
    assert set(sources(module)) == listed


def test_modules_that_are_imported_by_texts_are_found(plugin):
    by_text = """
from importlib import import_module
import importlib

def g(name):
    import_module("by_text.one")
    importlib.import_module(name="of_a_keyword")
    importlib.import_module(".two", __package__)
    __import__("beside")
    importlib.import_module(name), import_module(f"{name}.x"), import_module("no module"), print()
"""
    plugin.write_text(plugin.read_text() + by_text)
    files = ("third_party/repo/by_text/one.py", "two.py", "beside.py", "of_a_keyword.py")
    for name in (*files, "no module.py"):
        (plugin.parent / name).parent.mkdir(exist_ok=True)
        (plugin.parent / name).write_text("")
    found = set(sources(module_of(plugin)).values())
    assert {plugin.parent / name for name in files} <= found
    assert plugin.parent / "no module.py" not in found


def test_dots_that_lead_above_the_topmost_folder_name_nothing(plugin):
    module = module_of(plugin)
    found = set(sources(module))
    model = plugin.parent / "third_party" / "repo" / "model.py"
    model.write_text(f"{model.read_text()}from {'.' * 99} import far\n")
    forget()
    assert set(sources(module)) == found


def test_a_folder_that_may_not_even_be_entered_holds_nothing(plugin, monkeypatch):
    plugin.write_text(f"{plugin.read_text()}\nSHUT = 'shut/settings.json'\n")
    (plugin.parent / "shut").mkdir()
    (plugin.parent / "shut" / "settings.json").write_text("1")
    module = module_of(plugin)
    assert named_files(module)
    scandir, stat = os.scandir, os.stat

    def list_others(place):
        return refuse(place) if Path(place).name == "shut" else scandir(place)

    def look_at_others(place, **options):
        inside = isinstance(place, str | Path) and Path(place).parent.name == "shut"
        return refuse(place) if inside else stat(place, **options)

    def refuse(place):  # as where another user's folder is shut, which root enters
        raise PermissionError(place)

    monkeypatch.setattr(os, "scandir", list_others)
    monkeypatch.setattr(os, "stat", look_at_others)
    assert named_files(module) == {}
