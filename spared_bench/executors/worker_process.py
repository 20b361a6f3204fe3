"""The process of a worker, as its parent has it: begun by itself, or forked from a server.

A worker's imports take two seconds. The first worker of a process imports for itself; later ones
that are asked for with the same environment, threads and code come from a ``fork_server``, begin in
milliseconds, and share the memory of what was imported.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from spared_bench.fresh import path_options
from spared_bench.store.processes import is_stopped

#: Variables that nothing reads of what a server imports: they may differ between workers. It does
#: not import MLflow, some of whose variables we set when the first run of a process is logged.
READ_LATER = {"CUDA_VISIBLE_DEVICES", "PYTEST_CURRENT_TEST"}
_READ_LATER_OF = "MLFLOW_"
#: How many servers a process keeps for workers that it may ask for again in the same way.
KEPT = 2
_LOOK_SECONDS = 2.0
_INSTALLED = ("site-packages", "dist-packages")


class WorkerProcess(ABC):
    """A process that its parent speaks to over its standard streams, text by lines.

    Attributes
    ----------
    stdin, stdout : file
        Of the process, from this side.
    """

    stdin: IO[str]
    stdout: IO[str]

    @property
    @abstractmethod
    def pid(self) -> int:
        """The number of the process; 0 while it has not begun, or if it never did."""

    @property
    @abstractmethod
    def returncode(self) -> int | None:
        """How it ended: its status or a negative signal; ``None`` if that is not known."""

    @abstractmethod
    def has_ended(self) -> bool:
        """Whether it is gone."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until it is gone."""

    @abstractmethod
    def end(self) -> None:
        """Kill it, and its group, if it is there, and wait until it is gone."""


def start_worker(env: dict[str, str], threads: int, log: IO[bytes]) -> WorkerProcess:
    """Start a worker.

    Parameters
    ----------
    env : dict of str
        Its environment.
    threads : int
        For which libraries are loaded.
    log : file
        For what it prints, and what ends it.
    """
    with _starting:
        server = _server_for(env, threads, log) if _can_fork() else None
        if server is not None:
            with suppress(OSError):  # it is gone, or going
                return _Forked(server, env, log)
    return _Begun(env, log)


