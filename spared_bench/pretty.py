"""How things show themselves in notebooks: a small table, and never more than a screen of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_MOST_ROWS = 60
_MOST_CHARS = 300


def facts_html(title: str, facts: Iterable[tuple[str, Any]]) -> str:
    """Return a title and a table of names and values; empty values are left out."""
    rows = [(name, text) for name, value in facts if (text := short(value))]
    return table_html(title, ("", ""), rows)


def table_html(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a title and a table, of at most sixty rows."""
    shown = list(rows)[:_MOST_ROWS]
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = [
        "<tr>" + "".join(f"<td>{escape(short(value))}</td>" for value in row) + "</tr>"
        for row in shown
    ]
    more = len(rows) - len(shown)
    end = f"<p>and {more} more</p>" if more > 0 else ""
    top = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    return (
        f"<div><strong>{escape(title)}</strong><table>{top}<tbody>{''.join(lines)}</tbody></table>"
        f"{end}</div>"
    )


def short(value: Any) -> str:
    """Return a value as people read it, cut where it is long."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "undefined"
    if isinstance(value, dict):
        value = ", ".join(f"{key} {short(item)}" for key, item in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        items = [short(item) for item in value]
        value = ", ".join(items[:8]) + (f", ... ({len(items)})" if len(items) > 8 else "")
    text = str(value)
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 1] + "…"
