"""JSON on many lines, as ``json.dumps(value, indent=1, sort_keys=True)`` writes it, and faster.

With an indent, Python's encoder yields each bracket, name and number by itself, which was a third
of the time of the tables of a large board.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quoted
from operator import itemgetter
from typing import Any

_name = itemgetter(0)


def indented(value: Any, before: str = "") -> str:
    """Return a value as JSON with one more blank before the lines of each level, keys in order.

    Parameters
    ----------
    value : dict, list, tuple, str, float, int, bool or None
        Of such, however deep; keys are written as texts, and numbers that are not finite as
        ``null``.
    before : str
        What stands before the line on which it ends, if it takes several.

    Raises
    ------
    TypeError
        If something in it is none of these.
    """
    write = _WRITTEN.get(type(value))
    if write is not None:
        return write(value)
    inside = f"{before} "
    if isinstance(value, dict):
        named = sorted(((str(key), item) for key, item in value.items()), key=_name)
        lines = [f"{quoted(key)}: {indented(item, inside)}" for key, item in named]
        return _bracketed("{}", lines, before)
    if isinstance(value, list | tuple):
        return _bracketed("[]", [indented(item, inside) for item in value], before)
    if isinstance(value, float):  # numpy's
        return _number(value)
    return json.dumps(value)


def _bracketed(brackets: str, items: list[str], before: str) -> str:
    if not items:
        return brackets
    between = f",\n{before} "
    return f"{brackets[0]}\n{before} {between.join(items)}\n{before}{brackets[1]}"


def _number(value: float) -> str:
    return float.__repr__(value) if math.isfinite(value) else "null"


_WRITTEN: dict[type, Callable[[Any], str]] = {
    str: quoted,
    float: _number,
    int: int.__repr__,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
}
