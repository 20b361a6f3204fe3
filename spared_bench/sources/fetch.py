"""Files of a dataset: where they are, and how they get there.

A file becomes visible under its name only when it is complete and its hash and size are those of
the spec; where the source publishes none, those of the first download are recorded in
``.fetched.json`` and hold from then on. Archives are unpacked beside their destination and moved
into place file by file, after the record has noted what each of them brings. A folder that someone
filled by other means has no such record, and is taken as it is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from spared_bench.errors import DownloadError, MissingFileError, WorkspaceError
from spared_bench.removal import remove_folder
from spared_bench.sources.archives import bound_of, unpack, unpack_nested
from spared_bench.sources.download import download
from spared_bench.sources.fetched import (
    Record,
    check_place,
    describe,
    label,
    missing_files,
    place_of,
)
from spared_bench.sources.folder_lock import WORK, locked
from spared_bench.sources.hub import fetch_from_hub, is_hub
from spared_bench.sources.mirrors import Mirrors, rewritten
from spared_bench.sources.part import unwritable
from spared_bench.sources.patience import Expected, Meter, Policy
from spared_bench.specs import DatasetSpec, RemoteFile
from spared_bench.store.processes import sweep_beside


class Watcher(Protocol):
    """Told how the files of a dataset come in; from several threads."""

    def planned(self, dataset: str, names: list[str]) -> None:
        """These are missing and will be fetched."""

    def meter(self, name: str) -> Meter:
        """Return who is told of the bytes of a file."""

    def finished(self, name: str, size: int) -> None:
        """A file is in its place."""

    def say(self, text: str) -> None:
        """Tell the user."""


class Silent:
    """A watcher, and a meter, that say nothing."""

    def planned(self, dataset: str, names: list[str]) -> None:
        return None

    def meter(self, name: str) -> Meter:
        return self

    def finished(self, name: str, size: int) -> None:
        return None

    def say(self, text: str) -> None:
        return None

    def begin(self, done: int, total: int) -> None:
        return None

    def advance(self, number: int) -> None:
        return None


@dataclass(frozen=True)
class Options:
    """How to fetch.

    Parameters
    ----------
    offline : bool
        Refuse instead of downloading.
    mirrors : tuple of (str, str)
        From ``read_mirrors``.
    at_once : int
        Files that are fetched at the same time.
    policy : Policy
    """

    offline: bool = False
    mirrors: Mirrors = ()
    at_once: int = 4
    policy: Policy = field(default_factory=Policy)


def dataset_folder(spec: DatasetSpec, data_dir: Path | None) -> Path:
    """Return the folder that a dataset's reader is given.

    Parameters
    ----------
    spec : DatasetSpec
    data_dir : Path or None
        Where datasets are kept, one folder or link each, by name; datasets that share their files
        have one folder together (``spec.storage``).

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
    name = spec.storage or spec.name
    if data_dir is None:
        raise MissingFileError(
            f"Dataset {spec.name!r} is not shipped with its plugin: say in which folder datasets"
            f" are kept, or will be; its files belong in the folder {name!r} there."
        )
    return data_dir / name


