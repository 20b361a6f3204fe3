"""``complete``: the completion benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.commands.run import parse_settings
from spared_bench.cli.common import (
    COMPLETERS,
    DATA_DIR,
    JSON,
    PLUGIN,
    PROTOCOL,
    SETTINGS,
    WORKSPACE,
    own_command,
    show_result,
    tell_protocol,
    warn_of_quarantine,
)
from spared_bench.cli.terminal import echo
from spared_bench.errors import TrackingError, UsageError
from spared_bench.store.leases import leases_of
from spared_bench.whereabouts import no_file

if TYPE_CHECKING:
    from spared_bench.bench import Bench
    from spared_bench.completion.benchmark import CompletionResult, Condition


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("complete")(complete)


def complete(
    datasets: list[str] = typer.Argument(..., help="Names of datasets."),
    completer: list[str] = COMPLETERS,
    mask_rates: str = typer.Option(
        "0.1..0.7", help="Parts of all entries to hide: 0.1..0.7 in steps of 0.1, or 0.3,0.5."
    ),
    rule: list[str] = typer.Option(
        ["fraction", "prob_median"], help="Which entries are hidden; may be given more than once."
    ),
    repeats: int = typer.Option(10, min=1, help="Masks per rate."),
    weights: str = typer.Option(
        "", help="A file that a completer saved, used in place of training."
    ),
    settings: list[str] = SETTINGS,
    show: list[str] = typer.Option([], help="Completers in the gene maps [default: all]."),
    protocol: str = PROTOCOL,
    device: str = typer.Option("auto", help="auto, cpu, cuda, cuda:1, ..."),
    timeout: float = typer.Option(
        0.0, min=0, help="End a completer of others that takes longer over a dataset (seconds)."
    ),
    out: Path | None = typer.Option(
        None, help="Folder to write [default: WORKSPACE/completion/PROTOCOL]."
    ),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Hide measured entries, complete them, and say how well they came back.

    Scores the test slides of a dataset, or the validation slides where it has none. What is in the
    store is not measured again.
    """
    rates = parse_rates(mask_rates)
    from spared_bench.api import make_bench
    from spared_bench.bench import Limits
    from spared_bench.completion.masking import check_rule

    for each in rule:
        check_rule(each)
    options: dict[str, Any] = {
        "workspace": workspace,
        "data_dir": data_dir,
        "plugin_files": plugin,
        "device": device,
        "datasets": datasets,
        "apart": True,
        "limits": Limits(timeout),
    }
    bench = make_bench(protocol, parameters=parse_settings(settings), **options)
    # HDF5, after it is known whether files lock.
    from spared_bench.completion.benchmark import conditions, measure
    from spared_bench.completion.tables import Collection, check_folder, markdown

    warn_of_quarantine(bench.registry.quarantined)
    tell_protocol(protocol, bench.protocol)
    completers = list(dict.fromkeys(completer)) or list(bench.protocol.completers)
    for kind, names in (("dataset", datasets), ("completer", [*completers, *show])):
        for name in names:
            bench.registry.get(kind, name)
    if weights:
        chosen = with_weights(bench, completers, weights, parse_settings(settings))
        bench = make_bench(protocol, parameters=chosen, **options)
    wanted = conditions(rule, rates)
    _check(bench, datasets, completers, wanted, repeats)
    _ready_process(bench)
    folder = out or bench.workspace.root / "completion" / bench.protocol.id
    check_folder(folder, bench.protocol.id)
    log = lambda line: echo(line, err=True)  # noqa: E731
    measured = measure(bench, datasets, completers, wanted, repeats, log)
    results, written, text = measured.results, [], ""
    if results:
        leases = leases_of(bench.workspace.store.root)
        # One process at a time: of two, the last would take the other's results away.
        with leases.waiting(f"completion-{bench.protocol.id}", lambda: None):
            written = _write(bench, results, datasets, show or completers, folder)
        text = markdown(Collection(results, []))
        text += "\nWritten: " + ", ".join(map(str, written))
    values = {
        "results": [result.as_dict() for result in results],
        "failures": measured.failures,
        "files": written,
    }
    show_result(values, as_json, text)
    raise typer.Exit(1 if measured.failures else 0)


