"""The tables of legacy ST as people save them: other separators, and genes as rows.

The reader takes fields between tabs, as these data are published. What Excel and R write instead is
handed to it so, where one way of reading alone makes sense.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spared_bench.errors import CoordinateError, CountsError, DataError
from spared_bench.readers.tables import parse_position
from spared_bench.readers.text import bare, fields_of, lines_of, read_text
from spared_bench.words import counted

_SEPARATORS = {",": "commas", ";": "semicolons", " ": "blanks"}
_COLUMNS = {"x", "y", "pixel_x", "pixel_y"}
_TURNED = "The table of counts has genes as rows and spots as columns: it was turned."


@contextmanager
def between_tabs(counts: Path, spots: Path | None) -> Iterator[tuple[Path, Path | None, list[str]]]:
    """Give the two tables with tabs between their fields, and what to record of them.

    Parameters
    ----------
    counts : Path
    spots : Path or None

    Yields
    ------
    counts : Path
        The file itself, or a copy with tabs that is there as long as this context.
    spots : Path or None
        As well.
    repairs : list of str
        What was read otherwise, in sentences.

    Raises
    ------
    CountsError
        If the counts are neither between tabs nor, in one way alone, between something else.
    DataError
        What is raised inside, with the names of the files themselves.
    """
    with tempfile.TemporaryDirectory() as folder:
        repairs, copies = [], {}
        for path, convert in ((counts, _counts), (spots, _spots)):
            if path is None:
                continue
            lines, notes = convert(path)
            repairs += notes
            if lines:
                copies[path] = Path(folder, convert.__name__, path.name)
                copies[path].parent.mkdir()
                copies[path].write_text("\n".join(lines) + "\n", encoding="utf-8")
        try:
            yield copies.get(counts, counts), spots and copies.get(spots, spots), repairs
        except DataError as error:
            told = str(error)
            for path, copy in copies.items():
                told = told.replace(str(copy), str(path))
            raise type(error)(told) from error


def _counts(path: Path) -> tuple[list[str], list[str]]:
    """Return the lines of a table with tabs, none where it has them; and what to record of it."""
    lines = lines_of(read_text(path, CountsError, "table of counts"))
    if not lines or "\t" in lines[0]:
        names = [bare(line.partition("\t")[0]) for line in lines[1:]]
        turned = bool(lines) and _spots_in(names, fields_of(lines[0], "\t")) == "header"
        return [], [_TURNED] * turned
    found = {}
    for separator in _SEPARATORS:
        rows = [fields_of(line, separator) for line in lines]
        place = _spots_in([row[0] for row in rows[1:]], rows[0])
        if place and not _odd_row(rows):
            found[separator] = rows, place
    if len(found) != 1:
        raise CountsError(_unclear(lines, path))
    ((separator, (rows, place)),) = found.items()
    notes = [f"The table of counts has {_SEPARATORS[separator]} between its fields, and no tabs."]
    return ["\t".join(row) for row in rows], notes + [_TURNED] * (place == "header")


def _spots(path: Path) -> tuple[list[str], list[str]]:
    """Do the same for a table of positions, by the names of its columns."""
    lines = lines_of(read_text(path, CoordinateError, "position table"))
    if not lines or "\t" in lines[0]:
        return [], []
    for separator, what in _SEPARATORS.items():
        rows = [fields_of(line, separator) for line in lines if line.strip()]
        if {name.casefold() for name in rows[0]} >= _COLUMNS:
            notes = [f"The table of positions has {what} between its fields, and no tabs."]
            return ["\t".join(row) for row in rows], notes
    return [], []  # whose reader says what is lacking


def _spots_in(names: list[str], header: list[str]) -> str:
    """Return where the names of spots stand; empty where neither holds nothing else."""
    if names and all(map(parse_position, names)):
        return "rows"
    columns = header if parse_position(header[0]) else header[1:]  # R leaves the corner out
    return "header" if columns and all(map(parse_position, columns)) else ""


def _odd_row(rows: list[list[str]]) -> int:
    """Return the number of the first line that has not as many fields as the second; 0: none."""
    width = len(rows[1]) if len(rows) > 1 else 0
    if width < 2 or len(rows[0]) not in (width - 1, width):
        return 1
    return next((at for at, row in enumerate(rows, start=1) if at > 1 and len(row) != width), 0)


def _unclear(lines: list[str], path: Path) -> str:
    """Say why a table without tabs cannot be read."""
    separator = max(_SEPARATORS, key=lines[0].count)
    rows = [fields_of(line, separator) for line in lines]
    expected = (
        "Expected fields between tabs (or commas, semicolons, blanks), spots as rows, named"
        " '<x>x<y>' as in '10x21', and genes as columns, or the other way round."
    )
    odd = _odd_row(rows)
    if len(rows) > 1 and len(rows[0]) > 1 and odd:
        return (
            f"Line {odd} of {path} has {counted(len(rows[odd - 1]), 'field')} between"
            f" {_SEPARATORS[separator]}, where line 2 has {len(rows[1])}: is it cut off, or is a"
            f" decimal point written as a comma? {expected}"
        )
    return (
        f"{path} begins with {lines[0][:60]!r}, and neither the first field of every line nor those"
        f" of the first name spots by their position. {expected}"
    )
