"""How much trained methods lose when the tested images change; nothing is trained again.

Each method is trained once, as the protocol says. The saved network then predicts the same tested
spots from changed patches, and is scored by the study's metric. What came of a trial and a shift is
an entry of the store.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import MASK, TARGET
from spared_bench.errors import SparedBenchError, in_words
from spared_bench.inference.seen import SEEN_VERSION
from spared_bench.inference.shifted import KNOWN_ONLY
from spared_bench.keys.code import code_hash
from spared_bench.keys.hashing import digest
from spared_bench.metrics.scoring import score
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.studies.asked_again import ask_apart, ask_here, strangers_in
from spared_bench.studies.results import Collected, StudyCell, mean
from spared_bench.studies.shifts import Shift, chosen_shifts
from spared_bench.trials.products import prepared_table
from spared_bench.trials.scores import scored_columns

_KIND = "shifts"
_FILE = "score.json"
#: Returns what a trained method predicts under a shift.
_Ask = Callable[[Shift], np.ndarray]


@dataclass(frozen=True)
class Shifted:
    """What one trained method comes to on changed images.

    Parameters
    ----------
    cell : StudyCell
    shift : str
    clean, score : float
        Without and with the shift; nan where there is none.
    genes : dict of str to float
        Score of each gene with the shift.
    gap : str
        Why there is no score.
    """

    cell: StudyCell
    shift: str
    clean: float = math.nan
    score: float = math.nan
    genes: Mapping[str, float] = field(default_factory=dict)
    gap: str = ""

    def drop(self, metric: MetricSpec) -> float:
        """How much is lost, positive where the shift makes it worse; nan where not known."""
        lost = self.clean - self.score
        return -lost if metric.better == "lower" else lost


def shift_all(
    bench: Bench,
    collected: Collected,
    names: tuple[str, ...],
    metric: MetricSpec,
    log: Callable[[str], None],
) -> list[Shifted]:
    """Apply every shift to every trained cell of a study.

    Parameters
    ----------
    bench : Bench
    collected : Collected
    names : tuple of str
        Of shifts or their kinds; all where empty.
    metric : MetricSpec
    log : callable
        Told of each method as it is begun.
    """
    shifts = chosen_shifts(names)
    found = []
    for cell in collected.done:
        assert cell.result is not None
        log(f"{cell.method} on {cell.dataset}, seed {cell.seed}: {len(shifts)} shifts")
        with TemporaryDirectory() as folder:
            found += _of_cell(bench, cell, shifts, metric, Path(folder))
    return found


def _of_cell(
    bench: Bench, cell: StudyCell, shifts: list[Shift], metric: MetricSpec, folder: Path
) -> list[Shifted]:
    """Apply every shift to a trained cell; to one of a stranger's method in another process."""
    result, found = cell.result, list[Shifted]()
    assert result is not None
    ask: _Ask = partial(ask_here, bench, result)
    if strangers_in(bench, result):
        store = bench.workspace.store
        keys = {
            each: digest(shift_inputs(bench, result.key, each.name, metric.name)) for each in shifts
        }
        lacking = [shift for shift, key in keys.items() if not store.has(_KIND, key)]
        try:
            ask = ask_apart(bench, result, lacking, folder)
        except SparedBenchError as error:
            clean, why = cell.score(metric.name), str(error)
            return [Shifted(cell, shift.name, clean, gap=why) for shift in shifts]
    for shift in shifts:
        found.append(_shifted(bench, cell, shift, metric, ask))
        if found[-1].gap and not math.isfinite(found[-1].score) and _is_final(found[-1].gap):
            found += [Shifted(cell, other.name, gap=found[-1].gap) for other in shifts[1:]]
            break
    return found


def _is_final(gap: str) -> bool:
    """Whether no other shift can do better: there is no model, or it needs known spots."""
    return "left no model" in gap or "has no `load`" in gap or KNOWN_ONLY in gap


