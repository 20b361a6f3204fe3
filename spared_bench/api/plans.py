"""The plan of a selection, and what the store has of it."""

from __future__ import annotations

from collections.abc import Sequence

from spared_bench.bench import Bench
from spared_bench.planning.plan import Plan
from spared_bench.planning.selection import make_plan
from spared_bench.planning.stored import final_results, stored_results
from spared_bench.results import TrialResult


def select(
    bench: Bench,
    datasets: Sequence[str] = (),
    completers: Sequence[str] = (),
    predictors: Sequence[str] = (),
) -> Plan:
    """Plan a selection; what is not named is everything of the protocol's suite.

    Unnamed datasets and completers are those of the protocol; unnamed predictors are all. A scheme
    of folds (``"her2st.loso"``) stands for all its folds.
    """
    protocol = bench.protocol

    def known(kind: str, names: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(bench.registry.canonical(kind, name) for name in names))

    wanted = list(datasets or protocol.datasets) or bench.registry.names("dataset")
    return make_plan(
        bench,
        known("dataset", [fold for name in wanted for fold in bench.registry.expand(name)]),
        known("completer", completers or protocol.completers),
        known("predictor", predictors) or _everybody(bench),
        named=bool(predictors),
    )


def results_of(plan: Plan) -> list[TrialResult]:
    """Return the results that the store has of a plan, one per cell."""
    return final_results(plan, stored_results(plan))


def _everybody(bench: Bench) -> list[str]:
    """Return the predictors that a protocol is for.

    All; of one of partially measured samples, those that use what is known, and the one that gains
    are measured against.
    """
    names = bench.registry.names("predictor")
    known = bench.protocol.known
    if known is None:
        return names
    return [name for name in names if bench.predictor(name).needs_known or name == known.image_only]


def is_shipped(bench: Bench) -> bool:
    """Whether a protocol is of datasets that come with their plugins, as those of a demo do."""
    specs = [bench.dataset(name) for name in bench.protocol.datasets and bench.listed()]
    return bool(specs) and all(spec.folder or spec.synthetic for spec in specs)
