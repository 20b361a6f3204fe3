"""``score``: predictions made elsewhere as a row of the board."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spared_bench.cli.common import (
    DATA_DIR,
    JSON,
    PLUGIN,
    PROTOCOL,
    WORKSPACE,
    bench_of,
    print_table,
    show_result,
)
from spared_bench.cli.terminal import echo
from spared_bench.errors import TrackingError

if TYPE_CHECKING:
    from spared_bench.bench import Bench
    from spared_bench.brought.scoring import Brought


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("score")(score)


def score(
    file: Path = typer.Argument(..., help="Predictions: .h5ad, .parquet, .csv, .tsv or .npz."),
    dataset: str = typer.Option(..., "--dataset", "-d", help="Of what they are."),
    method: str = typer.Option("", "--method", help="Name on the board [default: the file's]."),
    protocol: str = PROTOCOL,
    completer: str = typer.Option(
        "none", "--completer", "-c", help="With which the training target was completed."
    ),
    seed: int | None = typer.Option(None, help="One of the protocol's [default: its first]."),
    layer: str = typer.Option(
        "", help="Of an .h5ad [default: `predicted` if it is there, else X]."
    ),
    ignore_unknown: bool = typer.Option(
        False, "--ignore-unknown", help="Leave out spots and genes that the dataset lacks."
    ),
    page: bool = typer.Option(True, "--page/--no-page", help="Log to MLflow and build the page."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Score predictions that were made elsewhere, by names of spots and genes.

    They become a row of the board, marked as brought, and `submit build METHOD` hands them in.
    """
    bench = bench_of(protocol, [dataset], workspace, data_dir, plugin)
    from spared_bench.brought.scoring import bring  # HDF5, after it is known whether files lock

    brought = bring(
        bench,
        file,
        dataset,
        method=method,
        completer=completer,
        seed=seed,
        layer=layer,
        ignore_unknown=ignore_unknown,
    )
    built = _publish(bench) if page else None
    result = brought.result
    values = {
        "method": result.predictor,
        "dataset": result.dataset,
        "protocol": result.protocol,
        "scores": result.as_dict()["scores"],
        "coverage": brought.coverage,
        "notes": brought.notes,
        "page": built,
    }
    show_result(values, as_json, lambda: _print(bench, brought, built, protocol))


def _publish(bench: Bench) -> Path | None:
    from spared_bench.leaderboard.publish import LEADERBOARDS, Source, build_leaderboard, in_short
    from spared_bench.tracking.recorder import sync

    source: Source = "mlflow"
    try:
        sync(bench.workspace, bench.protocol.id)
    except TrackingError as error:
        echo(f"{error} The page is made from the store.", err=True)
        source = "store"
    left_out: list[str] = []
    remarks: list[str] = []
    page = build_leaderboard(
        bench.workspace,
        bench.protocol.id,
        source=source,
        protocols=[bench.protocol],
        command="spared-bench score",
        leaderboards=LEADERBOARDS,
        registry=bench.registry,
        plugin_files=[Path(file) for file in bench.settings.plugin_files],
        left_out=left_out,
        remarks=remarks,
    )
    for told in (*remarks, *in_short(left_out)):
        echo(told, err=True)
    return page


def _print(bench: Bench, brought: Brought, page: Path | None, protocol: str) -> None:
    result = brought.result
    split = result.facts["evaluation_split"]
    rows = [
        [bench.metric(name).title, f"{value:.4f}" if math.isfinite(value) else "undefined"]
        for name, value in result.scores[split].items()
    ]
    print_table([f"{result.predictor} on {result.dataset} ({split})", result.protocol], rows)
    if "above-control" in result.gene_scores:
        from spared_bench.statistics.intervals import share_interval

        low, high = share_interval(result.gene_scores["above-control"])
        echo(f"Genes above the negative control: 95 % from {low:.0%} to {high:.0%}.")
    for what, (has, of) in brought.coverage.items():
        echo(f"{what}: {has} of {of} are in the file.")
    for note in brought.notes:
        echo(note)
    if page is not None:
        echo(f"Page: {page}")
    suite = protocol or bench.protocol.name
    echo(
        f"`spared-bench submit build {result.predictor} --protocol {suite}` makes a bundle to hand"
        " in."
    )
