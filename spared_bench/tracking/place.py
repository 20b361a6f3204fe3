"""Whether the file of an SQLite database can be one: told at once, where MLflow tries for minutes.

MLflow opens whatever has the name, again and again for a minute and a half, and says ``unable to
open database file`` of a folder as of a link that leads nowhere.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from urllib.parse import quote

_HEADER = b"SQLite format 3\0"
_AGAIN = (
    "Rename or remove it: the next run, or `spared-bench track sync`, makes a new database and logs"
    " what the store holds."
)


def problem_of(path: Path) -> str:
    """Say why a file is no database of SQLite and cannot become one; empty: it can.

    A folder, a pipe or device, a link that leads nowhere, a file that is no database or a damaged
    one, a missing folder, and what cannot be written.

    Parameters
    ----------
    path : Path
        Of the database, which may be missing.
    """
    problem = _problem(path)
    return f"{path} {problem}" if problem else ""


def another_version(reason: str) -> str:
    """Return MLflow's reason, unless it calls a version out of date that it does not know.

    Parameters
    ----------
    reason : str
        What MLflow says; of an unknown version it advises an upgrade, which fails.
    """
    found = re.search(r"out-of-date database schema \(found version (\w+)", reason)
    if found is None or found[1] == "None" or found[1] in versions_of_mlflow():
        return reason
    import mlflow

    return (
        f"its tables are of version {found[1]}, which MLflow {mlflow.__version__} does not know: a"
        " newer MLflow made them. Use that one, or rename the file: a new one is then made, and"
        " `spared-bench track sync` logs what the store holds."
    )


def _problem(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return f"is a link to {path.readlink()}, where nothing is. Mend or remove the link."
    if not path.exists():
        return _problem_of_folder(path.parent)
    if path.is_dir():
        return f"is a folder, where MLflow's database should be. {_AGAIN}"
    if not path.is_file():
        return f"is no file, but a pipe or device. {_AGAIN}"
    if not os.access(path, os.R_OK | os.W_OK):
        return (
            "may not be read and written by you. Change its permissions, or choose another"
            " workspace with `--workspace`."
        )
    return _damage(path)


def _problem_of_folder(folder: Path) -> str:
    if not folder.is_dir():
        return (
            f"cannot be made: {folder} is no folder that is there. Make it, or name another"
            " place (MLFLOW_TRACKING_URI; where it is not set, runs go to the workspace)."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return (
            f"cannot be made: you may not write to {folder}. Change its permissions, or choose"
            " another workspace with `--workspace`."
        )
    return ""


def _damage(path: Path) -> str:
    """Say what is wrong with a file whose tables cannot be listed; an empty one can become one."""
    with path.open("rb") as file:
        if file.read(len(_HEADER)) not in (b"", _HEADER):
            return f"is no database of SQLite. {_AGAIN}"
    try:
        with closing(sqlite3.connect(f"file:{quote(path.as_posix())}?mode=ro", uri=True)) as found:
            found.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        return ""  # locked for a while
    except sqlite3.DatabaseError as error:
        return f"is damaged ({error}). {_AGAIN}"
    return ""


@cache
def versions_of_mlflow() -> tuple[str, ...]:
    """Return the versions of a database that the MLflow here knows, the newest first."""
    import mlflow.store.db_migrations
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(mlflow.store.db_migrations.__path__[0])
    return tuple(script.revision for script in scripts.walk_revisions())
