"""The leaderboard as Markdown, CSV, JSON and for a terminal.

Nothing in them depends on when or from what they were made, so that the store and MLflow give the
same bytes and a changed table in version control is a changed result.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from spared_bench.leaderboard.board import Board, Mean, ProtocolBoard, Row, Value
from spared_bench.leaderboard.rows import board_rows
from spared_bench.leaderboard.text import (
    MAX_MESSAGE,
    NONE,
    Number,
    correlation,
    count,
    coverage,
    duration,
    score,
    visible,
)
from spared_bench.results import TrialResult

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~$&])")
_CSV_COLUMNS = (
    *("protocol", "rank", "predictor", "completer", "control"),
    *("dataset", "synthetic", "tier", "split"),
    *("mse", "mse_sd", "pcc_gene", "pcc_gene_sd", "seeds", "failed", "normalised_mse"),
    *("mean_normalised_mse", "mean_pcc_gene", "datasets_covered", "datasets"),
    *("n_parameters", "fit_seconds"),
    *("trust", "method", "version", "withdrawn", "flags"),
    *("mean_normalised_mse_low", "mean_normalised_mse_high"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_markdown(board: Board, command: str) -> str:
    """Return one section per protocol; the first line names the command that wrote it."""
    # A link that nothing refers to is Markdown's comment; one of HTML could not hold "--".
    named = visible(command, MAX_MESSAGE).replace("\\", "/").translate({40: "[", 41: "]"})
    lines = [f"[//]: # (Written by: {named})", "", "# Leaderboard"]
    for part in board.protocols:
        lines += ["", f"## {_markdown(part.protocol)}", "", *_remarks(part), ""]
        lines += _markdown_table(headings(part), [cells(row, part) for row in part.rows])
        if part.failures:
            table = [
                (f.dataset, f.predictor, f.completer, str(f.seed), f.status, f.message)
                for f in part.failures
            ]
            names = ("dataset", "predictor", "completer", "seed", "status", "reason")
            lines += ["", "### Without a result", "", *_markdown_table(names, table)]
    return "\n".join(lines) + "\n"


def as_csv(board: Board, command: str = "") -> str:
    """Return one line per protocol, row and dataset, with all digits; empty where undefined."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    write.writerow(_CSV_COLUMNS)
    for part in board.protocols:
        for row in part.rows:
            for column in part.columns:
                entry, mean = row.entries[column.name], row.mean_normalised_mse
                write.writerow(
                    _csv(value)
                    for value in (
                        *(part.protocol, row.rank, row.predictor, row.completer, row.control),
                        *(column.name, column.synthetic, column.tier, column.split),
                        *(entry.mse.mean, entry.mse.spread, entry.pcc.mean, entry.pcc.spread),
                        *(entry.mse.seeds, entry.failed, entry.normalised_mse),
                        *(mean.value, row.mean_pcc.value, mean.covered, mean.total),
                        *(row.n_parameters, row.fit_seconds),
                        *(row.origin.trust, row.origin.method, row.origin.version),
                        *(row.origin.withdrawn, _flags(row, column.name), *row.interval),
                    )
                )
    return text.getvalue()


def as_json(board: Board, command: str) -> str:
    """Return the whole board with all digits; ``null`` where undefined."""
    values = {"written_by": command, **_json(asdict(board))}
    return json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"


def terminal_table(results: Iterable[TrialResult]) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a compact table; several protocols stand one after the other."""
    board = board_rows(results)
    several = len(board.protocols) > 1
    names, table = [], []
    for part in board.protocols:
        short = ["rank", "predictor", "completer", "norm. MSE", "PCC-Gene"]
        short += [f"PCC {column.name}" for column in part.columns]
        # Protocols on other datasets need other columns: the widest heading would mislead.
        names = short if not several else [*short[:5], "protocol"]
        for row in part.rows:
            line = [_rank(row), _name(row), row.completer]
            line += [_mean(row.mean_normalised_mse, score), _mean(row.mean_pcc, correlation)]
            per_dataset = [
                correlation(row.entries[column.name].pcc.mean) for column in part.columns
            ]
            table.append(
                [visible(t) for t in [*line, *([part.protocol] if several else per_dataset)]]
            )
    return [visible(name) for name in names], table


def headings(part: ProtocolBoard) -> list[str]:
    """Return the headings of ``cells``."""
    names = ["rank", "predictor", "completer", "mean normalised MSE", "mean PCC-Gene"]
    for column in part.columns:
        label = column.name
        if not column.listed:
            label += " (not of the protocol)"
        elif column.synthetic:
            label += " (generated)"
        elif column.repeats:
            label += f" (repeats {', '.join(column.repeats)})"
        if column.shared_donors:
            label += " (donors in train and test)"
        names += [f"{label}: MSE", f"{label}: PCC-Gene"]
    return [*names, "parameters", "training time"]


def cells(row: Row, part: ProtocolBoard) -> list[str]:
    """Return a row as people read it."""
    line = [_rank(row), _name(row), row.completer]
    line += [_mean(row.mean_normalised_mse, score), _mean(row.mean_pcc, correlation)]
    for column in part.columns:
        entry = row.entries[column.name]
        line += [
            _value(entry.mse, entry.failed, score),
            _value(entry.pcc, entry.failed, correlation),
        ]
    costs = count(row.n_parameters), duration(row.fit_seconds)
    return [*line, *(_claimed(row, cost) for cost in costs)]


def _claimed(row: Row, text: str) -> str:
    """Say of what nobody has seen here that it is claimed."""
    return text if row.origin.trained_here or text == NONE else f"{text} (claimed)"


def _flags(row: Row, dataset: str) -> str:
    about = [flag for flag in row.origin.flags if flag.dataset in ("", dataset)]
    return "; ".join(f"{flag.kind}: {flag.reason}" for flag in about)


def _name(row: Row) -> str:
    """Name a row; what comes from others says from whom, and how far it was checked."""
    origin = row.origin
    if not origin.method:
        return row.predictor if origin.trained_here else f"{row.predictor} ({origin.trust})"
    return f"{origin.method}@{origin.version} ({origin.trust})"


def _rank(row: Row) -> str:
    if row.control:
        return "control"
    if row.origin.withdrawn is not None:
        return "withdrawn"
    return NONE if row.rank is None else str(row.rank)


def _mean(mean: Mean, number: Number) -> str:
    return " ".join(filter(None, (number(mean.value), _in_brackets(mean))))


def _in_brackets(mean: Mean) -> str:
    part = coverage(mean.covered, mean.total)
    return f"({part})" if part else ""


def _value(value: Value, failed: int, number: Number) -> str:
    text = number(value.mean)
    if not math.isnan(value.spread):
        text += f" ± {number(value.spread)}"
    if failed and value.seeds:
        text += f" ({value.seeds}/{value.seeds + failed} seeds)"
    return text


def _remarks(part: ProtocolBoard) -> list[str]:
    remarks = [
        "Mean normalised MSE: MSE over the lowest of any method on that dataset, averaged over"
        " measured datasets; lower is better. n/m: only n of m datasets."
    ]
    if not part.comparable:
        remarks.append("**Not comparable with published numbers.**")
    return [line for remark in [*remarks, *map(_markdown, part.notes)] for line in (remark, "")][
        :-1
    ]


def _markdown_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[_markdown(name) for name in names], ["---"] * len(names)]
    lines += [[_markdown(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", visible(text, MAX_MESSAGE))


def _csv(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return ""
    # A spreadsheet would run a name that begins like a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
