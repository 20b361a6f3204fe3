"""What people write that is no YAML, most often, and what to write instead."""

from __future__ import annotations

import re

#: Of what the parser says, where the text itself shows no slip.
_BY_REASON = {
    "unknown escape character": (
        "Between double quotes a backslash begins a sign of its own: write paths with `/`, or"
        " between single quotes."
    ),
    "mapping values are not allowed|could not find expected ':'": (
        "A colon needs a blank behind it (`name: mine`), and settings of one level begin in one"
        " column."
    ),
    "expected ',' or": "Between braces and brackets, commas part what stands there.",
}
#: Where blanks mean something: before a line, and behind a sign of YAML.
_OTHER_BLANK = re.compile(r"(?:^ *|[:,-])([^\S \t])")
_OTHER_COLON = re.compile(r"^ *[\w-]+\N{FULLWIDTH COLON}")


def slip(text: str, reason: str) -> str:
    """Return a sentence on what is meant by a text that is no YAML; empty where that is not clear.

    Parameters
    ----------
    text : str
    reason : str
        What the parser says of it.
    """
    if text.lstrip().startswith("```"):
        return "Leave out the lines of ```, which are signs of a web page."
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r" *\t", line):
            return f"Line {number} is indented by a tab, where YAML takes blanks alone."
        if found := _OTHER_BLANK.search(line):
            return (
                f"Line {number} has a blank of another kind (U+{ord(found[1]):04X}), as word"
                " processors and web pages have: write a plain one."
            )
        if _OTHER_COLON.match(line):
            return f"Line {number} has a wide colon, which is none to YAML: write `:` and a blank."
    return next((told for said, told in _BY_REASON.items() if re.search(said, reason)), "")
