"""A stranger's text where a terminal or a table program would take it for orders."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

from spared_bench.unseen import is_unseen

#: Letters of Persian and Hindi are joined and parted so, and what an emoji is made of.
_JOINED = re.compile(r"(?<=[^\x00-\x7f])[\u200c\u200d\ufe0e\ufe0f]")
#: Full-width signs are signs as well where a table program is set to an East Asian language.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def harmless(text: str) -> str:
    r"""Return a text with ``�`` for what nobody sees: escapes, and what turns the direction.

    Its lines stay, and its tabs; and what joins letters of a script, or parts them.

    >>> harmless("one\n\x1b[2Jtwo\r")
    'one\n�[2Jtwo '
    """
    if text.replace("\n", "").isprintable():
        return text
    joined = {found.start() for found in _JOINED.finditer(text)}
    return "".join(c if c in "\n\t" or at in joined else _shown(c) for at, c in enumerate(text))


def _shown(c: str) -> str:
    if c.isspace() and unicodedata.category(c) != "Zs":  # a carriage return, a line's end of others
        return " "
    return "\ufffd" if is_unseen(c) else c


def table_cell(value: Any) -> Any:
    r"""Return a value as a field of a CSV file: nan is empty, and no text is run as a formula.

    >>> table_cell("=1+1"), table_cell("st-net\x1b[31m"), table_cell(-0.5), table_cell(math.nan)
    ("'=1+1", 'st-net�[31m', -0.5, '')
    """
    if isinstance(value, float) and math.isnan(value):
        return ""
    if not isinstance(value, str):
        return value
    if not value.isascii():
        value = value.encode(errors="replace").decode()  # half a letter cannot be written
    return f"'{harmless(value)}" if value.startswith(_FORMULA) else harmless(value)
