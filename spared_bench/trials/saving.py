"""How a method saves itself: apart from its entry, so that it changes nothing else of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spared_bench.errors import PluginError
from spared_bench.keys.hashing import file_digest
from spared_bench.removal import remove_folder
from spared_bench.store.processes import stamp


def save_apart(method: Any, target: Path) -> None:
    """Let a method save itself, into a folder from which no path leads to its entry's other files.

    What it saved is moved to ``target`` once the method is done; nothing else may have changed.

    Parameters
    ----------
    method : object
        Fitted; its ``save`` takes a folder.
    target : Path
        Within the folder of an entry that is being written; not there yet.

    Raises
    ------
    PluginError
        If it wrote elsewhere beside its folder or in the entry, or put something else in its place.
    """
    entry = target.parent
    before = _state(entry)
    # Beside the entry, so that moving is a rename; named so that a killed one is swept away.
    beside = entry.parent / f"model.{stamp()}"
    own = beside / target.name
    try:
        own.mkdir(parents=True)
        method.save(own)
        if own.is_symlink() or not own.is_dir():
            raise PluginError(f"{_name(method)}.save took away the folder that it was given.")
        odd = sorted({path.name for path in beside.iterdir()} - {target.name})
        changed = sorted(set(before.items()) ^ set(_state(entry).items()))
        if odd or changed:
            raise PluginError(
                f"{_name(method)}.save wrote {(odd or [name for name, _ in changed])[0]!r} outside"
                " of the folder that it was given. All that it saves belongs into that folder."
            )
        own.rename(target)
    finally:
        remove_folder(beside)


def _name(method: Any) -> str:
    return type(method).__name__


def _state(folder: Path) -> dict[str, str]:
    """Return the hash of every file of an entry so far."""
    return {
        path.relative_to(folder).as_posix(): file_digest(path) if path.is_file() else "no file"
        for path in folder.rglob("*")
    }
