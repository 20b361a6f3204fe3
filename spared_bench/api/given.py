"""What people give in Python, as the names and plain values that a plan is made of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from spared_bench.errors import UsageError, did_you_mean
from spared_bench.protocol import Protocol

_OWN = (
    "A method is run by the name that a plugin gives it: write the class into a file, and give that"
    " as `plugin_files=[...]` (docs/tutorials/author.md)."
)


def names_of(what: str, given: Any) -> list[str]:
    """Return the names that were given, a single one as a list of it.

    Parameters
    ----------
    what : str
        What they are names of, in the plural: ``"predictors"``.
    given : str, iterable of str or None

    Raises
    ------
    UsageError
        If something else was given.
    """
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = [given]
    return [name_of(what, each) for each in given]


def name_of(what: str, given: Any) -> str:
    """Return a name that was given; see ``names_of``."""
    if isinstance(given, str):
        return str(given)
    kind = f"the class {given.__name__}" if isinstance(given, type) else _kind(given)
    own = isinstance(given, type) or hasattr(given, "fit")
    raise UsageError(
        f"`{what}` takes names, as they are listed by `spared-bench list {what}`, and not {kind}."
        f"{f' {_OWN}' if own else ''}"
    )


def protocol_of(given: Any) -> str | Protocol:
    """Return the name or the file of a protocol, or a protocol that was read already."""
    if isinstance(given, Protocol):
        return given
    if isinstance(given, str | os.PathLike):
        return str(os.fspath(given))
    if given is None:
        return ""
    raise UsageError(
        f"`protocol` takes a name, or the path of a YAML file, and not {_kind(given)}. Write other"
        " settings into a file: `spared-bench info demo > mine.yaml` prints one to begin with."
    )


def parameters_of(given: Any) -> dict[str, dict[str, Any]]:
    """Return the parameters of methods, numbers of numpy among them as those of Python."""
    for values in (given, *given.values()) if isinstance(given, Mapping) else (given,):
        if not isinstance(values, Mapping):
            raise UsageError(
                "`parameters` takes a mapping of methods to their parameters, as in"
                f" {{'linear-probe': {{'alpha': 10.0}}}}, and not {_kind(values)}."
            )
    return {name: _plain(values) for name, values in given.items()}


def check_options(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an option that a function does not have, with the nearest that it has.

    Raises
    ------
    UsageError
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            told = [f"There is no option {name!r}.", did_you_mean(name, known)]
            raise UsageError(" ".join([*filter(None, told), f"There are {', '.join(known)}."]))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        return value.item()
    return value


def _kind(value: Any) -> str:
    return f"{value!r}" if isinstance(value, int | float) else f"a {type(value).__name__}"
