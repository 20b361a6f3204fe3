"""Modules that lie beside a plugin file and that its specs name, importable as if installed.

No folder is added to ``sys.path``: whatever else lies there (a ``testing`` or a ``metrics``) would
be taken for the package of that name by those who look for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class _Beside(MetaPathFinder):
    """Finds named modules in a folder; the last to be asked, so that it hides none."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, ``None`` for one that no plugin file names."""
        folder = self.folders.get(name)
        return None if folder is None else PathFinder.find_spec(name, [folder])


_FINDER = _Beside()


def let_import(path: Path, factories: Iterable[str]) -> None:
    """Make the modules and packages beside a plugin file importable that these factories name.

    Parameters
    ----------
    path : Path
        The plugin file.
    factories : iterable of str
        ``"module:attribute"``, of its specs.
    """
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
    for factory in factories:
        name = _top(factory)
        if beside(path, factory) is not None:
            _FINDER.folders[name] = str(path.parent)


def beside(path: Path, factory: str) -> Path | None:
    """Return the file beside a plugin file that holds a factory's module or package, if any."""
    name = _top(factory)
    for found in (path.parent / name / "__init__.py", path.with_name(f"{name}.py")):
        if found.is_file():
            return found
    return None


def _top(factory: str) -> str:
    return factory.partition(":")[0].partition(".")[0]
