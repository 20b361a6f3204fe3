"""Other places for the same files: ``OLD=NEW``, each the beginning of an address.

For a laboratory that keeps copies of the archives, or a country where a host is slow. What a mirror
serves is held to the same hashes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from spared_bench.errors import UsageError
from spared_bench.strict import text_of

ENVIRONMENT = "SPARED_BENCH_MIRRORS"

Mirrors = tuple[tuple[str, str], ...]


def read_mirrors(given: Sequence[str] = ()) -> Mirrors:
    """Return the mirrors of the command line, then those of the file in the environment.

    Parameters
    ----------
    given : sequence of str
        ``OLD=NEW``. The file that ``SPARED_BENCH_MIRRORS`` names has one such line each; empty
        lines and those that begin with ``#`` are skipped.

    Raises
    ------
    UsageError
        For a line that is not of this form, or a file that cannot be read.
    """
    lines = [(text, "--mirror") for text in given]
    path = os.environ.get(ENVIRONMENT)
    if path:
        text = text_of(Path(path), f"list of mirrors (`{ENVIRONMENT}`)", UsageError)
        lines += [(line.strip(), path) for line in text.splitlines() if _says_something(line)]
    return tuple(_parse(line, where) for line, where in lines)


def rewritten(url: str, mirrors: Mirrors) -> str:
    """Return an address with the longest matching beginning replaced."""
    matching = [pair for pair in mirrors if url.startswith(pair[0])]
    if not matching:
        return url
    old, new = max(matching, key=lambda pair: len(pair[0]))
    return new + url.removeprefix(old)


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _parse(text: str, where: str) -> tuple[str, str]:
    old, _, new = text.partition("=http")
    if not old.startswith(("http://", "https://")) or not new.startswith(("://", "s://")):
        raise UsageError(
            f"{where}: {text!r} must read OLD=NEW, two addresses that begin with http:// or"
            " https://, for example https://data.mendeley.com=https://mirror.example.org/mendeley."
        )
    return old, f"http{new}"
