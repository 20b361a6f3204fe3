"""``data show``, ``data add``, ``data fetch``, ``data verify`` and ``data prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.common import (
    DATA_DIR,
    JSON,
    PLUGIN,
    PROTOCOL,
    WORKSPACE,
    bench_of,
    err_console,
    show_result,
    warn_of_quarantine,
)
from spared_bench.cli.terminal import echo
from spared_bench.errors import UnknownNameError, UsageError
from spared_bench.registry import Registry, discover
from spared_bench.specs import SPLITS, DatasetSpec
from spared_bench.words import counted
from spared_bench.workspace import Workspace

if TYPE_CHECKING:
    from spared_bench.bench import Bench

data_app = typer.Typer(help="Fetch, prepare and look at datasets.")

NAMES = typer.Argument(..., help="Names of datasets.")
MIRROR = typer.Option(
    [],
    "--mirror",
    help="OLD=NEW: fetch from NEW what is at addresses that begin with OLD; may be given more than"
    " once. The file that SPARED_BENCH_MIRRORS names holds such lines, too.",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    from spared_bench.cli.commands import data_align

    data_align.register(data_app)
    app.add_typer(data_app, name="data")


@data_app.callback()
def _data() -> None:
    return None


@data_app.command("show")
def show(
    names: list[str] = NAMES,
    colour: str = typer.Option("", "--gene", "--colour", help="Draw slides by this gene instead."),
    slide: list[str] = typer.Option([], "--slide", help="Draw only these slides instead."),
    out: Path | None = typer.Option(None, help="Folder to write [default: WORKSPACE/pictures]."),
    raw: bool = typer.Option(False, "--raw", help="Do not prepare: tell of raw slides only."),
    aligned: bool = typer.Option(
        False, "--aligned", help="Draw registered sections over each other instead."
    ),
    method: str = typer.Option("", "--register", help="With --aligned: how, as in `data align`."),
    protocol: str = PROTOCOL,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Make one page with pictures of each dataset; with --gene, --slide or --aligned, pictures."""
    from spared_bench.reports.dataset_page import write_dataset_page

    bench = bench_of(protocol, names, workspace, data_dir, plugin)
    if method and not aligned:
        raise UsageError("--register says how --aligned aligns. Give --aligned, or leave it out.")
    names = [bench.dataset(name).name for name in names]
    for name in names:
        known = [info.slide_id for info in bench.dataset(name).slides]
        for wanted in slide:
            if wanted not in known:
                raise UsageError(
                    f"Dataset {name!r} has no slide {wanted!r}; its slides are {known}."
                )
    bench.workspace.make_writable()
    folder = out or bench.workspace.root / "pictures"
    written: list[Path] = []
    for name in names:
        if aligned:
            from spared_bench.cli.commands.data_align import draw

            written += draw(bench, name, folder / name, method)
        elif colour or slide:
            written += _draw(bench, name, slide, folder / name, colour)
        else:
            written.append(write_dataset_page(bench, name, folder / f"{name}.html", not raw))
    what = "pictures" if colour or slide or aligned else "pages"
    show_result({what: written}, as_json, "\n".join(map(str, written)))


def _draw(bench: Bench, name: str, slides: list[str], folder: Path, colour: str) -> list[Path]:
    from spared_bench.processing.annotation import add_symbols
    from spared_bench.reports.slide_figures import draw_slides
    from spared_bench.trials.products import read_raw_slides

    found = read_raw_slides(bench, name, slides)
    for slide in found.values():
        add_symbols(slide, bench.dataset(name).organism)
    return draw_slides(found, folder, colour or None, dataset=name)


