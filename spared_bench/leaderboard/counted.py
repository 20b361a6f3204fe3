"""What counts under a protocol, by the board's own rules, for whoever asks beside the board."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spared_bench.bench import Bench
from spared_bench.leaderboard.entries import read_entries
from spared_bench.leaderboard.merging import without_foreign_seeds
from spared_bench.leaderboard.model import Origin, ProtocolBoard, Row
from spared_bench.leaderboard.plugin_facts import known_to, with_what_is_known
from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.store.records import Records
from spared_bench.trials.cells import finals_in
from spared_bench.trials.outdated import Cell, Other, outdated_cells, without


@dataclass(frozen=True)
class CountedScore:
    """The score of one row of the board on one dataset, the mean over its seeds."""

    origin: Origin
    predictor: str
    completer: str
    value: float


def counted_scores(
    bench: Bench, metric: MetricSpec, leaderboards: Path
) -> dict[str, list[CountedScore]]:
    """Return by dataset the scores that could set the board's record there.

    They are read as the board reads them: on the split on which all are compared, seeds first. So
    no control, no withdrawn entry and no result of other settings or data is among them; nor is a
    value that bears a flag, which sets no record beside others.

    Parameters
    ----------
    bench : Bench
        Whose protocol and workspace.
    metric : MetricSpec
    leaderboards : Path
        Folder of entries; need not exist.
    """
    found: dict[str, list[CountedScore]] = {}
    for part in _boards(bench, leaderboards):
        here: dict[str, list[CountedScore]] = {}
        for row in (*part.rows, *part.image_only):
            for dataset, value in _values(row, metric):
                score = CountedScore(row.origin, row.predictor, row.completer, value)
                here.setdefault(dataset, []).append(score)
        found |= here
    return found


def shown_results(
    results: Iterable[TrialResult],
    outdated: Mapping[Cell, Other],
    known: Known,
    left_out: list[str],
) -> list[TrialResult]:
    """Return the finished results that a board shows; ``left_out`` takes what is said of others."""
    current = without(results, outdated, left_out)
    return without_foreign_seeds(current, known.seeds, left_out)


def _values(row: Row, metric: MetricSpec) -> Iterator[tuple[str, float]]:
    doubted = {flag.dataset for flag in row.origin.flags}
    if row.competes and "" not in doubted:
        for dataset, scores in row.datasets.items():
            value = scores.score(metric).mean
            if dataset not in doubted and math.isfinite(value):
                yield dataset, value


def _boards(bench: Bench, leaderboards: Path) -> Iterator[ProtocolBoard]:
    """Yield the board of the protocol: of single folds, and then as it joins them."""
    protocol = bench.protocol
    known = known_to(bench.registry, [protocol])
    entries, _ = read_entries(leaderboards, protocol.id, known.metrics)
    untold: list[str] = []
    with Records(bench.workspace.store, genes=False) as records:
        outdated = outdated_cells(records, known.settings)
        results = finals_in(records, protocol.id, untold)
        shown = shown_results(results, outdated, known, untold)
    trials = with_what_is_known(shown, entries, bench.registry, [protocol])
    for folds in dict.fromkeys(["apart", protocol.ranking.folds]):
        ranking = protocol.ranking.model_copy(update={"folds": folds})
        yield from board_rows(trials, replace(known, rankings={protocol.id: ranking})).protocols