def _shifted(bench: Bench, cell: StudyCell, shift: Shift, metric: MetricSpec, ask: _Ask) -> Shifted:
    assert cell.result is not None
    try:
        values = _score_of(bench, cell.result, shift, metric, ask)
    except SparedBenchError as error:
        return Shifted(cell, shift.name, cell.score(metric.name), gap=str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's method may do anything with what it sees
        return Shifted(cell, shift.name, cell.score(metric.name), gap=in_words(error)[0])
    value = values["score"]
    return Shifted(
        cell,
        shift.name,
        cell.score(metric.name),
        math.nan if value is None else float(value),
        {gene: math.nan if v is None else float(v) for gene, v in values["genes"].items()},
    )


def shift_inputs(bench: Bench, trial: str, shift: str, metric: str) -> dict[str, Any]:
    """What determines the score of a trial's model on changed images."""
    return {
        "trial": trial,
        "shift": shift,
        "metric": bench.score_inputs(trial)["metrics"][metric],
        "pooling": bench.protocol.pooling,
        "mean_rule": bench.protocol.mean_rule,
        "genes": list(bench.protocol.scored_genes),
        "code": code_hash("spared_bench.studies.shifts"),
        "seen": SEEN_VERSION,
        "cut": code_hash("spared_bench.processing.views"),
        "stains": code_hash("spared_bench.processing.stains.colours"),
    }


def _score_of(
    bench: Bench, result: TrialResult, shift: Shift, metric: MetricSpec, ask: _Ask
) -> dict[str, Any]:
    def make(folder: Path) -> None:
        values = _computed(bench, result, metric, ask(shift))
        (folder / _FILE).write_text(json.dumps(values, allow_nan=False), encoding="utf-8")

    inputs = shift_inputs(bench, result.key, shift.name, metric.name)
    found: dict[str, Any] = bench.workspace.store.obtain(_KIND, inputs, make).read_json(_FILE)
    return found


def _computed(
    bench: Bench, result: TrialResult, metric: MetricSpec, predicted: np.ndarray
) -> dict[str, Any]:
    table = prepared_table(bench, result.dataset)
    split = bench.dataset(result.dataset).evaluation_split
    rows = table.obs["split"].to_numpy() == split
    names = list(table.var_names)
    columns = scored_columns(bench.protocol, names, list(table.var["gene_name"]))
    cells = np.ix_(rows, columns)
    function = bench.registry.get("metric", metric.name).load()
    scored = score(
        {metric.name: (metric, function)},
        np.asarray(table.layers[TARGET], dtype=np.float64)[cells],
        predicted[:, columns],
        np.asarray(table.layers[MASK], dtype=bool)[cells],
        table.obs["slide_id"].to_numpy(dtype=str)[rows],
        pooling=bench.protocol.pooling,
        rule=bench.protocol.mean_rule,
    )
    genes = scored.by_gene.get(metric.name, [])
    return {
        "score": _plain(scored.means[metric.name]),
        "genes": {names[c]: _plain(v) for c, v in zip(columns, genes, strict=bool(genes))}
        if genes
        else {},
    }


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class Ranked:
    """One method by what it loses.

    Parameters
    ----------
    method, completer : str
    clean : float
        Mean score without a shift.
    mean_drop, worst_drop : float
        Over shifts; of the mean over datasets and seeds.
    worst_shift : str
    n_lacking : int
        Drops that another method has, of a dataset, seed and shift, and this one lacks. It has no
        rank then: what is not known may be its worst.
    """

    method: str
    completer: str
    clean: float
    mean_drop: float
    worst_drop: float
    worst_shift: str
    n_lacking: int = 0


def ranked(found: Iterable[Shifted], metric: MetricSpec) -> list[Ranked]:
    """Rank methods by their mean drop, the smallest first; those that lack one come last."""
    by_method: dict[tuple[str, str], list[Shifted]] = {}
    for each in found:
        by_method.setdefault((each.cell.method, each.cell.completer), []).append(each)
    known = {name: _known(parts, metric) for name, parts in by_method.items()}
    wanted = set().union(*known.values())
    rows = [
        replace(_ranked(name, parts, metric), n_lacking=len(wanted - known[name]))
        for name, parts in by_method.items()
    ]
    return sorted(
        rows,
        key=lambda row: (
            row.n_lacking > 0,
            math.isnan(row.mean_drop),
            row.mean_drop,
            row.method,
        ),
    )


def _known(parts: Iterable[Shifted], metric: MetricSpec) -> set[tuple[str, int, str]]:
    """Return dataset, seed and shift of the drops that are known."""
    return {
        (each.cell.dataset, each.cell.seed, each.shift)
        for each in parts
        if math.isfinite(each.drop(metric))
    }


def _ranked(name: tuple[str, str], parts: list[Shifted], metric: MetricSpec) -> Ranked:
    drops = drops_by_shift(parts, metric)
    known = {shift: value for shift, value in drops.items() if math.isfinite(value)}
    worst = max(known, key=lambda shift: known[shift], default="")
    return Ranked(
        *name,
        mean([each.clean for each in parts]),
        mean(list(known.values())),
        known.get(worst, math.nan),
        worst,
    )


def drops_by_shift(parts: Iterable[Shifted], metric: MetricSpec) -> dict[str, float]:
    """Return the mean drop over datasets and seeds by shift."""
    found: dict[str, list[float]] = {}
    for each in parts:
        found.setdefault(each.shift, []).append(each.drop(metric))
    return {shift: mean(values) for shift, values in found.items()}
