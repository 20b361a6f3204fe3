"""What is written to a terminal can give it no orders, whoever's text it is.

Names, summaries, reasons and what files hold come from strangers, and an error quotes them.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import typer

from spared_bench.unseen import is_unseen


def harmless(text: str) -> str:
    r"""Return a text with ``�`` for what nobody sees: escapes, and what turns the direction.

    Its lines stay, and its tabs.

    >>> harmless("one\n\x1b[2Jtwo\r")
    'one\n�[2Jtwo '
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c in "\n\t" else _shown(c) for c in text)


def _shown(c: str) -> str:
    if c.isspace() and unicodedata.category(c) != "Zs":  # a carriage return, a line's end of others
        return " "
    return "\ufffd" if is_unseen(c) else c


def echo(message: Any = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text as ``typer.echo`` does, harmless."""
    typer.echo(harmless(str(message)), err=err, nl=nl)  # noqa: TID251