def _check(
    bench: Bench,
    datasets: Sequence[str],
    completers: Sequence[str],
    wanted: Sequence[Condition],
    repeats: int,
) -> None:
    """Refuse, before anything is completed, what a run refuses; say what has no effect."""
    from spared_bench.completion.benchmark import KIND, Task
    from spared_bench.keys.hashing import digest
    from spared_bench.planning.checks import check_methods, notes_on_methods
    from spared_bench.running.requirements import missing_device

    check_methods(bench, completers, [])
    store = bench.workspace.store
    if (problem := missing_device(bench.settings.device)) and not all(
        store.has(KIND, digest(task.inputs(completer, condition, repeats)))
        for task in [Task(bench, name) for name in datasets]
        for completer in completers
        for condition in wanted
    ):
        raise UsageError(problem)
    for note in notes_on_methods(bench, completers, []):
        echo(note, err=True)


def parse_rates(text: str) -> list[float]:
    """Read ``0.1..0.7`` (in steps of 0.1) or ``0.3,0.5``.

    Raises
    ------
    UsageError
        If it is neither, or a rate is not above 0 and at most 1.
    """
    try:
        if ".." in text:
            first, last = (round(float(end) * 10, 6) for end in text.split(".."))
            steps = int(last - first + 1e-6) if first > 0 and last <= 10 else -1
            rates = [round((first + step) / 10, 6) for step in range(steps + 1)]
        else:
            rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = []
    if not rates or any(not 0 < rate <= 1 for rate in rates):
        raise UsageError(
            f"--mask-rates {text!r} must read 0.1..0.7, which goes in steps of 0.1, or 0.3,0.5:"
            " numbers above 0 and at most 1."
        )
    return list(dict.fromkeys(rates))


def with_weights(
    bench: Bench, completers: list[str], weights: str, chosen: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the parameters by which the one trained completer of a selection reads its weights.

    Raises
    ------
    UsageError
        If there is no such file, or not exactly one completer that takes it.
    """
    from spared_bench.bench.methods import place_of_weights

    path = place_of_weights(weights)
    if not path.is_file():
        raise UsageError(
            f"--weights must name a file that a completer saved; {path} is none. {no_file(path)}"
        )
    trained = [name for name in completers if _takes_weights(bench, name)]
    if len(trained) != 1:
        found = ", ".join(trained) or "none"
        raise UsageError(
            f"--weights is for one trained completer; of those selected, these are: {found}."
            " Select one with -c."
        )
    name = bench.registry.get("completer", trained[0]).spec.name
    return chosen | {name: chosen.get(name, {}) | {"weights": str(path)}}


def _takes_weights(bench: Bench, completer: str) -> bool:
    entry = bench.registry.get("completer", completer)
    if entry.told is not None:
        return "weights" in entry.told["defaults"]
    factory = entry.load()
    return hasattr(factory, "load") and "weights" in getattr(factory, "__dataclass_fields__", {})


def _write(
    bench: Bench,
    results: Sequence[CompletionResult],
    datasets: Sequence[str],
    shown: Sequence[str],
    folder: Path,
) -> list[Path]:
    """Add results to those of a folder; write its tables and figures, and log them."""
    from spared_bench.completion.benchmark import Task
    from spared_bench.completion.figures import draw_figures
    from spared_bench.completion.tables import collect, write_tables

    measured = {result.dataset for result in results}
    done = {result.completer for result in results}
    everything = collect(results, folder, own_command())
    if everything.gone:
        places = dict.fromkeys(f"{each.dataset} · {each.completer}" for each in everything.gone)
        echo(
            f"Earlier results under other settings, or of other data, are not kept in {folder}:"
            f" {', '.join(places)}. The same command makes them anew.",
            err=True,
        )
    written = write_tables(everything, folder)
    tasks = [Task(bench, name) for name in datasets if name in measured]
    drawn = [name for name in shown if name in done]
    written += draw_figures(everything.results, tasks, drawn, folder)
    _track(bench, everything.results)
    return written


def _track(bench: Bench, results: Sequence[CompletionResult]) -> None:
    """Log to MLflow; a server that is away costs a line."""
    from spared_bench.tracking.tracker import Tracker
    from spared_bench.tracking.writer import COMPLETION, one_writer

    try:
        with one_writer(bench.workspace.store.root, COMPLETION, "the same command"):
            Tracker(bench.workspace.root).log_completion(results)
    except TrackingError as error:
        echo(f"{error} The results are in the store and in the tables.", err=True)


def _ready_process(bench: Bench) -> None:
    from spared_bench.memory import keep_freed_memory
    from spared_bench.threads import use_threads

    use_threads(bench.settings.threads)
    keep_freed_memory()