def fetch(
    spec: DatasetSpec,
    folder: Path,
    options: Options | None = None,
    watcher: Watcher | None = None,
) -> Path:
    """Download what is missing of a dataset.

    Processes that want the same folder wait for each other, so that nothing is fetched twice.

    Parameters
    ----------
    spec : DatasetSpec
    folder : Path
        Where its files belong (``dataset_folder``).
    options : Options, optional
    watcher : Watcher, optional

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    DownloadError
        If a file can be had nowhere, is not what the spec or the record says, or holds what it
        should not; when offline, if one is missing.
    WorkspaceError
        If the disk is full.
    """
    options, watcher = options or Options(), watcher or Silent()
    if spec.folder or spec.synthetic:
        return folder
    for file in spec.files:
        check_place(file)
    if not spec.files and not folder.is_dir():
        raise DownloadError(
            f"Dataset {spec.name!r} has nothing to download and is not at {folder}. Put its files"
            " there, or make that path a link to them."
        )
    missing = missing_files(spec, folder, hashes=True)
    if missing and options.offline:
        names = ", ".join(label(file) for file in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise DownloadError(
            f"Dataset {spec.name!r} lacks {len(missing)} of {len(spec.files)} files in {folder}"
            f" ({names}{more}), and downloading is switched off. Run again without `--offline`, or"
            " copy them there."
        )
    if missing:
        with locked(folder, watcher.say):
            sweep_beside(folder)
            missing = missing_files(spec, folder, hashes=True)  # others may have brought them
            watcher.planned(spec.name, [label(file) for file in missing])
            _fetch_all(missing, folder, options, watcher)
    return folder


def _fetch_all(missing: list[RemoteFile], folder: Path, options: Options, watcher: Watcher) -> None:
    """Fetch several at once; the first failure lets the others end before it is raised."""
    record = Record(folder)
    with ThreadPoolExecutor(max_workers=options.at_once) as pool:
        running = [
            pool.submit(_fetch_one, file, folder, record, options, watcher) for file in missing
        ]
        try:
            errors = [error for done in as_completed(running) if (error := done.exception())]
        except BaseException:
            options.policy.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if len(errors) > 1 and all(isinstance(error, DownloadError) for error in errors):
        raise DownloadError(
            f"{len(errors)} of {len(missing)} files could not be fetched. The first: {errors[0]}"
        )
    if errors and isinstance(errors[0], OSError):
        raise unwritable(folder, errors[0]) from errors[0]
    if errors:
        raise errors[0]


def _fetch_one(
    file: RemoteFile, folder: Path, record: Record, options: Options, watcher: Watcher
) -> None:
    work = folder / WORK / hashlib.sha256(file.url.encode()).hexdigest()[:12]
    work.mkdir(parents=True, exist_ok=True)
    known = record.of(file.url)
    expected = Expected(
        file.sha256 or str(known.get("sha256", "")),
        file.size,
        recorded=not file.sha256 and bool(known),
    )
    urls = [rewritten(url, options.mirrors) for url in (file.url, *file.mirrors)]
    arrived = work / PurePosixPath(label(file)).name
    if not arrived.is_file() and is_hub(urls[0]):
        fetch_from_hub(urls[0], arrived)
    elif not arrived.is_file():
        download(urls, arrived, expected, watcher.meter(label(file)), options.policy)
    size = arrived.stat().st_size
    entry: dict[str, Any] = describe(arrived) | {"fetched": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    if file.unpack:
        watcher.say(f"  unpacking {label(file)}")
        _unpack_into(arrived, file, folder, entry, record)
    else:
        record.add(file.url, entry | {"path": place_of(file)})
        target = folder / place_of(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        arrived.replace(target)
    shutil.rmtree(work)
    watcher.finished(label(file), size)


def _unpack_into(
    archive: Path, file: RemoteFile, folder: Path, entry: dict[str, Any], record: Record
) -> None:
    beside = archive.parent / "unpacked"
    remove_folder(beside)  # of a run that was killed
    try:
        root, members = unpack(archive, beside)
        if file.nested:
            members = unpack_nested(root, members, file.nested, bound_of(archive))
        _check_members(members, file)
    except DownloadError:
        shutil.rmtree(archive.parent)  # what cannot be unpacked is not worth keeping
        raise
    except WorkspaceError:
        remove_folder(beside)
        raise
    described = {member: describe(root / member) for member in members}
    # Noted before they move, so that after a kill the missing ones are known to be missing.
    record.add(file.url, entry | {"path": file.path, "members": described})
    for member in members:
        target = folder / file.path / member
        target.parent.mkdir(parents=True, exist_ok=True)
        (root / member).replace(target)


def _check_members(members: list[str], file: RemoteFile) -> None:
    """Refuse an archive that holds nothing, or that would go over our own notes."""
    if not members:
        raise DownloadError(f"The archive {label(file)} holds no files. Tell whoever publishes it.")
    for member in members:
        if not file.path and PurePosixPath(member).parts[0].startswith(WORK):
            raise DownloadError(
                f"The archive {label(file)} holds {member!r}, a name that is kept for notes about"
                " what was fetched. Tell whoever publishes it."
            )
