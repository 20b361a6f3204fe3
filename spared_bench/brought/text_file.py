"""Tables as text: names in the first column and the first line, read line by line."""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from spared_bench.brought.collecting import Block, Named
from spared_bench.errors import SubmissionError

_MOST_CHARS_OF_A_LINE = 64_000_000
_MOST_LINES = 20_000_000
_MOST_BYTES = 50_000_000_000


def read_text_table(path: Path, layer: str = "") -> tuple[Named, None]:
    """Open a table as ``DataFrame.to_csv`` and R's ``write.table`` write it.

    One line is in memory at a time, and of each the wanted columns alone are kept, so that a file
    of many gigabytes takes time and no memory.

    Raises
    ------
    SubmissionError
        If it has no header, its lines differ in length or are endless, or it is beyond 50 GB.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise SubmissionError(
            f"{path.name} has {size / 1e9:.0f} GB; text of at most {_MOST_BYTES / 1e9:.0f} GB is"
            " read. Write the spots and genes that are scored alone, or an .h5ad or .parquet file."
        )
    lines = _lines(path)
    header = next(lines, "")
    separator = "\t" if header.count("\t") > header.count(",") else ","
    names = _fields(header, separator)
    first = next(lines, "")
    if not header or not first:
        raise SubmissionError(f"{path.name} has no rows: expected a header and a line per spot.")
    width = len(_fields(first, separator))
    if len(names) == width:
        names = names[1:]  # above the index stands its own name, or nothing
    elif len(names) != width - 1:  # R leaves the corner out
        raise SubmissionError(
            f"{path.name} has a header of {len(names)} names and a first row of {width} values;"
            " expected as many, with the names of the rows in the first column."
        )
    return Named(path.name, names, _blocks(path.name, first, lines, separator, width)), None


def _blocks(
    source: str, first: str, lines: Iterator[str], separator: str, width: int
) -> Iterator[Block]:
    number, line = 2, first
    while line:
        start = line if line[:1] == '"' else line.partition(separator)[0]
        name = _fields(start, separator)[0]

        def read(
            rows: np.ndarray, columns: np.ndarray, line: str = line, number: int = number
        ) -> np.ndarray:
            fields = _fields(line, separator)
            if len(fields) != width:
                raise SubmissionError(
                    f"{source}, line {number}: {len(fields)} values, where others have {width}. It"
                    " is cut short, or a name holds the separator without quotes."
                )
            try:
                return np.array([[float(fields[1 + column] or "nan") for column in columns]])
            except ValueError as error:
                raise SubmissionError(f"{source}, line {number}: {error}.") from error

        yield [name], read
        number, line = number + 1, next(lines, "")
        if number > _MOST_LINES:
            raise SubmissionError(f"{source} has more than {_MOST_LINES:,} lines.")


def _fields(line: str, separator: str) -> list[str]:
    if '"' not in line:
        return [field.strip() for field in line.split(separator)]
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=separator))]
    except (csv.Error, StopIteration) as error:
        raise SubmissionError(f"A line of the table cannot be read ({error}).") from error


def _lines(path: Path) -> Iterator[str]:
    """Yield lines without their ends; blank ones are left out."""
    csv.field_size_limit(_MOST_CHARS_OF_A_LINE)
    try:
        with _opened(path) as file:
            while line := file.readline(_MOST_CHARS_OF_A_LINE):
                if len(line) == _MOST_CHARS_OF_A_LINE:
                    raise SubmissionError(
                        f"{path.name} has a line of more than {_MOST_CHARS_OF_A_LINE:,} characters,"
                        " so it is no table of spots and genes."
                    )
                if line.strip():
                    yield line.rstrip("\r\n")
    except (UnicodeDecodeError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise SubmissionError(
            f"{path.name} is no text in UTF-8 ({str(error)[:200]}). Write it again."
        ) from error


def _opened(path: Path) -> IO[str]:
    with path.open("rb") as file:
        start = file.read(4)
    encoding = "utf-8-sig"
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    if start[:2] == b"\x1f\x8b":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline=None)
    return path.open(encoding=encoding, newline=None)
