"""The tables beside a report: every cell, every slide, every gene and every comparison as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spared_bench.files import write_text
from spared_bench.studies.comparing import Difference
from spared_bench.studies.model import Study
from spared_bench.studies.results import Collected, StudyCell

CELLS, SLIDES, GENES, COMPARISONS = "cells.csv", "slides.csv", "genes.csv", "comparisons.csv"


def write_tables(
    folder: Path, study: Study, collected: Collected, differences: Sequence[Difference]
) -> list[Path]:
    """Write the tables of a study; return their files."""
    return [
        write_table(folder / CELLS, _cells(study, collected)),
        write_table(folder / SLIDES, _slides(study, collected.done)),
        write_table(folder / GENES, _genes(study, collected.done)),
        write_table(folder / COMPARISONS, [_flat(each) for each in differences]),
    ]


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as CSV, with the columns of all of them as they come; nan is empty."""
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_plain(row.get(name, "")) for name in columns])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue(), sync=False)
    return path


def _flat(difference: Difference) -> dict[str, Any]:
    """Return all but what ``slides.csv`` has in full."""
    return {name: value for name, value in asdict(difference).items() if name != "of_blocks"}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return f"'{value}"  # a table program would take it for a formula
    return value


def _place(cell: StudyCell) -> dict[str, Any]:
    place = {
        "dataset": cell.dataset,
        "completer": cell.completer,
        "method": cell.method,
        "seed": cell.seed,
    }
    named = {f"level of {f}" if f in place else f: label for f, label in cell.levels.items()}
    return {**named, **place}


def _cells(study: Study, collected: Collected) -> Iterable[dict[str, Any]]:
    for cell in collected.cells:
        result = cell.result
        row = _place(cell) | {
            "state": "ok" if result else "gap",
            "reason": cell.gap,
            study.metric: cell.score(study.metric),
            f"val {study.metric}": cell.score(study.metric, "val"),
        }
        if result is not None:
            scores = result.scores.get(cell.split, {})
            row |= {name: value for name, value in scores.items() if name != study.metric}
            row |= {
                "fit_seconds": result.seconds.get("fit", math.nan),
                "predict_seconds": result.seconds.get("predict", math.nan),
                "trainings": cell.trials,
                "n_parameters": result.n_parameters if result.n_parameters is not None else "",
                "trial": result.key,
            }
        yield row


def _slides(study: Study, cells: Iterable[StudyCell]) -> Iterable[dict[str, Any]]:
    for cell in cells:
        assert cell.result is not None
        for split, slides in cell.result.slide_scores.items():
            for slide, scores in slides.items():
                yield _place(cell) | {"split": split, "slide": slide} | scores


def _genes(study: Study, cells: Iterable[StudyCell]) -> Iterable[dict[str, Any]]:
    for cell in cells:
        result = cell.result
        assert result is not None
        for at, gene in enumerate(result.genes):
            values = {name: scores[at] for name, scores in result.gene_scores.items() if scores}
            if values:
                symbol = result.gene_symbols[at] if result.gene_symbols else ""
                yield _place(cell) | {"gene": gene, "symbol": symbol} | values
