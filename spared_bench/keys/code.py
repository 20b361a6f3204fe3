"""The code that a result depends on, as a hash.

The hash of a factory covers its module and every module of the same top-level package, of what came
with it (files beside it, other packages of its distribution), and of ``spared_bench``, that it
imports, directly or not. So an edit of the trainer moves the results of the predictors that train
with it, and an edit of the leaderboard page moves none.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path

from spared_bench.errors import PluginError
from spared_bench.keys.parsing import is_for_types, parsed, read, statements
from spared_bench.keys.vendored import vendored

#: Modules that name and describe, and compute nothing: they move no result.
_DESCRIPTIVE = {
    "spared_bench",
    "spared_bench.bounds",
    "spared_bench.errors",
    "spared_bench.hookspecs",
    "spared_bench.interfaces",
    "spared_bench.prediction",
    "spared_bench.readers.instead",
    "spared_bench.specs",
    "spared_bench.whereabouts",
    "spared_bench.yaml_slips",
}
#: Our packages import nothing else of their own. A plugin file, as ``__name__`` there says, is a
#: module ``spared_bench_file_...``, and a stranger's package may be called so, too.
_OURS = ("spared_bench", "spared_bench_plugins")
_PYTHONS = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
_PYTHONS_OWN = (BuiltinImporter, FrozenImporter, PathFinder)


@cache
def code_hash(module: str) -> str:
    """Return the hash of a module's source and of what it imports of its own code and ours.

    It is taken once per process: what is loaded does not change when a file does.

    Parameters
    ----------
    module : str
        Importable name: ``"spared_bench_plugins.predictors.shufflenet"``.

    Returns
    -------
    str
        64 hex digits. Comments count: it is the text that is hashed.

    Raises
    ------
    PluginError
        If one of these files cannot be read, or is no Python.
    """
    return _text_hash(module)


@cache
def factory_hash(factory: str, named_in: str) -> str:
    """Return ``code_hash`` of a factory's module, with its name where the text does not tell it.

    That is where another module names it (the spec's), and its own has others like it: an edit of
    the spec that takes another one is an edit of no text that ``code_hash`` covers.

    Parameters
    ----------
    factory : str
        ``"package.module:attribute"``.
    named_in : str
        The module of the spec.
    """
    module, _, attribute = factory.partition(":")
    found = code_hash(module)
    path = _source_file(module)
    if path is None or named_in in sources(module):
        return found
    kinds = {getattr(node, "name", ""): type(node) for node in parsed(path).body}
    kind = kinds.get(attribute)
    if kind in (ast.ClassDef, ast.FunctionDef) and list(kinds.values()).count(kind) == 1:
        return found
    return hashlib.sha256(f"{found}:{attribute}".encode()).hexdigest()


def is_edited(module: str) -> bool:
    """Return whether the text is another one now than when ``code_hash`` was taken."""
    try:
        return code_hash(module) != _text_hash(module)
    except PluginError:  # a file is gone, or half written
        return True


def _text_hash(module: str) -> str:
    found = sources(module)
    total = hashlib.sha256()
    for name in sorted(found):
        total.update(name.encode() + b"\0" + read(found[name]) + b"\0")
    return total.hexdigest()


def sources(module: str) -> dict[str, Path]:
    """Return the files behind ``code_hash``: module name to source file.

    Raises
    ------
    PluginError
        If one of them cannot be read, or is no Python.
    """
    own = module.partition(".")[0]
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        while waiting:
            name = waiting.pop()
            path = _source_file(name)
            if name in found or path is None or _is_descriptive(name):
                continue
            found[name] = path
            waiting += _followed(_imports(name, path), own)
        if own not in _OURS:
            for path in vendored(of_strangers(found), own_folders(found)):
                found[_name_of(path, module)] = path
                with suppress(PluginError):  # no Python of today: nothing imports it
                    waiting += _followed(_imports("", path), own)
    return found


def of_strangers(found: Mapping[str, Path]) -> list[Path]:
    """Return those of some source files that are not our own."""
    return [path for name, path in found.items() if name.partition(".")[0] != "spared_bench"]


def place_of(path: Path, module: str) -> str:
    """Return where a file lies, seen from a module, the same wherever both are."""
    source = _source_file(module)
    assert source is not None
    return Path(os.path.relpath(path, source.parent)).as_posix()


def _name_of(path: Path, module: str) -> str:
    """Return how a file is called that was found by its place, the same from every folder.

    As a module beside the method's, whose folder may be the current one, from which it is imported;
    else its place.
    """
    home = _home(module.partition(".")[0])
    if home is None or home not in path.parents:
        return place_of(path, module)
    *folders, name = path.relative_to(home).with_suffix("").parts
    is_packed = not folders or (home / folders[0] / "__init__.py").is_file()
    parts = folders if folders and name == "__init__" else [*folders, name]
    is_module = is_packed and parts[0] != "spared_bench" and all(map(str.isidentifier, parts))
    return ".".join(parts) if is_module else place_of(path, module)


def own_folders(found: Mapping[str, Path]) -> list[Path]:
    """Return where strangers' modules among these lie, and the folders above in their packages.

    Not that one where packages are installed: everybody's lie side by side there.
    """
    folders: set[Path] = set()
    for path in of_strangers(found):
        for folder in path.parents:
            if is_installed(folder):
                break
            folders.add(folder)
            if not (folder / "__init__.py").is_file():
                break
    return sorted(folders)


def _followed(imported: Iterable[str], own: str) -> list[str]:
    return [other for other in imported if _is_followed(other.partition(".")[0], own)]


@cache
def _is_followed(top: str, own: str) -> bool:
    """Return whether a top-level module is ours, a method's own, or came with the method's."""
    if top in (own, "spared_bench"):
        return True
    home = None if own in _OURS else _home(own)
    if home is None or _home(top) != home:
        return False
    return not is_installed(home) or _is_listed(top, _record(home, own))


@cache
def is_installed(home: Path) -> bool:
    """Return whether Python's own modules or packages lie in a folder, everybody's side by side."""
    return home in _PYTHONS or next(home.glob("*.dist-info"), None) is not None


@cache
def _home(top: str) -> Path | None:
    """Return the folder from which a top-level module is imported."""
    path = _source_file(top)
    if path is None:
        return None
    return path.parents[1] if path.name == "__init__.py" else path.parent


@cache
def _record(home: Path, top: str) -> str:
    """Return the list of files of the distribution with which a top-level module was installed."""
    texts = (path.read_text("utf-8", "replace") for path in sorted(home.glob("*.dist-info/RECORD")))
    return next((text for text in texts if _is_listed(top, text)), "")


def _is_listed(top: str, record: str) -> bool:
    return any(f"\n{name}" in f"\n{record}" for name in (f"{top}/", f"{top}.py,"))


def _is_descriptive(module: str) -> bool:
    return module in _DESCRIPTIVE or module.startswith("spared_bench.specs.")


@cache
def _source_file(module: str) -> Path | None:
    """Find a module's source without importing it, nor its parents."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is not None:
        return Path(loaded) if loaded.endswith(".py") else None
    top, *parts = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not parts:
        origin = spec.origin or ""
        return Path(origin) if origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        base = Path(folder, *parts)
        for path in (base / "__init__.py", base.with_name(base.name + ".py")):
            if path.is_file():
                return path
    return _file_of_hooks(module)


def _file_of_hooks(module: str) -> Path | None:
    """Ask the finders that are not Python's own, such as those of packages installed to be edited.

    Where a folder of the package's name lies in the working directory, as that of its project does,
    the package is found there, empty, and its modules by these finders alone.
    """
    for finder in sys.meta_path:
        ask = getattr(finder, "find_spec", None)
        if finder in _PYTHONS_OWN or ask is None:
            continue
        try:
            spec = ask(module, None)
        except ImportError:
            continue
        if spec is not None and (spec.origin or "").endswith(".py"):
            return Path(spec.origin)
    return None


@cache
def _imports(module: str, path: Path) -> frozenset[str]:
    """Return the modules that a source file may import."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    # A package that exports lazily names its exports for the type checker alone: follow them.
    for node in statements(parsed(path), for_types=path.name == "__init__.py"):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                names |= _homes(base, alias.name)
    return frozenset(names)


def _homes(base: str, name: str) -> set[str]:
    """Return the modules that ``from base import name`` may depend on.

    Of a package that exports lazily, the module that the name comes from, and not all the others
    that the package shows.
    """
    exports = _lazy_exports(base)
    if name in exports:
        return {exports[name]}
    submodule = f"{base}.{name}"
    if _source_file(submodule) is None:
        return {base}
    return {submodule} if exports else {submodule, base}


@cache
def _lazy_exports(package: str) -> dict[str, str]:
    """Return what a package imports for the type checker alone: name to module."""
    path = _source_file(package)
    if path is None or path.name != "__init__.py":
        return {}
    return {
        alias.asname or alias.name: node.module
        for guard in parsed(path).body
        if isinstance(guard, ast.If) and is_for_types(guard)
        for node in guard.body
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for alias in node.names
    }
