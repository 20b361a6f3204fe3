"""Results and intermediate products, keyed by the hash of all that made them.

An entry is a folder ``<root>/<kind>/<first two digits>/<key>/`` that holds its files and a
``manifest.json``: the inputs, whose hash is the key, and the size and hash of every file. It is
written beside its place and renamed into it, so a reader sees a complete entry or none, whatever
was killed when. On a hit the manifest is compared with the wanted inputs field by field.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from spared_bench.errors import CorruptEntryError, PluginError, WorkspaceError
from spared_bench.imports import inherit_mark
from spared_bench.leases import leases_of

MANIFEST = "manifest.json"
_SAYS_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|\d+ requested and \d+ written"
)
_STALE_SECONDS = 24 * 3600
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
#: A folder where a file should be, a file for a folder, links in a circle.
_NOT_THAT_KIND = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP}
_UNWRITABLE = _FULL | {errno.EACCES, errno.EPERM, errno.ENOTDIR}


def digest(values: Any) -> str:
    """Return the SHA-256 (64 hex digits) of JSON-ready values, whatever the order of keys."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def canonical_json(values: Any) -> str:
    """Return the one JSON text of these values: sorted keys, no spaces, no nan."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Write a file beside its place and rename it, so that it is never read half-written.

    Parameters
    ----------
    path : Path
    text : str
    sync : bool
        Wait until it is on the disk; not worth it for what can be written again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{stamp()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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
            If it has none of that name, or it cannot be read.
        """
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, RecursionError) as error:
            raise CorruptEntryError(
                f"{self.folder} is damaged ({name}: {error}). Remove that folder; it will be made"
                " again."
            ) from error


def read_cell(path: Path) -> dict[str, Any] | None:
    """Return the record of a cell (``spared_bench.cells``), ``None`` for what is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        names, keys = record["cell"], [record["final"], *record["search"]]
        dataset, seed = names[:4], names[4]
        texts = [*dataset, record.setdefault("figures", ""), *keys]
        sound = all(isinstance(text, str) for text in texts) and isinstance(seed, int)
        sound = sound and all(key.isalnum() for key in keys)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None
    return record if sound else None


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
        return self.root / kind / key[:2] / key

    def has(self, kind: str, key: str) -> bool:
        """Whether there is a complete entry, judged by its manifest alone."""
        return (self.folder(kind, key) / MANIFEST).is_file()

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
        """Return the entry of a key, or ``None``; its files are checked by size."""
        folder = self.folder(kind, key)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            for name, facts in manifest["files"].items():
                if (folder / name).stat().st_size != facts["bytes"]:
                    raise ValueError(f"{name} has another size")
            return Entry(kind, key, folder, manifest["inputs"])
        except FileNotFoundError as error:
            if not (folder.is_dir() or folder.is_symlink()):
                return None
            damage: Exception = error
        except OSError as error:
            if error.errno not in _NOT_THAT_KIND:
                raise
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
            raise WorkspaceError(_why_unwritable(self.root, error)) from error

    def write(self, kind: str, inputs: dict[str, Any], make: Callable[[Path], None]) -> Entry:
        """Write an entry; where another process was first, its entry stays."""
        key = digest(inputs)
        final = self.folder(kind, key)
        beside = self.root / "tmp" / f"{kind}-{key[:12]}.{stamp()}"
        try:
            beside.mkdir(parents=True)
            make(beside)
            self._seal(beside, kind, inputs)
            inherit_mark(self.root, beside, inputs)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                beside.rename(final)
            except OSError:
                if not (final / MANIFEST).is_file():
                    raise
        except (OSError, RuntimeError) as error:
            if not self._is_to_blame(error):
                raise
            raise WorkspaceError(_why_unwritable(self.root, error)) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return Entry(kind, key, final, json.loads(canonical_json(inputs)))

    def _is_to_blame(self, error: OSError | RuntimeError) -> bool:
        """Whether it is the workspace that takes nothing: a plugin may lack rights elsewhere."""
        if is_full(error) or not isinstance(error, OSError):
            return is_full(error)
        return error.errno in _UNWRITABLE and str(error.filename or "").startswith(str(self.root))

    @staticmethod
    def _seal(folder: Path, kind: str, inputs: dict[str, Any]) -> None:
        odd = [p for p in folder.rglob("*") if p.is_symlink() or not (p.is_file() or p.is_dir())]
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
        write_text(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))

    def remove(self, kind: str, key: str) -> None:
        """Take an entry away in one step, so that no reader meets half of it.

        Raises
        ------
        WorkspaceError
            If the workspace cannot be written.
        """
        grave = self.root / "tmp" / f"removed-{key[:12]}.{stamp()}"
        try:
            grave.parent.mkdir(parents=True, exist_ok=True)
            self.folder(kind, key).rename(grave)
        except FileNotFoundError:
            return
        except OSError as error:
            if not self._is_to_blame(error):
                raise
            raise WorkspaceError(_why_unwritable(self.root, error)) from error
        _discard(grave)

    def entries(self, kind: str) -> Iterator[Entry]:
        """Yield all sound entries of a kind, in the order of their keys."""
        for manifest in sorted((self.root / kind).glob(f"*/*/{MANIFEST}")):
            try:
                entry = self.open(kind, manifest.parent.name)
            except CorruptEntryError:
                continue
            if entry is not None:
                yield entry

    def verify(self, entry: Entry) -> list[str]:
        """Hash every file again; return what is wrong, empty if nothing is."""
        manifest = json.loads((entry.folder / MANIFEST).read_text(encoding="utf-8"))
        wrong = []
        for name, facts in manifest["files"].items():
            path = entry.folder / name
            if not path.is_file():
                wrong.append(f"{name} is missing")
            elif file_digest(path) != facts.get("sha256"):
                wrong.append(f"{name} has changed")
        return wrong

    def sweep(self) -> int:
        """Remove what killed processes of this machine left half-written; return how many."""
        swept = 0
        for path in (self.root / "tmp").glob("*"):
            if is_orphan(path):
                _discard(path)
                swept += 1
        return swept


def _discard(path: Path) -> None:
    """Remove a folder, or what lies where one should be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@cache
