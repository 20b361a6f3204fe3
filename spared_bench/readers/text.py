"""Text files as they were meant, whoever wrote them: Windows, Excel, R or Space Ranger."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from pathlib import Path

from spared_bench.encoded import decode
from spared_bench.errors import DataError, MissingFileError
from spared_bench.readers.instead import instead
from spared_bench.unseen import clear
from spared_bench.whereabouts import no_file

GZIP = b"\x1f\x8b"
#: Not ``str.splitlines``, which also cuts at characters that stand within names.
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTES = "\"'"
_TOLD = re.compile(r'"?sep=([\t;,| ])"?\s*', re.IGNORECASE)
#: What a line of which every field is empty is made of.
_NO_FIELD = re.compile(r"[\s,;\"]*")


def read_text(path: Path, error: type[DataError], what: str) -> str:
    """Return the text of a file, unpacked and without a byte-order mark.

    Parameters
    ----------
    path : Path
        Packed by gzip or not, whatever it is called. UTF-8, or UTF-16 and UTF-32 as Windows writes
        them.
    error : type of DataError
        What to raise for damage.
    what : str
        What to call the file in a message: ``"position table"``.

    Raises
    ------
    MissingFileError
        If it is not there.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no {what} at {path}. {no_file(path)}")
    try:
        raw = path.read_bytes()
        if raw and not raw.startswith(GZIP) and (told := instead(path)):
            raise error(f"The {what} {path} is no text. {told}")
        return decode(unpack(raw))
    except UnicodeDecodeError as problem:
        raise error(
            f"The {what} {path} is no text in UTF-8 or UTF-16: {problem.reason} at byte"
            f" {problem.start}. Save it again as UTF-8."
        ) from problem
    except PermissionError:  # nothing is wrong with the file
        raise
    except (OSError, EOFError, zlib.error) as problem:
        raise error(
            f"The {what} {path} cannot be read: {problem}. It is damaged or incomplete; copy or"
            " fetch it again."
        ) from problem


def unpack(raw: bytes) -> bytes:
    """Return what is packed by gzip, which the name of a file does not always say."""
    return gzip.decompress(raw) if raw.startswith(GZIP) else raw


class Lines(list[str]):
    """The lines of a text.

    Attributes
    ----------
    first : int
        The number that the first of them has in the file.
    """

    first = 1


def lines_of(text: str) -> Lines:
    """Return the lines of a text; those without a field at its end are nothing.

    So is a first one by which Excel tells the separator, which the other lines show.
    """
    lines = Lines(_LINE_END.split(text))
    while lines and _NO_FIELD.fullmatch(lines[-1]):
        del lines[-1]
    if lines and separator_told(lines[0]):
        del lines[0]
        lines.first = 2
    return lines


def separator_told(line: str) -> str:
    """Return the separator that a line says, as Excel reads and writes it; empty for other lines.

    >>> separator_told("sep=;")
    ';'
    """
    told = _TOLD.fullmatch(line)
    return told[1] if told else ""


def fields_of(line: str, separator: str) -> list[str]:
    """Split a line into fields, without quotes and blanks around them.

    >>> fields_of('"x y", 2,"a,b"', ",")
    ['x y', '2', 'a,b']
    """
    if '"' in line:
        fields = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    else:
        fields = line.split(separator)
    return [bare(field) for field in fields]


def bare(name: str) -> str:
    """Return a name without the blanks and quotes around it, and without letters nobody sees.

    Blanks of any width within it are spaces.

    >>> bare(" 'ERBB2' "), bare("5'-ETS")
    ('ERBB2', "5'-ETS")
    """
    name = clear(name)
    quoted = len(name) > 1 and name[0] == name[-1] and name[0] in _QUOTES
    return name[1:-1].strip() if quoted else name
