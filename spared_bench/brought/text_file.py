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
from spared_bench.brought.text_layout import Layout, fields, layout_of
from spared_bench.errors import SubmissionError
from spared_bench.readers.text import separator_told
from spared_bench.words import counted

_MOST_CHARS_OF_A_LINE = 64_000_000
_MOST_LINES = 20_000_000
_MOST_BYTES = 50_000_000_000
_COMMAS = "No comma separates values, so commas in them were read as decimal points."
#: The longer marks first: the one of UTF-32 begins with the one of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text_table(path: Path, layer: str = "") -> tuple[Named, None]:
    """Open a table as ``DataFrame.to_csv`` and R's ``write.table`` write it (``text_layout``).

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
    header, first = next(lines, ""), next(lines, "")
    told = separator_told(header)
    if told:  # a line of Excel's own, above the header
        header, first = first, next(lines, "")
    if not header or not first:
        raise SubmissionError(f"{path.name} has no rows: expected a header and a line per spot.")
    layout, notes = layout_of(header, first, path.name, told), list[str]()
    if layout.before > 1:
        notes.append("The first column numbers the rows, so their names are those of the second.")
    blocks = _blocks(path.name, first, lines, layout, notes, 3 if told else 2)
    return Named(path.name, layout.columns, blocks, notes), None


def _blocks(
    source: str, first: str, lines: Iterator[str], layout: Layout, notes: list[str], number: int
) -> Iterator[Block]:
    line = first
    while line:

        def read(
            rows: np.ndarray, columns: np.ndarray, line: str = line, number: int = number
        ) -> np.ndarray:
            found = fields(line, layout.separator)
            if len(found) != layout.width:
                raise SubmissionError(
                    f"{source}, line {number}: {counted(len(found), 'value')}, where others have"
                    f" {layout.width}. It is cut short, or a name holds the separator without"
                    " quotes."
                )
            return np.array([_numbers(found, columns, layout, notes, f"{source}, line {number}")])

        yield [layout.name(line)], read
        number, line = number + 1, next(lines, "")
        if number > _MOST_LINES:
            raise SubmissionError(f"{source} has more than {_MOST_LINES:,} lines.")


def _numbers(
    found: list[str], columns: np.ndarray, layout: Layout, notes: list[str], where: str
) -> list[float]:
    texts = [found[layout.before + column] or "nan" for column in columns]
    if layout.comma_is_point and any("," in text for text in texts):
        texts = [text.replace(",", ".") for text in texts]
        if _COMMAS not in notes:
            notes.append(_COMMAS)
    try:
        return [_number(text) for text in texts]
    except ValueError:
        for column, text in zip(columns, texts, strict=True):
            if not _is_number(text):
                raise SubmissionError(
                    f"{where}, column {layout.columns[column]!r}: {text[:40]!r} is no number."
                    " Predict a number there, or leave the whole spot or gene out of the file,"
                    " where it counts as missing."
                ) from None
        raise


def _number(text: str) -> float:
    if "_" in text:  # 1_5 is 15 in Python, and nowhere else
        raise ValueError(text)
    return float(text)


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True


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
    except UnicodeDecodeError as error:
        raise SubmissionError(
            f"{path.name} is no text in UTF-8 ({str(error)[:200]}). Save it as UTF-8."
        ) from error
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise SubmissionError(
            f"{path.name} is damaged or incomplete ({str(error)[:200]}). Write it again."
        ) from error


def _opened(path: Path) -> IO[str]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as start:
        encoding = _encoding_of(start.read(64))
    if packed:
        return gzip.open(path, "rt", encoding=encoding, newline=None)
    return path.open(encoding=encoding, newline=None)


def _encoding_of(start: bytes) -> str:
    """Tell the letters of a text by its mark; without one, by its zeros."""
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    if b"\0" in start[:4]:  # no text in UTF-8 begins like this
        return "utf-16-le" if start[1::2].count(0) >= start[::2].count(0) else "utf-16-be"
    return "utf-8-sig"
