"""Interpreters that tests begin, forked where that is the same, so that none imports all anew.

Commands, workers and readers of a test would each import for one to three seconds. Where a process
is to run a module of ours (``python -m spared_bench...``) in the environment in which the tests
run, it is forked by a ``warm_server``, which has imported our code and has run none of it. It is a
child of the process that asked, as it would be, has a server of its own for what it begins in turn,
and differs in nothing but the modules that are there. ``pytest --cold`` does without.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from spared_bench.executors import worker_process

#: Of how many tests on a server is begun, whose own imports take some seconds.
WORTH = 200
#: Before a command: root may read everything, and without its capabilities cannot.
POWERLESS = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs")
#: The call of the system by which a child is forked for one's parent, by machines.
CLONE = {"x86_64": 56, "aarch64": 220}
#: Signals that a process may be begun to ignore.
IGNORABLE = (*(signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP), signal.SIGCHLD)
#: Variables that nothing reads while it is imported: ours, and those that imports and we set.
_READ_LATER = ("SPARED_BENCH_", "KMP_", "TORCHINDUCTOR_", "OMP_", "MKL_", "OPENBLAS_")
_SERVER = Path(__file__).with_name("warm_server.py")
POPEN = subprocess.Popen
_spawn = os.posix_spawn


def can_be() -> bool:
    """Return whether this system can fork a child for its parent."""
    return sys.platform == "linux" and platform.machine() in CLONE


class Asked(NamedTuple):
    """An interpreter that is to run a module of ours."""

    module: str
    arguments: list[str]
    safe_path: bool
    powerless: bool


def asked_by(argv: list[str]) -> Asked | None:
    """Return what a command line asks for; ``None`` where it is anything else."""
    powerless = tuple(argv[: len(POWERLESS)]) == POWERLESS
    name, *words = argv[len(POWERLESS) :] if powerless else (argv or [""])
    safe_path = words[:1] == ["-P"]
    match words[safe_path:]:
        case ["-m", module, *arguments] if name == sys.executable:
            if module.partition(".")[0] == "spared_bench":
                return Asked(module, arguments, safe_path, powerless)
    return None


class Server:
    """The side of a server that is asked.

    Parameters
    ----------
    asking : socket
    pid : int
    """

    def __init__(self, asking: socket.socket, pid: int) -> None:
        self._asking, self.pid, self._of = asking, pid, os.getpid()
        self._env, self._inherited = dict(os.environ), worker_process._inherited()

    def can_fork(self, env: dict[str, str]) -> bool:
        """Return whether it would be the same to begin an interpreter and to fork it."""
        later = (*_READ_LATER, worker_process._READ_LATER_OF)
        names = self._differing(env).keys() - worker_process.READ_LATER
        same = self._of == os.getpid() and worker_process._inherited() == self._inherited
        return same and all(name.startswith(later) for name in names)

    def _differing(self, env: dict[str, str]) -> dict[str, str | None]:
        return {name: env.get(name) for name, _ in self._env.items() ^ env.items()}

    def fork(
        self,
        asked: Asked,
        env: dict[str, str],
        files: dict[int, int],
        folder: str | None = None,
        session: bool = False,
    ) -> int:
        """Fork such an interpreter; return its number, or 0 if the server is gone.

        Parameters
        ----------
        asked : Asked
        env : dict of str
        files : dict of int
            By the number that a file is to have there, the number that it has here.
        folder : str, optional
        session : bool
            Whether it gets a session of its own.
        """
        message = {
            **asked._asdict(),
            "variables": self._differing(env),
            "files": list(files),
            "folder": folder or str(Path.cwd()),
            "session": session,
            "ignored": [s for s in IGNORABLE if signal.getsignal(s) == signal.SIG_IGN],
        }
        try:
            socket.send_fds(self._asking, [json.dumps(message).encode()], list(files.values()))
            return int(self._asking.recv(64) or b"0")
        except OSError:
            return 0

    def end(self) -> None:
        self._asking.close()
        os.waitpid(self.pid, 0)


def begin_server() -> Server:
    """Begin the server of a session of tests."""
    asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with asked:
        began = subprocess.Popen(
            [sys.executable, "-P", str(_SERVER), str(asked.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[asked.fileno()],
        )
    began.returncode = 0  # it is waited for by its number
    return Server(asking, began.pid)


def popen_of(server: Server) -> type[subprocess.Popen]:
    """Return ``subprocess.Popen`` that asks a server where it can."""

    class Popen(POPEN):
        def _execute_child(self, *told: Any) -> None:
            args, executable, preexec_fn, close_fds, pass_fds, folder, env, *rest = told
            _, _, shell, *ends, _, gid, gids, uid, umask, session, group = rest
            words = list(map(os.fspath, args)) if isinstance(args, (list, tuple)) else []
            variables, asked = dict(os.environ if env is None else env), asked_by(words)
            special = executable or preexec_fn or shell or not close_fds or gid or gids or uid
            special = special or umask >= 0 or group >= 0
            pid = 0
            if asked is not None and not special and server.can_fork(variables):
                streams = {0: ends[0], 1: ends[3], 2: ends[5]}
                files = {number: number if end < 0 else end for number, end in streams.items()}
                files |= {number: number for number in pass_fds}
                pid = server.fork(asked, variables, files, folder and os.fspath(folder), session)
            if not pid:
                super()._execute_child(*told)
                return
            self.pid = pid
            self._child_created = True
            self._close_pipe_fds(*ends)

    return Popen


def install(server: Server) -> None:
    """Let ``subprocess`` and ``os.posix_spawn`` of this process ask a server where they can."""

    def posix_spawn(path, argv, env, *, file_actions=(), **options):
        # None is this process's own, from Python 3.13 on.
        words, variables = list(map(os.fspath, argv)), dict(os.environ if env is None else env)
        asked, pid = asked_by(words), 0
        if asked is not None and not options and server.can_fork(variables):
            files = {number: number for number in (0, 1, 2, *_inheritable())}
            for what, number, copy in file_actions:
                assert what == os.POSIX_SPAWN_DUP2
                files[copy] = files.get(number, number)
            pid = server.fork(asked, variables, files)
        return pid or _spawn(path, argv, env, file_actions=file_actions, **options)

    subprocess.Popen = popen_of(server)
    os.posix_spawn = posix_spawn


def _inheritable() -> list[int]:
    """Return the files beyond the standard streams that a new process would have."""
    found = []
    for number in [int(file.name) for file in Path("/proc/self/fd").iterdir()]:
        with suppress(OSError):  # the one that looks
            if number > 2 and os.get_inheritable(number):
                found.append(number)
    return found
