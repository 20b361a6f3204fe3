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
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from pydantic_core import to_json

import spared_bench
from spared_bench.errors import WorkspaceError
from spared_bench.leaderboard.comparisons import PAIR_TESTS, comparisons, completion_effects
from spared_bench.leaderboard.feed import FEED, TABLE, next_feed
from spared_bench.leaderboard.merging import origin_of
from spared_bench.leaderboard.model import Board, ProtocolBoard
from spared_bench.leaderboard.published import published_view
from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.leaderboard.site_data import board_data, method_data, plain, row_id
from spared_bench.leaderboard.site_folder import (
    KINDS,
    PAGE,
    check_ours,
    name_by_content,
    replace_site,
)
from spared_bench.leaderboard.tables import FileTables, as_markdown
from spared_bench.leaderboard.text import MAX_MESSAGE, visible
from spared_bench.leaderboard.vendor import write_libraries
from spared_bench.results import TrialResult
from spared_bench.store.disk import way_out

_HERE = Path(__file__).parent / "site"
#: In the order in which they build on each other.
SCRIPTS = tuple(
    f"{name}.js"
    for name in (
        *("core", "parts", "words", "choice", "whiskers", "cost", "grid", "table", "exports"),
        *("running", "choose", "reconcile", "protocols", "method", "dataset", "packed"),
        *("viewer", "maps", "mapplots", "versus", "statistics", "plot", "figures"),
        *("bydataset", "genes", "completion", "app"),
    )
)
MOST_CHANGES = 20  # that the page itself tells of
# Within a script, these characters could end an element or begin a comment.
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}

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
    slides : callable
        Dataset to (name, value) pairs: pictures and checks of its slides; ``None`` for none.
    protocol_files : dict of protocol to str
        Of protocols that come with no plugin: their YAML, for who runs what the page shows.
    settings : dict of protocol to dict
        What each protocol does, in words (``differences``).
    predictors : dict of name to dict
        What is known of the predictors that could be run here.
    completers : dict of name to str
        What each completer that is known here does.
    left_out : list of str
        Results and files that are not shown, with reasons; ``maps`` may add to it.
    """

    known: Known = field(default_factory=Known)
    completion: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    maps: Any = None
    slides: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    protocol_files: Mapping[str, str] = field(default_factory=dict)
    predictors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    completers: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    left_out: list[str] = field(default_factory=list)


def build(
    results: Iterable[TrialResult],
    out: Path,
    command: str,
    source: str,
    extras: Extras | None = None,
    is_newest: Callable[[], bool] = lambda: True,
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
    is_newest : callable
        Asked when all is written: whether it may take the place of what is there.

    Raises
    ------
    OvertakenError
        If it may not.
    WorkspaceError
        If the folder cannot be written, or holds a page that no such build has written.
    """
    extras = extras or Extras()
    check_ours(out)
    trials = list(results)
    board = board_rows(trials, extras.known, extras.completion)
    try:
        return replace_site(
            out,
            lambda folder: _write(folder, out, board, trials, command, source, extras),
            is_newest,
        )
    except OSError as error:
        way = way_out(error, "Name a folder that can be written with --out.")
        told = f"The leaderboard cannot be written to {out}: {error.strerror or error}."
        raise WorkspaceError(f"{told} {way}") from error


def as_data(name: str, value: Any) -> str:
    """Return the script that hands a value over under a name."""
    try:
        text = to_json(value, inf_nan_mode="null").decode()  # three times as fast as ``json``
    except ValueError:  # half a letter, which ``json`` writes
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return f"spared.put({json.dumps(name)},{text});\n".translate(_UNSAFE)


def _write(
    folder: Path,
    out: Path,
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
    _write_protocols(data, board, trials, extras)
    changes = _write_tables(folder, out, board, command)
    slides = _slides(board, extras)
    for name, value in slides.values():
        (data / f"{name}.js").write_text(as_data(name, value), encoding="utf-8")
    index = {
        **_index(board, extras),
        "slides": {dataset: name for dataset, (name, _) in slides.items()},
        "changes": changes[:MOST_CHANGES],
    }
    (data / "index.js").write_text(as_data("index", index), encoding="utf-8")
    names = {kind: name_by_content(folder / kind) for kind in KINDS}
    (folder / PAGE).write_text(_frame(command, source, names), encoding="utf-8")


def _write_protocols(
    data: Path, board: Board, trials: Sequence[TrialResult], extras: Extras
) -> None:
    by_protocol: dict[str, list[TrialResult]] = {}
    for trial in trials:
        by_protocol.setdefault(trial.protocol, []).append(trial)
    for number, part in enumerate(board.protocols):
        mine = by_protocol.get(part.protocol, [])
        for name, value in _protocol_files(part, mine, extras):
            path = data / f"p{number}" / f"{name}.js"
            path.parent.mkdir(exist_ok=True)
            path.write_text(as_data(f"p{number}/{name}", value), encoding="utf-8")


def _write_tables(folder: Path, out: Path, board: Board, command: str) -> list[dict[str, Any]]:
    """Write the tables and the feed of what changed since the build before; return its items."""
    files = FileTables(board)
    tables = {
        "leaderboard.md": as_markdown(board, command),
        "leaderboard.csv": files.as_csv(),
        TABLE: files.as_json(command),
    }
    for name, text in tables.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    feed = next_feed(out, tables[TABLE], datetime.now(UTC))
    (folder / FEED).write_text(json.dumps(feed, indent=1) + "\n", encoding="utf-8")
    items: list[dict[str, Any]] = feed["items"]
    return items


def _slides(board: Board, extras: Extras) -> dict[str, tuple[str, Any]]:
    """Return the file of each dataset of which the slides can be shown."""
    if extras.slides is None:
        return {}
    names = dict.fromkeys(each.name for part in board.protocols for each in part.datasets)
    found = {name: next(iter(extras.slides(name)), None) for name in names}
    return {visible(name): file for name, file in found.items() if file is not None}


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
    """Return the trials of every row, by the row's id; those beside the board have no row."""
    ids = {(row.origin, row.predictor, row.completer): row_id(row) for row in part.rows}
    beside = {(row.origin, row.predictor, row.completer) for row in part.image_only}
    found: dict[str, list[TrialResult]] = {name: [] for name in ids.values()}
    for trial in trials:
        method = (origin_of(trial), trial.predictor, trial.completer)
        if method not in beside:
            found[ids[method]].append(trial)
    return found


def _index(board: Board, extras: Extras) -> dict[str, Any]:
    refused = [visible(reason, MAX_MESSAGE) for reason in extras.refused[:100]]
    left_out = [visible(reason, MAX_MESSAGE) for reason in extras.left_out[:100]]
    return {
        "left_out": left_out,
        "protocols": [visible(part.protocol) for part in board.protocols],
        "first": visible(board.first.protocol) if board.first else "",
        "refused": refused,
        "maps": extras.maps is not None,
        "settings": plain(dict(extras.settings)),
        "offers": {visible(part.protocol): _offer(part) for part in board.protocols},
        "files": {visible(name): text for name, text in extras.protocol_files.items()},
        "predictors": plain(dict(extras.predictors)),
        "completers": plain(dict(extras.completers)),
    }


def _offer(part: ProtocolBoard) -> dict[str, list[str]]:
    """Return of what the datasets are that count, for readers of another protocol."""
    counted = [dataset for dataset in part.datasets if dataset.counts]
    return {
        what: sorted({visible(str(each.about[what])) for each in counted if each.about.get(what)})
        for what in ("technology", "organism", "tissue")
    }


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
