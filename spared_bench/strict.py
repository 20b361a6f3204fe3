"""YAML and JSON from people: bounded, and nothing said twice."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from spared_bench.encoded import decode
from spared_bench.errors import SparedBenchError, UsageError
from spared_bench.whereabouts import no_file
from spared_bench.yaml_slips import slip

MAX_BYTES = 100_000
#: What YAML 1.1 takes plain values for: 010 for 8, 12:30 for 750, on for True.
_GUESSED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "timestamp")}
#: What SafeLoader makes sets, pairs and bytes of: none has a place here, and a set has no order.
_NO_LISTS = {f"tag:yaml.org,2002:{kind}" for kind in ("binary", "omap", "pairs", "set")}
_CALLED = {type(None): "nothing", list: "a list", str: "a text"}
_MOST_BITS = 64  # of a whole number; a longer one cannot even be printed in a message
#: Numbers that YAML 1.1 takes for others than people do: 1_0 for 10, 010 for 8, 12:30 for 750.
_OTHER_NUMBER = re.compile(r"[-+]?0[0-7]+|.*[_:].*")


class _Loader(yaml.SafeLoader):
    """Refuses aliases, which can multiply, and keys that stand twice, of which one would win."""

    def __init__(self, text: str, typed: Collection[str] | None, names: bool) -> None:
        super().__init__(text)
        self._typed, self._names = typed, names

    def get_single_node(self) -> Any:
        root = super().get_single_node()
        pairs = root.value if isinstance(root, yaml.MappingNode) else []
        for key, value in pairs:
            if self._names or self._typed is not None:
                _keep_text(key)
            if self._typed is not None and key.value not in self._typed:
                _keep_text(value)
        return root

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if node.tag in _NO_LISTS:
            kind = node.tag.rpartition(":")[2]
            told = f"!!{kind} is not taken: write a list, a mapping or a text"
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark)
        try:
            found = super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as problem:  # PyYAML lets out whatever int, float, a dict or a date raise
            if not isinstance(node, yaml.ScalarNode):
                raise
            raise _unreadable(node, str(node.value)) from problem
        if isinstance(found, str) and any("\ud800" <= letter <= "\udfff" for letter in found):
            raise _unreadable(node, ascii(found))  # halves of letters, which no file can hold
        if isinstance(found, int) and found.bit_length() > _MOST_BITS:
            raise _unreadable(node, str(node.value))
        if isinstance(found, int | float) and _OTHER_NUMBER.fullmatch(str(node.value)):
            told = (
                f"{node.value} would be read as {found}: write a number in plain digits, and a name"
                " in quotes"
            )
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark)
        return found

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, str] = {}  # a TypeError, for keys that cannot be one, is told by the caller
        for key_node, _ in node.value:
            key, text = self.construct_object(key_node, deep=True), str(key_node.value)
            if key in seen:
                problem = f"{text!r} stands twice"
                if text != seen[key]:  # such as 1 and 1.0, or yes
                    problem = f"{seen[key]!r} and {text!r} are one key to YAML; put both in quotes"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen[key] = text
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


# `1e-3` is a number to everyone but YAML 1.1, which asks for a dot.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+"), list("-+0123456789")
)


def is_yaml(name: str) -> bool:
    """Return whether what a user names is a file of YAML, and no name of a plugin.

    >>> is_yaml("mine.yml"), is_yaml("C:/MINE.YAML"), is_yaml("demo@1")
    (True, True, False)
    """
    return name.casefold().endswith((".yaml", ".yml"))


def text_of(path: Path, what: str, error: type[SparedBenchError]) -> str:
    """Return the text of a file that people write.

    Parameters
    ----------
    path : Path
        UTF-8, or UTF-16 as Windows writes it.
    what : str
        What to call it in a message: ``"protocol"``.
    error : type
        What to raise where it cannot be read.
    """
    try:
        return decode(path.read_bytes())
    except OSError as problem:
        told = no_file(path) or f"{problem.strerror or problem}."
        raise error(f"Cannot read the {what} {path}. {told}") from problem
    except UnicodeDecodeError as problem:
        raise error(
            f"Cannot read the {what} {path}: it is no text in UTF-8 or UTF-16 ({problem.reason} at"
            f" byte {problem.start}). Save it again as UTF-8."
        ) from problem


def load_value(text: str, source: str) -> Any:
    """Read one YAML value, as from the command line.

    Raises
    ------
    UsageError
        If it is not valid YAML, or is larger than 100 kB.
    """
    return _load(text, source, "value", UsageError)


def plain_digits(value: Any) -> Any:
    """Refuse a number that is still text where it has underscores, which Python would read over.

    Raises
    ------
    ValueError
    """
    if isinstance(value, str) and "_" in value:
        raise ValueError(f"{in_one_line(value)} is no number: write it in plain digits")
    return value


def in_one_line(value: Any) -> str:
    """Return a value as Python writes it, cut where it is long."""
    return reprlib.repr(value)


def load_mapping(
    text: str,
    source: str,
    what: str,
    error: type[SparedBenchError],
    *,
    typed: Collection[str] | None = None,
    names: bool = False,
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
    names : bool
        Whether the keys of the mapping are ids, which stay text.
    """
    values = _load(text, source, what, error, typed, names)
    if not isinstance(values, dict):
        found = _CALLED.get(type(values), type(values).__name__)
        raise error(
            f"{source} must be a YAML mapping, found {found}: a {what} holds settings, NAME: VALUE"
            f" in a line each. Is it {'empty' if values is None else 'another file'}?"
        )
    return values


def _load(
    text: str,
    source: str,
    what: str,
    error: type[SparedBenchError],
    typed: Collection[str] | None = None,
    names: bool = False,
) -> Any:
    if len(text) > MAX_BYTES:
        raise error(f"{source} is larger than {MAX_BYTES} bytes; that is no {what}.")
    try:
        return _Loader(text, typed, names).get_single_data()
    except Exception as problem:  # keys that cannot be one, depth without end, ...
        reason = " ".join(str(problem).split()) or type(problem).__name__
        reason = reason.replace('in "<unicode string>", line', "in line")
        told = f"{source} is not valid YAML: {reason}"
        advice = slip(text, reason)
        raise error(f"{told}. {advice}" if advice else told) from problem


def load_json(text: str | bytes, *, finite: bool = False) -> Any:
    """Read JSON as its standard has it.

    Parameters
    ----------
    text : str or bytes
    finite : bool
        Refuse numbers that a float cannot hold, too; otherwise they are infinite.

    Raises
    ------
    ValueError, RecursionError
        For what is not JSON, nan and infinities included, and for a key that stands twice.
    """
    return json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_finite if finite else None,
        object_pairs_hook=_once_each,
    )


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON; what is undefined is null")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return values
