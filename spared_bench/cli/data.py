"""``data show``, ``data fetch`` and ``data prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from spared_bench.cli.output import (
    DATA_DIR,
    JSON,
    PLUGIN,
    PROTOCOL,
    WORKSPACE,
    print_json,
    warn_of_quarantine,
)
from spared_bench.errors import UsageError
from spared_bench.specs import SPLITS

app = typer.Typer(help="Fetch, prepare and look at datasets.")

NAMES = typer.Argument(..., help="Names of datasets.")


@app.callback()
def _data() -> None:
    return None


@app.command("show")
def show(
    name: str = typer.Argument(..., help="Name of a dataset."),
    colour: str = typer.Option("", "--gene", "--colour", help="A gene [default: total counts]."),
    slide: list[str] = typer.Option([], "--slide", help="Only these slides."),
    out: Path | None = typer.Option(None, help="Folder to write [default: WORKSPACE/pictures]."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Draw every slide of a dataset with its spots on it."""
    from spared_bench.api import make_bench
    from spared_bench.overview import draw_slides
    from spared_bench.products import read_raw_slides

    bench = make_bench(workspace=workspace, data_dir=data_dir, plugin_files=plugin, device="cpu")
    known = [info.slide_id for info in bench.dataset(name).slides]
    for wanted in slide:
        if wanted not in known:
            raise UsageError(f"Dataset {name!r} has no slide {wanted!r}; its slides are {known}.")
    bench.workspace.make_writable()
    folder = out or bench.workspace.root / "pictures" / name
    slides = read_raw_slides(bench, name, slide)
    pictures = draw_slides(slides, folder, colour or None, dataset=name)
    if as_json:
        print_json({"pictures": pictures})
    else:
        typer.echo("\n".join(map(str, pictures)))


@app.command("fetch")
def fetch(
    names: list[str] = NAMES,
    offline: bool = typer.Option(False, help="Only check what is there."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Download the files of datasets."""
    from spared_bench.api import make_bench
    from spared_bench.fetch import dataset_folder
    from spared_bench.fetch import fetch as download

    bench = make_bench(workspace=workspace, data_dir=data_dir, plugin_files=plugin, device="cpu")
    folders = {}
    for name in names:
        spec = bench.dataset(name)
        folder = dataset_folder(spec, bench.workspace.data_dir)
        folders[name] = download(spec, folder, offline=offline)
        if not as_json:
            typer.echo(f"{name}: {folders[name]}")
    if as_json:
        print_json(folders)


@app.command("prepare")
def prepare(
    names: list[str] = NAMES,
    protocol: str = PROTOCOL,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Process datasets as a protocol says and cut their patches."""
    from spared_bench.api import make_bench
    from spared_bench.products import prepare as make

    bench = make_bench(
        protocol, workspace=workspace, data_dir=data_dir, plugin_files=plugin, device="cpu"
    )
    warn_of_quarantine(bench.registry.quarantined)
    bench.workspace.make_writable()
    described = {name: _described(make(bench, name).adata) for name in names}
    if as_json:
        print_json(described)
        return
    for name, facts in described.items():
        spots = ", ".join(f"{number} {split}" for split, number in facts["spots"].items())
        typer.echo(
            f"{name}: {spots} spots x {facts['genes']} genes,"
            f" {facts['missing']:.1%} of the entries unmeasured"
        )


def _described(adata: Any) -> dict[str, Any]:
    splits = adata.obs["split"].value_counts()
    return {
        "spots": {split: int(splits.get(split, 0)) for split in SPLITS},
        "genes": int(adata.n_vars),
        "missing": round(1 - float(adata.layers["mask"].mean()), 4),
    }
