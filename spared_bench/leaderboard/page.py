"""The leaderboard as one HTML file that opens from disk: no server, no network, no other file.

Jinja escapes every text. Scripts and styles are allowed by their hashes alone, so that a text that
escaped all the same could not run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from markupsafe import Markup

import spared_bench
from spared_bench.errors import WorkspaceError
from spared_bench.leaderboard.board import Board
from spared_bench.leaderboard.rows import board_rows
from spared_bench.leaderboard.tables import as_csv, as_json, as_markdown
from spared_bench.leaderboard.text import MAX_MESSAGE, visible
from spared_bench.leaderboard.view import view
from spared_bench.results import TrialResult

_HERE = Path(__file__).parent
# Within a script element, these characters could end it or begin a comment.
_UNSAFE_IN_SCRIPT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def build(results: Iterable[TrialResult], out: Path, command: str, source: str) -> Path:
    """Write ``index.html`` and the tables; return the page.

    Every file is written beside the folder and renamed into it, so that a half-written one is
    never read.

    Parameters
    ----------
    results : iterable of TrialResult
    out : Path
        Folder; made where it is missing. Other files in it stay.
    command : str
        The command that asks for it, for the tables' first line.
    source : str
        Where the results come from, for the page: ``"store"``, ``"mlflow"``.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written.
    """
    board = board_rows(results)
    files = {
        "leaderboard.md": as_markdown(board, command),
        "leaderboard.csv": as_csv(board, command),
        "leaderboard.json": as_json(board, command),
        "index.html": page(board, command, source),
    }
    try:
        _write_all(files, out)
    except OSError as error:
        raise WorkspaceError(
            f"The leaderboard cannot be written to {out}: {error.strerror or error}. Name a folder"
            " that can be written with --out."
        ) from error
    return out / "index.html"


def page(board: Board, command: str, source: str) -> str:
    """Return the page as HTML."""
    style, script = _read("page.css"), _read("page.js")
    downloads = {"csv": as_csv(board, command), "json": as_json(board, command)}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read("page.html")).render(
        parts=[view(part) for part in board.protocols],
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        downloads=Markup(embedded_json(downloads)),
        date=datetime.now(UTC).date().isoformat(),
        version=spared_bench.__version__,
        command=visible(command, MAX_MESSAGE),
        source={"store": "the store", "mlflow": "MLflow"}.get(source, visible(source)),
    )


def embedded_json(values: object) -> str:
    """Return JSON that cannot end the script element in which it stands."""
    return json.dumps(values).translate(_UNSAFE_IN_SCRIPT)


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _write_all(files: dict[str, str], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for name, text in files.items():
            (beside / name).write_text(text, encoding="utf-8", newline="\n")
        for name in files:
            (beside / name).replace(out / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
