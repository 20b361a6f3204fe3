"""What a server packed for its way, unpacked as it comes, with its end checked.

urllib3 unpacks as well, and takes what stops in the middle for the end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from spared_bench.sources.patience import AgainError

_PIECE_BYTES = 1 << 20
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_MAGIC = b"\x1f"  # of a further gzip stream
#: How a file of gzip begins.
GZIP = b"\x1f\x8b"


def unpacked(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """Yield what the chunks of a gzip or deflate stream hold, in pieces of bounded size.

    Several gzip streams in a row are one file; what follows the last one is left out.

    Parameters
    ----------
    chunks : iterable of bytes
    coding : {"gzip", "x-gzip", "deflate"}

    Raises
    ------
    AgainError
        If they are no such stream, or end in its middle.
    """
    working, begun = None, False
    for chunk in chunks:
        data = chunk
        while data:
            if working is None:
                if begun and data[:1] != _MAGIC:
                    break
                working, begun = zlib.decompressobj(_window(coding, data)), True
            try:
                piece = working.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise AgainError(f"the server packed the file, and wrongly: {error}") from error
            data = working.unused_data if working.eof else working.unconsumed_tail
            working = None if working.eof else working
            if piece:
                yield piece
    if working is not None:
        raise AgainError("the server packed the file, and what came ends in its middle")


def holds_packed(begin: bytes) -> bool:
    """Return whether a gzip stream, of which this is the beginning, holds a gzip file."""
    try:
        inside = zlib.decompressobj(_GZIP).decompress(begin, len(GZIP))
    except zlib.error:
        return False
    return inside == GZIP


def _window(coding: str, data: bytes) -> int:
    if coding != "deflate":
        return _GZIP
    # Meant with a header (RFC 9110), and sent by some without.
    headed = data[0] & 15 == 8 and (len(data) < 2 or (data[0] * 256 + data[1]) % 31 == 0)
    return _ZLIB if headed else _RAW
