"""What makes a dataset hard: its facts against the best score on it; nothing is trained.

Scores are those that are reported and those of the workspace's own board. Missing shares and
corrupt spots are computed from the prepared data, where they are here, and held against the
catalogue.
After figure 1b, the supplement's figure 1 and its Table 1 of Mejia et al., MICCAI 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import COUNTS
from spared_bench.errors import SparedBenchError
from spared_bench.leaderboard.counted import CountedScore, counted_scores
from spared_bench.leaderboard.publish import LEADERBOARDS
from spared_bench.leaderboard.text import NONE
from spared_bench.specs import DatasetSpec, MetricSpec
from spared_bench.studies.blocks import Section, Sentences, Table, Values, boxes
from spared_bench.studies.comparing import LEVEL
from spared_bench.studies.planning import StudyPlan
from spared_bench.studies.tables import write_table
from spared_bench.studies.text import probability, signed
from spared_bench.trials.products import prepared_table
from spared_bench.trials.raw_slides import read_raw_slides


@dataclass(frozen=True)
class Score:
    """One score of one method on a dataset."""

    method: str
    value: float
    trust: str


@dataclass(frozen=True)
class Facts:
    """A dataset, as far as it is known.

    Parameters
    ----------
    name : str
    spec : DatasetSpec
    scores : tuple of Score
    raw_missing, missing, corrupt : float
        Computed from the data at hand: share of entries without a read before and after processing,
        share of spots that lack at least one chosen gene; nan where the data is not here.
    why : str
        Why they could not be computed.
    """

    name: str
    spec: DatasetSpec
    scores: tuple[Score, ...] = ()
    raw_missing: float = math.nan
    missing: float = math.nan
    corrupt: float = math.nan
    why: str = ""
    stated: dict[str, float] = field(default_factory=dict)


def difficulty(
    plan: StudyPlan, metric: MetricSpec, folder: Path, log: Callable[[str], None]
) -> tuple[list[Section], list[Path]]:
    """Return the sections of the report, and the tables beside it."""
    bench = plan.base
    names = list(plan.study.datasets or bench.listed())
    scores = scores_of(bench, metric)
    found = [_facts(bench, name, scores.get(name, []), log) for name in names]
    rows = [_row(each, metric) for each in found]
    files = [write_table(folder / "datasets.csv", rows)]
    sections = [
        _best(found, metric),
        *_groups(found, metric),
        _correlations(found, metric),
        _table(found),
        Section("What this cannot say", (Sentences("", tuple(_limits(plan, found))),)),
    ]
    return [section for section in sections if section.parts], files


def scores_of(bench: Bench, metric: MetricSpec) -> dict[str, list[Score]]:
    """Return by dataset the scores of the board's rows: reported ones, and this workspace's."""
    return {
        dataset: [Score(_method(each), each.value, each.origin.trust) for each in counted]
        for dataset, counted in counted_scores(bench, metric, LEADERBOARDS).items()
    }


def _method(score: CountedScore) -> str:
    """Name the method of a score as shortly as tells it from others."""
    own = f"{score.predictor} ({score.completer})"
    method = score.origin.method
    return (f"{method}: {own}" if score.origin.several else method) if method else own


def _facts(bench: Bench, name: str, scores: Sequence[Score], log: Callable[[str], None]) -> Facts:
    spec = bench.dataset(name)
    stated = {name: float(value) for name, value in spec.stated.items()}
    try:
        bench.data_inputs(name)
        log(f"Missing shares of {name}")
        computed = missing_shares(bench, name)
    except SparedBenchError as error:
        return Facts(name, spec, tuple(scores), why=str(error), stated=stated)
    return Facts(name, spec, tuple(scores), *computed, stated=stated)


def missing_shares(bench: Bench, name: str) -> tuple[float, float, float]:
    """Return shares of missing entries before and after processing, and of corrupt spots.

    Before: of all spots and genes of the raw slides, without a read. After: of the kept spots and
    the chosen genes. A spot is corrupt if at least one chosen gene has no read in it.
    """
    raw = read_raw_slides(bench, name)
    entries = sum(slide.n_obs * slide.n_vars for slide in raw.values())
    reads = sum(int((slide.X > 0).sum()) for slide in raw.values())
    counts = prepared_table(bench, name).layers[COUNTS]
    dense = counts.toarray() if hasattr(counts, "tocsr") else np.asarray(counts)
    seen = dense > 0
    return 1 - reads / entries, float(1 - seen.mean()), float((~seen).any(axis=1).mean())


def _top(each: Facts, metric: MetricSpec) -> Score | None:
    sign = -1.0 if metric.better == "lower" else 1.0
    return max(each.scores, key=lambda found: sign * found.value, default=None)


def _row(each: Facts, metric: MetricSpec) -> dict[str, Any]:
    top, spec = _top(each, metric), each.spec
    return {
        "dataset": each.name,
        "organism": spec.organism,
        "tissue": spec.tissue,
        "task": spec.task,
        "genes": spec.parameters.get("n_genes", ""),
        "slides": len(spec.slides),
        "spots": spec.n_spots or "",
        f"best {metric.name}": top.value if top else math.nan,
        "best method": top.method if top else "",
        "trust": top.trust if top else "",
        "raw missing": each.raw_missing,
        "missing": each.missing,
        "corrupt spots": each.corrupt,
        **{f"stated {name}": value for name, value in each.stated.items()},
        "not computed": each.why,
    }


def _best(found: Sequence[Facts], metric: MetricSpec) -> Section:
    sign = -1.0 if metric.better == "lower" else 1.0
    tops = [(each, top) for each in found if (top := _top(each, metric)) is not None]
    tops.sort(key=lambda pair: sign * pair[1].value)
    rows = [
        Values(
            each.name,
            [one.value for one in each.scores],
            [top.value],
            note=f"{top.method}, {top.trust}",
        )
        for each, top in tops
    ]
    plot = boxes(
        f"{metric.title} of every method on each dataset",
        "The hardest dataset first. The red line is the best method, which is named; the box is the"
        " middle half of all that have a score.",
        rows,
    )
    return Section("The best method on each dataset", (plot,) if rows else ())


_TASKS = {"inter_patient": "between patients", "intra_patient": "within a patient"}


def _groups(found: Sequence[Facts], metric: MetricSpec) -> list[Section]:
    """Set the best scores side by side by organism, task, number of genes and tissue."""
    ways = {
        "organism": lambda each: each.spec.organism,
        "task": lambda each: _TASKS.get(each.spec.task, each.spec.task),
        "number of genes": lambda each: str(each.spec.parameters.get("n_genes", "")),
        "tissue": lambda each: each.spec.tissue,
    }
    parts = []
    for name, of in ways.items():
        groups: dict[str, list[float]] = {}
        for each in found:
            top = _top(each, metric)
            if top is not None and of(each):
                groups.setdefault(of(each), []).append(top.value)
        if len(groups) > 1:
            rows = [Values(group, values, values) for group, values in sorted(groups.items())]
            parts.append(boxes(f"By {name}", f"Best {metric.title} of each dataset.", rows))
    return [Section("Groups of datasets", tuple(parts))]


def _correlations(found: Sequence[Facts], metric: MetricSpec) -> Section:
    """Rank facts that are numbers against the best score (Spearman)."""
    from scipy import stats

    numbers = {
        "spots": lambda each: float(each.spec.n_spots or math.nan),
        "slides": lambda each: float(len(each.spec.slides)),
        "genes": lambda each: float(each.spec.parameters.get("n_genes", math.nan)),
        "raw missing share": lambda each: _known(each, each.raw_missing, "raw_missing_pct"),
        "missing share": lambda each: _known(each, each.missing, "missing_pct"),
        "corrupt spots": lambda each: _known(each, each.corrupt, "corrupt_spots_pct"),
    }
    rows = []
    for name, of in numbers.items():
        pairs = [(of(each), top.value) for each in found if (top := _top(each, metric)) is not None]
        pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
        if len(pairs) < 4 or len({pair[0] for pair in pairs}) < 2:
            continue
        asked = stats.spearmanr(*zip(*pairs, strict=True))
        rows.append(
            (
                name,
                signed(float(asked.statistic)),
                probability(float(asked.pvalue)),
                str(len(pairs)),
            )
        )
    table = Table(
        "",
        ("fact", "Spearman", "p", "datasets"),
        tuple(rows),
        f"Rank correlation with the best {metric.title} over datasets; p is not corrected for the"
        f" {len(rows)} facts that were tried, so below {LEVEL / max(1, len(rows)):.3f} it speaks.",
        (1, 2, 3),
    )
    return Section("Numbers against the best score", (table,) if rows else ())


def _known(each: Facts, computed: float, stated: str) -> float:
    """Return a share as it was computed, else as the catalogue states it."""
    return computed if math.isfinite(computed) else each.stated.get(stated, math.nan) / 100


def _table(found: Sequence[Facts]) -> Section:
    rows = tuple(
        (
            each.name,
            _TASKS.get(each.spec.task, each.spec.task) or NONE,
            str(each.spec.parameters.get("n_genes", NONE)),
            f"{each.spec.n_spots:,}" if each.spec.n_spots else NONE,
            _share(each.raw_missing, each.stated.get("raw_missing_pct")),
            _share(each.missing, each.stated.get("missing_pct")),
            _share(each.corrupt, each.stated.get("corrupt_spots_pct")),
        )
        for each in found
    )
    columns = ("dataset", "task", "genes", "spots", "raw missing", "missing", "corrupt spots")
    table = Table(
        "",
        columns,
        rows,
        "Computed here / stated in the catalogue (whole percents); a dash where one is not known.",
        (2, 3, 4, 5, 6),
    )
    away = [each for each in found if each.why]
    note = Sentences(
        "",
        (f"{len(away)} of {len(found)} datasets are not here, so nothing was computed of them.",),
    )
    return Section("Missing shares and corrupt spots", (table, *([note] if away else [])))


def _share(computed: float, stated: float | None) -> str:
    ours = f"{100 * computed:.1f} %" if math.isfinite(computed) else NONE
    theirs = f"{stated:g} %" if stated is not None and math.isfinite(stated) else NONE
    off = ""
    if ours != NONE and stated is not None and abs(100 * computed - stated) > 1:
        off = " (differ)"
    return f"{ours} / {theirs}{off}"


def _limits(plan: StudyPlan, found: Sequence[Facts]) -> list[str]:
    reported = sum(one.trust == "reported" for each in found for one in each.scores)
    total = sum(len(each.scores) for each in found)
    return [
        *plan.study.notes,
        f"{reported} of {total} scores are reported by others and were not checked.",
        "Controls, withdrawn entries and scores that bear a flag on the board are left aside.",
        "Facts of datasets go together: those with fewer genes are also those with more missing"
        " entries, so a correlation does not say which of them makes a dataset hard.",
    ]
