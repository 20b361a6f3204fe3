"""Hashes of raw data files, remembered by size and time of change, so that they are read once."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from spared_bench.store import digest, file_digest, write_text


class Fingerprints:
    """Hashes of files.

    Parameters
    ----------
    memory : Path
        A JSON file; what cannot be read of it is forgotten, never believed.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        try:
            known = json.loads(memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, list[object]] = known if isinstance(known, dict) else {}
        self._changed = False

    def of_file(self, path: Path) -> str:
        """Return the SHA-256 of a file."""
        facts = path.stat()
        stamp = [facts.st_size, facts.st_mtime_ns]
        remembered = self._known.get(str(path))
        if isinstance(remembered, list) and remembered[:2] == stamp and len(remembered) == 3:
            return str(remembered[2])
        found = file_digest(path)
        self._known[str(path)] = [*stamp, found]
        self._changed = True
        return found

    def of_folder(self, folder: Path) -> str:
        """Return one hash of all files below a folder: names and contents, not times."""
        files = sorted(
            path
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".pyc"
        )
        return digest({path.relative_to(folder).as_posix(): self.of_file(path) for path in files})

    def save(self) -> None:
        """Write the memory back if anything was added; where that fails, files are read again."""
        if self._changed:
            with suppress(OSError):
                write_text(self._memory, json.dumps(self._known))
            self._changed = False
