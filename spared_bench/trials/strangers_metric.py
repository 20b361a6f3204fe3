"""A metric of somebody else, taken in a child of the process that scores.

It gets copies of truth and prediction, and can do nothing but answer: what it breaks, kills or
invents is its own column.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from spared_bench.apart import do_apart
from spared_bench.bench import Bench
from spared_bench.errors import MismatchError, PluginError
from spared_bench.metrics.scoring import Scoring
from spared_bench.specs import MetricSpec
from spared_bench.told import with_imported

#: A metric that takes longer on one split is ended; ``--timeout`` says another time. Ours take
#: seconds on the largest datasets, and a run waits for every one of them.
SECONDS_AT_MOST = 600.0


def score_apart(
    bench: Bench, name: str, score: Callable[[MetricSpec, Any], Scoring], n_genes: int
) -> Scoring:
    """Return what a metric says of a split, of which this process has not imported the code.

    Parameters
    ----------
    bench : Bench
    name : str
    score : callable
        Scores by a metric, called in the child.
    n_genes : int

    Raises
    ------
    PluginError
        If it raises, ends, takes too long, or answers with something else than numbers.
    """
    entry = bench.registry.get("metric", name)
    spec = bench.metric(name)

    def work() -> dict[str, Any]:
        names = [entry.plugin.distribution]
        registry = with_imported(bench.registry, bench.settings.plugin_files, names)
        found = registry.get("metric", name)
        if entry.told is None or found.code != entry.code:
            raise MismatchError(f"The code of metric {name!r} has changed since the run was begun.")
        return vars(score(spec, found.load()))

    limit = bench.settings.limits.timeout or SECONDS_AT_MOST
    return _checked(do_apart(work, limit), name, spec, n_genes)


def _checked(answer: Any, name: str, spec: MetricSpec, n_genes: int) -> Scoring:
    """Return a child's answer as what it should be, with nothing in it of other metrics."""
    try:
        genes = answer["by_gene"].get(name, [])
        if len(genes) != (n_genes if spec.per == "gene" else 0):
            raise ValueError(f"{len(genes)} values for {n_genes} genes")
        return Scoring(
            {name: _number(answer["means"][name])},
            {str(slide): {name: _number(of[name])} for slide, of in answer["by_slide"].items()},
            {name: [_number(value) for value in genes]} if spec.per == "gene" else {},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PluginError(f"Metric {name!r} gave no scores that can be used: {error}.") from error


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.50} is no number")
    return float(value) if math.isfinite(value) else math.nan