def _can_fork() -> bool:
    """Whether the system lets one wait for a process that is not one's child, and send it files."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # not Linux, or older than 5.3
        return False
    return hasattr(socket, "send_fds")


def kill(pid: int) -> None:
    """Kill a process, or with a negative number its group, if it is still there."""
    with suppress(ProcessLookupError):
        if pid < 0:
            os.killpg(-pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


class _Begun(WorkerProcess):
    """One that is begun by itself."""

    def __init__(self, env: dict[str, str], log: IO[bytes]) -> None:
        # A session of its own: Ctrl-C reaches the parent alone, which then ends its workers.
        self._process = subprocess.Popen(
            [sys.executable, *path_options(), "-m", "spared_bench.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            errors="replace",  # a method can write there what is no text
            start_new_session=True,
            env=env,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.stdin, self.stdout = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self) -> None:
        self._process.wait()

    def end(self) -> None:
        if not self.has_ended():
            kill(-self.pid)
            self._process.kill()
        self.wait()


class _Forked(WorkerProcess):
    """One that a server forks: a pipe tells its number, and how it ended."""

    def __init__(self, server: _Server, env: dict[str, str], log: IO[bytes]) -> None:
        its_input, to_it = os.pipe()
        from_it, its_output = os.pipe()
        told, telling = os.pipe()
        folder = os.open(".", os.O_PATH)
        try:
            server.ask(env, [its_input, its_output, log.fileno(), telling, folder])
        except OSError:
            for file in (to_it, from_it, told):
                os.close(file)
            raise
        finally:
            for file in (its_input, its_output, telling, folder):
                os.close(file)
        self.stdin = os.fdopen(to_it, "w", encoding="utf-8")
        self.stdout = os.fdopen(from_it, encoding="utf-8", errors="replace")
        self._server, self._pid = server, 0
        self._code: int | None = None
        self._known, self._ended = threading.Event(), threading.Event()
        threading.Thread(target=self._listen, args=(told,), daemon=True).start()

    def _listen(self, told: int) -> None:
        """Note what the server tells; where it is gone, look at the process itself."""
        ending = -1
        with os.fdopen(told, encoding="utf-8") as lines:
            if number := self._told(lines):
                with suppress(OSError):  # it has ended already, or there are too many files
                    ending = os.pidfd_open(int(number))
                self._pid = int(number)
            self._known.set()
            if code := self._told(lines, ending):
                self._code = int(code)
        if ending >= 0:
            _wait_for(ending)
            os.close(ending)
        elif self._pid and self._code is None:  # nobody could tell when it ends
            kill(-self._pid)
            kill(self._pid)
        self._ended.set()

    def _told(self, lines: IO[str], ending: int = -1) -> str:
        """Return what the server tells next; nothing if it is gone, or stopped, which ends it.

        ``ending`` is readable once the worker has ended, before which there is nothing to tell.
        """
        if ending >= 0:
            _wait_for(ending, lines.fileno())
        stood = False  # once may be for a moment: who looks at it with a debugger stops it, too
        while not _wait_for(lines.fileno(), seconds=_LOOK_SECONDS):
            stands = self._server.is_stopped
            if stands and stood:
                self._server.end()
            stood = stands
        return lines.readline()

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def returncode(self) -> int | None:
        return self._code

    def has_ended(self) -> bool:
        return self._ended.is_set()

    def wait(self) -> None:
        self._ended.wait()

    def end(self) -> None:
        if not self._known.is_set():
            self._server.end()  # which is still importing, and would fork it later
            self._known.wait()
        if self._pid and not self.has_ended():
            kill(-self._pid)
            kill(self._pid)
        self.wait()


def _wait_for(*files: int, seconds: float | None = None) -> bool:
    """Wait until one of some files can be read, or a while; return whether one can."""
    waiting = select.poll()  # which, unlike select, takes a file of any number
    for file in files:
        waiting.register(file, select.POLLIN)
    return bool(waiting.poll(None if seconds is None else seconds * 1000))


class _Server:
    """A fork server; see there."""

    def __init__(self, env: dict[str, str], threads: int, log: IO[bytes]) -> None:
        self._asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._env = env
        module, file = "spared_bench.executors.fork_server", asked.fileno()
        with asked:
            self._process = subprocess.Popen(
                [sys.executable, *path_options(), "-m", module, str(file), str(threads)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[file],
                start_new_session=True,
                env=env,
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def is_stopped(self) -> bool:
        """Whether it is there and does nothing: whoever waited for it would wait for ever."""
        return is_stopped(self._process.pid)

    def ask(self, env: dict[str, str], files: list[int]) -> None:
        """Ask for a worker with these files.

        Raises
        ------
        OSError
            If it is gone.
        """
        names = filter(_is_read_later, {**self._env, **env})
        variables = {name: env.get(name) for name in names}
        socket.send_fds(self._asking, [json.dumps(variables).encode()], files)

    @property
    def is_asked(self) -> bool:
        """Whether it has not been let go."""
        return self._asking.fileno() >= 0

    def let_go(self) -> None:
        """Ask no more of it: it ends after its last worker."""
        self._asking.close()

    def end(self) -> None:
        """Kill it; its workers go on."""
        self._process.kill()
        self._process.wait()


class _Asked(NamedTuple):
    """With what a server has to have been begun: what imports depend on, and workers inherit."""

    parent: int
    threads: int
    modules: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    code: tuple[int, ...]
    inherited: tuple[object, ...]


_starting = threading.Lock()
_seen: set[_Asked] = set()
_servers: list[tuple[_Asked, _Server]] = []  # what was begun last stands last


def _server_for(env: dict[str, str], threads: int, log: IO[bytes]) -> _Server | None:
    """Return the server for such a worker; ``None`` for the first, which needs none."""
    rest = {name: value for name, value in env.items() if not _is_read_later(name)}
    modules = tuple(path_options()) or (str(Path.cwd()),)  # where they are looked for first
    variables = tuple(sorted(rest.items()))
    asked = _Asked(os.getpid(), threads, modules, variables, _code(), _inherited())
    for _, server in _servers:
        if server.is_stopped:
            server.end()
    _servers[:] = [(of, server) for of, server in _servers if server.alive]
    for of, server in _servers:
        if of == asked and server.is_asked:
            return server
    if asked not in _seen:
        _seen.add(asked)
        return None
    _servers.append((asked, _Server(env, threads, log)))
    for _, server in _servers[:-KEPT]:
        server.let_go()
    return _servers[-1][1]


def _is_read_later(name: str) -> bool:
    return name in READ_LATER or name.startswith(_READ_LATER_OF)


def _inherited() -> tuple[object, ...]:
    """Return what else a process hands on to those that it begins, at the moment."""
    import resource

    limits = (getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    mask = [line for line in status.splitlines() if line.startswith("Umask:")]
    cores = tuple(sorted(os.sched_getaffinity(0)))
    return (*map(resource.getrlimit, sorted(set(limits))), *mask, cores, os.nice(0))


def _code() -> tuple[int, ...]:
    """Return when our code was changed last, and packages installed: of plugins no server knows."""
    ours = Path(__file__).parent.parent.rglob("*.py")
    folders = (Path(path) for path in sys.path)
    installed = (each for each in folders if each.name in _INSTALLED and each.is_dir())
    return max(map(_changed, ours)), *map(_changed, installed)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns
