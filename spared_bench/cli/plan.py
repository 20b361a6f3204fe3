"""``run --dry-run``: what will be done, and what it will take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from spared_bench.cli.common import print_table, show_result
from spared_bench.cli.terminal import echo
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.bench import Bench
    from spared_bench.planning.figures import Figures
    from spared_bench.planning.forecast import Forecast
    from spared_bench.planning.plan import Plan
    from spared_bench.studies.planning import StudyForecast

    _Ahead = TypeVar("_Ahead", Forecast, StudyForecast)

#: So many datasets that are to be fetched are told one by one.
_FEW = 3


def warn_unavailable(plan: Plan) -> None:
    """Say which datasets are left out, and which do not belong together."""
    for line in [*_unavailable(plan), *plan.warnings]:
        echo(line, err=True)


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
            echo(line, err=True)


def show_plan(plan: Plan, as_json: bool, ask: bool = False) -> None:
    """Print a plan and what it will take; ``ask``: the servers, how large its files are."""
    from spared_bench.planning.forecast import forecast

    ahead = forecast(plan)
    if ask:
        ahead = with_sizes(plan.bench, ahead)
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
    echo(
        f"{counted(len(rows), 'cell')} under protocol {plan.bench.protocol.id}: {done} done;"
        f" {counted(ahead.cached, 'trial')} in the store, {ahead.open_trials} to run."
    )
    if ahead.open_scores:
        echo(f"{ahead.open_scores} of these have predictions, and scores to compute.")
    for line in [*_configurations(plan), *_told(plan, ahead)]:
        echo(line)


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


def _told(plan: Plan, ahead: Forecast) -> list[str]:
    from spared_bench.planning.figures import to_fetch

    lines = [
        f"  {'there' if made else 'to make'}: {kind} {label}" for kind, label, made in ahead.shared
    ]
    if lines:
        lines.insert(0, "Shared products, in this order:")
    lines += downloads_told(plan.bench, ahead, to_fetch(plan))
    lines += _hours(ahead)
    if ahead.disk_bytes is not None and ahead.open_trials:
        lines.append(f"About {ahead.disk_bytes / 1e6:,.1f} MB of disk for the open trials.")
    return lines


def with_sizes(bench: Bench, ahead: _Ahead) -> _Ahead:
    """Ask the servers for the sizes that a forecast does not know."""
    from spared_bench.planning.asked import asked_sizes
    from spared_bench.sources.mirrors import read_mirrors

    return replace(ahead, asked=asked_sizes(bench, ahead.downloads, read_mirrors()))


def downloads_told(
    bench: Bench, ahead: Forecast | StudyForecast, datasets: Iterable[str]
) -> list[str]:
    """Return what is to be fetched of datasets that are not here, and how large it is."""
    from spared_bench.planning.forecast import fetched_together
    from spared_bench.sources.fetch import dataset_folder

    together = fetched_together(bench, datasets)
    names = [name for name in ahead.downloads if bench.dataset(name).files]
    lines = []
    if names:
        lines.append(f"To fetch first, with `spared-bench data fetch {' '.join(names)}`:")
        unknown = [n for n in names if ahead.downloads[n] is None and n not in ahead.asked]
        labels = {name: _with_others(name, together[name]) for name in names}
        lines += [f"  {labels[n]}: {_size(n, ahead)}" for n in names if n not in unknown]
        if unknown:
            lines.append(f"  of unknown size: {', '.join(labels[name] for name in unknown)}")
            lines.append("`--ask-sizes` asks the servers for sizes that are unknown.")
    for name in ahead.downloads:
        if name not in names:
            folder = dataset_folder(bench.dataset(name), bench.workspace.data_dir)
            lines.append(
                f"To put in place by hand, since no address of its files is known: {name}, in"
                f" {folder}. `spared-bench info {name}` says whose they are."
            )
    return lines


def _with_others(name: str, others: list[str]) -> str:
    """Return a dataset, and the others that its files hold."""
    return f"{name} (and with it {', '.join(others)})" if others else name


def _size(name: str, ahead: Forecast | StudyForecast) -> str:
    """Say how large the files of a dataset are, by its source or as its server says."""
    size, said = ahead.downloads[name], ahead.asked.get(name)
    if size is not None or said is None:
        return _megabytes(size or 0)
    if not said.untold:
        return f"{_megabytes(said.bytes)}, as its server says"
    reasons = "; ".join(dict.fromkeys(said.untold.values()))
    if not said.bytes:
        return f"of unknown size, asked in vain: {reasons}"
    return (
        f"at least {_megabytes(said.bytes)}, as its server says; no size is told of"
        f" {len(said.untold)} of {said.files} files: {reasons}"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e6:.1g} MB"


def hours_told(ahead: Forecast | StudyForecast, more: str = "") -> list[str]:
    """Return what trainings take, in sentences; ``more`` stands before what figures say."""
    lines = [
        f"About {took:.2f} hours of one worker on {device}, from past trials."
        for device, took in sorted(ahead.hours.items())
    ]
    if ahead.without_past:
        trials = counted(ahead.without_past, "trial")
        lines.append(f"Without a past trial of the same method in this size here: {trials}.")
    if more:
        lines.append(more)
    lines += [_figures(machine, each) for machine, each in sorted(ahead.figures.items())]
    if ahead.without_figures and not ahead.figures:
        lines.append(
            "No hours can be told of these: no figure is known, in the configuration that is run,"
            f" for {', '.join(ahead.without_figures)}. A first trial here gives one."
        )
    return lines


def _figures(machine: str, each: Figures) -> str:
    unknown = f"the number of spots of {', '.join(each.unknown_spots)}, which is unknown"
    if not each.trainings:
        return f"No hours can be told on {machine}: they depend on {unknown}."
    about = "at least" if each.unknown_spots else "about"
    lacking = f"; none is known for {', '.join(each.without)}" if each.without else ""
    lacking += f"; left out is what depends on {unknown}" if each.unknown_spots else ""
    seconds = f"{3600 * each.hours:,.1f} seconds"
    took = f"{each.hours:,.1f} hours" if each.hours >= 0.1 else seconds
    return (
        f"{each.trainings:,} of these: {about} {took} of one worker on {machine}, by figures"
        f" measured there{lacking}."
    )


def _hours(ahead: Forecast) -> list[str]:
    more = ""
    if ahead.absent_trials:
        trials = counted(ahead.absent_trials, "trial")
        more = f"{trials} more on the datasets that are not here."
    return hours_told(ahead, more)
