"""Matrix Market files, of which nothing but numbers is read.

scipy takes ``1,5`` for 1 and a pattern for ones, and tells nothing.
"""

from __future__ import annotations

import io
from typing import IO, cast

MATRIX_MARKET = b"%%MatrixMarket"
_NUMBERS = b"0123456789+-.eEnaifNAIFtyTY \t\r\n"  # nan and inf are told of as what they are


def numbers_of(stream: IO[bytes], start: bytes) -> IO[bytes]:
    """Return a stream of the same bytes that ends in an error where they are no numbers.

    Parameters
    ----------
    stream : file of bytes
        From the beginning.
    start : bytes
        How it begins.

    Raises
    ------
    ValueError
        If the file says that it is a pattern; when it is read, if it holds something else.
    """
    first = start.partition(b"\n")[0].lower().split()
    if b"pattern" in first:
        raise ValueError("it is a pattern, which says where counts are and not how many")
    return cast(IO[bytes], io.BufferedReader(_Numbers(stream)))


class _Numbers(io.RawIOBase):
    """Passes bytes on; what stands in lines after a percent sign may be any."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._line_begins, self._is_comment = stream, True, True

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        view = memoryview(into).cast("B")  # type: ignore[arg-type]
        part = self._stream.read(len(view))
        self._check(part)
        view[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._stream.close()
        super().close()

    def _check(self, part: bytes) -> None:
        rest = part
        while rest and self._is_comment:  # comments stand before all numbers
            if self._line_begins and rest.lstrip()[:1] not in (b"", b"%"):
                self._is_comment = False
                break
            _, end, rest = rest.partition(b"\n")
            self._line_begins = bool(end)
        odd = rest.translate(None, _NUMBERS)
        if odd:
            raise ValueError(f"it holds {odd[:1]!r} among its numbers")
