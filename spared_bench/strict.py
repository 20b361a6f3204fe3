"""YAML from people: plain mappings, bounded, without what makes a short file large."""

from __future__ import annotations

import re
import reprlib
from typing import Any

import yaml

from spared_bench.errors import SparedBenchError, UsageError

MAX_BYTES = 100_000


class _Loader(yaml.SafeLoader):
    """Refuses aliases, which can multiply, and keys that stand twice, of which one would win."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()  # a TypeError, for keys that cannot be one, is told by the caller
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} stands twice", node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# `1e-3` is a number to everyone but YAML 1.1, which asks for a dot.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+"), list("-+0123456789")
)


def load_value(text: str, source: str) -> Any:
    """Read one YAML value, as from the command line.

    Raises
    ------
    UsageError
        If it is not valid YAML, or is larger than 100 kB.
    """
    return _load(text, source, "value", UsageError)


def in_one_line(value: Any) -> str:
    """Return a value as Python writes it, cut where it is long."""
    return reprlib.repr(value)


def load_mapping(
    text: str, source: str, what: str, error: type[SparedBenchError]
) -> dict[str, Any]:
    """Read a YAML mapping.

    Parameters
    ----------
    text : str
        At most 100 kB.
    source : str
        What to call it in a message.
    what : str
        What it should have been: ``"protocol"``.
    error : type
        What to raise.
    """
    values = _load(text, source, what, error)
    if not isinstance(values, dict):
        raise error(f"{source} must be a YAML mapping, found {type(values).__name__}.")
    return values


def _load(text: str, source: str, what: str, error: type[SparedBenchError]) -> Any:
    if len(text) > MAX_BYTES:
        raise error(f"{source} is larger than {MAX_BYTES} bytes; that is no {what}.")
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise error(f"{source} is not valid YAML: {reason}") from problem
