"""The leaderboard as one static folder that opens from disk: no server and no network.

``index.html`` is a frame; scripts beside it draw it from the files of ``data/``, each read when it
is looked at. A browser reads no JSON from a disk, so every file is a script that hands one value
over. The page names the folders of its scripts and data, which are called by what is in them: a
build writes new ones beside the old, and renames the page last. Texts of strangers are visible
characters only (``text.visible``), and the scripts escape them wherever they become HTML; the
policy of the page allows no script in the document itself.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

import spared_bench
from spared_bench.errors import WorkspaceError
from spared_bench.keys.hashing import digest, file_digest
from spared_bench.leaderboard.comparisons import PAIR_TESTS, comparisons, completion_effects
from spared_bench.leaderboard.merging import origin_of
from spared_bench.leaderboard.model import Board, ProtocolBoard
from spared_bench.leaderboard.published import published_view
from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.leaderboard.site_data import board_data, method_data, plain, row_id
from spared_bench.leaderboard.tables import as_csv, as_json, as_markdown
from spared_bench.leaderboard.text import MAX_MESSAGE, visible
from spared_bench.leaderboard.vendor import write_libraries
from spared_bench.results import TrialResult
from spared_bench.store.processes import is_orphan, stamp

_HERE = Path(__file__).parent / "site"
SCRIPTS = tuple(
    f"{name}.js"
    for name in ("core", "table", "exports", "pages", "maps", "statistics", "figures", "app")
)
# Within a script, these characters could end an element or begin a comment.
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}

#: The file of each folder of a page that tells ours from another's, and words of it.
_MARKS = {"assets": ("core.js", "const spared ="), "data": ("index.js", "spared.put(")}
PAGE = "index.html"
_PAGE_WORDS = "<title>spared-bench leaderboard</title>"
_NAMED = re.compile(r"\b(?:assets|data)-[0-9a-f]{16}\b")

_BUILDING = ".building."

Files = Iterable[tuple[str, Any]]
RowTrials = Mapping[str, Sequence[TrialResult]]


@dataclass(frozen=True)
class Extras:
    """What a site shows beside the scores.

    Parameters
    ----------
    known : Known
        What is known of datasets, metrics and protocols.
    completion : dict of protocol to list of dict
        Results of the completion benchmark.
    maps : callable
        ``(row id -> trials, metrics) -> (name, value) pairs``; ``None`` for none.
    refused : tuple of str
        Entries that could not be used, with reasons.
    left_out : list of str
        Results and files that could not be read, with reasons; ``maps`` may add to it.
    """

    known: Known = field(default_factory=Known)
    completion: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    maps: Any = None
    refused: tuple[str, ...] = ()
    left_out: list[str] = field(default_factory=list)


def build(
    results: Iterable[TrialResult],
    out: Path,
    command: str,
    source: str,
    extras: Extras | None = None,
) -> Path:
    """Write the site and the tables; return the page.

    Everything is written to a hidden folder in it and renamed from there, the page last, so that
    whenever a build is killed, the page there is whole with its data: the old one or the new one.
    The files of the page before stay for those who have it open, until the next build. What else is
    in the folder stays.

    Parameters
    ----------
    results : iterable of TrialResult
        Runs, and entries of others (``merging.entry_trials``).
    out : Path
        Folder; made where it is missing.
    command : str
        The command that asks for it, for the tables' first line.
    source : str
        Where the results come from, for the page: ``"store"``, ``"mlflow"``.
    extras : Extras, optional

    Raises
    ------
    WorkspaceError
        If the folder cannot be written, or holds a page that no such build has written.
    """
    extras = extras or Extras()
    _check_ours(out)
    trials = list(results)
    board = board_rows(trials, extras.known, extras.completion)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for left in filter(is_orphan, out.glob(f"{_BUILDING}*")):
            shutil.rmtree(left, ignore_errors=True)
        # Within the folder, which may be a file system of its own.
        beside = out / f"{_BUILDING}{stamp()}"
        beside.mkdir()
        try:
            _write(beside, board, trials, command, source, extras)
            before = _named_by(out / PAGE)
            _move(beside, out)
            _sweep(out, before | _named_by(out / PAGE), beside)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise WorkspaceError(
            f"The leaderboard cannot be written to {out}: {error.strerror or error}. Name a folder"
            " that can be written with --out."
        ) from error
    return out / PAGE


def _check_ours(out: Path) -> None:
    """Refuse to replace a page that another has written: `--out .` in a site of somebody's."""
    path = out / PAGE
    if path.exists() and not _has(path, _PAGE_WORDS):
        raise WorkspaceError(
            f"{path} was not written by `spared-bench leaderboard build`, which would replace it."
            " Name an empty folder, or one of an earlier leaderboard, with --out."
        )


def _has(path: Path, words: str) -> bool:
    return path.is_file() and words in path.read_text(encoding="utf-8", errors="replace")


