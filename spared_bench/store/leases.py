"""Who is working on what, among processes that share a store and nothing else.

A process has one *card*, a file that says who it is, whose time a thread renews. A lease is a hard
link to that card, made under the name of the work: a link is made once or not at all, also on a
network file system, and renewing the card renews all its leases at once. A lease whose time was not
renewed, or whose process of this machine is gone, is taken away by renaming it. A process that is
stopped (SIGSTOP, a debugger) therefore loses its leases as one of another machine does; when it
goes on, it finds them taken and leaves them alone. After a sleep of the whole machine, or a step of
its clock, every process has a moment to renew its own before another of this machine takes them.

Leases save time. That nothing is half-written or written twice rests on renames alone.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from spared_bench.harmless import harmless
from spared_bench.ordinary import read_json, read_text
from spared_bench.removal import remove_folder
from spared_bench.store.processes import is_running, is_stopped, place, started_at

#: Seconds without a sign of life after which work is given to someone else.
LIFETIME = 60.0
_BEATS = 6  # of the heart, in a lifetime
_POLL = 0.2
_SECONDS_UNTOLD = 5.0
#: Whoever waits says again for whom.
SECONDS_BETWEEN_REMINDERS = 60.0
_FORGOTTEN = 24 * 3600
_CARD_BYTES = 10_000


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
        self._seen: dict[str, tuple[_State, float]] = {}  # and since when, by our own clock

    def take(self, name: str) -> bool:
        """Take a lease unless a living process has it; return whether it is ours now."""
        if name in self._held and self._is_still_ours(name):
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
            ours = self._is_still_ours(name)
            self._held.discard(name)
            if ours:
                # Not by its name alone: stopped just here, we might wake up when it is another's.
                self._remove(self._path(name), lambda found, _: found.get("owner") == self.owner)

    def holds(self, name: str) -> bool:
        """Return whether this process has had a lease all the time since it took it."""
        return name in self._held and self._is_still_ours(name)

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
        told = time.monotonic() - SECONDS_BETWEEN_REMINDERS + _SECONDS_UNTOLD
        while not self.take(name):
            made = found()
            if made is not None:
                yield made
                return
            holder = self.holder(name)
            if holder and time.monotonic() - told > SECONDS_BETWEEN_REMINDERS:
                told = time.monotonic()
                print(f"Waiting for {name}, which {described(holder)} has.", file=sys.stderr)
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
            self._break(path)
        for card in (self.root / "owners").glob("*"):
            found = _read(card)
            silent = time.time() - card.stat().st_mtime > _FORGOTTEN if card.exists() else False
            if silent or (found and _has_ended(found)):
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
        while not self._ended.wait(self.lifetime / _BEATS):
            with suppress(OSError):
                if not self._card.exists():
                    self._write_card()
                os.utime(self._card)
                for name in list(self._held):  # the same file, unless links are copies here
                    if self._is_still_ours(name):
                        os.utime(self._path(name))

    def _is_still_ours(self, name: str) -> bool:
        """Whether nobody has taken a lease over while this process was stopped; forget it if so."""
        ours: bool = _read(self._path(name)).get("owner") == self.owner
        if not ours:
            self._held.discard(name)
        return ours

    def _is_dead(self, path: Path, found: dict[str, Any]) -> bool:
        """Whether who has a lease (empty: unreadable) has ended, or is silent for too long."""
        if found and _has_ended(found):
            return True
        try:
            state = _state(path)
        except FileNotFoundError:
            return True
        silent = self._now() - state.time / 1e9
        known = self._seen.get(path.name)
        if known is None or known[0] != state:
            known = self._seen[path.name] = (state, time.monotonic())
        watched = time.monotonic() - known[1]  # a sleep of the machine does not count
        beat = 2 * self.lifetime / _BEATS
        if not found:  # one that is just being written, where there are no links, or nonsense
            return watched >= beat or silent > self.lifetime
        if watched > self.lifetime:
            return True
        return silent > self.lifetime and (watched >= beat or found["place"] != place())

    def _now(self) -> float:
        """Return the time by the clock that leases have theirs from: that of the file system.

        Where nothing can be written, whoever looks has only the clock of this machine.
        """
        try:
            self._sign_in()
            os.utime(self._card)
            return self._card.stat().st_mtime
        except OSError:
            return time.time()

    def _break(self, path: Path) -> bool:
        """Take a dead process's lease away; return whether the name may be free now."""
        found = _read(path)
        try:
            state = _state(path)
        except FileNotFoundError:
            return True
        if not self._is_dead(path, found):
            return False
        self._seen.pop(path.name, None)
        return self._remove(path, lambda now, its: (now, its) == (found, state))

    def _remove(self, path: Path, is_it: Callable[[dict[str, Any], _State], bool]) -> bool:
        """Remove a lease if it is the one that is meant; give it back if it is not."""
        removed = self.root / "owners" / f"broken-{uuid.uuid4().hex}"
        try:
            path.rename(removed)
        except FileNotFoundError:
            return True
        now = _read(removed)
        if now and not is_it(now, _state(removed)):  # somebody was quicker
            with suppress(FileExistsError):
                _link(removed, path)
        if removed.is_dir() and not removed.is_symlink():
            remove_folder(removed)
        else:
            removed.unlink(missing_ok=True)
        return True


def living_places(root: Path) -> set[str]:
    """Return from where somebody renewed a card of a store within a day."""
    found = set()
    for card in (root / "owners").glob("*"):
        with suppress(OSError):
            if time.time() - card.stat().st_mtime < _FORGOTTEN:
                found.add(card.name.rsplit(".", 2)[0])
    return found


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
            file.write(read_text(source))


class _State(NamedTuple):
    """What changes whenever a lease is renewed or goes to another."""

    file: int
    time: int


def _state(path: Path) -> _State:
    found = path.lstat()
    return _State(found.st_ino, found.st_mtime_ns)


def _read(path: Path) -> dict[str, Any]:
    """Return the card that a file is; an empty one for nonsense, which is no lease."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _CARD_BYTES:  # a pipe never ends
            return {}
        found = read_json(path)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and _is_card(found) else {}


def _is_card(found: dict[str, Any]) -> bool:
    texts = [found.get(name) for name in ("owner", "host", "place")]
    numbers = [found.get(name) for name in ("pid", "started")]
    # Whoever waits prints the host: no letters that would steer a terminal.
    sound = all(isinstance(text, str) and text and text.isprintable() for text in texts)
    sound = sound and all(type(number) is int and -1 <= number < 2**63 for number in numbers)
    return sound and 0 < found["pid"] < 2**31


def _has_ended(found: dict[str, Any]) -> bool:
    """Whether a card is of a process of this machine that is gone."""
    return found["place"] == place() and not is_running(found["pid"], found["started"])


def described(holder: dict[str, Any]) -> str:
    """Say who holds a lease: ``process 123 on host``; and that it is suspended, if it is."""
    told = f"process {holder['pid']} on {harmless(str(holder['host']))}"
    if holder["place"] == place() and is_stopped(holder["pid"]):
        told += " (suspended: resume or end it)"
    return told
