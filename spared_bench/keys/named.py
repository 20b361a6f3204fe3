"""What a stranger's code names: folders and files below its own folders, by texts in it."""

from __future__ import annotations

import ast
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from spared_bench.keys.parsing import statements, tolerantly_parsed

_LONGEST = 255  # bytes of a file's name
_MOST_FOLDERS = 100
_IMPORTERS = {"import_module", "__import__"}


@dataclass(frozen=True)
class Named:
    """What a source file names.

    Parameters
    ----------
    texts : frozenset of str
        What may be the name of a file or folder: of its texts, what stands between slashes, and
        between the dots of a package, as ``importlib.resources.files("package.data")`` takes it.
    modules : frozenset of str
        What it imports, but for our own modules: ``package.module`` or ``package.module.name``;
        also by ``importlib.import_module("package.module")``.
    relative : frozenset of (int, str)
        What it imports from its own package, and how many dots stand before it.
    """

    texts: frozenset[str]
    modules: frozenset[str]
    relative: frozenset[tuple[int, str]]


def named_in(path: Path) -> Named:
    """Return what a source file names; nothing where it cannot be read or is no Python of today."""
    with suppress(OSError):
        facts = path.stat()
        return _named_in(path, facts.st_size, facts.st_mtime_ns)
    return Named(frozenset(), frozenset(), frozenset())


@lru_cache(maxsize=4096)
def _named_in(path: Path, size: int, changed: int) -> Named:
    tree = tolerantly_parsed(path)
    imported = set()
    for node in statements(tree, for_types=False):
        if isinstance(node, ast.Import):
            imported |= {(0, each.name) for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = f"{node.module}." if node.module else ""
            imported |= {(node.level, f"{base}{each.name}") for each in node.names}
    imported |= {_level_of(name) for name in _by_call(tree)}
    return Named(
        frozenset(part for text in _texts(tree) for part in _parts(text)),
        frozenset(name for level, name in imported if not (level or _is_ours(name))),
        frozenset((level, name) for level, name in imported if level),
    )


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "spared_bench"


def _by_call(tree: ast.Module) -> set[str]:
    """Return what is imported by a text: ``importlib.import_module("package.module")``."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = [
        value
        for call in calls
        if {getattr(call.func, "id", ""), getattr(call.func, "attr", "")} & _IMPORTERS
        for value in [*call.args[:1], *(each.value for each in call.keywords if each.arg == "name")]
    ]
    names = (value.value for value in given if isinstance(value, ast.Constant))
    return {name for name in names if isinstance(name, str) and _is_module(name.lstrip("."))}


def _is_module(name: str) -> bool:
    return all(map(str.isidentifier, name.split(".")))


def _level_of(name: str) -> tuple[int, str]:
    module = name.lstrip(".")
    return len(name) - len(module), module


def _texts(tree: ast.Module) -> set[str]:
    nodes = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in nodes if isinstance(value, str)}


def _parts(text: str) -> set[str]:
    found = set()
    for part in text.split("/"):
        if part.strip(".") and part.isprintable() and len(os.fsencode(part)) <= _LONGEST:
            dotted = part.split(".")
            found |= {part, *(dotted if all(map(str.isidentifier, dotted)) else ())}
    return found


class Folders:
    """Looks for files and folders by their names, in folders that are listed once.

    One that may not be listed, as a process that is shut in may not list that of a plugin file, is
    asked for each name.
    """

    def __init__(self) -> None:
        self._listed: dict[Path, tuple[frozenset[str], frozenset[str]] | None] = {}

    def below(self, folders: Iterable[Path], names: Collection[str]) -> list[Path]:
        """Return folders, and those below them whose names are among these, each once."""
        waiting, seen = list(folders), dict[str, Path]()
        while waiting and len(seen) < _MOST_FOLDERS:
            folder = waiting.pop(0)
            if seen.setdefault(os.path.realpath(folder), folder) is folder:
                waiting += [folder / name for name in sorted(self._folders_in(folder, names))]
        return list(seen.values())

    def files_in(self, folder: Path, names: Collection[str]) -> list[Path]:
        """Return the files in a folder whose names are among these."""
        if (listed := self._list(folder)) is not None:
            return [folder / name for name in sorted(listed[1].intersection(names))]
        # Not of `Path`, which raises where a folder may not even be entered.
        paths = [folder / name for name in sorted(names)]
        return [path for path in paths if os.path.isfile(path)]  # noqa: PTH113

    def modules_in(self, folder: Path, module: str) -> list[Path]:
        """Return the files that a module's name may mean in a folder, its packages among them."""
        found: list[Path] = []
        for name in module.split("."):
            found += self.files_in(folder, (f"{name}.py",))
            if not self._folders_in(folder, (name,)):
                break
            folder /= name
            found += self.files_in(folder, ("__init__.py",))
        return found

    def _folders_in(self, folder: Path, names: Collection[str]) -> Collection[str]:
        if (listed := self._list(folder)) is not None:
            return listed[0].intersection(names)
        return [name for name in names if os.path.isdir(folder / name)]  # noqa: PTH112

    def _list(self, folder: Path) -> tuple[frozenset[str], frozenset[str]] | None:
        if folder not in self._listed:
            self._listed[folder] = _list(folder)
        return self._listed[folder]


def _list(folder: Path) -> tuple[frozenset[str], frozenset[str]] | None:
    """Return the names of a folder's folders and files; ``None`` if it may not be listed."""
    folders, files = set(), set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.add(entry.name)
                elif entry.is_file():
                    files.add(entry.name)
    except FileNotFoundError:
        return frozenset(), frozenset()
    except OSError:
        return None
    return frozenset(folders), frozenset(files)
