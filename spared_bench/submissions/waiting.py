"""Bundles that were handed in and are not on the board yet: their names are taken already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spared_bench.errors import SubmissionError
from spared_bench.submissions.bundle import SUFFIX, archive_name
from spared_bench.submissions.names import drawn_name
from spared_bench.submissions.opening import description_of
from spared_bench.submissions.schema import Description

#: Beside the folder of the board's entries.
HANDED_IN = "submissions"


def waiting(leaderboards: Path, said: Description) -> Iterator[tuple[str, Description]]:
    """Yield the bundles that wait for the board under a name that looks like a method's.

    Parameters
    ----------
    leaderboards : Path
        Folder of entries, beside that of what was handed in.
    said : Description
        Of the method; its own bundle is none of them.
    """
    for path in sorted((leaderboards.parent / HANDED_IN).glob(f"*{SUFFIX}")):
        if path.name == archive_name(said):
            continue
        try:
            other = description_of(path)
        except SubmissionError:
            continue  # it can become no entry
        entry = leaderboards / other.protocol / f"{other.method}@{other.version}"
        if drawn_name(other.method) == drawn_name(said.method) and not entry.is_dir():
            yield f"{HANDED_IN}/{path.name}", other
