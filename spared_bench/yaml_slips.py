"""What people write that is no YAML, most often, and what to write instead."""

from __future__ import annotations

import re
from bisect import bisect_left

import yaml

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
#: Collections in each other that are looked into: for each, the parser looks at all around it.
_MOST_DEEP = 100
_TAB = re.compile(r" *\t")
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
    return _in_a_line(text) or next(
        (told for said, told in _BY_REASON.items() if re.search(said, reason)), ""
    )


def _in_a_line(text: str) -> str:
    """Tell of the first line without whose slip the parser would come further; else nothing.

    The same signs stand in prose, too, where they are none.
    """
    lines = text.splitlines()
    found = [(at, *told) for at, line in enumerate(lines) if (told := _told_of(line))]
    before = _end_of(lines)

    def comes_further(mended: int) -> bool:
        """Whether it does with the first of the lines written as they are meant."""
        meant = {at: line for at, _, line in found[:mended]}
        return _end_of([meant.get(at, line) for at, line in enumerate(lines)]) > before

    first = bisect_left(range(len(found) + 1), True, lo=1, key=comes_further)
    if first > len(found):
        return ""
    at, wrong, _ = found[first - 1]
    return f"Line {at + 1} {wrong}"


def _told_of(line: str) -> tuple[str, str] | None:
    """Return what may be wrong with a line, and how it is meant."""
    if found := _TAB.match(line):
        return (
            "is indented by a tab, where YAML takes blanks alone.",
            found[0].replace("\t", "  ") + line[found.end() :],
        )
    if found := _OTHER_BLANK.search(line):
        return (
            f"has a blank of another kind (U+{ord(found[1]):04X}), as word processors and web"
            " pages have: write a plain one.",
            re.sub(r"[^\S \t]", " ", line),
        )
    if _OTHER_COLON.match(line):
        return (
            "has a wide colon, which is none to YAML: write `:` and a blank.",
            line.replace("\N{FULLWIDTH COLON}", ": ", 1),
        )
    return None


def _end_of(lines: list[str]) -> tuple[int, int]:
    """Return the line and column up to which these are YAML."""
    mark, depth = None, 0
    try:
        for event in yaml.parse("\n".join(lines), Loader=yaml.SafeLoader):
            mark = event.end_mark
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_DEEP:
                break
        else:
            return (len(lines) + 1, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
    except Exception:  # a sign that no text holds; PyYAML lets out what int and chr raise, too
        pass
    return (mark.line, mark.column) if mark else (0, 0)