@data_app.command("add")
def add(
    file: Path | None = typer.Argument(None, help="A YAML file that describes the dataset."),
    hest: Path | None = typer.Option(
        None, "--hest", help="Instead: a folder in the layout of HEST-Benchmark or HEST-1k."
    ),
    replace: bool = typer.Option(False, help="Replace the dataset of that name."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Make slides of your own a dataset, from a short YAML file, or tasks and samples of HEST."""
    from spared_bench.sources.adding import add_description
    from spared_bench.sources.description import read_description
    from spared_bench.sources.written_before import written_before

    space = Workspace.at(workspace, data_dir)
    if (file is None) == (hest is None):
        raise UsageError("`data add` takes a YAML file, or `--hest FOLDER`, and one of the two.")
    registry = _plugins(plugin)
    if hest is not None:
        added = _add_hest(hest, space, registry, replace, as_json)
        for line in [line for name in added for line in _doubts(name, workspace, data_dir)]:
            echo(line, err=True)
        return
    assert file is not None
    name = read_description(file).name
    if _is_taken(registry, name):
        raise UsageError(f"A plugin registers a dataset {name!r} already. Choose another `name`.")
    doubts: list[str] = []
    described, kept = add_description(file, space.data_dir, replace, doubts.append)
    doubts += [*_doubts(described.name, workspace, data_dir), *written_before(described)]
    if idle := described.idle_slides:
        which = f"Slide {idle[0]} is" if len(idle) == 1 else f"Slides {', '.join(idle)} are"
        doubts.append(
            f"{which} in no part of the `split`, so nothing is learned from or tested on"
            f" {'it' if len(idle) == 1 else 'them'}."
        )
    for line in doubts:
        echo(line, err=True)
    show_result(
        {"name": described.name, "slides": list(described.slides), "file": kept, "doubts": doubts},
        as_json,
        f"Added {described.name}: {counted(len(described.slides), 'slide')}, described in {kept}.\n"
        f"`spared-bench data show {described.name}` draws them.",
    )


@data_app.command("example")
def example(
    folder: Path = typer.Argument(..., help="A new folder; its name becomes the task's."),
    as_json: bool = JSON,
) -> None:
    """Write a made-up task in the layout of HEST-Benchmark (60 MB), to try `data add --hest` on."""
    from spared_bench.testing.hest import SAMPLES, make_task

    made = make_task(folder)
    name = f"hest_{made.resolve().name.lower()}"
    show_result(
        {"folder": made, "dataset": f"{name}.fold", "samples": list(SAMPLES)},
        as_json,
        f"A made-up task of {len(SAMPLES)} samples: {made}\n"
        f"`spared-bench data add --hest {made}` makes it the dataset {name}; its folds are"
        f" {name}.fold.",
    )


def _add_hest(
    folder: Path, space: Workspace, registry: Registry, replace: bool, as_json: bool
) -> list[str]:
    """Add tasks or samples of HEST, and return which datasets were made of them."""
    from spared_bench.sources.hest import SCHEME
    from spared_bench.sources.hest_added import Folds, add_hest
    from spared_bench.specs import DatasetSpec

    def folds_of(name: str) -> Folds | None:
        try:
            spec = registry.get("dataset", name).spec
        except UnknownNameError:
            return None
        assert isinstance(spec, DatasetSpec)
        return spec.folds.get(SCHEME, {})

    doubts: list[str] = []
    added = add_hest(
        folder,
        space.data_dir,
        folds_of,
        replace,
        lambda name, told: doubts.append(f"{name}: {told}"),
    )
    for line in doubts:
        echo(line, err=True)
    lines = [f"{name}: {told}" for name, told in added.items()]
    show_result(added, as_json, "\n".join(lines))
    return [name for name in added if folds_of(name) is None]  # not those that a plugin registers


def _doubts(name: str, workspace: Path | None, data_dir: Path | None) -> list[str]:
    """Check the slides of a dataset that was just added; return a line for each in doubt.

    A dataset described in YAML is checked by our own code, so no plugin file is imported again.
    """
    from spared_bench.api import OWN_PROTOCOL, make_bench
    from spared_bench.reports.slide_checks import warn_of_slides
    from spared_bench.sources.description import FACTORY
    from spared_bench.sources.same_spots import not_compared
    from spared_bench.specs import conflicts

    lines: list[str] = []
    bench = make_bench(OWN_PROTOCOL, workspace=workspace, data_dir=data_dir, device="cpu")
    bench.workspace.store.sweep()  # of what a killed command left, as of this one's checks
    warn_of_slides(bench, name, lines.append)
    spec = bench.dataset(name)
    for other in spec.conflicts_with:
        lines += conflicts([spec, bench.dataset(other)])
    others = bench.registry.all("dataset")
    own = [entry.spec.name for entry in others if entry.spec.factory == FACTORY]
    return lines + not_compared(bench.workspace.data_dir / each for each in own)


def _is_taken(registry: Registry, name: str) -> bool:
    """Return whether a plugin's dataset, or its folds, answer to a name or alias."""
    try:
        registry.get("dataset", name)
    except UnknownNameError:
        return False
    except UsageError:  # it stands for several
        pass
    return True


@data_app.command("fetch")
def fetch(
    names: list[str] = NAMES,
    offline: bool = typer.Option(False, "--offline", help="Only check what is there."),
    mirror: list[str] = MIRROR,
    at_once: int = typer.Option(4, min=1, max=32, help="Files to fetch at the same time."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Download what is missing of datasets; running it again goes on where it stopped."""
    from spared_bench.cli.fetch_progress import watcher_for
    from spared_bench.sources.fetch import Options, dataset_folder
    from spared_bench.sources.fetch import fetch as download
    from spared_bench.sources.mirrors import read_mirrors

    space = Workspace.at(workspace, data_dir)
    options = Options(offline=offline, mirrors=read_mirrors(mirror), at_once=at_once)
    folders = {}
    with watcher_for(err_console()) as watcher:
        for spec in _specs(names, plugin, space.data_dir):
            folder = dataset_folder(spec, space.data_dir)
            folders[spec.name] = download(spec, folder, options, watcher)
    lines = [f"{name}: {folder}" for name, folder in folders.items()]
    show_result(folders, as_json, "\n".join(lines))


@data_app.command("verify")
def verify(
    names: list[str] = NAMES,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Hash the files of datasets again and say what is gone or has changed."""
    from spared_bench.sources.fetch import dataset_folder
    from spared_bench.sources.fetched import verify as check

    space = Workspace.at(workspace, data_dir)
    found: dict[str, dict[str, Any]] = {}
    lines: list[str] = []
    for spec in _specs(names, plugin, space.data_dir):
        checked, problems = check(spec, dataset_folder(spec, space.data_dir))
        found[spec.name] = {"checked": checked, "problems": problems}
        state = counted(len(problems), "problem") if problems else "in order"
        lines += [f"{spec.name}: {counted(checked, 'file')} with a known hash, {state}"]
        lines += [f"  {problem}" for problem in problems]
        if problems and spec.files:
            again = f"`spared-bench data fetch {spec.name}`"
            lines += [f"Remove what has changed, then run {again}."]
    show_result(found, as_json, "\n".join(lines))
    raise typer.Exit(1 if any(each["problems"] for each in found.values()) else 0)


def _plugins(files: list[Path], data_dir: Path | None = None) -> Registry:
    return discover(files, data_dir=data_dir, specs_only=True).require_files(files)


def _specs(names: list[str], plugin: list[Path], data_dir: Path) -> list[DatasetSpec]:
    """Look all datasets up before anything is done with the first."""
    registry = _plugins(plugin, data_dir)
    warn_of_quarantine(registry.quarantined)
    specs = [registry.get("dataset", name).spec for name in names]
    return [spec for spec in specs if isinstance(spec, DatasetSpec)]


@data_app.command("prepare")
def prepare(
    names: list[str] = NAMES,
    protocol: str = PROTOCOL,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Process datasets as a protocol says, and cut their patches where slides have images."""
    from spared_bench.trials.products import make_dataset, prepared_table

    bench = bench_of(protocol, names, workspace, data_dir, plugin)
    warn_of_quarantine(bench.registry.quarantined)
    bench.workspace.make_writable()
    known = [bench.dataset(name).name for name in names]
    described = {}
    for name in known:
        without = make_dataset(bench, name)
        described[name] = _described(prepared_table(bench, name)) | {
            "slides_without_image": without
        }
    lines = []
    for name, facts in described.items():
        spots = ", ".join(f"{number} {split}" for split, number in facts["spots"].items())
        missing = f"{facts['missing']:.1%} of the entries unmeasured"
        lines.append(f"{name}: {spots} spots x {counted(facts['genes'], 'gene')}, {missing}")
        if without := facts["slides_without_image"]:
            lines.append(
                f"  Without an image: {', '.join(without)}. No patches are cut: the dataset can be"
                " completed, and not predicted."
            )
    show_result(described, as_json, "\n".join(lines))


def _described(adata: Any) -> dict[str, Any]:
    splits = adata.obs["split"].value_counts()
    return {
        "spots": {split: int(splits.get(split, 0)) for split in SPLITS},
        "genes": int(adata.n_vars),
        "missing": round(1 - float(adata.layers["mask"].mean()), 4),
    }
