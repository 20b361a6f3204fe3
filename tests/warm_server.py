"""The process that forks the interpreters of tests: see ``warm``.

``python -P warm_server.py NUMBER``, where a socket has that number. A child that it forks comes
back to the end of this file, and is from there on the interpreter that was asked for.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import json
import os
import pkgutil
import platform
import runpy
import signal
import socket
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

_ROOT = str(Path(__file__).parents[1])
sys.path.insert(0, _ROOT)

from spared_bench.apart import end_with  # noqa: E402
from tests.warm import CLONE, IGNORABLE, Server, install  # noqa: E402

sys.path.remove(_ROOT)
for _name in ("tests", "tests.warm"):  # which somebody else's may be
    del sys.modules[_name]

#: What our modules import when they need it, and commands and workers of tests mostly do.
_LATER = (
    *("anndata", "matplotlib.pyplot", "mlflow", "mlflow.tracking", "pandas", "psutil"),
    *("scipy.sparse", "scipy.spatial", "scipy.stats", "sklearn.neighbors", "torch"),
)
#: A process that begins no interpreter.
_ALONE = "spared_bench.executors.fork_server"
_MESSAGE_BYTES = 1 << 18
_FILES = 32
_HIGH = 500  # numbers of files that no caller passes on
_CLONE_PARENT, _MADV_COLLAPSE = 0x8000, 25
_LARGE = 1 << 21
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _CAPABILITIES_3 = 24, 38, 0x20080522
_exit = os._exit  # which the command keeps from code of plugins


def import_everything() -> None:
    """Import every module of ours, and what they import later."""
    import spared_bench
    from spared_bench.executors.fork_server import get_ready

    for module in pkgutil.walk_packages(spared_bench.__path__, "spared_bench."):
        if not module.name.endswith("__main__"):
            with suppress(ImportError):  # of an extra that is not installed
                import_module(module.name)
    for name in _LATER:
        import_module(name)
    get_ready()
    _end_threads_of_blas()
    gc.collect()
    gc.freeze()
    _gather_pages()


def _end_threads_of_blas() -> None:
    """Fork as the C library does, before which OpenBLAS ends its threads, to begin them if needed.

    A child by a bare call of the system would take those that it lacks for its own, and wait for
    them without end as soon as it forks.
    """
    child = os.fork()
    if child == 0:
        _exit(0)
    os.waitpid(child, 0)


def _gather_pages() -> None:
    """Put memory into large pages, where the system can: a fork takes half the time then."""
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, rights, *_, last = line.split()
        if rights == "rw-p" and (last == "[heap]" or "/" not in last):
            first, end = (int(number, 16) for number in place.split("-"))
            first, end = -(-first // _LARGE) * _LARGE, end // _LARGE * _LARGE
            if first < end:
                libc.madvise(first, end - first, _MADV_COLLAPSE)


def serve(asked: socket.socket) -> dict[str, Any]:
    """Fork a child for every message; return what was asked for in the child alone."""
    while True:
        text, files, _, _ = socket.recv_fds(asked, _MESSAGE_BYTES, _FILES)
        if not text:
            _exit(0)
        child = _fork_for_parent()
        if child == 0:
            asked.close()
            return {**json.loads(text), "received": files}
        with suppress(OSError):
            asked.send(str(max(child, 0)).encode())
        for file in files:
            os.close(file)


def _fork_for_parent() -> int:
    """Fork a child that is one of this process's parent, as ``os.fork`` cannot."""
    python, system = ctypes.pythonapi, ctypes.PyDLL(None)
    python.PyOS_BeforeFork()
    child = system.syscall(CLONE[platform.machine()], _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if child:
        python.PyOS_AfterFork_Parent()
    else:
        python.PyOS_AfterFork_Child()
    return int(child)


def fork_server() -> Server:
    """Fork a server for this process, which has run nothing."""
    asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        asked.close()
        return Server(asking, pid)
    end_with(parent)
    asking.close()
    live(serve(asked))


def become(job: dict[str, Any]) -> None:
    """Take files, folder, variables, path and handlers of the interpreter that is asked for."""
    high = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _HIGH) for file in job["received"]]
    for file in job["received"]:
        os.close(file)
    for file, number in zip(high, job["files"], strict=True):
        os.dup2(file, number)
        os.close(file)
    if job["session"]:
        os.setsid()
    os.chdir(job["folder"])
    for name, value in job["variables"].items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    for number in IGNORABLE:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in job["ignored"] else usual)
    if job["powerless"]:
        _drop_capabilities()
    sys.argv = ["-m", *job["arguments"]]
    if not job["safe_path"]:
        sys.path.insert(0, job["folder"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _like(getattr(sys, name), number)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _like(stream: TextIOWrapper, number: int) -> TextIOWrapper:
    """Return a standard stream of this number as an interpreter makes it."""
    at_once = number > 0 and stream.write_through  # as PYTHONUNBUFFERED asks for
    return TextIOWrapper(
        open(number, "wb" if number else "rb", 0 if at_once else -1, closefd=False),
        *(stream.encoding, stream.errors, "\n" if number else None),
        line_buffering=number == 2 or (number == 1 and os.isatty(number)),
        write_through=at_once,
    )


def _drop_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(64):
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header, none = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")


def live(job: dict[str, Any]) -> NoReturn:
    """Be the interpreter that is asked for, to its end."""
    become(job)
    if job["module"] != _ALONE:
        install(fork_server())
    status = run(job["module"])
    # To take all that was imported apart costs a process more than to have it.
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    _exit(status)


def run(module: str) -> int:
    """Run a module as an interpreter does, and return the status with which it would end."""
    warnings.filterwarnings("ignore", ".*found in sys.modules after import of package")
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    socket_of_tests = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_everything()
    live(serve(socket_of_tests))
