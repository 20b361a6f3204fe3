"""Files of images that are no TIFF: what an interrupted copy leaves, which decoders forgive.

They show black, or what they make of zeros, and tell nothing. TIFF is looked at segment by segment
(``tiff_planes``); PNG has checksums.
"""

from __future__ import annotations

import mmap
import re
from functools import lru_cache
from pathlib import Path

from spared_bench.processing.image_errors import undecodable
from spared_bench.processing.vips_threads import require_threads

_SECTOR = 4096  # bytes; what an interrupted copy leaves unwritten is as long at least
_HOLE, _LONG_HOLE = bytes(64), bytes(512)
_JPEG, _PNG, _GIF, _RIFF = b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF"
_ENDS = (b"\xff\xd9", b"IEND\xaeB`\x82")  # after which zeros are nobody's
_LARGEST_PALETTE = 13 + 768  # of a GIF, with its header; its unused colours are zeros
#: In coded data nothing follows FF but a stuffed zero, a fill byte or a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_GIF_EXTENSION, _GIF_IMAGE, _GIF_END = 0x21, 0x2C, 0x3B
_FLAG, _HUFFMAN, _END, _SCAN = 0xFF, 0xC4, 0xD9, 0xDA


def check_whole(path: Path) -> None:
    """Refuse a file of an image, no TIFF, that bears the traces of an interrupted copy.

    Raises
    ------
    ImageError
    """
    facts = path.stat()
    if reason := _why_not(path, facts.st_size, facts.st_mtime_ns):
        raise undecodable(path, ValueError(reason))


@lru_cache(maxsize=64)
def _why_not(path: Path, size: int, changed: int) -> str:
    """Return what is wrong with a file of this size and time of change; empty for nothing."""
    if not size:
        return "it is empty"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data[:16]
        if start.startswith(_PNG):
            return ""
        written = _written(data)
        if size - written >= _SECTOR and not _is_padding(data, start, written):
            return (
                f"from byte {written:,} on it holds nothing but zeros, as an interrupted copy does;"
                " if the image is of one colour there, save it as PNG"
            )
        if start.startswith(_JPEG):
            return _fault_of_jpeg(data, written, path)
        reason = _fault_of_gif(data) if start.startswith(_GIF) else ""
        coded = _start_of_coded(data, start)
        if not reason and coded and data.find(_LONG_HOLE, coded, written) >= 0:
            reason = "a part of its data is 0; if the image is of one colour there, save it as PNG"
        return reason


def _written(data: mmap.mmap) -> int:
    """Return the length without the zeros at the end."""
    end = len(data)
    while end:
        start = max(0, end - 2**20)
        kept = len(data[start:end].rstrip(b"\0"))
        if kept:
            return start + kept
        end = start
    return 0


def _is_padding(data: mmap.mmap, start: bytes, written: int) -> bool:
    """Whether an image has come to its end before the zeros."""
    if start.startswith(_RIFF):
        return 8 + int.from_bytes(start[4:8], "little") <= written + 1
    end = data[max(0, written - 8) : written]
    return end.endswith(_ENDS) or (start.startswith(_GIF) and end.endswith(b";"))


def _start_of_coded(data: mmap.mmap, start: bytes) -> int:
    """Return where data begin that code no run of zeros; 0 for formats that may hold some."""
    if start.startswith(_GIF):
        return _LARGEST_PALETTE
    if start.startswith(_RIFF) and start[8:12] == b"WEBP":
        found = data.find(b"VP8 "), data.find(b"VP8L")  # metadata come before or after
        return max(found) + 8 if max(found) > 0 else 0
    return 0


def _fault_of_gif(data: mmap.mmap) -> str:
    """Follow the blocks of a GIF: a hole ends one early, and what follows it is none."""
    place = 13 + _colours_of_gif(data[10])
    while place < len(data):
        kind = data[place]
        if kind == _GIF_END:
            return ""
        if kind == _GIF_EXTENSION:
            place += 2
        elif kind == _GIF_IMAGE and place + 9 < len(data):
            place += 11 + _colours_of_gif(data[place + 9])
        else:
            break
        while place < len(data) and data[place]:
            place += 1 + data[place]
        place += 1
    if place == len(data):  # all of the image, without the mark of the end
        return ""
    return f"its blocks end at byte {min(place, len(data)):,}, and no end is marked there"


def _colours_of_gif(flags: int) -> int:
    """Return how many bytes the table of colours has that follows."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _fault_of_jpeg(data: mmap.mmap, written: int, path: Path) -> str:
    """Return what is wrong with the scans of a JPEG; empty for nothing."""
    place, no_zeros = 2, False
    while place + 4 <= written and data[place] == _FLAG:
        kind = data[place + 1]
        if kind == _FLAG:  # a fill byte
            place += 1
            continue
        if kind == _END:
            return ""
        start, place = place + 4, place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if kind == _HUFFMAN:
            no_zeros = no_zeros or any(codes_no_zeros(data[start:place]))
        if kind == _SCAN:
            marker = _MARKER.search(data, place)
            scan, place = place, marker.start() if marker else written
            if no_zeros and data.find(_LONG_HOLE, scan, place) >= 0:
                return "a part of its data is 0"
            if data.find(_HOLE, scan, place) >= 0:
                break
    return _warning(path)  # a sign, and no proof


def codes_no_zeros(tables: bytes) -> list[bool]:
    """Return of each table of coefficients whether one, not the end of a block, is coded by zeros.

    Then no block is all 0.
    """
    place, found = 0, []
    while place + 17 < len(tables):
        is_of_coefficients, first = tables[place] >> 4 == 1, tables[place + 17]
        if is_of_coefficients:
            found.append(first & 15 > 0)
        place += 17 + sum(tables[place + 1 : place + 17])
    return found


def _warning(path: Path) -> str:
    """Decode a JPEG with a library that tells of damage; slow, so only where there is a sign."""
    try:
        import pyvips
    except (ImportError, OSError):
        return ""
    require_threads(path)
    try:
        pyvips.Image.jpegload(str(path), access="sequential", fail_on="warning").avg()
    except pyvips.Error as error:
        return str(error)
    return ""
