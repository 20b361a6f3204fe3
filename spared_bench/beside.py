"""Modules that lie beside a plugin file and that its specs name, importable as if installed.

No folder is added to ``sys.path``: whatever else lies there (a ``testing`` or a ``metrics``) would
be taken for the package of that name by those who look for it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

_INIT = "__init__.py"
#: Names and files of what this process lets import, for those that it begins.
HANDED_ON = "SPARED_BENCH_BESIDE"


class _Beside(MetaPathFinder):
    """Knows where named modules are; the last to be asked, so that it hides none."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, ``None`` for one that no plugin file names."""
        file = self.files.get(name)
        if file is None:
            return None
        # Not by the folder: a process that is shut in cannot list it.
        inside = [str(file.parent)] if file.name == _INIT else None
        return spec_from_file_location(name, file, submodule_search_locations=inside)


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
    for factory in factories:
        if (file := beside(path, factory)) is not None:
            _FINDER.files[_top(factory)] = file.absolute()
    _ask()
    os.environ[HANDED_ON] = json.dumps({name: str(at) for name, at in _FINDER.files.items()})


def let_import_as_begun() -> None:
    """Make importable what the process lets import that has begun this one: a method's worker."""
    with suppress(ValueError, AttributeError):
        handed_on = json.loads(os.environ.get(HANDED_ON, ""))
        _FINDER.files |= {str(name): Path(str(file)) for name, file in handed_on.items()}
        _ask()


def _ask() -> None:
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)


def beside(path: Path, factory: str) -> Path | None:
    """Return the file beside a plugin file that holds a factory's module or package, if any."""
    name = _top(factory)
    for found in (path.parent / name / _INIT, path.with_name(f"{name}.py")):
        if found.is_file():
            return found
    return None


def neighbours(path: Path) -> list[Path]:
    """Return the modules and packages beside a plugin file, whether its specs name them or not."""
    return [*path.parent.glob("*.py"), *(each.parent for each in path.parent.glob(f"*/{_INIT}"))]


def _top(factory: str) -> str:
    return factory.partition(":")[0].partition(".")[0]