def _writers(pid: int) -> ThreadPoolExecutor:
    """Return the threads of this process that wait for the disk; a forked child has its own."""
    return ThreadPoolExecutor(4)


def _sync(path: Path) -> dict[str, Any]:
    """Bring a file to the disk; return its size and hash."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return {"bytes": path.stat().st_size, "sha256": file_digest(path)}


def stamp() -> str:
    """Return a suffix that says who is writing, for ``sweep``: host, process, its start."""
    return f"{socket.gethostname()}.{os.getpid()}-{_own_start(os.getpid())}.{uuid.uuid4().hex[:8]}"


@cache
def _own_start(pid: int) -> int:
    return started_at(pid)


def started_at(pid: int) -> int:
    """Return a number that tells a living process from later ones of its id; 0 if it is gone.

    On Linux the ticks of its start since the machine's: a date would move when the clock is set.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return 0  # it has ended: its parent was killed before it could take note
        return _ticks(pid) or round(process.create_time())
    except psutil.NoSuchProcess:
        return 0
    except psutil.AccessDenied:
        return -1


def _ticks(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def is_orphan(path: Path) -> bool:
    """Whether the writer that ``stamp`` names in a path has ended before it was done."""
    parts = path.name.rsplit(".", 2)
    pid, dash, started = parts[1].partition("-") if len(parts) == 3 else ("", "", "")
    if not (dash and pid.isdigit() and started.isdigit()):
        return False
    if parts[0].endswith(socket.gethostname()):
        found = started_at(int(pid))
        return found >= 0 and abs(found - int(started)) > 1
    try:
        return time.time() - path.stat().st_mtime > _STALE_SECONDS
    except FileNotFoundError:
        return False


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk takes no more, which is nobody's failure."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    # Libraries lose the number: HDF5 raises a RuntimeError, numpy counts what was not written.
    return isinstance(error, OSError | RuntimeError) and bool(_SAYS_FULL.search(str(error)))


@contextmanager
def full_disk_explained(root: Path) -> Iterator[None]:
    """Tell of a disk that takes no more, wherever it was met, as what it is.

    Raises
    ------
    WorkspaceError
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise WorkspaceError(_why_unwritable(root, error)) from error


def _why_unwritable(root: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None)
    if reason is None and is_full(error):
        reason = "No space left on device"
    return (
        f"Cannot write to the workspace {root.parent}: {reason or error}."
        " Finished results are safe. Free some space or choose another workspace"
        " (`--workspace DIR`), then run the same command again."
    )
