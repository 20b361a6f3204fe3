"""From the store to the page's maps: measured and predicted values of a few genes per dataset.

The board needs no data; this does. One file holds what was measured on a prepared dataset, one per
row and dataset what was predicted. Values are eight-bit steps between a gene's extremes, which a
map cannot tell from the exact ones; spots beyond ``MOST_SPOTS`` are left out evenly, which the page
says. The same genes are shown of all methods: those that all together predict best, in the middle
and worst.
"""

from __future__ import annotations

import base64
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.data import MASK, SPATIAL, TARGET
from spared_bench.errors import CorruptEntryError
from spared_bench.leaderboard.means import evaluation_split
from spared_bench.leaderboard.site_data import plain
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.store.entries import Store
from spared_bench.store.trials import PREDICTIONS, TRIALS
from spared_bench.trials.cells import FinishedCell, finished_cells

MOST_SPOTS = 4_000
MOST_MAPS = 2_000
MOST_GENES = 512  # of a histogram
#: What libraries say of files that are damaged, cut short, of other shapes, or not to be read.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, MemoryError),
)
_UNMEASURED = 255
_STEPS = 254


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


@dataclass(frozen=True)
class Drawn:
    """A file of the page: its name below ``data/``, and what it holds."""

    name: str
    values: dict[str, Any]


def find_maps(store: Store, rows: Mapping[str, Sequence[TrialResult]]) -> list[Map]:
    """Return what can be drawn: of every row and dataset, the first seed with predictions.

    Parameters
    ----------
    store : Store
    rows : mapping of row id to trials
    """
    cells = {cell.final.key: cell for cell in finished_cells(store)}
    found: dict[tuple[str, str], Map] = {}
    for row, trials in rows.items():
        for trial in sorted(trials, key=lambda trial: trial.seed):
            if trial.ok and (row, trial.dataset) not in found and len(found) < MOST_MAPS:
                drawable = _map(store, row, cells.get(trial.key))
                if drawable is not None:
                    found[row, trial.dataset] = drawable
    return list(found.values())


def _map(store: Store, row: str, cell: FinishedCell | None) -> Map | None:
    """Return what can be drawn of a cell; of the store's, for MLflow's results have no genes."""
    if cell is None or not (cell.folder / PREDICTIONS).is_file():
        return None
    try:
        entry = store.open(TRIALS, cell.final.key)
        if entry is None:
            return None
        completed = store.open("completed", entry.inputs["completed"])
        prepared = completed and store.open("prepared", completed.inputs["prepared"])
    except (CorruptEntryError, KeyError, TypeError, OSError):
        return None
    return Map(row, cell.final, cell.folder, prepared.folder) if prepared else None


def draw(
    maps: Sequence[Map], metrics: Sequence[MetricSpec], left_out: list[str] | None = None
) -> Iterator[Drawn]:
    """Yield the files of some maps, and last, as ``maps``, which map is in which files.

    Parameters
    ----------
    maps : sequence of Map
    metrics : sequence of MetricSpec
        Of the board: the first that has a value per gene chooses the genes.
    left_out : list of str, optional
        Takes a sentence for every file that cannot be read, whose maps are left out.
    """
    metric = next((metric for metric in metrics if metric.per == "gene"), None)
    left_out = [] if left_out is None else left_out
    index: dict[str, dict[str, str]] = {}
    for prepared in sorted({each.prepared for each in maps}):
        mine = [each for each in maps if each.prepared == prepared]
        for part in _datasets(mine):
            try:
                truth = _Truth.read(prepared, part, metric)
                values = truth.values()
            except _UNREADABLE as error:
                left_out.append(_unread(f"The prepared dataset {part[0].trial.dataset}", error))
                continue
            name = f"truth-{prepared.name[:12]}-{truth.split}"
            yield Drawn(name, values)
            for each in part:
                try:
                    predicted = truth.prediction(each)
                except _UNREADABLE as error:
                    what = f"The predictions of {each.trial.predictor} on {each.trial.dataset}"
                    left_out.append(_unread(f"{what} ({each.trial.key[:12]})", error))
                    continue
                index.setdefault(each.row, {})[each.trial.dataset] = name
                yield Drawn(f"map-{each.row}-{each.trial.key[:12]}", predicted)
    keys = {(each.row, each.trial.dataset): each.trial.key[:12] for each in maps}
    yield Drawn(
        "maps",
        {
            row: {name: [truth, f"map-{row}-{keys[row, name]}"] for name, truth in each.items()}
            for row, each in index.items()
        },
    )


def _unread(what: str, error: BaseException) -> str:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return (
        f"{what} cannot be read, so no map is drawn of them: {reason}. `spared-bench store verify"
        " --repair` takes damaged entries away."
    )


