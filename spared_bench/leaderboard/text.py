"""Names and numbers as people read them, the same in the page, Markdown and the terminal."""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING

from spared_bench.unseen import is_unseen

if TYPE_CHECKING:
    from spared_bench.leaderboard.model import Origin

NONE = "–"
MAX_NAME = 80
MAX_MESSAGE = 500

#: Separators, surrogates, and what has no picture that all readers share: private and unassigned
#: code points.
_HIDDEN = {"Cs", "Zl", "Zp", "Co", "Cn"}
#: More marks on one letter than any written language puts there grow out of their line.
_MOST_MARKS = 4


def visible(text: str, limit: int = MAX_NAME) -> str:
    r"""Return a stranger's text on one line, what cannot be seen replaced by a space or ``�``.

    >>> visible("st\u202enet\nv2")
    'st�net v2'
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text  # as nearly every text of a board is
    text = text[: 2 * limit]
    shown, marks = [], 0
    for c in text:
        is_mark = unicodedata.category(c) in ("Mn", "Me")
        marks = marks + 1 if is_mark else 0
        if c.isspace():
            shown.append(" ")
        elif _is_hidden(c) or marks > _MOST_MARKS:
            shown.append("\ufffd")
        else:
            shown.append(c)
    return _cut("".join(shown), limit)


def _cut(line: str, limit: int) -> str:
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _is_hidden(c: str) -> bool:
    return is_unseen(c) or unicodedata.category(c) in _HIDDEN


def score(value: float) -> str:
    """Return three decimals, two digits of what is too small for them, a dash for nan.

    From 1,000 on, whole numbers, and two digits from a million on.

    >>> score(0.25), score(0.00012), score(1234.4), score(3.2e7)
    ('0.250', '0.00012', '1,234', '3.2e+07')
    """
    if math.isnan(value):
        return NONE
    if 1000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3f}" if 0.0005 <= abs(value) < 1000 or value == 0 else f"{value:.2g}"


#: What is left of a difference of two equal numbers that were computed in two ways.
_ROUNDING = 1e-9


def difference(value: float) -> str:
    """Return a difference as ``score`` writes a value, with its sign; a dash for nan.

    >>> difference(0.25), difference(-0.00022), difference(0.0)
    ('+0.250', '-0.00022', '+0.000')
    """
    if math.isnan(value):
        return NONE
    value = 0.0 if abs(value) < _ROUNDING else value
    return f"{'-' if value < 0 else '+'}{score(abs(value))}"


def fixed(value: float) -> str:
    """Return three decimals, for what lies on a bounded scale; a dash for nan."""
    return NONE if math.isnan(value) else f"{value:z.3f}"


def count(value: int | None) -> str:
    """Return a number of parameters in units: ``7.0 M``."""
    if value is None:
        return NONE
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        # Rounded first: else 999,999 would be "1e+03 k".
        if (rounded := float(f"{value / size:.3g}")) >= 1:
            return f"{rounded:.{'3g' if rounded < 1000 else '0f'}} {unit}"
    return str(value)


def duration(seconds: float) -> str:
    """Return seconds as ``0.42 s``, ``12 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    if math.isnan(seconds):
        return NONE
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds >= 0.005 else "< 0.01 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def row_name(origin: Origin, predictor: str) -> str:
    """Name a row: an entry of others by method and version, a run by its predictor.

    Where an entry has several predictors, each row's is named too.
    """
    if not origin.method:
        return predictor
    return f"{origin.method} {origin.version}{_of_several(origin, predictor)}"


def entry_name(origin: Origin, predictor: str) -> str:
    """Name a row of an entry of others where its trust is told, too."""
    name = f"{origin.method}@{origin.version}{_of_several(origin, predictor)}"
    return f"{name} ({origin.trust})"


def _of_several(origin: Origin, predictor: str) -> str:
    return f" {predictor}" if origin.several else ""


def predictor_name(origin: Origin, predictor: str) -> str:
    """Name a predictor; what was not run here says so, for a run of ours may be called the same."""
    return predictor if origin.trained_here else f"{predictor} ({origin.trust})"


def coverage(covered: int, total: int) -> str:
    """Return ``2/3`` where a mean lacks datasets, else nothing."""
    return "" if covered == total else f"{covered}/{total}"
