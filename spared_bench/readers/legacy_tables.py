"""The tables of legacy ST as people save them: other separators, and genes as rows.

The reader takes fields between tabs, as these data are published. What Excel and R write instead is
handed to it so, where one way of reading alone makes sense.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spared_bench.errors import CoordinateError, CountsError, DataError
from spared_bench.readers.tables import parse_position
from spared_bench.readers.text import Lines, bare, fields_of, lines_of, read_text
from spared_bench.words import counted

_SEPARATORS = {",": "commas", ";": "semicolons", " ": "blanks"}
_COLUMNS, _ADJUSTED = {"x", "y", "pixel_x", "pixel_y"}, {"new_x", "new_y"}
_ARRAY_ALONE = "The table of positions has no adjusted ones"
_MOST_TOLD = 5
#: A position in the array, in a name that holds more: "1_10x21", "10x21_A1", "spot_10x21".
_MARKED = re.compile(
    r"(?P<before>(?:.*[^\d.])?)(?P<place>\d+(?:\.\d+)?x\d+(?:\.\d+)?)(?P<after>(?:[^\d.].*)?)"
)
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
    """Return the lines of a table as the reader takes it, none where it is; and what to record."""
    lines = lines_of(read_text(path, CountsError, "table of counts"))
    if not lines or "\t" in lines[0]:
        names = [bare(line.partition("\t")[0]) for line in lines[1:]]
        header = fields_of(lines[0], "\t") if lines else []
        place = _spots_in(names, header)
        marked = [] if not place else names if place == "rows" else header
        notes = [_TURNED] * (place == "header")
        if all(map(parse_position, marked if place == "rows" else marked[1:])):
            return [], notes
        rows = [fields_of(line, "\t") for line in lines]
    else:
        rows, place, notes = _between_others(lines, path)
    notes = [*notes, *_take_marks_off(rows, place, path)]
    return [*_not_counted(lines), *("\t".join(row) for row in rows)], notes


def _not_counted(lines: Lines) -> list[str]:
    """Return what stood before lines in their file, so that those of a copy have their numbers."""
    return ["sep=\t"] * (lines.first - 1)


def _between_others(lines: Lines, path: Path) -> tuple[list[list[str]], str, list[str]]:
    """Return the fields of a table without tabs, where its spots stand, and what to record."""
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
    return rows, place, notes + [_TURNED] * (place == "header")


def _take_marks_off(rows: list[list[str]], place: str, path: Path) -> list[str]:
    """Leave out, in place, what stands around the position in the names of all spots.

    STutility writes the number of the section before it: ``1_10x21``.

    Raises
    ------
    CountsError
        If the names tell of several sections.
    """
    if place == "header":
        first = 0 if _position_in(rows[0][0]) else 1  # behind the corner
        names = rows[0][first:]
    else:
        first, names = 0, [row[0] for row in rows[1:]]
    found, marks = _marks_of(names)
    if marks in ([], [("", "")]):
        return []
    told = [f"{before}<x>x<y>{after}" for before, after in marks]
    if len(marks) > 1:
        raise CountsError(
            f"{path} names its spots in {len(marks)} ways ({', '.join(told[:_MOST_TOLD])}), as a"
            " table of several sections does. Write a table for each section, and a slide's entry"
            " for each."
        )
    for at, match in enumerate(found):
        if place == "header":
            rows[0][at + first] = match["place"]
        else:
            rows[at + 1][0] = match["place"]
    return [f"Spots are named {told[0]} in the table of counts: read as <x>x<y>."]


def as_positions(names: Sequence[str], counts: Path) -> list[str]:
    """Return names of spots without what stands around the position in all of them alike.

    As they are where it is not the same as in the table of counts: they may be another section's.
    """
    found, marks = _marks_of(names)
    if marks in ([], [("", "")]):
        return list(names)
    lines = lines_of(read_text(counts, CountsError, "table of counts"))
    separators = ("\t",) if "\t" in lines[0] else tuple(_SEPARATORS)
    for separator in separators:
        below = [fields_of(line, separator)[0] for line in lines[1:]]
        across = fields_of(lines[0], separator)
        if marks in (_marks_of(below)[1], _marks_of(across)[1], _marks_of(across[1:])[1]):
            return [match["place"] for match in found]
    return list(names)


def _marks_of(names: Sequence[str]) -> tuple[list[re.Match[str]], list[tuple[str, str]]]:
    """Return where names hold a position, and what stands around it; none where not all do."""
    found = [match for match in map(_MARKED.fullmatch, names) if match]
    if len(found) < len(names):
        return [], []
    return found, sorted({(match["before"], match["after"]) for match in found})


def _spots(path: Path) -> tuple[list[str], list[str]]:
    """Do the same for a table of positions, by the names of its columns."""
    lines = lines_of(read_text(path, CoordinateError, "position table"))
    if not lines:
        return [], []
    separators = ["\t"] if "\t" in lines[0] else list(_SEPARATORS)
    for separator in separators:
        header = [name.casefold() for name in fields_of(lines[0], separator)]
        if _COLUMNS - set(header):
            continue
        rows = [fields_of(line, separator) if line.strip() else [] for line in lines]
        notes = []
        if separator in _SEPARATORS:
            what = _SEPARATORS[separator]
            notes.append(f"The table of positions has {what} between its fields, and no tabs.")
        if not _ADJUSTED & set(header):
            notes.append(f"{_ARRAY_ALONE} (new_x, new_y), and those of the array were taken.")
            x, y = header.index("x") - len(header), header.index("y") - len(header)
            rows = [[*row, row[x], row[y]] if len(row) >= len(header) else row for row in rows]
            rows[0][-2:] = ["new_x", "new_y"]
        copy = [*_not_counted(lines), *("\t".join(row) for row in rows)]
        return copy if notes else [], notes
    return [], []  # whose reader says what is lacking


def _spots_in(names: list[str], header: list[str]) -> str:
    """Return where the names of spots stand; empty where neither holds nothing else."""
    if names and all(map(_position_in, names)):
        return "rows"
    columns = header if header and _position_in(header[0]) else header[1:]  # R has no corner
    return "header" if columns and all(map(_position_in, columns)) else ""


def _position_in(name: str) -> bool:
    """Return whether a name is a position in the array, or holds one."""
    return bool(parse_position(name) or _MARKED.fullmatch(name))


def _odd_row(rows: list[list[str]]) -> int:
    """Return the number of the first line that has not as many fields as the second; 0: none."""
    width = len(rows[1]) if len(rows) > 1 else 0
    if width < 2 or len(rows[0]) not in (width - 1, width):
        return 1
    return next((at for at, row in enumerate(rows, start=1) if at > 1 and len(row) != width), 0)


def _unclear(lines: Lines, path: Path) -> str:
    """Say why a table without tabs cannot be read."""
    separator = max(_SEPARATORS, key=lines[0].count)
    rows = [fields_of(line, separator) for line in lines]
    expected = (
        "Expected fields between tabs (or commas, semicolons, blanks), spots as rows, named"
        " '<x>x<y>' as in '10x21', and genes as columns, or the other way round."
    )
    odd, before = _odd_row(rows), lines.first - 1
    if len(rows) > 1 and len(rows[0]) > 1 and odd:
        return (
            f"Line {odd + before} of {path} has {counted(len(rows[odd - 1]), 'field')} between"
            f" {_SEPARATORS[separator]}, where line {2 + before} has {len(rows[1])}: is it cut off,"
            f" or is a decimal point written as a comma? {expected}"
        )
    return (
        f"{path} begins with {lines[0][:60]!r}, and neither the first field of every line nor those"
        f" of the first name spots by their position. {expected}"
    )
