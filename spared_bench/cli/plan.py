"""``run --dry-run``: what will be done, and what it will take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from spared_bench.cli.common import print_table, show_result
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.planning.figures import Figures
    from spared_bench.planning.forecast import Forecast
    from spared_bench.planning.plan import Plan


#: So many datasets that are to be fetched are told one by one.
_FEW = 3


def warn_unavailable(plan: Plan) -> None:
    """Say which datasets are left out, and which do not belong together."""
    for line in [*_unavailable(plan), *plan.warnings]:
        typer.echo(line, err=True)


def _unavailable(plan: Plan) -> list[str]:
    """Return a line for every reason; datasets that are only to be fetched share theirs."""
    told: dict[tuple[str, str], list[str]] = {}
    for name, reason in plan.unavailable.items():
        told.setdefault((plan.bench.dataset(name).fold_of or name, reason), []).append(name)
    to_fetch = [source for source, reason in told if f"data fetch {source}`" in reason]
    lines, together = [], set(to_fetch) if len(to_fetch) > _FEW else set()
    if together:
        lines = [
            f"{len(to_fetch)} datasets are left out, since their files are not in"
            f" {plan.bench.workspace.data_dir}: {', '.join(to_fetch)}. `spared-bench data fetch"
            f" {to_fetch[0]} {to_fetch[1]} ...` downloads them; or name the folder that has them"
            " with `--data-dir DIR`."
        ]
    for (source, reason), names in told.items():
        if source in together:
            continue
        label = repr(names[0]) if len(names) == 1 else f"{source!r} ({counted(len(names), 'fold')})"
        lines.append(f"Dataset {label} is left out: {reason}")
    return lines


def warn_of_hours(plan: Plan) -> None:
    """Say how long a plan takes without a GPU, where a method asks for one."""
    from spared_bench.planning.forecast import forecast

    if plan.hopeless:
        for line in _hours(forecast(plan)):
            typer.echo(line, err=True)


def show_plan(plan: Plan, as_json: bool) -> None:
    """Print a plan and what it will take."""
    from spared_bench.planning.forecast import forecast

    ahead = forecast(plan)
    values = {
        "protocol": plan.bench.protocol.id,
        **ahead.as_dict(),
        "configurations": plan.configurations,
        "unavailable": plan.unavailable,
        "warnings": plan.warnings,
    }
    show_result(values, as_json, lambda: _print_plan(plan, ahead))


def _print_plan(plan: Plan, ahead: Forecast) -> None:
    rows = [list(cell.values()) for cell in ahead.as_dict()["cells"]]
    print_table(["dataset", "completer", "predictor", "seed", "state"], rows)
    warn_unavailable(plan)
    done = sum(state == "done" for _, state in ahead.states)
    typer.echo(
        f"{counted(len(rows), 'cell')} under protocol {plan.bench.protocol.id}: {done} done;"
        f" {counted(ahead.cached, 'trial')} in the store, {ahead.open_trials} to run."
    )
    if ahead.open_scores:
        typer.echo(f"{ahead.open_scores} of these have predictions, and scores to compute.")
    for line in [*_configurations(plan), *_told(ahead)]:
        typer.echo(line)


def _configurations(plan: Plan) -> list[str]:
    """Say in which configuration the methods run, where the protocol asks for one."""
    from spared_bench.protocol import PUBLISHED

    methods: dict[str, list[str]] = {}
    for method, configuration in plan.configurations.items():
        methods.setdefault(configuration, []).append(method)
    if plan.bench.protocol.configuration == PUBLISHED and set(methods) == {PUBLISHED}:
        return []
    return [
        f"Configuration {name!r}{' (the defaults)' if name == PUBLISHED else ''}:"
        f" {', '.join(each)}."
        for name, each in sorted(methods.items())
    ]


def _told(ahead: Forecast) -> list[str]:
    lines = [
        f"  {'there' if made else 'to make'}: {kind} {label}" for kind, label, made in ahead.shared
    ]
    if lines:
        lines.insert(0, "Shared products, in this order:")
    if ahead.downloads:
        known = {name: size for name, size in ahead.downloads.items() if size is not None}
        told = [f"{name} ({size / 1e6:,.0f} MB)" for name, size in known.items()]
        unknown = [name for name in ahead.downloads if name not in known]
        told += [f"of unknown size: {', '.join(unknown)}"] if unknown else []
        lines.append(f"To fetch first, if they are to be used: {'; '.join(told)}.")
    lines += _hours(ahead)
    if ahead.disk_bytes is not None and ahead.open_trials:
        lines.append(f"About {ahead.disk_bytes / 1e6:,.1f} MB of disk for the open trials.")
    return lines


def hours_told(
    hours: Mapping[str, float], without_past: int, figures: Mapping[str, Figures], more: str = ""
) -> list[str]:
    """Return what trainings take, in sentences; ``more`` stands before what figures say."""
    lines = [
        f"About {took:.2f} hours of one worker on {device}, from past trials."
        for device, took in sorted(hours.items())
    ]
    if without_past:
        trials = counted(without_past, "trial")
        lines.append(f"Of predictors without a past trial of this size here: {trials}.")
    if more:
        lines.append(more)
    for machine, each in sorted(figures.items()):
        lacking = f"; none is known for {', '.join(each.without)}" if each.without else ""
        lines.append(
            f"{each.trainings:,} of these: about {each.hours:,.1f} hours of one worker on"
            f" {machine}, by figures measured there{lacking}."
        )
    return lines


def _hours(ahead: Forecast) -> list[str]:
    more = ""
    if ahead.absent_trials:
        trials = counted(ahead.absent_trials, "trial")
        more = f"{trials} more on the datasets that are to be fetched."
    return hours_told(ahead.hours, ahead.without_past, ahead.figures, more)
