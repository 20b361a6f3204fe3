"""Bytes as the text that was meant, whoever wrote them."""

from __future__ import annotations

import codecs

#: The longer marks first: the one of UTF-32 begins with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def decode(raw: bytes) -> str:
    """Decode by the byte-order mark; without one, as UTF-8 or, where every other byte is 0, UTF-16.

    Raises
    ------
    UnicodeDecodeError
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw.decode(encoding)
    start = raw[:64]
    if b"\0" in start[:4]:  # no text in UTF-8 begins like this
        little = start[1::2].count(0) >= start[::2].count(0)
        return raw.decode("utf-16-le" if little else "utf-16-be")
    return raw.decode("utf-8")
