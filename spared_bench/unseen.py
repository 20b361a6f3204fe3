"""Letters that nobody sees, and which make two names of one."""

from __future__ import annotations

import unicodedata

#: Controls and formats, among them those that turn the reading direction.
_NOT_DRAWN = ("Cc", "Cf")
#: Letters, marks and symbols that are drawn as nothing: the rest of Unicode's property
#: Default_Ignorable_Code_Point (DerivedCoreProperties.txt, 16.0), Braille's empty cell and what
#: else Unicode calls blank, filler or null.
_BLANK = (
    *((0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065)),
    *((0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8)),
    *((0x13441, 0x13442), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159), (0xE0000, 0xE0FFF)),
)


def is_unseen(c: str) -> bool:
    r"""Return whether a character is drawn as nothing; blanks of any width are none of these.

    >>> is_unseen("\u200b"), is_unseen("\u3164"), is_unseen("\u00a0"), is_unseen("a")
    (True, True, False, False)
    """
    if c.isascii():
        return not (c.isprintable() or c.isspace())
    code = ord(c)
    drawn = unicodedata.category(c) not in _NOT_DRAWN
    return not drawn or any(low <= code <= high for low, high in _BLANK)


def clear(name: str) -> str:
    r"""Return a name without what nobody sees, and without blanks around it; others are spaces.

    >>> clear("\ufeffERBB2\u00a0"), clear("Krt\u00ad8"), clear("a\u00a0b")
    ('ERBB2', 'Krt8', 'a b')
    """
    if name.isascii() and name.isprintable():
        return name.strip()
    seen = (" " if c.isspace() else c for c in name if not is_unseen(c))
    return "".join(seen).strip()
