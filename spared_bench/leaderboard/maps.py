"""From the store to the page's maps: measured and predicted values of every gene, spot by spot.

The board needs no data; this does. Files are by slide and by a few genes each, so that the page
reads what is looked at. All maps of a site share ``MAP_CHARACTERS`` (``packing``): where they have
room, every spot and 255 steps between a gene's extremes; where they do not, 32 steps, and of large
datasets every so manieth spot, which the page says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.errors import CorruptEntryError
from spared_bench.leaderboard.map_truth import Truth, size_of
from spared_bench.leaderboard.means import evaluation_split
from spared_bench.leaderboard.packing import Budget, share_out
from spared_bench.leaderboard.site_data import plain
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.store.imports import read_mark
from spared_bench.store.predictions import UNREADABLE, reason_of
from spared_bench.store.records import CellFile, Records
from spared_bench.store.trials import PREDICTIONS, TRIALS
from spared_bench.trials.cells import finished_cell

MOST_MAPS = 2_000
#: Of all values of all maps together.
MAP_CHARACTERS = 36e6
#: Rows of the map of genes of one dataset.
MOST_ROWS = 60


@dataclass(frozen=True)
class Map:
    """One trial whose predictions can be drawn.

    Parameters
    ----------
    row : str
        Its row's id.
    trial : TrialResult
    folder, prepared : Path
        Of the trial's entry in the store, and of the prepared dataset that it was scored on.
    """

    row: str
    trial: TrialResult
    folder: Path
    prepared: Path

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"map-{self.row}-{self.trial.key[:12]}"

    @property
    def split(self) -> str:
        """The split that is drawn."""
        return evaluation_split(self.trial)


@dataclass(frozen=True)
class Drawn:
    """A file of the page: its name below ``data/``, and what it holds."""

    name: str
    values: Any


#: (dataset, slide ids) to the name of a picture's file by slide, and these files.
Pictures = Callable[[str, Sequence[str]], tuple[dict[str, str], Iterable[Drawn]]]


def find_maps(records: Records, rows: Mapping[str, Sequence[TrialResult]]) -> list[Map]:
    """Return what can be drawn: of every row and dataset, the first seed with predictions.

    Parameters
    ----------
    records : Records
        Of a store, with or without genes; which cells there are is not read again.
    rows : mapping of row id to trials
    """
    found: dict[tuple[str, str], Map] = {}
    cells: dict[str, CellFile] | None = None
    with Records(records.store) as with_genes:
        for row, trials in rows.items():
            for trial in sorted(trials, key=lambda trial: trial.seed):
                if (
                    trial.ok
                    and (row, trial.dataset) not in found
                    and len(found) < MOST_MAPS
                    and records.has_predictions(trial.key)
                ):
                    cells = _cells(records) if cells is None else cells
                    drawable = _map(with_genes, row, trial.key, cells.get(trial.key))
                    if drawable is not None:
                        found[row, trial.dataset] = drawable
    return list(found.values())


def _cells(records: Records) -> dict[str, CellFile]:
    """Return the file of the cell of every trial that counts; of several, the last by name."""
    known = [(file.record, file) for file in records.cells() if file.record is not None]
    known.sort(key=lambda each: each[0]["cell"])
    return {record["final"]: file for record, file in known}


def _map(records: Records, row: str, key: str, file: CellFile | None) -> Map | None:
    """Return what can be drawn of a trial; of the store's, for MLflow's results have no genes."""
    store = records.store
    cell = None if file is None else finished_cell(records, file)
    if cell is None:
        return None
    try:
        entry = store.open(TRIALS, key)
        if entry is None:
            return None
        completed = store.open("completed", entry.inputs["completed"])
        prepared = completed and store.open("prepared", completed.inputs["prepared"])
    except (CorruptEntryError, KeyError, TypeError, OSError):
        return None
    return Map(row, cell.final, cell.folder, prepared.folder) if prepared else None


def draw(
    maps: Sequence[Map],
    metrics: Sequence[MetricSpec],
    left_out: list[str] | None = None,
    pictures: Pictures | None = None,
    characters: float = MAP_CHARACTERS,
) -> Iterator[Drawn]:
    """Yield the files of some maps, and last which map is in which files.

    Parameters
    ----------
    maps : sequence of Map
    metrics : sequence of MetricSpec
        Of the board: genes are offered from the best to the worst by the first that has a value
        per gene.
    left_out : list of str, optional
        Takes a sentence for every file that cannot be read, whose maps are left out.
    pictures : callable, optional
        Finds the pictures of a dataset's slides.
    characters : float
        Of the values of all maps together.

    Yields
    ------
    Drawn
        Beside values: ``genes-<n>``, what each method reaches on each gene of a dataset;
        ``prepared``, what processing left of each dataset, and whether it was ``imported``;
        ``maps``, row and dataset to files.
    """
    metric = next((metric for metric in metrics if metric.per == "gene"), None)
    left_out = [] if left_out is None else left_out
    index: dict[str, dict[str, list[str]]] = {}
    prepared: dict[str, Any] = {}
    groups = _datasets(maps)
    budget = _budget(groups, characters)
    for number, part in enumerate(groups):
        dataset = part[0].trial.dataset
        scores = [each.trial.gene_scores for each in part]
        try:
            truth = Truth.read(part[0].prepared, part[0].split, scores, metric, budget)
        except UNREADABLE as error:
            left_out.append(_unread(f"The prepared dataset {dataset}", error))
            continue
        imported = read_mark(part[0].prepared) is not None
        prepared[dataset] = {**truth.left, "by_gene": f"genes-{number}", "imported": imported}
        named, files = pictures(dataset, truth.slides) if pictures else ({}, ())
        yield from files
        yield Drawn(truth.name, truth.header(named))
        yield from (Drawn(name, values) for name, values in truth.files())
        yield Drawn(f"genes-{number}", _by_gene(part, truth, metric))
        for each in part:
            try:
                drawn = list(_prediction(each, truth))
            except UNREADABLE as error:
                what = f"The predictions of {each.trial.predictor} on {dataset}"
                left_out.append(_unread(f"{what} ({each.trial.key[:12]})", error))
                continue
            index.setdefault(each.row, {})[dataset] = [truth.name, each.name]
            yield from drawn
    yield Drawn("prepared", prepared)
    yield Drawn("maps", index)


def _budget(groups: Sequence[Sequence[Map]], characters: float) -> Budget:
    """Share the room out; measured values are one map more of each dataset."""
    sizes: list[int] = []
    for part in groups:
        try:
            n_spots, n_genes = size_of(part[0].prepared, part[0].split)
        except UNREADABLE:
            continue  # said when it is drawn
        sizes += [n_spots * n_genes] * (1 + sum(_layers(each) for each in part))
    return share_out(sizes, characters)


def _layers(each: Map) -> int:
    """Return how many values a map has for a spot and a gene: two where it has variances."""
    try:
        with np.load(each.folder / PREDICTIONS, allow_pickle=False) as file:
            return 1 + (f"{each.split}_variance" in file.files)
    except UNREADABLE:
        return 1


def _unread(what: str, error: BaseException) -> str:
    return (
        f"{what} cannot be read, so no map is drawn of them: {reason_of(error)}."
        " `spared-bench store verify --repair` takes damaged entries away."
    )


def _datasets(maps: Sequence[Map]) -> list[list[Map]]:
    """Group by prepared dataset and split: folds share the one only if their splits are equal."""
    groups: dict[tuple[Path, str, str], list[Map]] = {}
    for each in maps:
        groups.setdefault((each.prepared, each.trial.dataset, each.split), []).append(each)
    return [groups[name] for name in sorted(groups)]


def _prediction(of: Map, truth: Truth) -> Iterator[Drawn]:
    """Yield the files of one trial: its header, then its values by slide and genes."""
    cut = np.ix_(truth.rows, truth.genes)
    with np.load(of.folder / PREDICTIONS, allow_pickle=False) as file:
        predicted = file[f"{of.split}_prediction"][cut]
        name = f"{of.split}_variance"
        variance = np.asarray(file[name])[cut] if name in file.files else None
    scores = {name: _drawn_genes(values, truth) for name, values in of.trial.gene_scores.items()}
    header = {"seed": of.trial.seed, "scores": scores, "variance": variance is not None}
    yield Drawn(of.name, header)
    for name, values in truth.parts(of.name, predicted, np.isfinite(predicted)):
        yield Drawn(name, values)
    if variance is not None:
        for name, values in truth.parts(f"{of.name}-v", variance, np.isfinite(variance)):
            yield Drawn(name, values)


def _drawn_genes(values: Sequence[float], truth: Truth) -> list[float | None]:
    """Return a value per drawn gene, in their order; ``None`` where there is none."""
    known: list[float | None] = plain(list(values))
    return [known[gene] if gene < len(known) else None for gene in truth.genes.tolist()]


def _by_gene(part: Sequence[Map], truth: Truth, metric: MetricSpec | None) -> dict[str, Any]:
    """Return what each method reaches on each gene, for a picture of methods by genes."""
    name = metric.name if metric else ""
    rows = {
        each.row: _drawn_genes(each.trial.gene_scores[name], truth)
        for each in part
        if name in each.trial.gene_scores
    }

    def mean(row: str) -> float:
        known = [value for value in rows[row] if value is not None]
        total = sum(known) / len(known) if known else 0.0
        return -total if metric and metric.better == "higher" else total

    best = sorted((row for row in rows if any(v is not None for v in rows[row])), key=mean)
    return {
        "metric": name,
        "symbols": plain(truth.symbols),
        "rows": [[row, rows[row]] for row in best[:MOST_ROWS]],
    }