def _named_by(page: Path) -> set[str]:
    """Return the folders that a page reads; those of earlier versions have no such names."""
    try:
        found = set(_NAMED.findall(page.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return set()
    return found or set(_MARKS)


def as_data(name: str, value: Any) -> str:
    """Return the script that hands a value over under a name."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return f"spared.put({json.dumps(name)},{text});\n".translate(_UNSAFE)


def _write(
    folder: Path,
    board: Board,
    trials: Sequence[TrialResult],
    command: str,
    source: str,
    extras: Extras,
) -> None:
    assets, data = folder / "assets", folder / "data"
    write_libraries(assets)
    for name in (*SCRIPTS, "page.css"):
        shutil.copyfile(_HERE / name, assets / name)
    data.mkdir()
    by_protocol: dict[str, list[TrialResult]] = {}
    for trial in trials:
        by_protocol.setdefault(trial.protocol, []).append(trial)
    for number, part in enumerate(board.protocols):
        mine = by_protocol.get(part.protocol, [])
        for name, value in _protocol_files(part, mine, extras):
            path = data / f"p{number}" / f"{name}.js"
            path.parent.mkdir(exist_ok=True)
            path.write_text(as_data(f"p{number}/{name}", value), encoding="utf-8")
    (data / "index.js").write_text(as_data("index", _index(board, extras)), encoding="utf-8")
    names = {kind: _name_by_content(folder / kind) for kind in _MARKS}
    (folder / PAGE).write_text(_frame(command, source, names), encoding="utf-8")
    tables = {"md": as_markdown, "csv": as_csv, "json": as_json}
    for ending, table in tables.items():
        text = table(board, command)
        (folder / f"leaderboard.{ending}").write_text(text, encoding="utf-8", newline="\n")


def _protocol_files(part: ProtocolBoard, trials: Sequence[TrialResult], extras: Extras) -> Files:
    yield "board", board_data(part)
    for number, metric in enumerate(part.metrics):
        found = {
            "tests": [test.as_dict() for test in PAIR_TESTS],
            "comparisons": comparisons(part, metric),
            "completers": completion_effects(part, metric),
            "published": published_view(part, metric),
        }
        yield f"statistics-{number}", plain(found)
    yield "completion", plain(extras.completion.get(part.protocol, []))
    rows = trials_by_row(part, trials)
    for row in part.rows:
        yield f"method-{row_id(row)}", method_data(row, rows[row_id(row)])
    if extras.maps is not None:
        yield from extras.maps(rows, part.metrics)


def trials_by_row(part: ProtocolBoard, trials: Iterable[TrialResult]) -> RowTrials:
    """Return the trials of every row, by the row's id."""
    ids = {(row.origin, row.predictor, row.completer): row_id(row) for row in part.rows}
    found: dict[str, list[TrialResult]] = {name: [] for name in ids.values()}
    for trial in trials:
        found[ids[origin_of(trial), trial.predictor, trial.completer]].append(trial)
    return found


def _index(board: Board, extras: Extras) -> dict[str, Any]:
    refused = [visible(reason, MAX_MESSAGE) for reason in extras.refused[:100]]
    left_out = [visible(reason, MAX_MESSAGE) for reason in extras.left_out[:100]]
    return {
        "left_out": left_out,
        "protocols": [visible(part.protocol) for part in board.protocols],
        "refused": refused,
        "maps": extras.maps is not None,
    }


def _name_by_content(folder: Path) -> str:
    """Rename a folder to its name and a hash of its files; return the new name."""
    name = f"{folder.name}-{_hash(folder)}"
    folder.rename(folder.with_name(name))
    return name


def _hash(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest([[path.relative_to(folder).as_posix(), file_digest(path)] for path in files])[:16]


def _frame(command: str, source: str, folders: Mapping[str, str]) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((_HERE / "index.html").read_text(encoding="utf-8"))
    return template.render(
        scripts=SCRIPTS,
        **folders,
        date=datetime.now(UTC).date().isoformat(),
        version=spared_bench.__version__,
        command=visible(command, MAX_MESSAGE),
        source={"store": "the store", "mlflow": "MLflow"}.get(source, visible(source)),
    )


def _move(beside: Path, out: Path) -> None:
    """Put the new files into the folder: first what the page reads, last the page."""
    folders = [path for path in beside.iterdir() if path.is_dir()]
    for path in folders:
        _put(path, out / path.name)
    tables = [path for path in beside.iterdir() if path.is_file() and path.name != PAGE]
    for path in sorted(tables):
        path.replace(out / path.name)
    (beside / PAGE).replace(out / PAGE)
    for path in folders:  # another build may have swept what was there before
        _put(path, out / path.name)


def _put(folder: Path, final: Path) -> None:
    """Rename a folder into its place, unless one with these very files is there."""
    if not folder.is_dir() or (final.is_dir() and final.name.endswith(f"-{_hash(final)}")):
        return
    if final.exists():
        final.rename(folder.with_name(f"{folder.name}.damaged"))
    folder.rename(final)


def _sweep(out: Path, kept: set[str], beside: Path) -> None:
    """Remove the folders of earlier pages, unless another build may be about to name one."""
    found = [path for kind in _MARKS for path in (out / kind, *out.glob(f"{kind}-*"))]
    if any(path != beside for path in out.glob(f"{_BUILDING}*")):
        return
    for path in found:
        file, words = _MARKS[path.name.partition("-")[0]]
        ours = path.name in _MARKS or _NAMED.fullmatch(path.name)
        if ours and path.name not in kept and _has(path / file, words):
            removed = beside / f"{path.name}.old"  # nobody meets half of it
            path.rename(removed)
