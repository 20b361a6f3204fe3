"""Docstrings of this project as Markdown: their tables and literal blocks are reStructuredText."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_RULE = re.compile(r"^=+( +=+)+$")


class Markdown(Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object, if it has one."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Return a docstring whose simple tables and literal blocks are Markdown's."""
    lines, found = text.split("\n"), []
    at = 0
    while at < len(lines):
        if _RULE.match(lines[at]) and (end := _end_of_table(lines, at)):
            found += _table(lines[at], lines[at + 1 : end])
            at = end + 1
        elif lines[at].endswith("::"):
            found.append(lines[at][:-1].rstrip(":") + ":" * (lines[at].strip() != "::"))
            at = _literal(lines, at + 1, found)
        else:
            found.append(lines[at])
            at += 1
    return "\n".join(found)


def _end_of_table(lines: list[str], at: int) -> int:
    """Return the line of a table's last rule, after which it is over; 0 where there is none."""
    rules = (i for i in range(at + 1, len(lines)) if _RULE.match(lines[i]))
    return next((i for i in rules if not "".join(lines[i + 1 : i + 2]).strip()), 0)


def _table(rule: str, rows: list[str]) -> list[str]:
    """Return what stands between the first and the last rule, with or without headings.

    A row whose first cell is empty goes on with the row before.
    """
    starts = [match.start() for match in re.finditer(r"=+", rule)]
    ends = [*starts[1:], None]
    head, cells = [""] * len(starts), list[list[str]]()
    for row in rows:
        if _RULE.match(row):  # what came before it are headings
            head, cells = cells[0], []
            continue
        new = [row[a:b].strip() for a, b in zip(starts, ends, strict=True)]
        if new[0] or not cells:
            cells.append(new)
        else:
            cells[-1] = [f"{a} {b}".strip() for a, b in zip(cells[-1], new, strict=True)]
    return ["", _row(head), "|" + "---|" * len(starts), *map(_row, cells), ""]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _literal(lines: list[str], at: int, found: list[str]) -> int:
    """Copy an indented block as fenced code; return the line after it."""
    while at < len(lines) and not lines[at].strip():
        at += 1
    begun = at
    while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
        at += 1
    block = "\n".join(lines[begun:at]).rstrip()
    dedented = "\n".join(line[4:] for line in block.split("\n"))
    language = "python" if "import " in block else "text"
    found += ["", f"```{language}", *dedented.split("\n"), "```", ""]
    return at
