"""Results and intermediate products, keyed by the hash of all that made them.

An entry is a folder ``<root>/<kind>/<first two digits>/<key>/`` that holds its files and a
``manifest.json``: the inputs, whose hash is the key, and the size and hash of every file. It is
written beside its place and renamed into it, so a reader sees a complete entry or none, whatever
was killed when. On a hit the manifest is compared with the wanted inputs field by field.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import Any

from spared_bench.errors import (
    CorruptEntryError,
    PluginError,
    UnreadableEntryError,
    WorkspaceError,
)
from spared_bench.keys.hashing import canonical_json, digest, file_digest
from spared_bench.lasting import bring_to_disk, write_lasting
from spared_bench.ordinary import NOT_ORDINARY, read_json
from spared_bench.removal import remove_folder
from spared_bench.store.disk import (
    FAILING,
    FULL,
    LOST,
    is_full,
    is_full_at,
    is_lost,
    why_unwritable,
)
from spared_bench.store.imports import inherit_mark
from spared_bench.store.leases import leases_of, living_places
from spared_bench.store.processes import is_orphan, stamp

MANIFEST = "manifest.json"
#: A folder or a pipe where a file should be, a file for a folder, links in a circle, no name.
_NOT_THAT_KIND = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, NOT_ORDINARY}
#: Folders in an entry, one in the other: more than any library makes, and all that read them reach.
_MOST_DEEP = 64
_UNWRITABLE = FULL | FAILING | {errno.EACCES, errno.EPERM, errno.ENOTDIR}


@dataclass(frozen=True)
class Entry:
    """A complete entry of the store."""

    kind: str
    key: str
    folder: Path
    inputs: dict[str, Any]

    def read_json(self, name: str) -> Any:
        """Read one of its JSON files.

        Raises
        ------
        CorruptEntryError
            If it has none of that name, or it is no JSON.
        UnreadableEntryError
            If the system does not let us read it.
        """
        try:
            return read_json(self.folder / name)
        except (FileNotFoundError, ValueError, RecursionError) as error:
            raise CorruptEntryError(
                f"{self.folder} is damaged ({name}: {error}). Remove that folder; it will be made"
                " again."
            ) from error
        except OSError as error:
            raise _unreadable(self.folder, error) from error


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the manifest of an entry, whose files are there and of the size that it says.

    Raises
    ------
    OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError
        For one that is missing, cannot be read, or is none.
    """
    manifest: dict[str, Any] = read_json(folder / MANIFEST)
    if not isinstance(manifest["inputs"], dict):
        raise TypeError("its inputs have no names")
    for name, facts in manifest["files"].items():
        found = (folder / name).stat()
        if found.st_size != facts["bytes"]:
            raise ValueError(f"{name} has another size")
        if not S_ISREG(found.st_mode):  # to open a pipe waits for ever
            raise ValueError(f"{name} is no file")
    return manifest


