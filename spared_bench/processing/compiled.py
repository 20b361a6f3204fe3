"""Functions that numba compiles, once for a user: the code is kept in the user's cache folder.

By itself numba writes beside the source, inside the installed package. What pip has not installed
it does not uninstall, and a folder that is left over hides an editable install that comes after.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Return where compiled code is kept: ``spared-bench/numba`` in the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(caches) / "spared-bench" / "numba"


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function with numba when it is first called, without the interpreter's lock.

    ``NUMBA_CACHE_DIR`` is heeded where it is set; where no folder can be written, the function is
    compiled in every process.

    Parameters
    ----------
    **options
        Of ``numba.njit``.
    """

    def compile_(function: Function) -> Function:
        config: Any = numba.config
        before = config.CACHE_DIR
        try:
            if not before:
                folder = cache_folder()
                folder.mkdir(parents=True, exist_ok=True)
                config.CACHE_DIR = str(folder)
            return numba.njit(cache=True, nogil=True, **options)(function)
        except (OSError, RuntimeError):  # nowhere to keep it: numba's is a RuntimeError
            return numba.njit(nogil=True, **options)(function)
        finally:
            config.CACHE_DIR = before

    return compile_
