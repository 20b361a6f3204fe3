from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest

from spared_bench.errors import PluginError
from spared_bench.keys import code
from spared_bench.keys.code import code_hash, factory_hash, sources
from spared_bench.registry.modules import from_file


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose model imports a helper, relatively and inside a function."""
    folder = tmp_path / "made_up_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "model.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from made_up_package import only_types\n"
        "def f():\n    from . import helper\n"
    )
    (folder / "helper.py").write_text("import numpy\nfrom made_up_package.deep import g\n")
    (folder / "deep.py").write_text("g = 1\n")
    (folder / "only_types.py").write_text("")
    (folder / "unrelated.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    code._source_file.cache_clear()
    code.code_hash.cache_clear()
    yield folder
    for name in [name for name in sys.modules if name.startswith("made_up_package")]:
        del sys.modules[name]
    code._source_file.cache_clear()


def test_the_hash_covers_what_a_module_imports_from_its_own_package(package):
    assert set(sources("made_up_package.model")) == {
        "made_up_package",
        "made_up_package.model",
        "made_up_package.helper",
        "made_up_package.deep",
    }


def test_imports_are_found_in_whatever_statement_they_stand(package):
    inside = {
        "a": "if not TYPE_CHECKING:\n    {}",
        "b": "if TYPE_CHECKING:\n    pass\nelse:\n    {}",
        "c": "try:\n    pass\nexcept ValueError:\n    {}",
        "d": "try:\n    pass\nfinally:\n    {}",
        "e": "for _ in ():\n    pass\nelse:\n    with open('x'):\n        {}",
        "f": "match 1:\n    case 1:\n        {}",
        "g": "class A:\n    async def f(self):\n        {}",
        "h": "while typing.TYPE_CHECKING:\n    {}",
    }
    lines = [text.format(f"import made_up_package.in_{name}") for name, text in inside.items()]
    (package / "many.py").write_text("\n".join(lines) + "\n")
    for name in inside:
        (package / f"in_{name}.py").write_text("")
    found = set(sources("made_up_package.many"))

    assert found >= {f"made_up_package.in_{name}" for name in inside}


def test_the_hash_moves_with_an_imported_helper_and_not_with_its_neighbours(package):
    before = code_hash("made_up_package.model")
    (package / "unrelated.py").write_text("x = 1\n")
    (package / "only_types.py").write_text("x = 1\n")
    code_hash.cache_clear()
    assert code_hash("made_up_package.model") == before
    (package / "deep.py").write_text("g = 2\n")
    code_hash.cache_clear()
    assert code_hash("made_up_package.model") != before


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A method's file that imports a file and a package beside it, as an author splits them."""
    (tmp_path / "made_up_method.py").write_text("import numpy\nfrom made_up_layers import f\n")
    (tmp_path / "made_up_layers.py").write_text("from made_up_common.parts import f\n")
    (tmp_path / "made_up_common").mkdir()
    (tmp_path / "made_up_common" / "__init__.py").write_text("")
    (tmp_path / "made_up_common" / "parts.py").write_text("def f(): return 1\n")
    (tmp_path / "made_up_unrelated.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    caches = (
        *(code._source_file, code._is_followed, code._home, code._record),
        *(code.code_hash, code.factory_hash),
    )
    for cached in caches:
        cached.cache_clear()
    yield tmp_path
    for name in [name for name in sys.modules if "made_up" in name]:
        del sys.modules[name]
    for cached in caches:
        cached.cache_clear()


BESIDE = {"made_up_method", "made_up_layers", "made_up_common.parts"}


def test_the_hash_covers_files_and_packages_beside_a_methods_file(beside):
    assert set(sources("made_up_method")) == {*BESIDE, "made_up_common"}
    before = code_hash("made_up_method")
    (beside / "made_up_common" / "parts.py").write_text("def f(): return 2\n")
    assert code.is_edited("made_up_method")
    code_hash.cache_clear()
    assert code_hash("made_up_method") != before


def test_the_hash_covers_what_is_beside_a_file_that_is_given_as_a_plugin(beside):
    module = from_file(beside / "made_up_method.py")().__name__  # what ``__name__`` there says
    others = {*BESIDE - {"made_up_method"}, "made_up_common"}
    assert set(sources(module)) == {module, *others}

    before = code_hash(module)
    (beside / "made_up_common" / "parts.py").write_text("def f(): return 2\n")
    assert code.is_edited(module)
    code_hash.cache_clear()
    assert code_hash(module) != before


def test_a_spec_that_takes_another_class_of_the_same_file_moves_the_key(beside):
    (beside / "made_up_two.py").write_text("def f(): ...\nclass A: ...\nclass B(A): ...\n")
    (beside / "made_up_spec.py").write_text("")
    found = {
        name: factory_hash(f"made_up_two:{name}", "made_up_spec") for name in ("A", "B", "A.make")
    }
    assert len(set(found.values())) == 3

    text = code_hash("made_up_two")
    assert factory_hash("made_up_two:f", "made_up_spec") == text  # there is no other function
    assert factory_hash("made_up_two:A", "made_up_two") == text  # which names it itself


