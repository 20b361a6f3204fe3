"""Files of a dataset: where they are, and how they get there.

A file becomes visible under its name only when it is complete and its hash and size are those of
the spec. Archives are unpacked beside their destination and moved into place file by file, after
``.fetched.json`` has noted what each of them brings. A folder that someone filled by other means
has no such note, and is taken as it is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from spared_bench.errors import DownloadError, MissingFileError
from spared_bench.specs import DatasetSpec, RemoteFile
from spared_bench.unpack import is_safe, unpack

_RECORD = ".fetched.json"
_TIMEOUT_S = 60
_CHUNK_BYTES = 1 << 20

#: ``progress(file name)`` returns what pooch takes as ``progressbar``: an object with ``total``,
#: ``update(n)``, ``reset()`` and ``close()``.
Progress = Callable[[str], Any]


def dataset_folder(spec: DatasetSpec, data_dir: Path | None) -> Path:
    """Return the folder that a dataset's reader is given.

    Parameters
    ----------
    spec : DatasetSpec
    data_dir : Path or None
        Where datasets are kept, one folder or link each, by name.

    Raises
    ------
    MissingFileError
        If the package that ships the files is not installed, or no folder is known.
    """
    if spec.folder:
        try:
            found = importlib.util.find_spec(spec.folder)
        except ModuleNotFoundError:
            found = None
        places = list(found.submodule_search_locations or ()) if found else []
        if not places:
            raise MissingFileError(
                f"Dataset {spec.name!r} ships its files in the package {spec.folder!r}, which is"
                " not installed. Install the plugin again, with its data."
            )
        return Path(places[0])
    if data_dir is None:
        raise MissingFileError(
            f"Dataset {spec.name!r} is not shipped with its plugin: say in which folder datasets"
            f" are kept, or will be; its files belong in the folder {spec.name!r} there."
        )
    return data_dir / spec.name


def fetch(
    spec: DatasetSpec, folder: Path, offline: bool = False, progress: Progress | None = None
) -> Path:
    """Download what is missing of a dataset.

    Parameters
    ----------
    spec : DatasetSpec
    folder : Path
        Where its files belong (``dataset_folder``).
    offline : bool
        Refuse instead of downloading.
    progress : callable, optional
        Called with the name of each file that is downloaded.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    DownloadError
        If a file can be had nowhere, is not what the spec says, or holds what it should not;
        with ``offline``, if one is missing.
    """
    if spec.folder or spec.synthetic:
        return folder
    if not spec.files and not folder.is_dir():
        raise DownloadError(
            f"Dataset {spec.name!r} has nothing to download and is not at {folder}. Put its files"
            " there, or make that path a link to them."
        )
    missing = [file for file in spec.files if not _is_there(file, spec, folder)]
    if missing and offline:
        names = ", ".join(_name(file) for file in missing)
        raise DownloadError(
            f"Dataset {spec.name!r} lacks {len(missing)} of {len(spec.files)} files in {folder}"
            f" ({names}), and downloading is switched off. Run again without `--offline`, or copy"
            " them there."
        )
    for file in missing:
        _fetch_one(file, folder, progress)
    return folder


def _fetch_one(file: RemoteFile, folder: Path, progress: Progress | None) -> None:
    name = _name(file)
    if not file.unpack:
        _download(file, folder, name, progress)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as work:
        archive = _download(file, Path(work), name, progress)
        root, members = unpack(archive, Path(work) / "unpacked")
        # Noted before they move, so that after a kill the missing ones are known to be missing.
        entry = {"sha256": _sha256(archive), "members": members}
        _write_record(folder, _read_record(folder) | {file.url: entry})
        for member in members:
            target = folder / file.path / member
            target.parent.mkdir(parents=True, exist_ok=True)
            (root / member).replace(target)


def _download(file: RemoteFile, folder: Path, name: str, progress: Progress | None) -> Path:
    """Ask the source and its mirrors in order; the first good file is taken."""
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)  # it would print paths and hashes
    failures = []
    for url in (file.url, *file.mirrors):
        try:
            known = f"sha256:{file.sha256}" if file.sha256 else None
            get = _downloader(file, progress and progress(name))
            return Path(pooch.retrieve(url, known, fname=name, path=folder, downloader=get))
        except (requests.RequestException, OSError, ValueError) as error:
            failures.append(f"{url}: {_reason(error)}")
    raise DownloadError(
        f"Cannot fetch {name}. " + "; ".join(failures) + ". Try again later; or fetch it by other"
        f" means and put it in {folder}." * (not file.unpack)
    )


def _downloader(file: RemoteFile, progressbar: Any) -> Callable[[str, str, Any], None]:
    """Return what pooch calls to fill its temporary file; it checks the size before the hash."""
    import pooch

    # Identity: a server must not unpack a .gz on the way, for its hash is of the packed file.
    get = pooch.HTTPDownloader(
        progressbar=progressbar or False,
        chunk_size=_CHUNK_BYTES,
        timeout=_TIMEOUT_S,
        headers={"Accept-Encoding": "identity"},
    )

    def download(url: str, output_file: str, manager: Any) -> None:
        get(url, output_file, manager)
        size = Path(output_file).stat().st_size
        if file.size and size != file.size:
            raise ValueError(f"the file has {size:,} bytes instead of {file.size:,}")

    return download


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "does not match the known hash" in text:
        return "its SHA-256 is not the one of the dataset, so it is another file or damaged"
    return text[:300] or type(error).__name__


def _is_there(file: RemoteFile, spec: DatasetSpec, folder: Path) -> bool:
    if not file.unpack:
        path = folder / _name(file)
        return (
            path.is_file()
            and file.size in (0, path.stat().st_size)
            and file.sha256 in ("", _sha256(path) if file.sha256 else "")
        )
    record = _read_record(folder)
    if not record and _was_filled_by_hand(spec, folder):
        return True
    entry = record.get(file.url)
    return (
        entry is not None
        and file.sha256 in ("", entry["sha256"])
        and all((folder / file.path / member).is_file() for member in entry["members"])
    )


def _was_filled_by_hand(spec: DatasetSpec, folder: Path) -> bool:
    """Return whether a folder holds more than the single files that we may have put there."""
    ours = {PurePosixPath(_name(file)).parts[0] for file in spec.files if not file.unpack}
    entries = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return any(not name.startswith(".") and name not in ours for name in entries)


def _name(file: RemoteFile) -> str:
    """Return the path of a file in the dataset's folder; of an archive, a name to call it by."""
    last = PurePosixPath(unquote(urlsplit(file.url).path)).name
    name = last if file.unpack else file.path or last
    if not is_safe(name) or not is_safe(file.path or "."):
        raise DownloadError(
            f"{file.url} would be stored at {file.path or name!r}, outside the dataset's folder."
            " Correct `path` in the dataset's spec."
        )
    return name


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / _RECORD).read_text())
    except (OSError, ValueError):
        return {}  # not there, or not ours: what it would have listed is fetched again


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    partial = folder / f"{_RECORD}.{os.getpid()}.partial"
    partial.write_text(json.dumps(record, indent=1, sort_keys=True))
    partial.replace(folder / _RECORD)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
