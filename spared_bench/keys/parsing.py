"""Source files as text and as statements, read and not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from spared_bench.errors import PluginError


def read(path: Path) -> bytes:
    """Return what a source file holds.

    Raises
    ------
    PluginError
        If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise PluginError(
            f"The module {path} cannot be read: {error.strerror or error}. What a result depends on"
            " is named by the text of its code, so change its permissions, or install it again."
        ) from error


def parsed(path: Path) -> ast.Module:
    """Return a source file's statements; as bytes, for it may say its encoding itself.

    Raises
    ------
    PluginError
        If it cannot be read, or is no Python.
    """
    try:
        return ast.parse(read(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        number = getattr(error, "lineno", None)
        line = f", line {number}" if number else ""
        raise PluginError(
            f"The module {path} is no Python{line}: {getattr(error, 'msg', error)}. Mend it, or"
            " take away its import from the code of the plugin."
        ) from error


def tolerantly_parsed(path: Path) -> ast.Module:
    """Return the same; no statements of a file that is no Python of today, or cannot be read."""
    try:
        return parsed(path)
    except PluginError:
        return ast.Module(body=[], type_ignores=[])


def statements(tree: ast.Module, for_types: bool) -> Iterator[ast.AST]:
    """Yield all statements, wherever they stand; those for the type checker alone if asked for."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            if part != "body" or for_types or not is_for_types(node):
                waiting += getattr(node, part, ())


def is_for_types(node: ast.AST) -> bool:
    """Whether a statement is ``if TYPE_CHECKING:``."""
    test = node.test if isinstance(node, ast.If) else None
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))
