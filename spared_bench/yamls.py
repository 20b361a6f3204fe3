"""YAML from people: plain mappings, bounded, without what makes a short file large."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import yaml

from spared_bench.errors import SparedBenchError

MAX_BYTES = 100_000
#: What YAML 1.1 takes plain values for: 010 for 8, 12:30 for 750, on for True.
_GUESSED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "timestamp")}
_MOST_BITS = 64  # of a whole number; a longer one cannot even be printed in a message


class _Loader(yaml.SafeLoader):
    """Refuses aliases, which can multiply, and keys that stand twice, of which one would win."""

    def __init__(self, text: str, typed: Collection[str] | None) -> None:
        super().__init__(text)
        self._typed = typed

    def get_single_node(self) -> Any:
        root = super().get_single_node()
        if self._typed is not None and isinstance(root, yaml.MappingNode):
            for key, value in root.value:
                _keep_text(key)
                if key.value not in self._typed:
                    _keep_text(value)
        return root

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            found = super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as problem:  # PyYAML lets out whatever int, float, a dict or a date raise
            if not isinstance(node, yaml.ScalarNode):
                raise
            raise _unreadable(node, str(node.value)) from problem
        if isinstance(found, int) and found.bit_length() > _MOST_BITS:
            raise _unreadable(node, str(node.value))
        return found

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


def _keep_text(node: Any) -> None:
    """Let plain values below a node be the text that stands there; nothing stays nothing."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, yaml.ScalarNode):
            pairs = isinstance(found, yaml.MappingNode)
            waiting += [each for pair in found.value for each in pair] if pairs else found.value
        elif found.tag in _GUESSED:
            found.tag = "tag:yaml.org,2002:str"


def _unreadable(node: Any, text: str) -> yaml.constructor.ConstructorError:
    kind = str(node.tag).rpartition(":")[2]
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    return yaml.constructor.ConstructorError(
        None, None, f"{shown!r} cannot be read as {kind}", node.start_mark
    )


def load_mapping(
    text: str,
    source: str,
    what: str,
    error: type[SparedBenchError],
    *,
    typed: Collection[str] | None = None,
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
    typed : collection of str, optional
        Keys of the mapping below which plain values become numbers, switches and dates; by default
        all. Elsewhere they stay text, for ids: to YAML, 010 is the number 8.
    """
    if len(text) > MAX_BYTES:
        raise error(f"{source} is larger than {MAX_BYTES} bytes; that is no {what}.")
    try:
        values = _Loader(text, typed).get_single_data()
    except Exception as problem:  # keys that cannot be one, depth without end, ...
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise error(f"{source} is not valid YAML: {reason}") from problem
    if not isinstance(values, dict):
        raise error(f"{source} must be a YAML mapping, found {type(values).__name__}.")
    return values
