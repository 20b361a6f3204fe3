"""Hashes of raw data files, remembered by size and time of change, so that they are read once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from spared_bench.files import files_below, write_text
from spared_bench.keys.hashing import digest, file_digest
from spared_bench.ordinary import read_json


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
            known = read_json(memory)
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, list[object]] = known if isinstance(known, dict) else {}
        self._changed = False

    def of_file(self, path: Path) -> str:
        """Return the SHA-256 of a file."""
        facts = path.stat()
        # Copies bring the time of their contents with them (`cp -p`, rsync), not that of the entry.
        stamp = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
        remembered = self._known.get(str(path))
        if isinstance(remembered, list) and remembered[:3] == stamp and len(remembered) == 4:
            return str(remembered[3])
        found = file_digest(path)
        self._known[str(path)] = [*stamp, found]
        self._changed = True
        return found

    def of_folder(self, folder: Path, patterns: Sequence[str] = (), hidden: bool = False) -> str:
        """Return one hash of the files below a folder: names and contents, not times.

        Parameters
        ----------
        folder : Path
        patterns : sequence of str
            Which of them, as ``Path.glob`` takes them; all by default, those below links too.
        hidden : bool
            Whether names that begin with a dot are data: in a Zarr folder they say what the
            others are.
        """
        found = {path for each in patterns for path in folder.glob(each)}
        files = sorted(
            path
            for path in (found if patterns else files_below(folder))
            if path.is_file() and (hidden or not _is_ours(path.relative_to(folder)))
        )
        return digest({path.relative_to(folder).as_posix(): self.of_file(path) for path in files})

    def save(self) -> None:
        """Write the memory back if anything was added; where that fails, files are read again.

        It makes no folder: of a workspace that is not there, somebody asked for a plan only.
        """
        if self._changed and self._memory.parent.is_dir():
            with suppress(OSError):
                write_text(self._memory, json.dumps(self._known), sync=False)
            self._changed = False


def _is_ours(path: Path) -> bool:
    """Return whether a file is a note or work of this package or of Python, and no data."""
    return path.suffix == ".pyc" or any(part.startswith(".") for part in path.parts)
