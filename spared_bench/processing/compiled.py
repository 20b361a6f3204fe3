"""Functions that numba compiles, once for a user: the code is kept in the user's cache folder.

By itself numba writes beside the source, inside the installed package. What pip has not installed
it does not uninstall, and a folder that is left over hides an editable install that comes after.

numba itself is imported when one of them is first called: commands that compute nothing do not wait
for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Return where compiled code is kept: ``spared-bench/numba`` in the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(caches) / "spared-bench" / "numba"


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function with numba when it is first called.

    It runs without the interpreter's lock (``nogil``) unless the options say otherwise.

    ``NUMBA_CACHE_DIR`` is heeded where it is set; where no folder can be written, the function is
    compiled in every process.

    Parameters
    ----------
    **options
        Of ``numba.njit``.
    """

    def compile_(function: Function) -> Function:
        return cast("Function", _Compiled(function, options))

    return compile_


class _Compiled:
    """A function that is compiled, with those of its module that it calls, when it is called."""

    _making = RLock()

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function, self._options = function, {"nogil": True, **options}
        self._made: Callable[..., Any] | None = None
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return (self._made or self._make())(*arguments)

    def _make(self) -> Callable[..., Any]:
        with self._making:
            made = self._made
            if made is None:
                made = self._make_all()[self]
            return made

    def _make_all(self) -> dict[_Compiled, Callable[..., Any]]:
        """Compile this and what it may call, and only then let other threads see any of them.

        numba looks up by name what a function calls, and knows its own functions only. So they
        take the place of these in their modules, and a thread that finds one there, or as what is
        made, calls it at once: all that it calls has to be in its place by then.
        """
        wanted = self._with_all_it_may_call()
        made = {each: each._made or _compile(each._function, each._options) for each in wanted}
        for each in reversed(wanted):  # what is called before what calls it
            names = each._function.__globals__
            own = {name: it for name, it in list(names.items()) if isinstance(it, _Compiled)}
            names.update({name: made[it] for name, it in own.items()})  # in one step
        for each, its in made.items():
            each._made = its
        return made

    def _with_all_it_may_call(self) -> list[_Compiled]:
        """Return this and the functions that its module names, with those of their modules."""
        found = [self]
        for each in found:  # grows as it goes
            named = [it for it in each._function.__globals__.values() if isinstance(it, _Compiled)]
            found += [it for it in dict.fromkeys(named) if it not in found]
        return found


def _compile(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    import numba

    config: Any = numba.config
    before = config.CACHE_DIR
    try:
        if not before:
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            config.CACHE_DIR = str(folder)
        made = numba.njit(cache=True, **options)(function)
    except (OSError, RuntimeError):  # nowhere to keep it: numba's is a RuntimeError
        made = numba.njit(**options)(function)
    finally:
        config.CACHE_DIR = before
    return cast("Callable[..., Any]", made)
