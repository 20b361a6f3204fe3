"""What a method is told that looks for measured expression where it predicts."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spared_bench.errors import WithheldError

if TYPE_CHECKING:
    from spared_bench.data import Slides

_EXPRESSION = re.compile(r"\.(X|layers|raw)\b|\b(to_df|chunk_X|obs_vector|var_vector)\(")
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
        if _EXPRESSION.search(line) or named:
            return line[:_LINE_CHARS]
    return ""


def _what_is_there(slides: Slides) -> str:
    views = [f"the views {', '.join(slides.views)}"] if slides.views else []
    tables = [
        f"`adata.{name}` with {', '.join(map(repr, getattr(slides.adata, name).keys()))}"
        for name in ("obs", "obsm", "var")
    ]
    return ", ".join(["`patches`", "`features(encoder)`", "`coordinates`", *views, *tables])
