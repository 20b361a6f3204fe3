"""Pixels of a TIFF, read strictly: a tile or strip that was not decoded is an error.

libvips shows zeros for a tile whose codec it lacks, or that is damaged or missing, so TIFF is read
through tifffile and imagecodecs, one segment at a time. What these take for complete and is not
(a JPEG without its end) is looked at here.
"""

from __future__ import annotations

import os
import re
import weakref
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from tifffile import TIFF

from spared_bench.errors import ImageError
from spared_bench.processing.aperio import YCBCR_JPEG2000, as_rgb
from spared_bench.processing.blocks import even_edges
from spared_bench.processing.image_errors import no_codec, unclear
from spared_bench.processing.vips_threads import require_threads
from spared_bench.processing.wholeness import codes_no_zeros

_RAW, _JPEG, _HUFFMAN = 1, 7, 0xC4
_PREDICTED = (5, 8, 32946, 34925, 34926, 50000)  # LZW, deflate, LZMA, zstd: the same in libtiff
_BLOCK_ROWS = 64  # of images in strips, which may be of one row, or of all
_RAW_BLOCK_BYTES = 4 * 2**20
_SECTOR = 4096  # bytes; what an interrupted copy leaves unwritten is as long at least
_END_OF_JPEG = b"\xff\xd9"
#: In the coded data of a JPEG nothing follows FF but a stuffed zero, a fill byte or a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ANY_MARKER, _RESTART = re.compile(rb"\xff[^\x00\xff]"), re.compile(rb"\xff[\xd0-\xd7]")
_HOLE, _LONG_HOLE = bytes(64), bytes(512)
_IF_WHOLE = " (if the file is whole, write it again with the compression deflate or LZW)"  # JPEG XR
#: LZW, PackBits and zstd have no checksum, either, and code a run of zeros by less than itself.
_UNCHECKED = (5, 32773, 34926, 50000)


