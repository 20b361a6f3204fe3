"""What to do next about errors of readers that tell what is wrong and no more.

The text of a reader is part of the keys of what was read by it, so it stays as it is.
"""

from __future__ import annotations

import re

_STEPS = (
    (
        r"holds '[-+]?\d[\d.]*,\d+' in .* expected finite numbers\.$",
        "A comma stands there for the point, as spreadsheets write it in many languages: save the"
        " table with points.",
    ),
    (
        r"expected finite numbers\.$",
        "Correct these rows, or take them out: a spot without a position is left out.",
    ),
    (r"lacks the columns \[.*\]\.$", "Call its columns so, or copy the file again."),
    (
        r"could not convert string to float: .*\.$",
        "A count is written with digits alone, and is 0 where nothing was counted: correct the"
        " table, or save it again from its source.",
    ),
    (r"The counts table \S+ is empty\.$", "Copy it again, or correct `path`."),
    (r"The scale factors .* cannot be read: .*\.$", "Copy the file again from its source."),
)


def with_next_step(told: str) -> str:
    """Return the message of a reader, with what to do where it ends without."""
    steps = (step for pattern, step in _STEPS if re.search(pattern, told, re.DOTALL))
    return " ".join([told, *list(steps)[:1]])
