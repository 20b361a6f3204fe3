"""Whether a value from YAML can be what a type annotation says."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

_LISTS = (list, tuple, set, frozenset, Sequence, Collection)


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a value can be what an annotation says; an annotation not known takes all.

    An integer is taken for a float, a list for a tuple or a set, and nothing but a bool for a bool.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in arguments)
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in arguments)
    if origin is Annotated:
        return fits(value, arguments[0])
    plain = type(None) if annotation is None else origin or annotation
    if plain in _PLAIN:
        return _PLAIN[plain](value)
    if isinstance(plain, type) and issubclass(plain, Mapping):
        return _fits_mapping(value, arguments)
    return _fits_list(value, plain, arguments) if plain in _LISTS else True


def in_words(annotation: Any) -> str:
    """Return how people write an annotation: ``float``, ``str | None``, ``'a' or 'b'``."""
    if get_origin(annotation) is Literal:
        return " or ".join(map(repr, get_args(annotation)))
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(map(in_words, get_args(annotation)))
    if annotation is type(None):
        return "None"
    if annotation is Any:
        return "any"
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("NoneType", "None")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PLAIN: dict[Any, Callable[[Any], bool]] = {
    float: lambda value: isinstance(value, float) or _is_whole(value),
    int: _is_whole,
    bool: lambda value: isinstance(value, bool),
    str: lambda value: isinstance(value, str),
    type(None): lambda value: value is None,
}


def _fits_mapping(value: Any, arguments: tuple[Any, ...]) -> bool:
    keys, values = arguments if len(arguments) == 2 else (Any, Any)
    return isinstance(value, Mapping) and all(
        fits(key, keys) and fits(each, values) for key, each in value.items()
    )


def _fits_list(value: Any, plain: type, arguments: tuple[Any, ...]) -> bool:
    if not isinstance(value, list | tuple | set | frozenset):
        return False
    values = list(value)
    if plain is tuple and arguments and arguments[-1] is not Ellipsis:
        return len(values) == len(arguments) and all(map(fits, values, arguments))
    return not arguments or all(fits(each, arguments[0]) for each in values)
