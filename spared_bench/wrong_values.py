"""What a setting should have been, in our own words rather than in those of pydantic."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from typing import Any

from spared_bench.errors import did_you_mean

#: By how the kind of a problem begins, the longest first.
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a number that is neither nan nor infinite",
    "string": "text",
    "list": "a list: [A, B]",
    "tuple": "a list: [A, B]",
    "set": "a list: [A, B]",
    "frozen_set": "a list: [A, B]",
    "dict": "names with a value each: {NAME: VALUE}",
    "mapping": "names with a value each: {NAME: VALUE}",
    "model": "settings with a value each: {NAME: VALUE}",
    "dataclass": "settings with a value each: {NAME: VALUE}",
    "date": "a day: 2024-05-31",
    "datetime": "a time: 2024-05-31T12:00:00",
    "none_required": "nothing (null)",
}
_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "at least {min_length} in it",
    "too_long": "at most {max_length} in it",
    "string_too_short": "text of at least {min_length} letters",
    "string_too_long": "text of at most {max_length} letters",
    "string_pattern_mismatch": "text of the form {pattern}",
    "literal_error": "{expected}",
    "enum": "{expected}",
}
_WHOLE = {"missing": "is missing", "extra_forbidden": "is not known here"}


def what_is_wrong(problem: Mapping[str, Any]) -> str:
    """Return what is wrong with a field, without what stands in it: ``"expected a number"``.

    Parameters
    ----------
    problem : mapping
        One of the ``errors()`` of pydantic's ``ValidationError``.
    """
    kind = str(problem["type"])
    if kind in _WHOLE:
        return _WHOLE[kind]
    if kind == "int_parsing_size":
        return "expected a whole number of at most 64 bits"
    if kind in _BOUNDS:
        return f"expected {_BOUNDS[kind].format_map(problem['ctx'])}"
    for name, said in _LONGEST_FIRST:
        if kind.startswith(name):
            return f"expected {said}"
    # Of a validator of ours, whose messages are whole sentences, or none that we know.
    return str(problem["msg"]).removeprefix("Value error, ")


def wrong_value(problem: Mapping[str, Any]) -> str:
    """Return the same with what was found, and the nearest of the values that are allowed."""
    found = problem.get("input")
    told = f"{what_is_wrong(problem)} (found {reprlib.repr(found)})."
    if problem["type"] in ("literal_error", "enum") and isinstance(found, str):
        allowed = re.findall(r"'([^']*)'", str((problem.get("ctx") or {}).get("expected", "")))
        told = f"{told} {did_you_mean(found, allowed)}".strip()
    return told


_LONGEST_FIRST = sorted(_KINDS.items(), key=lambda kind: -len(kind[0]))
