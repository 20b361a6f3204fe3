"""The leaderboard as Markdown, CSV, JSON and for a terminal.

Nothing in them depends on when or from what they were made, so that the store and MLflow give the
same bytes and a changed table in version control is a changed result.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from spared_bench.harmless import table_cell
from spared_bench.leaderboard.columns import Column, Place, View, fields, in_view, values_of
from spared_bench.leaderboard.indented import indented
from spared_bench.leaderboard.measures import can_be_normalised, error_title
from spared_bench.leaderboard.model import Board, BoardDataset, ProtocolBoard, Row
from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.leaderboard.text import MAX_MESSAGE, visible
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def as_markdown(board: Board, command: str) -> str:
    """Return one section per protocol; the first line names the command that wrote it."""
    # A link that nothing refers to is Markdown's comment; one of HTML could not hold "--".
    named = visible(command, MAX_MESSAGE).replace("\\", "/").translate({40: "[", 41: "]"})
    lines = [f"[//]: # (Written by: {named})", "", "# Leaderboard"]
    for part in board.protocols:
        lines += ["", f"## {_markdown(part.protocol)}", "", *_remarks(part), ""]
        cells = list(_cells("markdown", part))
        lines += _markdown_table(
            [cell.heading for cell in cells],
            [[cell.text(part, row) for cell in cells] for row in part.rows],
        )
        if part.image_only:
            lines += ["", "### From images alone, on the same spots", "", *_image_only(part)]
        if part.failures:
            table = [
                (f.dataset, f.predictor, f.completer, str(f.seed), f.status, f.message)
                for f in part.failures
            ]
            names = ("dataset", "predictor", "completer", "seed", "status", "reason")
            lines += ["", "### Without a result", "", *_markdown_table(names, table)]
    return "\n".join(lines) + "\n"


def _image_only(part: ProtocolBoard) -> list[str]:
    """Return the table of the methods that are given nothing to know, which have no rank."""
    beside = replace(part, rows=part.image_only, image_only=())
    cells = [cell for cell in _cells("markdown", beside) if not cell.column.ranks]
    cells = [cell for cell in cells if cell.column.key != "rank"]
    return _markdown_table(
        [cell.heading for cell in cells],
        [[cell.text(beside, row) for cell in cells] for row in beside.rows],
    )


class FileTables:
    """The board as files hold it, with all digits: what of it two files hold is computed once.

    Parameters
    ----------
    board : Board
    """

    def __init__(self, board: Board) -> None:
        self._parts = [_Part(part) for part in board.protocols]

    def as_csv(self) -> str:
        """Return one line per protocol, row and dataset; empty where undefined."""
        named = {key: None for part in self._parts for key in part.keys}
        at = {key: place for place, key in enumerate(named or [f.key for f in fields(())])}
        text = io.StringIO()
        write = csv.writer(text, lineterminator="\n")
        write.writerow(at)
        for part in self._parts:
            row_places, dataset_places = ([at[key] for key in keys] for keys in part.both_keys)
            for values, by_dataset in part.rows:
                line: list[Any] = [""] * len(at)
                for place, value in zip(row_places, values, strict=True):
                    line[place] = table_cell(value)
                for there in by_dataset:
                    for place, value in zip(dataset_places, there, strict=True):
                        line[place] = table_cell(value)
                    write.writerow(line)
        return text.getvalue()

    def as_json(self, command: str) -> str:
        """Return the whole board; ``null`` where undefined."""
        protocols = [part.as_dict() for part in self._parts]
        return indented({"written_by": command, "protocols": protocols}) + "\n"


#: The values of a row, and those of it at each dataset, in their order.
_Values = tuple[list[Any], list[list[Any]]]


class _Part:
    """What files hold of one protocol: once of a row, and once for each dataset."""

    def __init__(self, part: ProtocolBoard) -> None:
        everything = fields(part.metrics)
        self._part = part
        self._of_row = [each for each in everything if "dataset" not in each.column.per]
        self._of_dataset = [each for each in everything if "dataset" in each.column.per]
        self.both_keys = [[f.key for f in each] for each in (self._of_row, self._of_dataset)]
        self.keys = [field.key for field in everything]
        self.rows = [self._values(row) for row in part.rows]

    def _values(self, row: Row) -> _Values:
        part, of_dataset = self._part, self._of_dataset
        there = [values_of(of_dataset, part, row, dataset) for dataset in part.datasets]
        return values_of(self._of_row, part, row), there

    def as_dict(self) -> dict[str, Any]:
        part = self._part
        beside = [self._named(self._values(row)) for row in part.image_only]
        return {
            "protocol": part.protocol,
            "comparable": part.comparable,
            "seeds": part.seeds,
            "ranking": part.ranking.model_dump(),
            "metrics": [asdict(metric) for metric in part.metrics],
            "columns": {
                each.key: {
                    "title": each.column.titled(each.metric),
                    "explanation": each.column.explanation,
                }
                for each in (*self._of_row, *self._of_dataset)
            },
            "datasets": [asdict(dataset) for dataset in part.datasets],
            "failures": [asdict(failure) for failure in part.failures],
            "notes": part.notes,
            "rows": [self._named(values) for values in self.rows],
            **({"image_only": beside} if beside else {}),
        }

    def _named(self, values: _Values) -> dict[str, Any]:
        of_row, of_dataset = self.both_keys
        there = {
            dataset.name: dict(zip(of_dataset, each, strict=True))
            for dataset, each in zip(self._part.datasets, values[1], strict=True)
        }
        return {**dict(zip(of_row, values[0], strict=True)), "datasets": there}


def terminal_table(
    results: Iterable[TrialResult], known: Known | None = None
) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a compact table; several protocols stand one after the other."""
    board = board_rows(results, known)
    several = len(board.protocols) > 1
    names: list[str] = []
    table = []
    for part in board.protocols:
        cells = list(_cells("console", part))
        if several:
            # Protocols on other datasets need other columns: the widest heading would mislead.
            cells = [cell for cell in cells if cell.dataset is None]
        headings = [cell.short_heading for cell in cells]
        names = max(names, [*headings, "Protocol"] if several else headings, key=len)
        for row in part.rows:
            line = [cell.text(part, row) for cell in cells]
            table.append([*line, part.protocol] if several else line)
    return [visible(name) for name in names], [[visible(text) for text in line] for line in table]


