"""A process that can read and write a few places only, by the kernel's Landlock (Linux 5.19).

It needs no rights, cannot be undone, and holds for all that the process starts. What was open
before stays open, so files are closed first. See landlock(7) and
https://docs.kernel.org/userspace-api/landlock.html, whose names and numbers are used here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38
_OLDEST = 2  # before it, no file could be moved to another folder
_OF_TCP, _OF_SCOPES = 4, 6  # since when Landlock knows these
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_TCP, _SCOPES = 0b11, 0b11  # binding and connecting; abstract sockets and signals
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys",
           "/nix/store", "/opt/rocm", "/run/nvidia-persistenced")  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "dri", "kfd")
_CAPABILITY_VERSION = 0x20080522
_SUFFIXES_OF_CODE = (".py", ".pyc", ".so", ".egg", ".zip", ".egg-link", ".pth")


def why_unavailable() -> str:
    """Return why this system cannot shut a process in; empty where it can."""
    if sys.platform != "linux":
        return f"it needs Linux, and this is {sys.platform}"
    found, error = _version()
    if found >= _OLDEST:
        return ""
    if found > 0:
        return f"it needs Landlock {_OLDEST} (Linux 5.19), and this kernel has Landlock {found}"
    if error == errno.EOPNOTSUPP:
        return "this kernel has Landlock switched off (`lsm=landlock,...` at boot switches it on)"
    return f"this kernel or container offers no Landlock ({os.strerror(error)})"


def left_open() -> list[str]:
    """Return what a process that is shut in on this machine can reach all the same."""
    found, _ = _version()
    ways = [
        (_OF_TCP, "TCP (shut from Linux 6.7)"),
        (_OF_SCOPES, "signals to other processes and abstract sockets (shut from Linux 6.12)"),
    ]
    return [way for version, way in ways if found < version]


def shuts_tcp() -> bool:
    """Whether a process that is shut in on this machine can reach nothing through TCP."""
    return _version()[0] >= _OF_TCP


def is_open_to_all(path: Path) -> bool:
    """Whether a path lies where every process that is shut in reads and writes: ``/dev/shm``."""
    return any(_touches(_real(path), [_real(Path("/dev", name))]) for name in _DEVICES)


def enter(
    readable: Iterable[Path],
    writable: Iterable[Path],
    hidden: Iterable[Path] = (),
    shown: Iterable[Path] = (),
) -> None:
    """Shut this process in, for good: of all files it can use these only, and no TCP.

    An older kernel leaves more open (``left_open``).
    Files that are open, but not pipes and sockets, are closed before, except for standard input,
    output and error. The process must have one thread.

    Parameters
    ----------
    readable : iterable of Path
        Files, and folders with all below them; what is not there is left out.
    writable : iterable of Path
        Folders that can be read and written.
    hidden : iterable of Path
        What stays hidden where a readable folder holds it.
    shown : iterable of Path
        Can be read wherever it lies, in something hidden too.

    Raises
    ------
    OSError
        If the system does not offer it.
    """
    version, error = _version()
    if version < _OLDEST:
        raise OSError(error or errno.ENOSYS, why_unavailable())
    every = _all_rights(version)
    open_ = [_real(path) for path in readable]
    hidden = [path for path in {_real(each) for each in hidden} if _touches(path, open_)]
    rules = [(path, _READ) for place in open_ for path in _without(place, hidden)]
    rules += [(_real(path), _READ) for path in shown]
    rules += [(Path("/dev", name), every) for name in _DEVICES]
    rules += [(path, every) for path in Path("/dev").glob("nvidia*")]
    rules += [(_real(path), every) for path in writable]
    _close_files()
    attributes = struct.pack("QQQ", every, _TCP if version >= _OF_TCP else 0, _SCOPES)
    size = 8 if version < _OF_TCP else 16 if version < _OF_SCOPES else 24
    ruleset = _call(_CREATE_RULESET, ctypes.c_char_p(attributes), ctypes.c_size_t(size), 0)
    for path, rights in rules:
        _allow(ruleset, path, rights)
    if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    _drop_capabilities()


def places_of_python() -> list[Path]:
    """Return what an interpreter and its packages are read from, and the system's own folders."""
    found = [*_SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix]
    here = {"", ".", str(Path.cwd())} if _has_folder() else {"", "."}
    installed = [Path(path).resolve() for path in found]
    for path in sys.path:
        if path not in here:
            found += _code_in(Path(path), installed)
    PathFinder.find_spec("spared_bench_lists_what_is_there")  # a folder that is shut later
    for finder in sys.meta_path:  # of packages that are installed to be edited
        module = sys.modules.get(getattr(finder, "__module__", ""))
        for place in getattr(module, "MAPPING", {}).values():
            found += [place, f"{place}.py"]  # of a package, of a module
    return [Path(path) for path in dict.fromkeys(found)]


def _code_in(place: Path, installed: Iterable[Path]) -> list[str]:
    """Return all of a place of packages; of a folder of somebody's own work, the code alone.

    Such a folder (of ``PYTHONPATH``, or installed to be edited) may hold other workspaces and data.
    """
    above = {place.resolve(), *place.resolve().parents}
    with suppress(OSError):
        if place.is_dir() and not above & set(installed) and not any(place.glob("*.dist-info")):
            return [str(path) for path in place.iterdir() if _is_code(path)]
    return [str(place)]


def _is_code(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix in _SUFFIXES_OF_CODE
    inside = (path.glob("*.py"), path.glob("*/__init__.py"))  # the second in a namespace
    return (path.name.isidentifier() and any(map(any, inside))) or path.suffix == ".egg-info"


def _has_folder() -> bool:
    with suppress(OSError):
        return bool(os.getcwd())  # noqa: PTH109
    return False


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc().syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result


@cache
def _version() -> tuple[int, int]:
    """Return the version of Landlock, or 0 and the error's number."""
    if sys.platform != "linux":
        return 0, errno.ENOSYS
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG), 0
    except OSError as error:
        return 0, error.errno or errno.ENOSYS


def _all_rights(version: int) -> int:
    rights = (1 << 13) - 1 | _REFER
    return rights | (_TRUNCATE if version >= 3 else 0) | (_IOCTL if version >= 5 else 0)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it is not there
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, place)
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(place)


def _touches(path: Path, places: list[Path]) -> bool:
    """Whether a path lies in one of these places, or holds one."""
    above = {path, *path.parents}
    return any(place in above or path in place.parents for place in places)


def _without(place: Path, hidden: list[Path]) -> Iterator[Path]:
    """Yield a place, or, where it holds something hidden, all in it that does not."""
    if any(place == each or each in place.parents for each in hidden):
        return
    if not any(place in each.parents for each in hidden):
        yield place
        return
    with suppress(OSError):
        for inside in place.iterdir():
            if not inside.is_symlink():  # it leads elsewhere, which is allowed or not by itself
                yield from _without(inside, hidden)


def _real(path: Path) -> Path:
    return path.expanduser().resolve()


def _close_files() -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        number = int(name)
        with suppress(OSError):
            mode = os.fstat(number).st_mode
            if number > 2 and (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode)):
                os.close(number)


def _drop_capabilities() -> None:
    """Give up what the system's administrator could do beyond files."""
    with suppress(OSError, AttributeError):
        header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
        _libc().capset(ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))
