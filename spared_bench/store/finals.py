"""The result of a finished cell as one row of the index: a trial with its scores, as a board shows.

Values stand in the order of their fields. What many trials say alike (settings, facts, environment)
is kept once, under its hash, and read once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from spared_bench.results import TrialResult, record_of
from spared_bench.store.index import empty_of
from spared_bench.store.trials import TRIALS

#: Of trials alike the same; nobody changes those of a result in place.
_ALIKE = ("parameters", "facts", "environment")
_NAMES = tuple(TrialResult.__dataclass_fields__)


def packed(result: TrialResult) -> tuple[str, dict[str, str]]:
    """Return a result as text, without values of genes and curves, and its parts by their hashes.

    Parameters
    ----------
    result : TrialResult
        With its scores.
    """
    values = vars(result) | dict.fromkeys(empty_of(TRIALS))
    texts = {name: json.dumps(values[name]) for name in _ALIKE}
    hashes = {name: sha256(text.encode()).hexdigest()[:32] for name, text in texts.items()}
    parts = {hashes[name]: text for name, text in texts.items()}
    values |= hashes
    return json.dumps([values[name] for name in _NAMES]), parts


def unpacked(values: list[Any], part: Callable[[str], Any]) -> TrialResult:
    """Return the result of which ``packed`` made a text, once its JSON is read.

    Parameters
    ----------
    values : list
    part : callable
        Hash to part; the same object for the same hash.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is none.
    """
    known = dict(zip(_NAMES, values, strict=True))
    for name in _ALIKE:
        known[name] = part(known[name])
    known |= empty_of(TRIALS)
    return record_of(TrialResult, known)
