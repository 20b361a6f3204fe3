"""MLflow's SQLite file: made beside its place, so that a kill leaves none rather than half of one.

MLflow makes its tables in some sixty migrations, of which SQLite keeps those that were done when
the process is killed; what is left then can neither be used nor migrated any more.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from glob import escape
from pathlib import Path
from urllib.parse import quote, unquote

from spared_bench.removal import remove_folder
from spared_bench.store.processes import is_orphan, stamp
from spared_bench.tracking.place import versions_of_mlflow

DATABASE = "mlflow.db"  # of a workspace
_MAKING = ".making."
_BESIDE = ("", "-journal", "-wal", "-shm")  # what SQLite keeps of one database
_MLFLOWS = ("experiments", "alembic_version")
_SECONDS_OF_REST = 5.0  # migrations write all the time
_SECONDS_AT_MOST = 120.0
_SPECIAL = frozenset("?#%")


def sqlite_uri(path: Path) -> str:
    """Return the tracking URI of a file, whatever its path holds (``?``, ``#``, ``%``, spaces).

    >>> sqlite_uri(Path("/my runs/mlflow.db"))
    'sqlite:////my runs/mlflow.db'
    """
    text = path.as_posix()
    if _SPECIAL.isdisjoint(text):
        return f"sqlite:///{text}"
    # SQLAlchemy decodes the path from version 2.1 on; before, SQLite does it where it is asked to.
    # With the driver's name, because MLflow makes a folder of the undecoded name without it.
    decoded = f"sqlite+pysqlite:///{quote(text)}"
    if database_file(decoded) == path:
        return decoded
    return f"sqlite+pysqlite:///file:{quote(text)}?uri=true"


def is_sqlite(uri: str) -> bool:
    """Whether a tracking URI is of a database of SQLite."""
    return uri.startswith(("sqlite:", "sqlite+"))


def database_file(uri: str) -> Path | None:
    """Return the file of a tracking URI; ``None`` for a server and for a database in memory."""
    if not is_sqlite(uri):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database or ""
    if name.startswith("file:"):
        name = unquote(name.removeprefix("file:").partition("?")[0])
    return None if name in ("", ":memory:") else Path(name)


def make_database(path: Path, make: Callable[[str], None]) -> None:
    """Make a database where there is none, or half of one, which is set aside.

    Parameters
    ----------
    path : Path
        Its folder must be there.
    make : callable
        Makes one at a tracking URI.
    """
    if path.is_file() and is_half_made(path):
        _let_finish(path)
        if is_half_made(path):
            _set_aside(path)
    if path.exists():
        return
    for left in filter(is_orphan, path.parent.glob(f"{escape(path.name)}{_MAKING}*")):
        remove_folder(left)
    beside = path.with_name(f"{path.name}{_MAKING}{stamp()}")
    beside.mkdir()
    try:
        make(sqlite_uri(beside / path.name))
        _put(beside / path.name, path)
    finally:
        remove_folder(beside)


def is_half_made(path: Path) -> bool:
    """Whether a database was being made when its process was killed: unfinished, without runs.

    One of another version of MLflow that holds runs is not: MLflow says how to upgrade it. Nor is
    one of a version that the MLflow here does not know, with or without runs.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(path.as_posix())}?mode=ro", uri=True)) as found:
            tables = {name for (name,) in found.execute("SELECT name FROM sqlite_master")}
            if "runs" in tables and found.execute("SELECT 1 FROM runs LIMIT 1").fetchone():
                return False
            if tables and tables.isdisjoint(_MLFLOWS):
                return False
            versions = []
            if "alembic_version" in tables:
                versions = found.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error:
        return False  # no database, or locked: MLflow says so
    _, *earlier = versions_of_mlflow()
    return {version for (version,) in versions}.issubset(earlier)


def _let_finish(path: Path) -> None:
    """Wait while somebody writes to a database: a server of MLflow's makes it in place."""
    until = time.monotonic() + _SECONDS_AT_MOST
    while time.monotonic() < until and 0 <= time.time() - path.stat().st_mtime < _SECONDS_OF_REST:
        time.sleep(0.2)


def _set_aside(path: Path) -> None:
    """Rename half a database, unless another process has just made a whole one."""
    aside = path.with_name(f"{path.name}.half-made-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
    for end in _BESIDE:
        try:
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
        except FileNotFoundError:
            continue
    if aside.exists() and not is_half_made(aside):
        _put(aside, path)
        return
    print(
        f"The making of {path} had been cut off: it is now {aside.name}, and a new one is made."
        " The next run, or `spared-bench track sync`, logs what the store holds.",
        file=sys.stderr,
    )


def _put(made: Path, path: Path) -> None:
    """Give a whole database its name, unless another process was first."""
    try:
        os.link(made, path)
    except FileExistsError:
        return
    except OSError:  # no hard links here
        if not path.exists():
            made.rename(path)
