"""The specs at the head of the files of methods, read without importing the files.

A file of a method imports torch, which takes seconds; what it says of itself is one statement at
its head, ``SPEC = PredictorSpec(...)``. Listing all methods evaluates these statements alone, so
that a method is one file, and listing stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import spared_bench
from spared_bench.errors import PluginError
from spared_bench.specs import Spec

#: ``SPEC = XSpec(...)`` or ``..._SPEC = ...``, as ruff lays it out: closed at the line's end, or by
#: a bracket at the start of a line.
_STATEMENT = re.compile(
    r"^(?:[A-Z]+_)?SPEC = (\w+Spec\((?:[^\n]*\)$|\n.*?^\)$))", re.MULTILINE | re.DOTALL
)


def specs_of_files(folder: Path, package: str) -> list[Spec]:
    """Return the specs of the files of a package's folder, by the names of the files.

    Parameters
    ----------
    folder : Path
    package : str
        Importable name of the folder.

    Raises
    ------
    PluginError
        If a file has no spec at its head.
    """
    files = sorted(path for path in folder.glob("*.py") if path.stem != "__init__")
    return [spec for path in files for spec in _specs_of(path, f"{package}.{path.stem}")]


def _specs_of(path: Path, module: str) -> Iterator[Spec]:
    statements = _STATEMENT.findall(path.read_text(encoding="utf-8"))
    if not statements:
        raise PluginError(
            f"{module} has no statement `SPEC = PredictorSpec(...)`, or that of another kind of"
            " spec, at its head. Say there what the method is; files of anything else belong"
            " elsewhere."
        )
    for statement in statements:
        yield eval(statement, {**vars(spared_bench), "__name__": module})