class Store:
    """A folder of entries, safe for many processes.

    Parameters
    ----------
    root : Path
        Created when first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, kind: str, key: str) -> Path:
        """Where an entry is or would be."""
        return Path(self._place(kind, key))

    def has(self, kind: str, key: str, name: str = MANIFEST) -> bool:
        """Whether there is a complete entry, judged by its manifest alone; or a file of one."""
        return os.path.isfile(f"{self._place(kind, key)}/{name}")  # noqa: PTH113

    def _place(self, kind: str, key: str) -> str:
        # One text: putting a path together part by part takes longer than to look it up.
        return f"{self.root}/{kind}/{key[:2]}/{key}"

    def find(self, kind: str, inputs: dict[str, Any]) -> Entry | None:
        """Return the entry made from exactly these inputs, or ``None``.

        Raises
        ------
        CorruptEntryError
            If an entry of that key was made from other inputs, or lacks a file.
        """
        key = digest(inputs)
        entry = self.open(kind, key)
        if entry is None:
            return None
        wanted = json.loads(canonical_json(inputs))
        if entry.inputs != wanted:
            fields = sorted(set(wanted) | set(entry.inputs))
            odd = [name for name in fields if wanted.get(name) != entry.inputs.get(name)]
            raise CorruptEntryError(
                f"{entry.folder} was made from other inputs than its key says ({', '.join(odd)}"
                " differ). Remove that folder; it will be made again."
            )
        return entry

    def open(self, kind: str, key: str) -> Entry | None:
        """Return the entry of a key, or ``None``; its files are checked by size.

        Raises
        ------
        CorruptEntryError
            If it lacks a file, or is none.
        UnreadableEntryError
            If the system does not let us read it.
        """
        folder = self.folder(kind, key)
        try:
            return Entry(kind, key, folder, manifest_of(folder)["inputs"])
        except FileNotFoundError as error:
            if not (folder.is_dir() or folder.is_symlink()):
                return None
            damage: Exception = error
        except OSError as error:
            if error.errno not in _NOT_THAT_KIND:
                raise _unreadable(folder, error) from error
            damage = error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            damage = error
        raise CorruptEntryError(
            f"{folder} is damaged ({damage}). Remove that folder; it will be made again."
        )

    def obtain(
        self,
        kind: str,
        inputs: dict[str, Any],
        make: Callable[[Path], None],
        *,
        once: bool = False,
    ) -> Entry:
        """Return the entry of these inputs, making it if there is none or a damaged one.

        Parameters
        ----------
        kind : str
            ``"prepared"``, ``"patches"``, ...
        inputs : dict
            JSON-ready; everything that determines the content.
        make : callable
            Writes the files into the folder that it is given.
        once : bool
            Wait while another living process makes it, on this machine or on another.
        """

        def found() -> Entry | None:
            try:
                return self.find(kind, inputs)
            except CorruptEntryError:
                self.remove(kind, digest(inputs))
                return None

        entry = found()
        if entry is not None or not once:
            return entry or self.write(kind, inputs, make)
        try:
            with leases_of(self.root).waiting(f"{kind}-{digest(inputs)}", found) as entry:
                return entry or self.write(kind, inputs, make)
        except OSError as error:
            if not self._is_to_blame(error):
                raise
            raise WorkspaceError(why_unwritable(self.root, error)) from error

    def write(self, kind: str, inputs: dict[str, Any], make: Callable[[Path], None]) -> Entry:
        """Write an entry; where another process was first, its entry stays."""
        key = digest(inputs)
        final = self.folder(kind, key)
        beside, root = self.root / "tmp" / f"{kind}-{key[:12]}.{stamp()}", None
        try:
            self._shared("tmp")
            root = self.root.stat()
            beside.mkdir()
            self._give_rights([beside])
            make(beside)
            self._share(beside)
            self._seal(beside, kind, inputs)
            inherit_mark(self.root, beside, kind, inputs)
            self._give_rights(beside.iterdir())
            self._shared(kind, key[:2])
            try:
                beside.rename(final)
            except OSError:
                if not (final / MANIFEST).is_file():
                    raise
        except (OSError, RuntimeError) as error:
            if root is not None and not beside.is_dir() and not self._is_still(root):
                raise WorkspaceError(
                    f"The workspace {self.root.parent} was moved or removed while it was written"
                    " to. Run the same command again, with `--workspace` where it is now: what was"
                    " finished is kept there."
                ) from error
            if not self._is_to_blame(error):
                raise
            raise WorkspaceError(why_unwritable(self.root, error)) from error
        finally:
            remove_folder(beside)
        return Entry(kind, key, final, json.loads(canonical_json(inputs)))

    def _shared(self, *names: str) -> Path:
        """Return a folder in which entries of others lie, too, made with the rights of the root."""
        folder = self.root
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            folder /= name
            with suppress(FileExistsError):
                folder.mkdir()
                self._give_rights([folder])
        return folder

    def _share(self, entry: Path) -> None:
        """Let whoever may read the root read an entry, too: some write for us alone, or for nobody.

        From above, as a folder is looked into; and through no link to what is none of the entry's.
        """
        self._give_rights([entry])
        for place, folders, names in os.walk(entry):
            paths = (Path(place, name) for name in (*folders, *names))
            self._give_rights(path for path in paths if not path.is_symlink())

    def _give_rights(self, paths: Iterable[Path]) -> None:
        """Give what was made the rights of the root.

        In this process a method may have set a umask that leaves others, or ourselves, none. Where
        a file system has no rights of files (FAT, many shares), those of its mount hold.
        """
        rights = S_IMODE(self.root.stat().st_mode)
        for path in paths:
            with suppress(OSError):
                path.chmod(rights if path.is_dir() else rights & 0o666)

    def _is_still(self, root: os.stat_result) -> bool:
        """Whether the folder of all entries is the one that it was."""
        try:
            return os.path.samestat(self.root.stat(), root)
        except OSError:
            return False

    def _is_to_blame(self, error: OSError | RuntimeError) -> bool:
        """Whether it is the workspace that takes nothing: a plugin may lack rights elsewhere."""
        if isinstance(error, OSError) and str(error.filename or "").startswith(str(self.root)):
            return is_full(error) or error.errno in _UNWRITABLE
        return is_full_at(self.root / "tmp", error)

    @staticmethod
    def _seal(folder: Path, kind: str, inputs: dict[str, Any]) -> None:
        below = list(folder.rglob("*"))
        if any(len(path.relative_to(folder).parts) > _MOST_DEEP for path in below):
            raise PluginError(
                f"Folders were saved more than {_MOST_DEEP} deep, where other programs and systems"
                " cannot read them. Save fewer in each other."
            )
        odd = [p for p in below if p.is_symlink() or not (p.is_file() or p.is_dir())]
        if odd:
            raise PluginError(
                f"{odd[0].relative_to(folder)} was saved, which is no plain file but a link or a"
                " device, and would not stay what it is. Save copies of files."
            )
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        # At once, because a file system writes several files in the time of one.
        facts = _writers(os.getpid()).map(_sync, paths)
        names = (path.relative_to(folder).as_posix() for path in paths)
        manifest = {"kind": kind, "inputs": inputs, "files": dict(zip(names, facts, strict=True))}
        text = json.dumps(manifest, indent=1, sort_keys=True)
        write_lasting(folder / MANIFEST, text)

    def remove(self, kind: str, key: str) -> None:
        """Take an entry away in one step, so that no reader meets half of it.

        Raises
        ------
        WorkspaceError
            If the workspace cannot be written.
        """
        removed = self.root / "tmp" / f"removed-{key[:12]}.{stamp()}"
        try:
            self._shared("tmp")
            self.folder(kind, key).rename(removed)
        except FileNotFoundError:
            return
        except OSError as error:
            if not self._is_to_blame(error):
                raise
            raise WorkspaceError(why_unwritable(self.root, error)) from error
        discard(removed)

    def keys(self, kind: str, but: Collection[str] = ()) -> list[str]:
        """Return the keys of all entries of a kind but these, sound or not, in order."""
        root = f"{self.root}/{kind}"
        keys = [key for shard in _names_in(root) for key in _names_in(f"{root}/{shard}")]
        return sorted(key for key in keys if key not in but and self.has(kind, key))

    def entries(self, kind: str) -> Iterator[Entry]:
        """Yield all sound entries of a kind, in the order of their keys."""
        for key in self.keys(kind):
            try:
                entry = self.open(kind, key)
            except CorruptEntryError:
                continue
            if entry is not None:
                yield entry

    def verify(self, entry: Entry) -> list[str]:
        """Hash every file again; return what is wrong, empty if nothing is.

        A file that the manifest does not name could be read as one of the entry's, and a link leads
        to what may change elsewhere. Hidden files are left out: marks, and what file systems leave.
        """
        manifest = read_json(entry.folder / MANIFEST)
        wrong = []
        for name, facts in manifest["files"].items():
            path = entry.folder / name
            if not path.is_file():
                wrong.append(f"{name} is missing")
            elif file_digest(path) != facts.get("sha256"):
                wrong.append(f"{name} has changed")
        for path in sorted(entry.folder.rglob("*")):
            name = path.relative_to(entry.folder).as_posix()
            if path.is_symlink():
                wrong.append(f"{name} is a link")
            elif not (path.is_dir() or name in manifest["files"] or name == MANIFEST):
                wrong += [] if path.name.startswith(".") else [f"{name} does not belong to it"]
        return [*wrong, *["it is a link"] * entry.folder.is_symlink()]

    def sweep(self) -> int:
        """Remove what killed processes left half-written; return how many.

        What was begun elsewhere goes after a day without a sign of life from there.
        """
        swept, living = 0, living_places(self.root / "leases")
        for path in (self.root / "tmp").glob("*"):
            if is_orphan(path, living):
                discard(path)
                swept += 1
        return swept


def _unreadable(folder: Path, error: OSError) -> UnreadableEntryError:
    rights = (
        "If somebody else made it, ask for the right to read it, or choose another workspace"
        " (`--workspace DIR`)."
    )
    advice = LOST if is_lost(error) else rights
    return UnreadableEntryError(f"{folder} cannot be read: {error.strerror or error}. {advice}")


def _names_in(folder: str) -> list[str]:
    """Return what lies in a folder; nothing where there is none, or one that may not be read."""
    try:
        return os.listdir(folder)  # noqa: PTH208  # a path of each takes longer than to list them
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def discard(path: Path) -> None:
    """Remove a folder, or what lies where one should be."""
    if path.is_dir() and not path.is_symlink():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)


@cache
def _writers(pid: int) -> ThreadPoolExecutor:
    """Return the threads of this process that wait for the disk; a forked child has its own."""
    return ThreadPoolExecutor(4)


def _sync(path: Path) -> dict[str, Any]:
    """Bring a file to the disk; return its size and hash."""
    bring_to_disk(path)
    return {"bytes": path.stat().st_size, "sha256": file_digest(path)}