@dataclass(frozen=True)
class _Cell:
    """A cell of every row: a column, at a dataset or by a metric if it has one value for each."""

    column: Column
    metric: MetricSpec | None = None
    dataset: BoardDataset | None = None

    @property
    def heading(self) -> str:
        title = self.column.titled(self.metric)
        return title if self.dataset is None else f"{_label(self.dataset)}: {title}"

    @property
    def short_heading(self) -> str:
        """For a terminal: the other tables say in words what a tier means."""
        title = self.column.titled(self.metric)
        if self.dataset is None:
            return title
        tier = f" (tier {self.dataset.tier})" if self.dataset.shared_donors else ""
        return f"{self.dataset.name}{tier}: {title}"

    def text(self, part: ProtocolBoard, row: Row) -> str:
        return self.column.read(Place(part, row, self.dataset, self.metric))


def _cells(view: View, part: ProtocolBoard) -> Iterator[_Cell]:
    """Yield the cells of a table, in the order of the columns, those of each dataset together."""
    columns = list(in_view(view))
    scored = [column for column in columns if "dataset" in column.per]
    for column in columns:
        if column in scored[:1]:
            yield from _scored(view, part, scored)
        elif column not in scored:
            yield from (_Cell(column, metric) for metric in column.metrics(part))


def _scored(view: View, part: ProtocolBoard, columns: Sequence[Column]) -> Iterator[_Cell]:
    shown = [(column, column.metrics(part)) for column in columns]
    for dataset in part.datasets:
        for column, metrics in shown:
            # A terminal has room for one number per dataset: the one that is on one scale.
            for metric in metrics[-1:] if view == "console" else metrics:
                yield _Cell(column, metric, dataset)


def _label(dataset: BoardDataset) -> str:
    """Name a dataset with what one should know before comparing its scores."""
    label = dataset.name
    if not dataset.listed:
        label += " (not of the protocol)"
    elif dataset.synthetic:
        label += " (generated)"
    elif dataset.repeats:
        label += f" (repeats {', '.join(dataset.repeats)})"
    return label + (" (donors in train and test)" if dataset.shared_donors else "")


def _remarks(part: ProtocolBoard) -> list[str]:
    remarks = [_ranked_by(part)]
    if not part.comparable:
        remarks.append("**Not comparable with published numbers.**")
    return [line for remark in [*remarks, *map(_markdown, part.notes)] for line in (remark, "")][
        :-1
    ]


def _ranked_by(part: ProtocolBoard) -> str:
    """Say what rows are ranked by."""
    if not part.metrics:
        return "There are no scores."
    metric = part.metrics[0]
    if can_be_normalised(metric):
        what = (
            f"Norm. {metric.title}: {metric.title} over the lowest of any method on that dataset,"
            if metric.perfect == 0
            else f"Norm. {error_title(metric)}: the distance of {metric.title} from"
            f" {metric.perfect:g}, over the lowest of any method on that dataset,"
        )
        what += " averaged over measured datasets; lower is better."
    else:
        what = f"Mean {metric.title} over measured datasets; {metric.better} is better."
    return _markdown(what) + " n/m: only n of m datasets."


def _markdown_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[_markdown(name) for name in names], ["---"] * len(names)]
    lines += [[_markdown(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", visible(text, MAX_MESSAGE))