class TiffFileBytes:
    """The bytes of one TIFF; its end may be missing."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, Lock()
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self.size = os.fstat(self._file.fileno()).st_size
        self._written: int | None = None

    def read(self, offset: int, count: int, where: str) -> bytes:
        """Read a segment, all of it."""
        if not offset or not count:
            raise ImageError(
                f"The image {self.path} holds no data {where}: it was left out when the file was"
                " written, or the file is incomplete. Fetch it again, or write it in full."
            )
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(count)
        if len(data) < count:
            raise ImageError(
                f"The image {self.path} ({self.size:,} bytes) cannot be decoded {where}: its data"
                f" end at byte {offset + count:,}, so the file is cut short. Fetch it again."
            )
        return data

    def written(self) -> int:
        """Return how long the file is without the zeros at its end."""
        with self._lock:
            end, step = self.size, 2**20
            while self._written is None:
                start = max(0, end - step)
                self._file.seek(start)
                kept = len(self._file.read(end - start).rstrip(b"\0"))
                if kept or not start:
                    self._written = start + kept
                end = start
        return self._written


def _set_predictor_aside(page: Any, path: Path) -> None:
    """Leave a predictor out that belongs to no codec: libtiff does, and tifffile sums all the same.

    With PackBits tifffile itself writes differences, so that such a file has two readings.
    """
    compression = int(page.compression)
    if page.predictor == 1 or compression in _PREDICTED or compression in TIFF.IMAGE_COMPRESSIONS:
        return
    if compression != _RAW:
        codec = getattr(page.compression, "name", str(compression))
        raise unclear(path, f"a predictor (tag 317), which some readers pass over with {codec}")
    page.predictor = 1


class Plane:
    """One plane of a page: all samples of its pixels, or one of those that lie apart.

    Parameters
    ----------
    file : TiffFileBytes
    page : tifffile.TiffPage
        Whose file is still open.
    sample : int
        Which plane, where the samples lie apart.
    brightfield : bool
        Whether black where the file ends in zeros is a sign of an interrupted copy.
    """

    def __init__(self, file: TiffFileBytes, page: Any, sample: int, brightfield: bool) -> None:
        _set_predictor_aside(page, file.path)
        self._file, self._decode, self._dtype = file, page.decode, page.dtype
        self._tables, self._header = page.jpegtables, page.jpegheader
        self._compression, self._brightfield = int(page.compression), brightfield
        self._codec = getattr(page.compression, "name", str(self._compression))
        # Of WebP, JPEG 2000 and others, which have no checksum, and code no run of zeros.
        self._is_picture_codec = self._compression in TIFF.IMAGE_COMPRESSIONS
        self._order = page.parent.byteorder
        width, height = page.imagewidth, page.imagelength
        self.samples = page.samplesperpixel if page.planarconfig == 1 else 1
        self._per_block, self._parts = 1, 1
        if page.is_tiled:
            self._length, self._width = page.tilelength, page.tilewidth
            self.rows = even_edges(height, self._length)
        else:
            self._length, self._width = min(page.rowsperstrip, height), width
            self.rows = self._strip_rows(page, height)
        self.columns = even_edges(width, self._width)
        self._n_strips = -(-height // self._length)
        self.segment_bytes = self._length * self._width * self.samples * page.dtype.itemsize
        count = self._n_strips * (len(self.columns) - 1)
        here = slice(sample * count, (sample + 1) * count)
        self._first = sample * count
        self._offsets, self._counts = page.dataoffsets[here], page.databytecounts[here]
        if not len(self._offsets) == len(self._counts) == count:
            raise ImageError(
                f"The image {file.path} lists {len(self._offsets)} places and"
                f" {len(self._counts)} lengths of the {count} tiles or strips that its size asks"
                " for: it is damaged. Fetch it again."
            )

    def _strip_rows(self, page: Any, height: int) -> np.ndarray:
        """Group short strips, and divide long ones where rows can be read on their own."""
        plain = page.fillorder == 1 and page.predictor == 1 and page.bitspersample in (8, 16)
        row_bytes = self._width * self.samples * page.dtype.itemsize
        if self._length * 2 <= _BLOCK_ROWS:
            self._per_block = _BLOCK_ROWS // self._length
        elif self._compression == _RAW and plain and self._length * row_bytes > _RAW_BLOCK_BYTES:
            part = max(1, _RAW_BLOCK_BYTES // row_bytes)
            self._parts = -(-self._length // part)
            starts = np.arange(0, height, self._length)[:, None] + np.arange(self._parts) * part
            return np.append(starts[starts < height], height)
        return even_edges(height, self._length * self._per_block)

    @property
    def divisible(self) -> bool:
        """Whether a part of a segment can be read without the rest."""
        return self._parts > 1

    def block(self, row: int, column: int) -> np.ndarray:
        """Decode a block: (height, width, samples)."""
        top, bottom = int(self.rows[row]), int(self.rows[row + 1])
        width = int(self.columns[column + 1] - self.columns[column])
        if self._parts > 1:
            return self._raw_rows(top, bottom, width)
        strips = range(row * self._per_block, min((row + 1) * self._per_block, self._n_strips))
        parts = [self._segment(strip, column) for strip in strips]
        block = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return block[: bottom - top, :width]

    def _raw_rows(self, top: int, bottom: int, width: int) -> np.ndarray:
        strip = top // self._length
        row_bytes = width * self.samples * self._dtype.itemsize
        skipped = (top - strip * self._length) * row_bytes
        where = f"in rows {top:,} to {bottom:,}"
        offset, count = int(self._offsets[strip]), (bottom - top) * row_bytes
        if offset and skipped + count > self._counts[strip]:
            raise self._damaged(where, f"strip {strip} holds {self._counts[strip]:,} bytes only")
        data = self._file.read(offset and offset + skipped, count, where)
        self._check_written(offset + skipped, count, where)
        pixels = np.frombuffer(data, dtype=self._dtype.newbyteorder(self._order))
        return pixels.astype(self._dtype, copy=False).reshape(bottom - top, width, self.samples)

    def _segment(self, strip: int, column: int) -> np.ndarray:
        index = strip * (len(self.columns) - 1) + column
        left, top = int(self.columns[column]), strip * self._length
        width = int(self.columns[column + 1]) - left
        height = min(self._length, int(self.rows[-1]) - top)
        where = f"at x={left:,}, y={top:,}"
        offset, count = int(self._offsets[index]), int(self._counts[index])
        data = self._file.read(offset, count, where)
        if self._compression == _RAW:
            used = ((height - 1) * self._width + width) * self.samples * self._dtype.itemsize
            self._check_written(offset, min(used, count), where)
        else:
            self._check_complete(data, where, is_last=index == len(self._offsets) - 1)
        tables = {"jpegtables": self._tables, "jpegheader": self._header}
        try:
            pixels = self._decode(data, self._first + index, **tables)[0]
        except (ImportError, NotImplementedError) as error:
            raise no_codec(self._file.path, self._codec, error) from error
        except Exception as error:  # of any of some thirty codecs
            raise self._damaged(where, str(error)) from error
        found = pixels.shape[1:]
        if found[0] < height or found[1] < width or found[2] != self.samples:
            raise self._damaged(where, f"it holds an image of shape {found}")
        if pixels.dtype != self._dtype:
            raise self._damaged(where, f"it holds {pixels.dtype}, expected {self._dtype}")
        if self._compression == YCBCR_JPEG2000:
            return as_rgb(pixels[0, :height], data)
        return pixels[0, :height]

    def _check_complete(self, data: bytes, where: str, is_last: bool) -> None:
        """Find what decoders forgive."""
        end = data.rstrip(b"\0")
        if self._compression != _JPEG:
            # Coded data end in a checksum, an end marker, or as good as random bytes.
            if len(data) - len(end) >= len(_HOLE) and not end.endswith(_END_OF_JPEG):
                raise self._damaged(
                    where, f"its last {len(data) - len(end):,} bytes are 0{_IF_WHOLE}"
                )
            if (self._is_picture_codec or self._compression in _UNCHECKED) and _LONG_HOLE in end:
                raise self._damaged(where, f"a part of its data is 0{_IF_WHOLE}")
            return
        if self._header is not None:
            self._check_piece(data, self._header, where, is_last)
            return
        if not end.endswith(_END_OF_JPEG):
            raise self._damaged(where, "the JPEG has no end")
        scan = end.find(b"\xff\xda") + 2
        if _LONG_HOLE in end[scan:] and self._codes_no_zeros(end[:scan]):
            raise self._damaged(where, "a part of its data is 0")
        marker = _MARKER.search(end, scan)
        if _HOLE in end or marker is None or marker.start() != len(end) - 2:
            self._check_jpeg(end if self._tables is None else self._tables[:-2] + end[2:], where)

    def _check_piece(self, data: bytes, header: bytes, where: str, is_last: bool) -> None:
        """Find it in a piece of NDPI, whose one JPEG is read from a restart marker to the next."""
        coded, end = data[:-2], data[-2:]
        if is_last:
            coded, end, _ = data.partition(_END_OF_JPEG)
        is_ended = end == _END_OF_JPEG if is_last else _RESTART.fullmatch(end)
        if not is_ended or _ANY_MARKER.search(coded):
            raise self._damaged(where, "a marker of its JPEG is missing, or stands in its data")
        if _LONG_HOLE in coded and self._codes_no_zeros(header):
            raise self._damaged(where, "a part of its data is 0")
        if _HOLE in coded:
            self._check_jpeg(header + coded + _END_OF_JPEG, where)

    def _codes_no_zeros(self, header: bytes) -> bool:
        """Whether no block of a JPEG is all 0; its tables may stand in the TIFF alone."""
        found = []
        for segments in (self._tables or b"", header):
            place = 2
            while segments[place : place + 1] == b"\xff" and place + 4 <= len(segments):
                start = place + 4
                place += 2 + int.from_bytes(segments[place + 2 : start], "big")
                if segments[start - 3] == _HUFFMAN:
                    found += codes_no_zeros(segments[start:place])
        # Of one sample there is one table that is used, and it is not known here which.
        return any(found) if self.samples > 1 else bool(found) and all(found)

    def _check_jpeg(self, whole: bytes, where: str) -> None:
        """Decode with a library that tells of damage; slow, so only where there is a sign of it."""
        try:
            import pyvips
        except (ImportError, OSError):
            return
        require_threads(self._file.path)
        try:
            pyvips.Image.jpegload_buffer(whole, access="sequential", fail_on="warning").avg()
        except pyvips.Error as error:
            raise self._damaged(where, str(error)) from error

    def _check_written(self, offset: int, used: int, where: str) -> None:
        """Refuse black at the end of a file that ends in zeros: uncompressed data show no gap."""
        if self._brightfield and self._file.written() <= offset + used - _SECTOR:
            raise self._damaged(
                where,
                "from there on the file holds nothing but zeros, as an interrupted copy does. If"
                " the image is black there, save it with a compression",
            )

    def _damaged(self, where: str, reason: str) -> ImageError:
        reason = " ".join(reason.split())[:300].rstrip(".")
        return ImageError(
            f"The image {self._file.path} ({self._file.size:,} bytes) cannot be decoded {where}"
            f" (compression {self._codec}): {reason}. It is damaged or incomplete; fetch it again."
        )
