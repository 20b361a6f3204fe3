"""What was fetched into a folder, with sizes and hashes, and whether it is still that.

``.fetched.json`` maps every address to what came from it::

    {"https://.../a.zip": {"sha256": ..., "size": ..., "fetched": "2026-05-01T...", "path": "raw",
                           "members": {"slide/counts.h5": {"sha256": ..., "size": ...}}}}
"""

from __future__ import annotations

import json
import threading
from pathlib import Path, PurePosixPath
from typing import Any

from spared_bench.store import file_digest, write_text

NAME = ".fetched.json"


class Record:
    """The record of one folder, for several threads of the process that holds its lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries = read_record(folder)
        self._lock = threading.Lock()

    def of(self, url: str) -> dict[str, Any]:
        """Return what is known of an address; empty if nothing."""
        with self._lock:
            return dict(self._entries.get(url, {}))

    def add(self, url: str, entry: dict[str, Any]) -> None:
        """Note what came, at once on disk."""
        with self._lock:
            self._entries[url] = entry
            write_record(self._folder, self._entries)


def read_record(folder: Path) -> dict[str, Any]:
    """Return the entries by address; what is no record of ours is as good as none."""
    try:
        record = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {url: entry for url, entry in record.items() if _is_entry(entry)}


def _is_entry(entry: Any) -> bool:
    if not (_is_file(entry) and isinstance(entry.get("path"), str)):
        return False
    members = entry.get("members", {})
    return isinstance(members, dict) and all(map(_is_file, members.values()))


def _is_file(facts: Any) -> bool:
    return (
        isinstance(facts, dict)
        and isinstance(facts.get("sha256"), str)
        and type(facts.get("size")) is int
    )


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Replace the record; it is whole at any moment."""
    write_text(folder / NAME, json.dumps(record, indent=1, sort_keys=True))


def describe(path: Path) -> dict[str, Any]:
    """Return size and SHA-256 of a file."""
    return {"sha256": file_digest(path), "size": path.stat().st_size}


def recorded_files(entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the files that one entry of a record brought: path in the folder, size and hash."""
    if "members" not in entry:
        return {entry["path"]: entry}
    base = PurePosixPath(entry["path"])
    return {(base / member).as_posix(): facts for member, facts in entry["members"].items()}