def _datasets(maps: Sequence[Map]) -> list[list[Map]]:
    """Group by evaluation split: folds share a prepared dataset only if their splits are equal."""
    groups: dict[tuple[str, str], list[Map]] = {}
    for each in maps:
        split = evaluation_split(each.trial)
        groups.setdefault((each.trial.dataset, split), []).append(each)
    return list(groups.values())


@dataclass(frozen=True)
class _Truth:
    """What was measured on one split, cut to the chosen genes and spots."""

    split: str
    rows: np.ndarray  # of the split, in its order
    genes: np.ndarray  # columns
    names: list[str]
    symbols: list[str]
    slides: list[str]
    slide: np.ndarray
    places: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    total: int

    @classmethod
    def read(cls, folder: Path, maps: Sequence[Map], metric: MetricSpec | None) -> _Truth:
        from anndata import read_h5ad

        adata = read_h5ad(folder / "dataset.h5ad")
        split = evaluation_split(maps[0].trial)
        whole = np.flatnonzero(adata.obs["split"].to_numpy() == split)
        kept = whole[:: max(1, math.ceil(len(whole) / MOST_SPOTS))]
        genes = chosen_genes([each.trial.gene_scores for each in maps], metric, adata.n_vars)
        slide_ids = adata.obs["slide_id"].astype(str).to_numpy()[kept]
        slides = list(dict.fromkeys(slide_ids.tolist()))
        return cls(
            split,
            np.searchsorted(whole, kept),
            genes,
            [str(name) for name in adata.var_names],
            [str(name) for name in adata.var["gene_name"]],
            slides,
            np.array([slides.index(name) for name in slide_ids]),
            np.asarray(adata.obsm[SPATIAL])[kept],
            np.asarray(adata.layers[TARGET], dtype=np.float64)[np.ix_(kept, genes)],
            np.asarray(adata.layers[MASK], dtype=bool)[np.ix_(kept, genes)],
            len(whole),
        )

    def values(self) -> dict[str, Any]:
        """Return what the page reads of it."""
        columns = zip(self.genes, self.target.T, self.mask.T, strict=True)
        return {
            **plain(
                {
                    "split": self.split,
                    "n_spots": self.total,
                    "slides": self.slides,
                    "symbols": self.symbols[:MOST_GENES],
                    "ids": self.names[:MOST_GENES],
                    "x": np.round(self.places[:, 0], 1).tolist(),
                    "y": np.round(self.places[:, 1], 1).tolist(),
                    "slide": self.slide.tolist(),
                }
            ),
            "genes": [
                {"gene": int(gene), **_packed(column, seen)} for gene, column, seen in columns
            ],
        }

    def prediction(self, of: Map) -> dict[str, Any]:
        """Return what the page reads of one trial."""
        with np.load(of.folder / PREDICTIONS, allow_pickle=False) as file:
            predicted = file[f"{self.split}_prediction"][np.ix_(self.rows, self.genes)]
        scores = {name: plain(values[:MOST_GENES]) for name, values in of.trial.gene_scores.items()}
        return {
            "seed": of.trial.seed,
            "scores": scores,
            "genes": [
                {"gene": int(gene), **_packed(column, np.isfinite(column))}
                for gene, column in zip(self.genes, predicted.T, strict=True)
            ],
        }


def chosen_genes(
    gene_scores: Sequence[Mapping[str, Sequence[float]]], metric: MetricSpec | None, n_genes: int
) -> np.ndarray:
    """Return the columns that are drawn: of six, the three best, the middle and the two worst.

    By a metric averaged over methods; a gene that no method has a value for counts as worst.
    Without a metric, all are alike and come in their order.
    """
    scores = [each.get(metric.name, ()) for each in gene_scores] if metric else []
    known = [each for each in scores if len(each) == n_genes]
    values = np.array(known, dtype=float).reshape(len(known), n_genes)
    seen = np.isfinite(values)
    means = np.where(seen, values, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    if metric and metric.better == "lower":
        means = -means
    means[~seen.any(axis=0)] = -np.inf
    order = np.argsort(-means, kind="stable")
    if n_genes <= 6:
        return order
    return order[[0, 1, 2, n_genes // 2, n_genes - 2, n_genes - 1]]


def _packed(values: np.ndarray, seen: np.ndarray) -> dict[str, Any]:
    """Pack a column as its extremes and one byte per spot; 255 stands for unmeasured."""
    low = float(values[seen].min()) if seen.any() else 0.0
    high = float(values[seen].max()) if seen.any() else 0.0
    span = high - low if high > low else 1.0
    steps = np.full(len(values), _UNMEASURED, dtype=np.uint8)
    steps[seen] = np.rint((values[seen] - low) / span * _STEPS).astype(np.uint8)
    text = base64.b64encode(steps.tobytes()).decode()
    return {"low": plain(low), "high": plain(high), "steps": text}
