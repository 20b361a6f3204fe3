"""Reading a built site as the browser's scripts do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def folder_of(site: Path, kind: str) -> Path:
    """Return the folder of ``assets`` or ``data`` that the page names."""
    page = (site / "index.html").read_text(encoding="utf-8")
    (name,) = set(re.findall(rf'"({kind}-[0-9a-f]+)[/"]', page))
    return site / name


def data_of(site: Path, name: str) -> Any:
    """Return the value that a data file hands over."""
    text = (folder_of(site, "data") / f"{name}.js").read_text(encoding="utf-8")
    head = f"spared.put({json.dumps(name)},"
    assert text.startswith(head) and text.endswith(");\n")
    return json.loads(text[len(head) : -3])


def row_of(site: Path, predictor: str, completer: str = "none", protocol: int = 0) -> Any:
    """Return a row of a board's data."""
    rows = data_of(site, f"p{protocol}/board")["rows"]
    return next(r for r in rows if (r["predictor"], r["completer"]) == (predictor, completer))