def test_a_package_is_found_from_the_folder_in_which_its_project_lies(beside, monkeypatch):
    package = beside / "made_up_project" / "made_up_project"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text("from made_up_project.deep.parts import f\n")
    (package / "deep").mkdir()
    (package / "deep" / "__init__.py").write_text("")
    (package / "deep" / "parts.py").write_text("def f(): ...\n")

    class Editable:  # as setuptools has one for a package that is installed to be edited
        @staticmethod
        def find_spec(name, path=None, target=None):
            place = package.parent.joinpath(*name.split("."))
            for file in (place / "__init__.py", place.with_suffix(".py")):
                if name.startswith("made_up_project") and file.is_file():
                    return importlib.util.spec_from_file_location(name, file)
            return None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Editable])
    monkeypatch.chdir(beside)  # where `made_up_project` is a folder without modules
    model = importlib.import_module("made_up_project.model")
    assert model.__file__ == str(package / "model.py")

    for name in [name for name in sys.modules if "made_up" in name]:
        monkeypatch.delitem(sys.modules, name)
    assert set(sources("made_up_project.model")) == {
        "made_up_project.model",
        "made_up_project.deep.parts",
        *("__init__.py", "deep/__init__.py"),
    }


def test_of_what_is_installed_the_hash_covers_the_methods_own_distribution(beside):
    for name, files in {
        "mine": "made_up_method.py,a,1\nmade_up_common/parts.py,b,1\nmade_up_layers.py,,\n",
        "other": "somebody/__init__.py,,\n",
    }.items():
        (beside / f"{name}-1.dist-info").mkdir()
        (beside / f"{name}-1.dist-info" / "RECORD").write_text(files)
    assert set(sources("made_up_method")) == BESIDE

    (beside / "other-1.dist-info" / "RECORD").write_text("made_up_layers.py,,\n")
    (beside / "mine-1.dist-info" / "RECORD").write_text("made_up_method.py,sha256=a,1\n")
    code._record.cache_clear()
    code._is_followed.cache_clear()
    assert set(sources("made_up_method")) == {"made_up_method"}


def test_the_hash_of_our_own_code_follows_our_own_packages_alone():
    for module in ("spared_bench_plugins.predictors.shufflenet", "spared_bench.metrics.mse"):
        assert {name.partition(".")[0] for name in sources(module)} <= {
            *("spared_bench", "spared_bench_plugins"),
        }


def test_the_hash_follows_what_a_package_exports_lazily(package):
    (package / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from made_up_package.deep import g\n"
        "def __getattr__(name):\n    from importlib import import_module\n"
        "    return import_module('made_up_package.deep').g\n"
    )
    (package / "model.py").write_text("from made_up_package import g\n")
    assert "made_up_package.deep" in sources("made_up_package.model")


def test_an_edit_of_the_trainer_moves_what_trains_with_it_and_the_page_moves_nothing():
    found = sources("spared_bench_plugins.predictors.shufflenet")
    assert any(name.startswith("spared_bench.models.trainer") for name in found)
    assert not any("leaderboard" in name or "cli" in name for name in found)


def test_a_source_is_read_in_the_encoding_that_it_says_and_with_a_mark_before_it(package):
    (package / "latin.py").write_bytes(
        b"# -*- coding: latin-1 -*-\nfrom . import deep\nx = '\xb5'\n"
    )
    (package / "marked.py").write_bytes(b"\xef\xbb\xbfimport made_up_package.helper\n")
    assert "made_up_package.deep" in sources("made_up_package.latin")
    assert "made_up_package.helper" in sources("made_up_package.marked")
    assert importlib.import_module("made_up_package.latin").x == "µ"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"def (\n", r"broken\.py is no Python, line 1: invalid syntax"),
        (b"x = '\xff'\n", r"is no Python.*can't decode byte 0xff"),
        (b"x = 1\0\n", r"is no Python.*null bytes"),
        (b"# coding: nonsense\n", r"is no Python.*nonsense"),
        (b"x = " + b"(" * 5_000 + b"\n", r"is no Python"),
    ],
)
def test_a_source_that_is_no_python_is_named(package, text, told):
    (package / "broken.py").write_bytes(text)
    (package / "through.py").write_text("import made_up_package.broken\n")
    with pytest.raises(PluginError, match=told):
        code_hash("made_up_package.through")


def test_a_source_that_may_not_be_read_is_named(package, monkeypatch):
    def shut(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(code.Path, "read_bytes", shut)
    with pytest.raises(PluginError, match=r"deep\.py cannot be read: Permission denied"):
        code_hash("made_up_package.deep")
