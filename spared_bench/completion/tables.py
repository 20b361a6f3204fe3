"""What the completion benchmark found, as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spared_bench.completion.benchmark import CompletionResult, Condition, comparable
from spared_bench.completion.measures import FIRST, MEASURES
from spared_bench.errors import UsageError
from spared_bench.files import replacing, write_text
from spared_bench.harmless import table_cell
from spared_bench.ordinary import read_json
from spared_bench.words import counted

RESULTS = "results.json"


@dataclass(frozen=True)
class Collection:
    """All that was measured under a protocol in a workspace, and by which commands.

    ``gone`` are earlier results that cannot stand beside those that were added last.
    """

    results: list[CompletionResult]
    commands: list[str]
    gone: list[CompletionResult] = field(default_factory=list)


def collect(results: Sequence[CompletionResult], folder: Path, command: str) -> Collection:
    """Add results to those that a folder has from earlier commands.

    A new result takes the place of an earlier one of the same dataset, completer and condition, and
    takes away those of other settings of the protocol, or of other data of the dataset. A folder
    whose ``results.json`` cannot be read is begun anew.
    """
    earlier = _earlier(folder)
    kept = comparable([*earlier.results, *results])
    by_place = {(each.dataset, each.completer, each.condition): each for each in kept}
    commands = [each for each in earlier.commands if each != command]
    gone = [each for each in earlier.results if each not in kept]
    return Collection(list(by_place.values()), [*commands, command], gone)


def check_folder(folder: Path, protocol: str) -> None:
    """Refuse a folder that has results under another protocol, which are not comparable.

    Raises
    ------
    UsageError
        If it has.
    """
    others = {result.protocol for result in _earlier(folder).results} - {protocol}
    if others:
        raise UsageError(
            f"{folder} holds results under {', '.join(sorted(others))}, which cannot stand in one"
            f" table with those under {protocol}. Name another folder with --out."
        )


def _earlier(folder: Path) -> Collection:
    try:
        earlier = read_json(folder / RESULTS)
        found = [CompletionResult.from_dict(values) for values in earlier["results"]]
        return Collection(found, list(earlier["commands"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Collection([], [])


def write_tables(collection: Collection, folder: Path) -> list[Path]:
    """Write ``results.json``, ``summary.csv``, ``slides.csv`` and ``table.md`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    results = collection.results
    values = {
        "commands": collection.commands,
        "results": [result.as_dict() for result in results],
    }
    write_text(folder / RESULTS, json.dumps(values, indent=1), sync=False)
    _write_csv(folder / "summary.csv", [_row(result) for result in results])
    slides = [_row(result, slide) for result in results for slide in result.slides]
    _write_csv(folder / "slides.csv", slides)
    write_text(folder / "table.md", markdown(collection), sync=False)
    return [folder / name for name in (RESULTS, "summary.csv", "slides.csv", "table.md")]


def markdown(collection: Collection) -> str:
    """Return one table of errors and one of correlations per dataset, the best method first.

    Methods are ordered by their errors where all of them were measured, if there is such a mask.
    """
    results = collection.results
    parts = ["\n".join(f"<!-- {command} -->" for command in collection.commands)]
    for dataset in dict.fromkeys(result.dataset for result in results):
        here = [result for result in results if result.dataset == dataset]
        facts, first = here[0].facts, here[0]
        *fewer, most = sorted({len(each.repeats) for each in here})
        masks = " or ".join([*map(str, fewer), counted(most, "mask")])
        parts.append(
            f"## {dataset}\n\n{facts.get('n_spots')} spots of the {first.split} split ×"
            f" {facts.get('n_genes')} genes, {facts.get('missing_fraction', math.nan):.1%} of the"
            f" entries unmeasured; mean ± standard deviation over {masks}."
        )
        for metric, title in MEASURES.items():
            parts.append(f"{title} at hidden entries:\n\n{_table(here, metric)}")
    return "\n\n".join(parts) + "\n"


def board_records(results: Sequence[CompletionResult]) -> dict[str, list[dict[str, Any]]]:
    """Return one plain record per result for the leaderboard, by protocol, in a fixed order."""
    found: dict[str, list[dict[str, Any]]] = {}
    ordered = sorted(results, key=lambda each: (each.dataset, each.completer, each.condition))
    for result in ordered:
        record = {
            "dataset": result.dataset,
            "completer": result.completer,
            "split": result.split,
            "rule": result.condition.rule,
            "rate": result.condition.rate,
            "masks": len(result.repeats),
            **{metric: result.mean(metric) for metric in MEASURES},
            **{f"{metric}_sd": result.sd(metric) for metric in MEASURES},
            "parameters": result.n_parameters,
            "seconds": result.seconds.get("fit"),
        }
        found.setdefault(result.protocol, []).append(record)
    return found


def _table(results: Sequence[CompletionResult], metric: str) -> str:
    columns = sorted({result.condition for result in results})
    by_place = {(result.completer, result.condition): result for result in results}
    completers = list(dict.fromkeys(result.completer for result in results))

    def error(completer: str, condition: Condition) -> float:
        found = by_place.get((completer, condition))
        return math.nan if found is None else found.mean(FIRST)

    # Where few entries are hidden errors are small: who was asked nothing else is not the better.
    shared = [
        column
        for column in columns
        if not any(math.isnan(error(completer, column)) for completer in completers)
    ]

    def order(completer: str) -> float:
        errors = [error(completer, column) for column in shared or columns]
        known = [each for each in errors if not math.isnan(each)]
        return sum(known) / len(known) if known else math.inf

    lines = [
        "| completer | " + " | ".join(column.label for column in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for completer in sorted(completers, key=order):
        cells = [_cell(by_place.get((completer, column)), metric) for column in columns]
        lines.append(f"| {completer} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(result: CompletionResult | None, metric: str) -> str:
    if result is None or math.isnan(result.mean(metric)):
        return "–"
    sd = result.sd(metric)
    return f"{result.mean(metric):.3f}" + ("" if math.isnan(sd) else f" ± {sd:.3f}")


def _row(result: CompletionResult, slide: str = "") -> dict[str, Any]:
    condition = result.condition
    return {
        "protocol": result.protocol,
        "dataset": result.dataset,
        **({"slide": slide} if slide else {}),
        "split": result.split,
        "completer": result.completer,
        "rule": condition.rule,
        "rate": condition.rate if condition.rule == "fraction" else "",
        "masks": len(result.repeats),
        **{
            f"{metric}{part}": _plain(value(metric, slide))
            for metric in MEASURES
            for part, value in (("", result.mean), ("_sd", result.sd))
        },
        "parameters": "" if result.n_parameters is None else result.n_parameters,
        "fit_seconds": result.seconds.get("fit", ""),
        "complete_seconds": result.seconds.get("complete", ""),
    }


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["dataset"])
        writer.writeheader()
        writer.writerows({name: table_cell(each) for name, each in row.items()} for row in rows)
