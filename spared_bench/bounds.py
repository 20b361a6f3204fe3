"""Bounds of a method's parameters, written as their types: ``width: Size = 128``.

They are those of ``annotated_types``: any ``Annotated[int, Ge(2)]`` is understood as well. What
lies outside is refused when a run is planned.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt

from spared_bench.annotations import fits
from spared_bench.errors import UsageError

#: At least one: neighbours, members, steps.
Count = Annotated[int, Ge(1)]
#: 0 where 0 stands for none, or for all.
CountOrZero = Annotated[int, Ge(0)]
#: A part of a network, or a side in pixels: more than that is a slip of the keyboard.
Size = Annotated[int, Ge(1), Le(65_536)]
#: A learning rate, a length.
Positive = Annotated[float, Gt(0)]
#: A weight, a distance that may be none.
NotNegative = Annotated[float, Ge(0)]
#: Dropout.
Share = Annotated[float, Ge(0), Lt(1)]
#: A share that is neither nothing nor all.
Part = Annotated[float, Gt(0), Lt(1)]


def require_heads(method: str, width: int, heads: int, what: str = "width") -> None:
    """Refuse a width that the heads of an attention cannot share out.

    Raises
    ------
    UsageError
    """
    if width % heads:
        raise UsageError(
            f"{method} has {what}={width} and {heads} heads; expected a {what} divisible by the"
            " number of heads."
        )


_WORDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def out_of_bounds(value: Any, annotation: Any) -> str:
    """Return what a value, or one inside it, would have to be; empty where it lies within.

    Parameters
    ----------
    value : object
        That fits the annotation (``annotations.fits``).
    annotation : object
        With its metadata.

    Returns
    -------
    str
        ``"at least 1 and at most 65,536"``.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _outside(value, arguments[1:]) or out_of_bounds(value, arguments[0])
    if origin in (Union, UnionType):
        told = [out_of_bounds(value, each) for each in arguments if fits(value, each)]
        return told[0] if told and all(told) else ""
    if isinstance(value, Mapping):
        inside = zip(value.values(), arguments[1:] * len(value), strict=False)
    elif isinstance(value, list | tuple):
        repeated = len(arguments) == 1 or arguments[1:] == (...,)
        inside = zip(value, arguments[:1] * len(value) if repeated else arguments, strict=False)
    else:
        return ""
    return next(filter(None, (out_of_bounds(*pair) for pair in inside)), "")


def _outside(value: Any, metadata: tuple[Any, ...]) -> str:
    bounds: list[tuple[str, Any]] = []
    for each in metadata:
        parts = list(each) if isinstance(each, Interval) else [each]
        bounds += [
            (name, getattr(part, name))
            for part in parts
            for name, kind in (("ge", Ge), ("gt", Gt), ("le", Le), ("lt", Lt))
            if isinstance(part, kind)
        ]
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    if all(_holds(value, name, bound) for name, bound in bounds):
        return ""
    return " and ".join(f"{_WORDS[name]} {bound:,}" for name, bound in bounds)


def _holds(value: float, name: str, bound: Any) -> bool:
    if name in ("ge", "gt"):
        return bool(value > bound or (name == "ge" and value == bound))
    return bool(value < bound or (name == "le" and value == bound))
