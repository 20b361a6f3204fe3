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
from spared_bench.harmless import table_cell
from spared_bench.studies.comparing import Difference
from spared_bench.studies.model import Study
from spared_bench.studies.results import Collected, StudyCell

CELLS, SLIDES, GENES, COMPARISONS = "cells.csv", "slides.csv", "genes.csv", "comparisons.csv"
#: Columns of the tables that no factor may take.
_OTHERS = (
    *("dataset", "completer", "method", "seed", "state", "reason", "split", "slide", "gene"),
    *("symbol", "fit_seconds", "predict_seconds", "trainings", "n_parameters", "trial", "imported"),
)


def write_tables(
    folder: Path, study: Study, collected: Collected, differences: Sequence[Difference]
) -> list[Path]:
    """Write the tables of a study; return their files."""
    columns = _columns(study, collected.done)
    return [
        write_table(folder / CELLS, _cells(study, collected, columns)),
        write_table(folder / SLIDES, _slides(collected.done, columns)),
        write_table(folder / GENES, _genes(collected.done, columns)),
        write_table(folder / COMPARISONS, [_flat(each) for each in differences]),
    ]


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as CSV, with the columns of all of them as they come; nan is empty."""
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([table_cell(column) for column in columns])
    for row in rows:
        writer.writerow([table_cell(row.get(name, "")) for name in columns])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue(), sync=False)
    return path


def _flat(difference: Difference) -> dict[str, Any]:
    """Return all but what ``slides.csv`` has in full."""
    return {name: value for name, value in asdict(difference).items() if name != "of_blocks"}


def _columns(study: Study, cells: Iterable[StudyCell]) -> dict[str, str]:
    """Return the column of each factor: its name, where no other column is called so."""
    taken = set(_OTHERS) | {study.metric}
    for cell in cells:
        assert cell.result is not None
        taken |= set(cell.result.gene_scores)
        taken |= {name for scores in cell.result.scores.values() for name in scores}
    return {name: f"level of {name}" if name in taken else name for name in study.factors}


def _place(cell: StudyCell, columns: Mapping[str, str]) -> dict[str, Any]:
    return {
        **{columns[factor]: label for factor, label in cell.levels.items()},
        "dataset": cell.dataset,
        "completer": cell.completer,
        "method": cell.method,
        "seed": cell.seed,
    }


def _cells(
    study: Study, collected: Collected, columns: Mapping[str, str]
) -> Iterable[dict[str, Any]]:
    for cell in collected.cells:
        result = cell.result
        row = _place(cell, columns) | {
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
                "trainings": len(cell.trained),
                "n_parameters": result.n_parameters if result.n_parameters is not None else "",
                "trial": result.key,
            } | _origin(cell)
        yield row


def _origin(cell: StudyCell) -> dict[str, str]:
    return {"imported": "yes" if cell.is_imported else ""}


def _slides(cells: Iterable[StudyCell], columns: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    for cell in cells:
        assert cell.result is not None
        for split, slides in cell.result.slide_scores.items():
            for slide, scores in slides.items():
                named = _place(cell, columns) | {"split": split, "slide": slide}
                yield named | scores | _origin(cell)


def _genes(cells: Iterable[StudyCell], columns: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    for cell in cells:
        result = cell.result
        assert result is not None
        for at, gene in enumerate(result.genes):
            values = {name: scores[at] for name, scores in result.gene_scores.items() if scores}
            if values:
                symbol = result.gene_symbols[at] if result.gene_symbols else ""
                named = _place(cell, columns) | {"gene": gene, "symbol": symbol}
                yield named | values | _origin(cell)
