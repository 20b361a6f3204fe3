"""One number written in two ways, which text takes for two names: 1, 1.0 and 01; P1 and P01.

A column of whole numbers becomes one of fractions where a value is missing (pandas), so that one
class is called 1 on one slide and 1.0 on the next. Names of slides are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from spared_bench.sources.alike import refuse_same

_WHOLE = re.compile(r"(.*?\d)[.,]0+", re.DOTALL)
#: Not behind a point: 0.05 is not 0.5.
_PADDED = re.compile(r"(?<![\d.,])0+(?=\d)")
_FRACTION = re.compile(r"[-+]?\d*[.,]\d+([eE][-+]?\d+)?")


def refuse_same_numbers(names: Iterable[str], what: str) -> None:
    """Refuse two names that differ only in how a number of them is written.

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
    refuse_same(names, what, _number_of, "in how a number is written")


def are_measured(labels: Sequence[str]) -> bool:
    """Return whether what should be classes are values that were measured: many, and fractions."""
    fractions = [label for label in labels if _FRACTION.fullmatch(label) and _is_no_whole(label)]
    return len(fractions) > max(10, len(labels) / 2)


def _is_no_whole(label: str) -> bool:
    return not _WHOLE.fullmatch(label)


def _number_of(name: str) -> str:
    whole = _WHOLE.fullmatch(name)
    return _PADDED.sub("", whole[1] if whole else name)
