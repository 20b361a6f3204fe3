"""Who is working on what, among processes that share a store and nothing else.

A process has one *card*, a file that says who it is, whose time a thread renews. A lease is a hard
link to that card, made under the name of the work: a link is made once or not at all, also on a
network file system, and renewing the card renews all its leases at once. A lease whose time was not
renewed, or whose process of this machine is gone, is taken away by renaming it.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spared_bench.store.processes import is_running, place, started_at

#: Seconds without a sign of life after which work is given to someone else.
LIFETIME = 60.0
_POLL = 0.2
_FORGOTTEN = 24 * 3600


class Leases:
    """The leases of one process on one store.

    Parameters
    ----------
    root : Path
        ``leases/`` of a store.
    lifetime : float
        Seconds; the same for all who share the store.
    """

    def __init__(self, root: Path, lifetime: float = LIFETIME) -> None:
        self.root, self.lifetime = root, lifetime
        self.owner = f"{place()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        self._card = root / "owners" / self.owner
        self._held: set[str] = set()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """Take a lease unless a living process has it; return whether it is ours now."""
        if name in self._held:
            return True
        self._sign_in()
        path = self._path(name)
        for _ in range(2):
            try:
                _link(self._card, path)
                self._held.add(name)
                return True
            except FileExistsError:
                if not self._break(path):
                    return False
        return False

    def release(self, name: str) -> None:
        """Give a lease back, if it is still ours."""
        if name in self._held:
            self._held.discard(name)
            if _read(self._path(name)).get("owner") == self.owner:
                self._path(name).unlink(missing_ok=True)

    def holder(self, name: str) -> dict[str, Any] | None:
        """Return who has a lease (``owner``, ``host``, ``pid``), ``None`` if nobody alive has."""
        found = _read(self._path(name))
        return found if found and not self._is_dead(self._path(name), found) else None

    def holders(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every name that a living process holds, and who it is."""
        for path in sorted(self.root.glob("*.lease")):
            found = self.holder(path.stem)
            if found:
                yield path.stem, found

    @contextmanager
    def waiting(self, name: str, found: Callable[[], Any]) -> Iterator[Any]:
        """Take a lease, waiting for it; yield what somebody else has made meanwhile, or ``None``.

        Parameters
        ----------
        name : str
        found : callable
            Looks for what the holder of the lease is making.
        """
        while not self.take(name):
            made = found()
            if made is not None:
                yield made
                return
            time.sleep(_POLL)
        try:
            yield found()
        finally:
            self.release(name)

    def sweep(self) -> None:
        """Remove the leases of the dead, and the cards of processes gone and machines long silent.

        A dead process's lease stays where nobody takes its work over, because it had been done.
        """
        for path in self.root.glob("*.lease"):
            found = _read(path)
            if found and self._is_dead(path, found):  # an empty one is just being written
                self._break(path)
        for card in (self.root / "owners").glob("*"):
            found = _read(card)
            silent = time.time() - card.stat().st_mtime > _FORGOTTEN if card.exists() else False
            if silent or (found.get("place") == place() and self._is_dead(card, found)):
                card.unlink(missing_ok=True)

    def close(self) -> None:
        """Give everything back and end the heartbeat."""
        self._ended.set()
        for name in list(self._held):
            self.release(name)
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._card.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.root / f"{name}.lease"

    def _sign_in(self) -> None:
        """Write the card and keep its time fresh."""
        if not self._card.exists():  # not yet, or somebody has tidied up
            self._write_card()
        if self._thread is None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()

    def _write_card(self) -> None:
        self._card.parent.mkdir(parents=True, exist_ok=True)
        facts = {
            "owner": self.owner,
            "host": socket.gethostname(),
            "place": place(),
            "pid": os.getpid(),
            "started": started_at(os.getpid()),
        }
        self._card.write_text(json.dumps(facts), encoding="utf-8")

    def _beat(self) -> None:
        while not self._ended.wait(self.lifetime / 6):
            with suppress(OSError):
                os.utime(self._card)
                for name in list(self._held):  # the same file, unless links are copies here
                    os.utime(self._path(name))

    def _is_dead(self, path: Path, found: dict[str, Any]) -> bool:
        if found.get("place") == place():
            return not is_running(int(found.get("pid", 0)), int(found.get("started", 0)))
        try:
            # Compared with a file of our own, so that the file system's clock judges both.
            self._sign_in()
            os.utime(self._card)
            return self._card.stat().st_mtime - path.stat().st_mtime > self.lifetime
        except FileNotFoundError:
            return True

    def _break(self, path: Path) -> bool:
        """Take a dead process's lease away; return whether the name may be free now."""
        found = _read(path)
        if found and not self._is_dead(path, found):
            return False
        removed = self.root / "owners" / f"broken-{uuid.uuid4().hex}"
        try:
            path.rename(removed)
        except FileNotFoundError:
            return True
        taken = _read(removed)
        if taken and not self._is_dead(removed, taken):  # somebody was quicker: give it back
            with suppress(FileExistsError):
                _link(removed, path)
        removed.unlink(missing_ok=True)
        return True


_of_process: dict[tuple[int, Path], Leases] = {}


def leases_of(store_root: Path) -> Leases:
    """Return this process's leases on a store; a forked child gets its own."""
    place = (os.getpid(), store_root)
    if place not in _of_process:
        _of_process[place] = Leases(store_root / "leases")
    return _of_process[place]


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links here: a file that only one can create
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
