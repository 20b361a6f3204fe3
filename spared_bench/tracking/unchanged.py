"""Whether MLflow's database in the workspace is as the last run left it, told without MLflow.

To import MLflow and to ask for every cell takes seconds, which a run that finds everything in the
store need not spend. A server, or a database elsewhere, may be changed by anybody, and is asked.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from spared_bench.files import write_text
from spared_bench.ordinary import read_json
from spared_bench.tracking.database import DATABASE
from spared_bench.trials.cell_state import change_of, state_of_cells
from spared_bench.workspace import Workspace

_NOTE = "mlflow.logged.json"


def database_state(workspace: Workspace) -> list[Any] | None:
    """Return what changes when the workspace's database does; ``None`` where it is not used."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    database = change_of(workspace.root / DATABASE)
    beside = [change_of(workspace.root / f"{DATABASE}{end}") for end in ("-journal", "-wal")]
    # What is still beside it is being written.
    return None if database is None or any(beside) else database


def is_logged(workspace: Workspace, protocol: str) -> bool:
    """Return whether all cells of a protocol were logged, and nothing has changed since."""
    database = database_state(workspace)
    note = _read(workspace.root / _NOTE)
    return (
        database is not None
        and note.get("database") == database
        and note.get("cells") == {protocol: state_of_cells(workspace.store, protocol)}
    )


def note_logged(workspace: Workspace, protocol: str, cells: str) -> None:
    """Note that the cells of a protocol are logged.

    Parameters
    ----------
    workspace : Workspace
    protocol : str
    cells : str
        ``state_of_cells``, of before they were logged.
    """
    note = {"database": database_state(workspace), "cells": {protocol: cells}}
    if note["database"] is not None:
        write_text(workspace.root / _NOTE, json.dumps(note), sync=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
