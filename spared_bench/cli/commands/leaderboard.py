"""``leaderboard build`` and ``track sync``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spared_bench.cli.common import JSON, PLUGIN, WORKSPACE, show_result
from spared_bench.cli.terminal import echo
from spared_bench.errors import UnknownNameError, UsageError, did_you_mean
from spared_bench.strict import is_yaml
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.protocol import Protocol
    from spared_bench.registry import Registry
    from spared_bench.store.records import Records
    from spared_bench.workspace import Workspace

leaderboard_app = typer.Typer(help="Make the leaderboard from finished runs.")
track_app = typer.Typer(help="Keep MLflow in step with the store.")

_PROTOCOL = typer.Option(
    "",
    "--protocol",
    "--suite",
    help="Only this protocol: its name, its id (demo@1), or its YAML file [default: all].",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(leaderboard_app, name="leaderboard")
    app.add_typer(track_app, name="track")


@leaderboard_app.callback()
def _leaderboard() -> None:
    return None


@track_app.callback()
def _track() -> None:
    return None


@leaderboard_app.command("build")
def build(
    source: str = typer.Option("mlflow", "--from", help="mlflow or store; both give the same."),
    protocol: str = _PROTOCOL,
    out: Path | None = typer.Option(None, help="Folder to write [default: WORKSPACE/leaderboard]."),
    leaderboards: Path | None = typer.Option(
        None, help="Folder with accepted entries of others [default: ./leaderboards]."
    ),
    maps: bool = typer.Option(True, help="Draw predictions, as far as the store has them."),
    plugin: list[Path] = PLUGIN,
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Build the static site and its tables from finished runs and from entries of others."""
    if source not in ("mlflow", "store"):
        raise UsageError(f"--from must be 'mlflow' or 'store', found {source!r}.")
    if leaderboards is not None and not leaderboards.is_dir():
        raise UsageError(
            f"--leaderboards must name a folder with <protocol>/<method>@<version>/entry.json;"
            f" {leaderboards} is none."
        )
    from spared_bench.executors.listing import listed_apart
    from spared_bench.leaderboard.publish import LEADERBOARDS, build_leaderboard, in_short
    from spared_bench.registry import discover
    from spared_bench.store.records import Records
    from spared_bench.store.shut import told_of_shut
    from spared_bench.trials.cells import note_on_earlier
    from spared_bench.workspace import Workspace

    space = Workspace.at(workspace)
    files = [file.resolve() for file in plugin]
    ours = discover(files, data_dir=space.data_dir, only=())
    registry = listed_apart(ours, files, space).require_files(files)
    protocol, protocols = _read(protocol, registry)
    left_out: list[str] = []
    remarks: list[str] = []
    with Records(space.store, genes=False) as records:
        if not protocol:
            records.every_final_ahead()  # whose files a child looks at meanwhile
        for note in filter(None, (note_on_earlier(records), told_of_shut(records))):
            echo(note, err=True)
        page = build_leaderboard(
            space,
            protocol,
            source="store" if source == "store" else "mlflow",
            out=out,
            leaderboards=leaderboards or LEADERBOARDS,
            registry=registry,
            maps=maps,
            protocols=protocols,
            plugin_files=[file.resolve() for file in plugin],
            records=records,
            left_out=left_out,
            remarks=remarks,
        )
        if page is None:
            raise UsageError(_nothing_to_show(space, protocol, records))
    for told in (*remarks, *in_short(left_out)):
        echo(told, err=True)
    show_result({"leaderboard": page}, as_json, f"Leaderboard: {page}")


def _read(named: str, registry: Registry) -> tuple[str, list[Protocol]]:
    """Return the id of a protocol by its name, id or file, and what a file holds.

    One that is not installed may have runs all the same, under an id that says its version.
    """
    from spared_bench.api.protocols import load_protocol

    if not named or "@" in named:
        return named, []
    try:
        found = load_protocol(named, registry)
    except UnknownNameError:
        return named, []
    return found.id, [found] if is_yaml(named) else []


def _nothing_to_show(space: Workspace, protocol: str, records: Records) -> str:
    from spared_bench.trials.cells import finals_in

    if any(finals_in(records, protocol)):
        return (
            "MLflow has no finished runs to show, and the store has some (`run --no-track`)."
            " `spared-bench track sync` logs them; `--from store` shows them as they are."
        )
    if others := sorted({result.protocol for result in finals_in(records)}):
        told = f"There are no finished runs of protocol {protocol!r} to show in {space.root}."
        return f"{told} {did_you_mean(protocol, others)} It has runs of {', '.join(others)}."
    return (
        f"There are no finished runs to show in {space.root}. `spared-bench run --all --suite demo`"
        " makes some; `--workspace` names the folder of earlier ones."
    )


@track_app.command("sync")
def sync(
    uri: str = typer.Option("", help="Tracking server [default: $MLFLOW_TRACKING_URI, SQLite]."),
    protocol: str = _PROTOCOL,
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Log to MLflow what the store has and MLflow lacks."""
    from spared_bench.registry import discover
    from spared_bench.store.records import Records
    from spared_bench.tracking.recorder import sync as sync_store
    from spared_bench.trials.cells import finals_in
    from spared_bench.workspace import Workspace

    space = Workspace.at(workspace)
    protocol, _ = _read(protocol, discover(specs_only=True))
    if protocol:
        with Records(space.store, genes=False) as records:
            if not any(finals_in(records, protocol)):
                raise UsageError(_nothing_to_show(space, protocol, records))
    logged = sync_store(space, protocol, uri or None)
    show_result({"logged": logged}, as_json, f"{counted(logged, 'run')} logged.")
