"""Specs as plain values that JSON holds, and back: how one process tells another of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from spared_bench.errors import PluginError
from spared_bench.specs import KINDS, Spec, spec_as_dict

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def spec_as_json(spec: Spec) -> dict[str, Any]:
    """Return a spec as values that JSON can hold.

    Raises
    ------
    PluginError
        If it has others.
    """
    values = dict(as_json(spec_as_dict(spec)))
    try:
        json.dumps(values, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise PluginError(
            f"{type(spec).__name__}(name={spec.name!r}) has a value that is not plain (a number, a"
            f" text, true, false, a list, a dict): {error}. Make it so, as with `.item()` and"
            " `.tolist()` of numpy."
        ) from error
    return values


def spec_of(kind: str, values: Mapping[str, Any]) -> Spec:
    """Return the spec of a kind that ``spec_as_json`` gave the values of.

    Raises
    ------
    pydantic.ValidationError, PluginError
        If there is none with these values.
    """
    return _adapter(kind).validate_python(values)


@cache
def _adapter(kind: str) -> TypeAdapter[Spec]:
    from pydantic import TypeAdapter

    return TypeAdapter(KINDS[kind])


def as_json(values: Any) -> Any:
    """Return values in which infinite bounds are texts, which JSON can hold."""
    if isinstance(values, Mapping):
        return {key: as_json(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [as_json(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return str(values)
    return values
