"""What changed from one build to the next, as a JSON Feed that readers of feeds can follow.

The build before is read from the folder that is written again: its ``leaderboard.json`` and its
``feed.json``. Where these are gone or not to be read, the feed begins anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from spared_bench.keys.hashing import digest
from spared_bench.leaderboard.text import MAX_MESSAGE, score, visible
from spared_bench.ordinary import read_bytes, read_json
from spared_bench.words import counted

FEED, TABLE = "feed.json", "leaderboard.json"
MOST_ITEMS = 50
MOST_CHANGES = 100
_VERSION = "https://jsonfeed.org/version/1.1"
_BYTES = 200 << 20  # a table of forty thousand runs has 60 MB
_SAME = 1e-9  # a relative difference that is none


def next_feed(folder: Path, table: str, now: datetime) -> dict[str, Any]:
    """Return the feed of a build: what the one before said, and what is new.

    Parameters
    ----------
    folder : Path
        That holds the build before, or nothing.
    table : str
        The new ``leaderboard.json``.
    now : datetime
        With a time zone.

    Returns
    -------
    dict
        A JSON Feed 1.1. Each item has its changes in ``_changes`` too: ``protocol``, ``row`` (the
        names of a row, or empty) and ``text``.
    """
    is_same = _holds(folder / TABLE, table)
    before = {} if is_same else _read(folder / TABLE)
    items = _items(_read(folder / FEED)) if is_same or before else []
    changes = [] if is_same else list(_changes(before or {}, json.loads(table)))
    if changes:
        shown = changes[:MOST_CHANGES]
        text = "\n".join(f"{each['protocol']}: {each['text']}" for each in shown)
        if len(changes) > len(shown):
            text += f"\nand {len(changes) - len(shown)} more."
        first = changes[0]["text"]
        more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        stamp = now.isoformat(timespec="seconds")
        item = {
            "id": digest([stamp, text])[:24],
            "title": f"{first}{more}",
            "content_text": text,
            "date_published": stamp,
            "_changes": shown,
        }
        items = [item, *items][:MOST_ITEMS]
    return {"version": _VERSION, "title": "spared-bench leaderboard: changes", "items": items}


def _holds(path: Path, text: str) -> bool:
    """Return whether a file holds this text; large tables are not read twice to find no change."""
    wanted = text.encode()
    try:
        return path.stat().st_size == len(wanted) and read_bytes(path) == wanted
    except OSError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > _BYTES:
            return None
        found = read_json(path)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _items(feed: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the items that such a build has written, and nothing else."""
    found = (feed or {}).get("items")
    texts = ("id", "title", "content_text", "date_published")
    return [
        {
            **{name: _lines(each[name]) for name in texts},
            "_changes": [
                {name: visible(str(change.get(name, "")), MAX_MESSAGE) for name in _CHANGE}
                for change in each.get("_changes", ())[:MOST_CHANGES]
                if isinstance(change, dict)
            ],
        }
        for each in (found if isinstance(found, list) else [])
        if isinstance(each, dict)
        and all(isinstance(each.get(name), str) for name in texts)
        and isinstance(each.get("_changes", []), list)
    ][:MOST_ITEMS]


_CHANGE = ("protocol", "row", "text")


def _lines(text: str) -> str:
    return "\n".join(visible(line, MAX_MESSAGE) for line in text.splitlines()[: MOST_CHANGES + 1])


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    old = {part["protocol"]: part for part in _parts(before)}
    for part in _parts(after):
        name = str(part["protocol"])
        if name not in old:
            n = len(part["rows"])
            yield _change(name, "", f"New protocol with {counted(n, 'row')}.")
            continue
        yield from _of_protocol(name, old.pop(name), part)
    for name in old:
        yield _change(name, "", "The protocol is no longer on the board.")


def _parts(table: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = table.get("protocols", ())
    good = isinstance(found, list)
    return [
        part
        for part in (found if good else ())
        if isinstance(part, dict)
        and isinstance(part.get("rows"), list)
        and isinstance(part.get("datasets"), list)
        and isinstance(part.get("protocol"), str)
    ]


def _of_protocol(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[dict[str, str]]:
    old, new = (
        {_row(row): row for row in part["rows"] if isinstance(row, dict)}
        for part in (before, after)
    )
    known = {str(each.get("name")) for each in before["datasets"] if isinstance(each, dict)}
    for dataset in after["datasets"]:
        if str(dataset["name"]) not in known:
            yield _change(name, "", f"New dataset {dataset['name']}.")
    first, last = _leaders(before["rows"]), _leaders(after["rows"])
    if last and first != last:
        was = f"; before: {', '.join(first)}" if first else ""
        yield _change(name, "", f"Ranked first: {', '.join(last)}{was}.")
    for row in sorted(new.keys() - old.keys()):
        yield _change(name, row, f"New: {row}.")
    for row in sorted(old.keys() - new.keys()):
        yield _change(name, row, f"Gone: {row}.")
    metric = str((after.get("ranking") or {}).get("metric", "")).replace("-", "_")
    for row in sorted(new.keys() & old.keys()):
        yield from _of_row(name, row, old[row], new[row], metric)


def _of_row(
    name: str, row: str, before: Mapping[str, Any], after: Mapping[str, Any], metric: str
) -> Iterator[dict[str, str]]:
    if after.get("withdrawn") is not None and before.get("withdrawn") is None:
        yield _change(name, row, f"Withdrawn: {row}: {after['withdrawn']}")
    was, now = (each.get(f"mean_{metric}") for each in (before, after))
    if isinstance(was, int | float) and isinstance(now, int | float) and not _equal(was, now):
        text = f"{row}: mean {metric} {score(float(was))} → {score(float(now))}."
        yield _change(name, row, text)


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_SAME, abs_tol=1e-12)


def _leaders(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(_row(row) for row in rows if isinstance(row, dict) and row.get("rank") == 1)


def _row(row: Mapping[str, Any]) -> str:
    """Return the names of a row; the page makes the same of its data.

    A column of the table says the predictor, too, where an entry has several.
    """
    return f"{row.get('name')} · {row.get('completer')} · {row.get('trust')}"


def _change(protocol: str, row: str, text: str) -> dict[str, str]:
    # As long as the page has them, which looks for its rows by these names.
    found = (visible(each, MAX_MESSAGE) for each in (protocol, row, text))
    return dict(zip(_CHANGE, found, strict=True))
