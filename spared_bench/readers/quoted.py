"""Names that were written with their quotes, or as Python shows bytes: ``"TP53"``, ``b'TP53'``."""

from __future__ import annotations

import re
from collections.abc import Sequence

_QUOTED = re.compile(r"""(?P<sign>b?(?P<quote>["']))(?P<name>[^"']+)(?P=quote)""")


def without_quotes(names: Sequence[str]) -> list[str]:
    """Return names without the quotes that all of them have; as they are where one has none.

    >>> without_quotes(['"TP53"', '"MYC"']), without_quotes(["b'TP53'"]), without_quotes(["5'ETS"])
    (['TP53', 'MYC'], ['TP53'], ["5'ETS"])
    """
    found = [_QUOTED.fullmatch(name.strip()) for name in names if name]
    if not found or len({match and match["sign"] for match in found}) > 1 or not found[0]:
        return list(names)
    return [match["name"] if (match := _QUOTED.fullmatch(name.strip())) else name for name in names]
