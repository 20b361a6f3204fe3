"""Whether a page shows what a build would show, told without reading a trial.

Statistics and maps of a large board take many seconds, and a run that finds everything in the store
would get the page that is there. ``leaderboard build`` builds whenever it is asked to.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spared_bench.errors import SparedBenchError
from spared_bench.files import write_text
from spared_bench.keys.hashing import digest, file_digest
from spared_bench.ordinary import read_json
from spared_bench.protocol import Protocol
from spared_bench.registry import Registered, Registry
from spared_bench.specs import spec_as_dict
from spared_bench.store.studies import study_records
from spared_bench.trials.cell_state import change_of, state_of_cells
from spared_bench.workspace import Workspace

_NOTE = ".built.json"
_PACKAGE = Path(__file__).parents[1]
#: Kinds of plugins of whose specs the page speaks.
_KINDS = ("dataset", "metric", "predictor", "completer")


def page_state(
    workspace: Workspace,
    protocol: str,
    registry: Registry,
    protocols: Sequence[Protocol],
    leaderboards: Path,
    **said: Any,
) -> str:
    """Return a hash of all that a page is made of.

    Parameters
    ----------
    workspace : Workspace
    protocol : str
        ``"demo@1"``.
    registry : Registry
    protocols : sequence of Protocol
        Beside the registered ones.
    leaderboards : Path
        Entries of others.
    **said
        What else the page says: JSON-ready values.
    """
    completion = workspace.root / "completion" / protocol
    return digest(
        {
            "cells": state_of_cells(workspace.store, protocol),
            "completion": [[str(p), change_of(p)] for p in sorted(completion.glob("*"))],
            "entries": [
                [str(path), change_of(path)] for path in sorted(leaderboards.glob("*@*/*@*/*"))
            ],
            "studies": [
                [about, (workspace.root / str(about.get("report", ""))).is_file()]
                for about in study_records(workspace.store.root)
            ],
            "specs": [
                [entry.qualified_name, json.dumps(spec_as_dict(entry.spec), default=str)]
                for kind in _KINDS
                for entry in registry.all(kind)
            ],
            "protocols": [
                *map(_written, registry.all("protocol")),
                *(each.model_dump(mode="json") for each in protocols),
            ],
            "code": [
                [str(path), file_digest(path)]
                for path in sorted(_PACKAGE.rglob("*"))
                if path.is_file() and path.suffix not in (".pyc", ".so")
            ],
            "packages": _packages(),
            "python": platform.python_version(),
            "said": said,
        }
    )


def _written(entry: Registered) -> str:
    """Return a registered protocol as text; of one that cannot be read, why."""
    try:
        return json.dumps([entry.qualified_name, entry.text()], default=str)
    except SparedBenchError as error:
        return str(error)


def _packages() -> list[str]:
    """Return names and versions of what is installed, as the folders of their metadata say."""
    return sorted(path.name for place in sys.path for path in Path(place).glob("*.dist-info"))


def is_built(page: Path, state: str) -> bool:
    """Return whether a page was built of this, and none of its files has changed since."""
    try:
        note = read_json(page.parent / _NOTE)
        return bool(note["state"] == state and note["files"] == _files(page.parent))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def note_built(page: Path, state: str) -> None:
    """Note of what a page was built, beside it."""
    note = {"state": state, "files": _files(page.parent)}
    write_text(page.parent / _NOTE, json.dumps(note), sync=False)


def _files(folder: Path) -> list[Any]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _NOTE)
    return [[path.relative_to(folder).as_posix(), change_of(path)] for path in paths]
