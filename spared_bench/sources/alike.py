"""Two ways to write one name, which a program takes for two: two donors of one, or two classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from spared_bench.unseen import clear

#: All but those between two numbers: 1 12 is not 11 2.
_IDLE_BLANKS = re.compile(r"(?<!\d)\s+|\s+(?!\d)")


def refuse_alike(names: Iterable[str], what: str) -> None:
    """Refuse names that differ in nothing that people tell names apart by.

    Parameters
    ----------
    names : iterable of str
        Of which each may stand several times.
    what : str
        Of what they are the names: ``"donors"``.

    Raises
    ------
    ValueError
    """
    refuse_same(names, what, _as_read, "in capitals, blanks, or how their letters are coded")


def refuse_same(
    names: Iterable[str], what: str, as_read: Callable[[str], str], differ: str
) -> None:
    """Refuse names that are read as one; ``differ`` says in what alone they do."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(as_read(name), name)
        if other != name:
            raise ValueError(
                f"{what} {other!a} and {name!a} differ only {differ}. Write them alike if they are"
                " one, else tell them apart by another name"
            )


def _as_read(name: str) -> str:
    """Return what one reads of a name: an a with a ring is one letter, or two that make it."""
    name = " ".join(clear(unicodedata.normalize("NFKC", name)).split())
    return _IDLE_BLANKS.sub("", name).casefold()
