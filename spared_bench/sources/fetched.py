"""What of a dataset is there, what it is called, and whether it is still what was fetched."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from spared_bench.errors import DownloadError
from spared_bench.keys.hashing import file_digest
from spared_bench.lasting import write_lasting
from spared_bench.ordinary import read_json
from spared_bench.sources.archives import is_safe
from spared_bench.specs import DatasetSpec, RemoteFile

State = Literal["shipped", "generated", "complete", "incomplete", "by hand", ""]


def missing_files(spec: DatasetSpec, folder: Path, hashes: bool = False) -> list[RemoteFile]:
    """Return what of a dataset has not been fetched, or is gone since.

    Parameters
    ----------
    spec : DatasetSpec
    folder : Path
        Of ``dataset_folder``.
    hashes : bool
        Whether files that someone put there are held to the hashes of the spec. What was fetched
        was checked when it came, and is checked again by ``verify``.
    """
    record = read_record(folder)
    return [file for file in spec.files if not _is_there(file, spec, folder, record, hashes)]


def on_disk(spec: DatasetSpec, folder: Path) -> tuple[State, int]:
    """Return what is there of a dataset, and its fetched bytes, by the record and file sizes.

    Parameters
    ----------
    spec : DatasetSpec
    folder : Path
        Of ``dataset_folder``; not asked for shipped and generated data.

    Returns
    -------
    state : str
        ``""`` for nothing; ``"by hand"`` for what was put there without a record.
    size : int
        Of the recorded files; 0 without a record.
    """
    if spec.folder or spec.synthetic:
        return ("shipped" if spec.folder else "generated"), 0
    if not folder.is_dir():
        return "", 0
    record = read_record(folder)
    entries = [record[file.url] for file in spec.files if file.url in record]
    size = sum(facts["size"] for entry in entries for facts in recorded_files(entry).values())
    if missing_files(spec, folder):
        return ("incomplete" if record else ""), size
    return ("complete" if record else "by hand"), size


def verify(spec: DatasetSpec, folder: Path) -> tuple[int, list[str]]:
    """Hash everything that was fetched of a dataset again.

    Parameters
    ----------
    spec : DatasetSpec
    folder : Path
        Of ``dataset_folder``.

    Returns
    -------
    checked : int
        How many files have a known hash.
    problems : list of str
        What is missing, may not be read, has changed, or has no known hash, one sentence each.
    """
    if is_described(spec, folder):
        from spared_bench.sources.described import gone
        from spared_bench.sources.unreadable import unreadable

        return 0, [*gone(folder), *unreadable(folder)]
    record = read_record(folder)
    wanted: dict[str, str] = {}
    problems: list[str] = []
    for file in spec.files:
        entry = record.get(file.url)
        if entry is not None:
            wanted |= {path: facts["sha256"] for path, facts in recorded_files(entry).items()}
        elif file.sha256 and not file.unpack:
            wanted[place_of(file)] = file.sha256
        else:
            problems.append(f"{label(file)}: no hash is known, for it was not fetched into here.")
    with ThreadPoolExecutor(max_workers=4) as pool:
        problems += filter(None, pool.map(lambda item: _problem(folder, *item), wanted.items()))
    return len(wanted), problems


def is_described(spec: DatasetSpec, folder: Path) -> bool:
    """Return whether a dataset is one that `spared-bench data add` keeps the description of."""
    return not spec.files and (folder / "dataset.yaml").is_file()


def _problem(folder: Path, path: str, sha256: str) -> str:
    place = folder / path
    if not place.is_file():
        return f"{path}: it is gone."
    found = describe(place)["sha256"]
    return "" if found == sha256 else f"{path}: it has changed (SHA-256 {found[:12]}...)."


def _is_there(
    file: RemoteFile, spec: DatasetSpec, folder: Path, record: dict[str, Any], hashes: bool
) -> bool:
    entry = record.get(file.url)
    if entry is None:
        return _is_there_by_hand(file, spec, folder, record, hashes)
    if file.sha256 not in ("", entry["sha256"]):
        return False
    return all(
        (folder / path).is_file() and (folder / path).stat().st_size == facts["size"]
        for path, facts in recorded_files(entry).items()
    )


def _is_there_by_hand(
    file: RemoteFile, spec: DatasetSpec, folder: Path, record: dict[str, Any], hashes: bool
) -> bool:
    if not file.unpack:
        path = folder / place_of(file)
        return (
            path.is_file()
            and file.size in (0, path.stat().st_size)
            and (not (hashes and file.sha256) or file.sha256 == describe(path)["sha256"])
        )
    if file.path and (folder / file.path).is_dir():
        return any((folder / file.path).iterdir())
    return not record and _was_filled_by_hand(spec, folder)


def _was_filled_by_hand(spec: DatasetSpec, folder: Path) -> bool:
    """Return whether a folder holds more than the single files that we may have put there."""
    ours = {PurePosixPath(place_of(file)).parts[0] for file in spec.files if not file.unpack}
    entries = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return any(not name.startswith(".") and name not in ours for name in entries)


def label(file: RemoteFile) -> str:
    """Return what to call a file: its path in the folder; of an archive, the end of its address."""
    last = PurePosixPath(unquote(urlsplit(file.url).path)).name or "download"
    return last if file.unpack else file.path or last


def place_of(file: RemoteFile) -> str:
    return file.path if file.unpack else label(file)


def check_place(file: RemoteFile) -> None:
    if not is_safe(label(file)) or not is_safe(file.path or "."):
        raise DownloadError(
            f"{file.url} would be stored at {file.path or label(file)!r}, outside the dataset's"
            " folder. Correct `path` in the dataset's spec."
        )


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
        record = read_json(folder / NAME)
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
    write_lasting(folder / NAME, json.dumps(record, indent=1, sort_keys=True))


def describe(path: Path) -> dict[str, Any]:
    """Return size and SHA-256 of a file."""
    return {"sha256": file_digest(path), "size": path.stat().st_size}


def recorded_files(entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the files that one entry of a record brought: path in the folder, size and hash."""
    if "members" not in entry:
        return {entry["path"]: entry}
    base = PurePosixPath(entry["path"])
    return {(base / member).as_posix(): facts for member, facts in entry["members"].items()}
