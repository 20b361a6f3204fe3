"""What a server's headers say of a file, and whether that can be."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench.sources.archives import swollen
from spared_bench.sources.packed import GZIP, holds_packed
from spared_bench.sources.part import forget
from spared_bench.sources.patience import AgainError, Expected, HopelessError, Policy

if TYPE_CHECKING:
    from requests import Response

#: How a web page begins, whatever a server calls it.
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*|<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+)?html\b",
    re.IGNORECASE | re.DOTALL,
)
#: How a server's own words begin that are no page: JSON, XML, a page in UTF-16.
_WORDS = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*[<{\[]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
#: Of files that begin otherwise.
_NO_TEXT = re.compile(
    r"\.(t?gz|zip|tar|bz2|xz|zst|7z|h5|h5ad|hdf5|loom|rds|parquet|np[yz]|tiff?|svs|ndpi|png|jpe?g|jp2)"
    r"\.part$",
    re.IGNORECASE,
)
_IS_PAGE = "the server answered with a web page instead of the file"
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_LATER = {202, 408, 425, 429, 500, 502, 503, 504}


def check_answer(
    response: Response, url: str, part: Path, start: int, validator: str, expected: Expected
) -> None:
    """Refuse an answer that is not the file, or not the part of it that was asked for."""
    code = response.status_code
    if code == 416 or (code == 206 and _part_from(start, response) is None):
        forget(part)
        raise AgainError("the server has no such part of the file")
    if code == 200 and "Content-Range" in response.headers and not _is_whole(response):
        forget(part)
        raise AgainError("the server sends a part of the file for the whole")
    told = response.headers.get("ETag" if validator.startswith('"') else "Last-Modified", "")
    if code == 206 and start and told not in ("", validator):
        forget(part)
        raise AgainError("the server has another file now than the part that is there")
    check_file(response, url, part.name, expected)


def check_file(response: Response, url: str, name: str, expected: Expected) -> None:
    """Refuse an answer that no file comes with, or that can be trusted with none.

    ``name``: what the file is called.
    """
    code = response.status_code
    if code in _LATER:
        wait = _seconds(response.headers.get("Retry-After", ""))
        raise AgainError(f"the server answered {code}", wait)
    if code not in (200, 206):
        raise HopelessError(f"the server answered {code} {response.reason}")
    if (coding := _transfer_coding(response)) not in ("", "identity", "chunked"):
        raise HopelessError(f"the server packed the file for its way as {coding!r}, unasked")
    if url.startswith("https:") and response.url.startswith("http:") and not expected.sha256:
        raise HopelessError(f"it leads to {response.url}, which anyone on the way can change")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") and not _may_be_page(name, expected):
        raise HopelessError(_IS_PAGE)


def refuse_page(part: Path, expected: Expected) -> None:
    """Refuse a web page that a server calls something else, such as one that asks to log in.

    And words of another form, in the place of a file that is no text.

    Its hash would be recorded as that of the file.
    """
    if _may_be_page(part.name, expected):
        return
    with part.open("rb") as file:
        begin = file.read(2_000)
    if _PAGE.match(begin):
        forget(part)
        raise HopelessError(_IS_PAGE)
    if _NO_TEXT.search(part.name) and _WORDS.match(begin) and _is_text(begin):
        forget(part)
        told = " ".join(begin.decode("utf-8", "replace").split())[:150]
        raise HopelessError(f"the server answered with a message instead of the file: {told}")


def _is_text(begin: bytes) -> bool:
    """Whether bytes are text in some encoding: a tar archive begins with any name, and zeros."""
    read = (begin.decode(name, "replace") for name in ("utf-8", "utf-16-le", "utf-16-be"))
    return any(not _CONTROL.search(text) for text in read)


def _may_be_page(name: str, expected: Expected) -> bool:
    """Whether a web page may be what is wanted, or is told by its hash to be another file."""
    return bool(expected.sha256) or ".htm" in name


def _seconds(wait: str) -> float:
    """Return how long a server wants to be left alone: seconds or a date; 0 for neither."""
    if (seconds := _number(wait)) is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(wait).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _part_from(start: int, response: Response) -> tuple[int, int | None] | None:
    """Return the last byte of the part that comes and the size of the whole, where it is told.

    ``None`` where what is said of the part contradicts itself, or it begins somewhere else.
    """
    told = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if told is None:
        return None
    first, last, size = int(told[1]), int(told[2]), _number(told[3])
    comes = body_length(response)
    sound = first == start and first <= last and (last < size if size is not None else start > 0)
    return (last, size) if sound and comes in (None, last - first + 1) else None


def _is_whole(response: Response) -> bool:
    """Whether an answer that speaks of a part holds all of the file."""
    found = _part_from(0, response)
    return found is not None and found[1] == found[0] + 1


def _transfer_coding(response: Response) -> str:
    return response.headers.get("Transfer-Encoding", "").strip().lower()


def body_length(response: Response) -> int | None:
    """Return how many bytes an answer has; what comes in chunks ends where they say."""
    chunked = _transfer_coding(response) == "chunked"
    return None if chunked else _number(response.headers.get("Content-Length", ""))


def full_size(response: Response, part: Path, start: int, noted: int) -> int:
    """Return the size of the whole file, of which a part may come; 0 if it is unknown.

    ``noted``: what it was when a part of this state of the file came, or 0.
    """
    length = body_length(response)
    found = _part_from(start, response) if response.status_code == 206 else None
    size = found[1] if found else length
    if noted:
        if size not in (None, noted):
            forget(part)
            raise AgainError("the server has a file of another size now than that of the part")
        return noted  # what comes of it may be less than asked for
    if found and size is not None:
        return size
    if length is None and response.raw.length_remaining:
        # Read otherwise below us ("1_0" as 10): the file would seem whole where it ends early.
        told = response.headers.get("Content-Length", "")
        raise HopelessError(f"the server says {told[:40]!r} for the length of the file")
    return 0 if length is None else start + length


def _number(text: str) -> int | None:
    """Return a whole number of a header, ``None`` for anything else: "12, 12", "²", "1e9"."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text.strip(" \t")) else None


def coding_of(response: Response) -> str:
    """Return how the server says that it packed the file."""
    return response.headers.get("Content-Encoding", "identity").strip().lower()


def is_packed(response: Response, part: Path, start: int, begin: bytes) -> bool:
    """Return whether the server packed the file for its way, though it was asked not to.

    What is called ``.gz`` and begins as such a file comes as it is, whatever the server says of it,
    unless there is another such file in it. ``begin``: how the answer begins.
    """
    coding = coding_of(response)
    if coding in ("", "identity"):
        return False
    if part.name.endswith((".gz.part", ".tgz.part")) and begin.startswith(GZIP):
        return coding in ("gzip", "x-gzip") and holds_packed(begin)
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise HopelessError(f"the server packed the file as {coding!r}, which is not understood")
    if start:
        forget(part)
        raise AgainError("what was there cannot be continued: the server packs the file")
    return True


def most_bytes(
    response: Response, expected: Expected, start: int, total: int, packed: bool, policy: Policy
) -> int:
    """Return how many bytes the file can have, unpacked where the server packed it for its way."""
    known = expected.size or total
    if response.status_code == 206 and (found := _part_from(start, response)):
        known = found[0] + 1
    if not known and packed and (length := body_length(response)):
        known = swollen(length)
    return min(known or policy.most_bytes, policy.most_bytes)
