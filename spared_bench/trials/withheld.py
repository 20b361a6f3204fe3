"""What a method is told that looks for measured expression where it predicts."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from spared_bench.errors import WithheldError

if TYPE_CHECKING:
    from spared_bench.data import Slides

_EXPRESSION = re.compile(
    r"(?P<of>[\w.]*?)\.((X|layers|raw)\b|(to_df|chunk_X|obs_vector|var_vector)\()"
)
_NAMED = re.compile(r"\.(obs|obsm)\b")
_LINE_CHARS = 100


@contextmanager
def predicting(slides: Slides) -> Iterator[None]:
    """Let the error of a method say what is not there, if it asked ``slides.adata`` for it.

    An AnnData without expression has ``None`` for its ``X``, and what is made of that says only
    that ``None`` can do nothing.

    Raises
    ------
    WithheldError
        For an error in a line that asks for expression, or for what the tables do not hold.
    """
    try:
        yield
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        if slides.adata.X is None and (line := _asking(error)):
            raise WithheldError(
                f"{type(error).__name__}: {error}. What `{line}` asks for is not there: a method"
                " that predicts does not see measured expression (no `adata.X`, no layers, no"
                f" counts, depth or labels). There are {_what_is_there(slides)}. Learn from"
                " expression in `fit`, and keep what is needed of it."
            ) from error
        raise


def _asking(error: Exception) -> str:
    """Return the line of code, of those that led to an error, that asks for expression."""
    for frame, number in traceback.walk_tb(error.__traceback__):
        line = linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip()
        named = isinstance(error, KeyError) and _NAMED.search(line)
        asked = (found["of"] for found in _EXPRESSION.finditer(line))
        if named or any(_is_table(frame, of, line) for of in asked):
            return line[:_LINE_CHARS]
    return ""


def _is_table(frame: FrameType, words: str, line: str) -> bool:
    """Whether words of a line of code stand for an AnnData: networks have `layers`, too."""
    from anndata import AnnData

    first, *further = words.split(".")
    if not first:  # of what is no name: adata[mask].X
        return "adata" in line
    with suppress(Exception):  # names of a stranger may lead to anything
        found = {**frame.f_globals, **frame.f_locals}[first]
        for name in further:
            found = getattr(found, name)
        return isinstance(found, AnnData)
    return "adata" in words


def _what_is_there(slides: Slides) -> str:
    views = [f"the views {', '.join(slides.views)}"] if slides.views else []
    tables = [
        f"`adata.{name}` with {', '.join(map(repr, getattr(slides.adata, name).keys()))}"
        for name in ("obs", "obsm", "var")
    ]
    return ", ".join(["`patches`", "`features(encoder)`", "`coordinates`", *views, *tables])
