"""From a selection of names to a plan: every cell, and the trials that its search may take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spared_bench.bench import Bench
from spared_bench.errors import PluginError, SparedBenchError, UsageError
from spared_bench.interfaces import Job
from spared_bench.keys.hashing import digest
from spared_bench.planning.checks import check_methods, own_faults
from spared_bench.planning.images import blind
from spared_bench.planning.optuna_search import Asked, AskedCell
from spared_bench.planning.own_checks import unfit
from spared_bench.planning.plan import REDUCTION, Cell, Plan
from spared_bench.planning.views import impossible, misdeclared, refusal
from spared_bench.processing.listed_genes import require_own_genes


def make_plan(
    bench: Bench,
    datasets: Sequence[str],
    completers: Sequence[str],
    predictors: Sequence[str],
    *,
    named: bool = False,
) -> Plan:
    """Enumerate all cells of a selection.

    Parameters
    ----------
    bench : Bench
    datasets, completers, predictors : sequence of str
    named : bool
        Whether the user named the predictors. A predictor whose views cannot be had, or whose
        parameters cannot go together, is then an error, where otherwise it is left out, with the
        reason (``Plan.left_out``).

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If a selected plugin cannot be looked up.
    UsageError
        If a parameter of a selected method cannot be set as it is, or its views cannot be had.
    """
    bench.registry.declare()
    fitted = [*completers, bench.protocol.search.completer]
    _look_up(bench, datasets, fitted, predictors)
    refused = _at_fault(bench, "completer", completers)
    refused_predictors = _at_fault(bench, "predictor", predictors)
    sound = [name for name in completers if name not in refused]
    sound_predictors = [name for name in predictors if name not in refused_predictors]
    check_methods(bench, [*sound, bench.protocol.search.completer], sound_predictors)
    for dataset in datasets:
        bench.check_dataset(dataset)
    refused |= _refused_completers(bench, sound)
    plan = Plan(bench, [])
    plan.completers = [name for name in completers if name not in refused]
    refused |= refused_predictors | _refused_predictors(bench, sound_predictors)
    plan.predictors = [name for name in predictors if name not in refused]
    plan.left_out += _once_each(refused)
    for dataset in datasets:
        _add_cells(plan, dataset)
    nothing_left = not plan.cells and len(plan.unavailable) < len(datasets)
    if plan.left_out and (named or nothing_left):
        raise UsageError("\n".join(plan.left_out))
    return plan


def _look_up(
    bench: Bench, datasets: Sequence[str], completers: Sequence[str], predictors: Sequence[str]
) -> None:
    for kind, names in (
        ("dataset", datasets),
        ("completer", completers),
        ("predictor", predictors),
        ("metric", bench.scored_metrics),
    ):
        for name in names:
            bench.registry.get(kind, name)


def _at_fault(bench: Bench, kind: str, names: Sequence[str]) -> dict[str, str]:
    return {name: why for name in names if (why := own_faults(bench, kind, name))}


def _refused_completers(bench: Bench, names: Sequence[str]) -> dict[str, str]:
    whys = {n: misdeclared(bench, completers=[n]) or unfit(bench, completers=[n]) for n in names}
    return {name: why for name, why in whys.items() if why}


def _refused_predictors(bench: Bench, names: Sequence[str]) -> dict[str, str]:
    whys = {
        name: misdeclared(bench, predictors=[name])
        or refusal(bench, name)
        or unfit(bench, predictors=[name])
        for name in names
    }
    return {name: why for name, why in whys.items() if why}


def _add_cells(plan: Plan, dataset: str) -> None:
    """Add the cells of a dataset to a plan, or why there are none."""
    bench = plan.bench
    spec = bench.dataset(dataset)
    try:
        bench.protocol.require_usable(spec)
        require_own_genes(spec, bench.protocol.processing.for_dataset(spec))
    except SparedBenchError as error:
        plan.unavailable[dataset] = str(error)
        plan.unfit.append(dataset)
        return
    try:
        bench.data_inputs(dataset)
    except SparedBenchError as error:
        plan.unavailable[dataset] = str(error)
        if isinstance(error, PluginError):  # no files would help
            plan.unfit.append(dataset)
        return
    refused = {}
    for predictor in plan.predictors:
        if why := blind(bench, dataset, predictor) or impossible(bench, dataset, predictor):
            refused[predictor] = why
        else:
            plan.cells += _cells(bench, dataset, plan.completers, predictor)
    plan.left_out += _once_each(refused)


def _once_each(refused: dict[str, str]) -> list[str]:
    """Return why predictors are left out; a reason that several share stands once."""
    sharing: dict[str, list[str]] = {}
    for name, why in refused.items():
        sharing.setdefault(why.removeprefix(f"Predictor {name!r} "), []).append(name)
    return [
        refused[names[0]] if len(names) == 1 else f"Each of the predictors {', '.join(names)} {why}"
        for why, names in sharing.items()
    ]


def _cells(bench: Bench, dataset: str, completers: Sequence[str], predictor: str) -> list[Cell]:
    candidates = bench.candidates(predictor)
    seeds = bench.protocol.seeds
    if len(candidates) > 1 and bench.protocol.search.strategy == "optuna":
        return asked_cells(bench, dataset, completers, predictor)

    def trials(completer: str, seed: int, iterations: int = 0) -> tuple[Job, ...]:
        return tuple(
            Job(
                "trial",
                digest(
                    bench.trial_inputs(
                        dataset, completer, predictor, parameters, seed, iterations=iterations
                    )
                ),
                dataset,
                completer,
                predictor,
                parameters,
                seed,
                iterations,
            )
            for parameters in candidates
        )

    searched = len(candidates) > 1
    search_completer = bench.protocol.search.completer
    search = trials(search_completer, seeds[0]) if searched else ()
    budgets = rung_budgets(bench, len(candidates)) if searched else []
    rungs = tuple(trials(search_completer, seeds[0], budget) for budget in budgets)
    return [
        Cell(dataset, completer, predictor, seed, search, trials(completer, seed), rungs)
        for completer in completers
        for seed in seeds
    ]


def asked_cells(
    bench: Bench, dataset: str, completers: Sequence[str], predictor: str
) -> list[Cell]:
    """Return the cells of one dataset and predictor whose search asks Optuna, once for all."""
    candidates, spaces = bench.candidates(predictor), bench.search_spaces(predictor)
    fixed = {name: value for name, value in candidates[0].items() if name not in spaces}
    completer = bench.protocol.search.completer
    asked = Asked(bench, dataset, predictor, completer, fixed, spaces, len(candidates))
    return [
        AskedCell(dataset, completer, predictor, seed, (), (), asked=asked)
        for completer in completers
        for seed in bench.protocol.seeds
    ]


def rung_budgets(bench: Bench, n_candidates: int) -> list[int]:
    """Return the iterations of the early rungs of a search, the shortest first; empty for a grid.

    As many rungs as leave at least one candidate for the whole budget.
    """
    if bench.protocol.search.strategy != "halving":
        return []
    whole, budgets = bench.protocol.training.iterations, []
    while n_candidates > 1:
        n_candidates = math.ceil(n_candidates / REDUCTION)
        whole = max(1, whole // REDUCTION)
        budgets.append(whole)
    return sorted(set(budgets))
