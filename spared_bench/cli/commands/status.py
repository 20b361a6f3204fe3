"""``status``: what runs now, what is finished, and why trials failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.common import (
    JSON,
    WORKSPACE,
    in_terminal,
    print_table,
    show_result,
)
from spared_bench.cli.terminal import echo
from spared_bench.errors import UsageError
from spared_bench.results import IMPORTED, UNSCORED
from spared_bench.strict import is_yaml
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.results import TrialResult
    from spared_bench.store.records import Records
    from spared_bench.workspace import Workspace

#: What is said of a result by what was another one when it was made (``trials.outdated``).
_MOST_TOLD = 20  # of what cannot be read
_OF_OTHERS = {"": "", "settings": ", under other settings", "data": ", of other data"}


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("status")(status)


def status(
    protocol: str = typer.Option(
        "",
        "--protocol",
        "--suite",
        help="Protocol: a name or a YAML file [default: demo, or the only one with results].",
    ),
    why: str = typer.Option("", help="Show one trial by the start of its key."),
    failed: bool = typer.Option(False, "--failed", help="Only trials that failed."),
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Show what the workspace holds of a protocol, what runs now, and why trials failed."""
    from spared_bench.memory import uncollected
    from spared_bench.store.records import Records
    from spared_bench.store.shut import told_of_shut
    from spared_bench.trials.cells import note_on_earlier
    from spared_bench.trials.outdated import outdated_cells
    from spared_bench.workspace import Workspace

    space = Workspace.at(workspace)
    if not space.root.exists():
        echo(f"There is no workspace {space.root} yet; a run makes it.", err=True)
    if why:
        _show_one(_beginning(space, why), why, as_json)
        return
    with uncollected(), Records(space.store, outcomes=not as_json) as records:
        for note in filter(None, (note_on_earlier(records), told_of_shut(records))):
            echo(note, err=True)
        unread: list[str] = []
        found = _found(records, unread)
        outdated = outdated_cells(records, {})
    for told in unread[:_MOST_TOLD]:
        echo(told, err=True)
    name = _name_of(protocol or _default(space, found))
    results = [result for result in found if result.protocol.partition("@")[0] == name]
    if protocol and not (results or is_yaml(protocol)):
        _check_name(name)
    if failed:
        results = [result for result in results if not result.ok]
    others = {r.key: outdated[r.cell] for r in results if r.cell in outdated}
    values = [
        {
            **result.as_dict(),
            **{f"other_{what}": others.get(result.key) == what for what in ("settings", "data")},
        }
        for result in (results if as_json else ())
    ]
    show_result(values, as_json, lambda: _print_state(space, results, others))


def _print_state(
    space: Workspace, results: Sequence[TrialResult], others: Mapping[str, str]
) -> None:
    from spared_bench.running.run_file import living_runs

    _show_runs(list(living_runs(space.runs)))
    print_table(
        ["key", "dataset", "completer", "predictor", "seed", "state"],
        [
            [
                result.key[:10],
                result.dataset,
                result.completer,
                result.predictor,
                str(result.seed),
                _state(result) + _OF_OTHERS[others.get(result.key, "")],
            ]
            for result in results
        ],
    )


def _default(space: Workspace, results: Sequence[TrialResult]) -> str:
    """Return the protocol that is meant where none is named: the demo, unless all is of another.

    Raises
    ------
    UsageError
        If there are runs or results of several protocols and none of the demo.
    """
    from spared_bench.api import DEFAULT_PROTOCOL
    from spared_bench.running.run_file import living_runs

    named = [result.protocol for result in results]
    named += [run["protocol"] for run in living_runs(space.runs)]
    there = {protocol.partition("@")[0] for protocol in named}
    if DEFAULT_PROTOCOL in there or not there:
        return DEFAULT_PROTOCOL
    if len(there) > 1:
        raise UsageError(
            f"The workspace holds results of several protocols: {', '.join(sorted(there))}. Name"
            " one with `--suite`."
        )
    return there.pop()


def _name_of(protocol: str) -> str:
    """Return the name of a protocol that is given by its file, or by its name or id."""
    if is_yaml(protocol):
        from spared_bench.protocol import read_protocol

        return read_protocol(Path(protocol)).name
    return protocol.partition("@")[0]


def _check_name(name: str) -> None:
    """Refuse the name of a protocol that nothing was run of, unless it is installed."""
    from spared_bench.registry import discover

    discover(specs_only=True).get("protocol", name)


def _found(records: Records, unread: list[str]) -> list[TrialResult]:
    """Return the trials that count, and the failed ones of searches, ended or not.

    ``unread`` takes a sentence for each that is there and cannot be read.
    """
    from spared_bench.trials.cells import cells_in, failures_since

    found = {}
    for cell in cells_in(records, unread=unread):
        found[cell.final.key] = cell.final
        found |= {trial.key: trial for trial, _ in cell.search if not trial.ok}
    found |= {trial.key: trial for trial in failures_since(records)}
    return list(found.values())


def _state(result: TrialResult) -> str:
    if result.ok:
        imported = ", imported" if IMPORTED in result.facts else ""
        return f"ok{', not by every metric' if result.facts.get(UNSCORED) else ''}{imported}"
    quarantined = " (quarantined)" if result.facts.get("quarantined") else ""
    return f"{result.status}{quarantined}: {in_terminal(result.message)}"


def _show_runs(runs: list[dict[str, Any]]) -> None:
    for run in runs:
        state = "Suspended" if run["suspended"] else "Running"
        echo(
            f"{state} on {run['host']} (process {run['pid']}), {run['protocol']}:"
            f" {counted(run['done'], 'trial')} done, {run['failed']} failed, {run['left']} left."
        )
        if run.get("waiting"):
            echo(f"  waits for another run: {run['waiting']}")
        for job in run["running"]:
            told = " ".join(f"{name} {value:.4f}" for name, value in job.get("values", {}).items())
            step = f"  step {job['step']} {told}" if "step" in job else ""
            echo(f"  {job['kind']} {job['label']}{step}")


def _beginning(space: Workspace, start: str) -> list[TrialResult]:
    """Return the trials whose key begins so: those that count as they were scored."""
    from spared_bench.memory import uncollected
    from spared_bench.store.records import Records
    from spared_bench.store.trials import trials_beginning
    from spared_bench.trials.cells import finals_in

    with uncollected(), Records(space.store) as records:
        scored = [result for result in finals_in(records) if result.key.startswith(start)]
    seen = {result.key for result in scored}
    others = (result for result, _ in trials_beginning(space.store, start))
    return [*scored, *(result for result in others if result.key not in seen)]


def _show_one(found: list[TrialResult], why: str, as_json: bool) -> None:
    if not found:
        raise UsageError(
            f"No trial of this workspace has a key that begins with {why!r}."
            " `spared-bench status` shows the keys."
        )
    show_result([result.as_dict() for result in found], as_json, lambda: _print_trials(found))


def _print_trials(found: Sequence[TrialResult]) -> None:
    for result in found:
        attempts = result.environment.get("attempts", 1)
        names = [result.protocol, result.dataset, result.completer, result.predictor]
        told = " · ".join([*names, f"seed {result.seed}", f"{result.parameters}"])
        echo(f"{result.key}\n{in_terminal(told)}\n{_state(result)}")
        if attempts > 1:
            echo(f"Tried {attempts} times.")
        if result.traceback:
            echo(result.traceback)
        if result.facts.get(UNSCORED):
            echo(result.facts[UNSCORED])
        known = {name: value for name, value in result.environment.items() if name != "packages"}
        echo(in_terminal("; ".join(f"{name}: {value}" for name, value in known.items())))
