"""``export split``: a dataset for people who train without this package."""

from __future__ import annotations

from pathlib import Path

import typer

from spared_bench.cli.common import (
    DATA_DIR,
    JSON,
    PLUGIN,
    PROTOCOL,
    WORKSPACE,
    bench_of,
    show_result,
)
from spared_bench.words import counted

export_app = typer.Typer(help="Write data for use elsewhere.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(export_app, name="export")


@export_app.callback()
def _export() -> None:
    return None


@export_app.command("split")
def split(
    dataset: str = typer.Option(..., "--dataset", "-d", help="A dataset, or one fold of a scheme."),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="A new folder [default: DATASET.PROTOCOL, here]."
    ),
    patches: bool = typer.Option(True, "--patches/--no-patches", help="Write every spot's patch."),
    images: bool = typer.Option(True, "--images/--no-images", help="Put overviews into slides."),
    protocol: str = PROTOCOL,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Write slides, split, genes and patches; the slides that are scored come without truth.

    `spared-bench score` takes the predictions that are made of them.
    """
    from spared_bench.brought.split_export import export_split

    bench = bench_of(protocol, [dataset], workspace, data_dir, plugin)
    folder = out or Path(f"{dataset}.{bench.protocol.id}")
    made = export_split(bench, dataset, folder, patches=patches, images=images)
    lines = [f"{split}: {counted(len(ids), 'slide')}" for split, ids in made.slides.items()]
    lines += [
        f"{counted(made.n_genes, 'gene')}. What to do with it stands in {folder / 'README.md'}."
    ]
    if made.without_image and patches:
        lines.append(f"No patches: {', '.join(made.without_image[:5])} have no image.")
    values = {
        "folder": folder,
        "slides": made.slides,
        "genes": made.n_genes,
        "without_image": made.without_image,
    }
    show_result(values, as_json, "\n".join(lines))
