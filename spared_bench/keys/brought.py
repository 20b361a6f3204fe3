"""Files that a stranger's code brings and names: settings, lists of genes, weights.

They are found without running anything, by texts in the code: what ``Path(__file__)`` or
``importlib.resources`` find as ``"settings.json"``, or below a folder as ``"data"`` and
``"genes.csv"``.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from spared_bench.keys.code import home_of, is_installed, parsed, sources
from spared_bench.keys.hashing import file_digest

_LONGEST = 255  # bytes of a file's name
_MOST_FOLDERS = 100
_CODE = (".py", ".pyc")


def brought(module: str) -> dict[str, str]:
    """Return the files that a module, and what it imports of its own, bring and name.

    A file counts where its name, with a suffix, stands as a text in the code, and it lies in the
    folder of a module, in one of those above it in its package, or below one of these in folders
    whose names stand there, too.

    Parameters
    ----------
    module : str
        Importable name, of a stranger.

    Returns
    -------
    dict of str to str
        Place, from where the module's package is imported, to SHA-256.

    Raises
    ------
    PluginError
        If one of the modules cannot be read, or is no Python.
    """
    found: dict[str, Path] = {}
    for top, own in _by_package(sources(module)).items():
        home = home_of(top)
        folders = sorted({folder for path in own for folder in _folders(path, home)})
        for path in _named(map(parsed, own), folders):
            found[Path(os.path.relpath(path, home)).as_posix()] = path
    return {place: _digest(found[place]) for place in sorted(found)}


def _by_package(found: Mapping[str, Path]) -> dict[str, list[Path]]:
    packages: dict[str, list[Path]] = {}
    for name, path in found.items():
        top = name.partition(".")[0]
        if top != "spared_bench":
            packages.setdefault(top, []).append(path)
    return packages


def _folders(path: Path, home: Path | None) -> Iterator[Path]:
    """Yield the folder of a module and those above it, to that from which it is imported.

    Not that one where packages are installed: everybody's lie side by side there.
    """
    for folder in path.parents:
        if folder == home and is_installed(folder):
            return
        yield folder
        if home in (None, folder):
            return


def _named(trees: Iterable[ast.Module], folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the files in folders, or below them, whose names stand in some code.

    Nothing is listed: a process that is shut in cannot list the folder of a plugin file.
    """
    names = sorted({name for tree in trees for name in _names(tree)})
    waiting, seen = list(folders), set[str]()
    while waiting and len(seen) < _MOST_FOLDERS:
        folder = waiting.pop(0)
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        for name in names:
            path = folder / name
            if path.is_dir():
                waiting.append(path)
            elif path.suffix and path.suffix not in _CODE and path.is_file():
                yield path


def _names(tree: ast.Module) -> Iterator[str]:
    """Yield what may be the name of a file or folder: of texts, what stands between slashes.

    And between the dots of a package, as ``importlib.resources.files("package.data")`` takes it.
    """
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        for part in node.value.split("/"):
            if part.strip(".") and part.isprintable() and len(os.fsencode(part)) <= _LONGEST:
                yield part
                if all(each.isidentifier() for each in part.split(".")):
                    yield from part.split(".")


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:
        return "unreadable"  # which a method says itself where it needs it
