"""Where MLflow's database says that its files are, in a workspace that is somewhere else by now.

MLflow notes absolute places. After a workspace was renamed or copied, or mounted under another path
as in a container, it would write files to where that workspace was once, and find none there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

#: Tables and columns in which a place is; those that a version of MLflow lacks are passed over.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)
_SECONDS_LOCKED = 30.0


def artifacts_of(workspace: Path, experiment: str) -> str:
    """Return the place of the files of an experiment of a workspace, as MLflow notes it."""
    return (workspace / "mlartifacts" / experiment.replace("/", "_")).as_uri()


def follow(database: Path, workspace: Path, prefix: str) -> None:
    """Make the places that a workspace's database notes those of the workspace as it lies now.

    Where it cannot be written, reading goes on as it was.

    Parameters
    ----------
    database : Path
        SQLite.
    workspace : Path
        Absolute.
    prefix : str
        Of the names of experiments whose files are the workspace's own.
    """
    with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=_SECONDS_LOCKED)) as db:
        noted = db.execute("SELECT name, artifact_location FROM experiments").fetchall()
        ours = [(n.removeprefix(prefix), at) for n, at in noted if at and n.startswith(prefix)]
        here = (workspace / "mlartifacts").as_uri()
        for there in _earlier(ours, workspace, here):
            for table, column in _PLACES:
                with suppress(sqlite3.OperationalError):  # no such table or column
                    db.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                        f" WHERE substr({column}, 1, ?) = ?",
                        (here + "/", len(there) + 2, len(there) + 1, there + "/"),
                    )
        db.commit()


def _earlier(noted: Iterable[tuple[str, str]], workspace: Path, here: str) -> set[str]:
    """Return other folders of artifacts, by the experiments that lie in them by their names."""
    found = set()
    for name, place in noted:
        below = artifacts_of(workspace, name).removeprefix(here)
        if place.endswith(f"/mlartifacts{below}"):
            found.add(place.removesuffix(below))
    return found - {here}
