"""``predict``: a trained predictor on a new slide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spared_bench.cli.common import (
    JSON,
    PLUGIN,
    WORKSPACE,
    require_ending,
    show_result,
    warn_of_quarantine,
)
from spared_bench.errors import UsageError
from spared_bench.store.disk import way_out
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.inference.new_slide import Spots


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("predict")(predict)


def predict(
    run: str = typer.Argument(
        ..., help="dataset/completer/predictor, or the start of a trial's key (see `status`)."
    ),
    image: Path = typer.Option(..., help="The slide: TIFF, SVS, JPEG, PNG, ..."),
    spots: Path | None = typer.Option(
        None, help="CSV with columns x and y, in pixels of the image, and maybe spot."
    ),
    grid_um: float = typer.Option(
        0.0, "--grid-um", min=0, help="Instead: a square grid of this step over the tissue."
    ),
    um_per_px: float = typer.Option(0.0, min=0, help="Micrometres per pixel of the image."),
    diameter: float = typer.Option(
        0.0, "--spot-diameter-px", min=0, help="Width of a spot [default: a training spot's]."
    ),
    tissue_share: float = typer.Option(
        0.5, min=0, max=1, help="Of a grid: the share of a spot that must be tissue; 0: take all."
    ),
    gene: list[str] = typer.Option([], "--gene", help="Draw this gene [default: the best four]."),
    out: Path | None = typer.Option(
        None, help="The .h5ad to write [default: IMAGE.predicted.h5ad, here]."
    ),
    workspace: Path | None = WORKSPACE,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Predict the expression of a new slide with a predictor that a run has trained."""
    if (spots is None) == (grid_um == 0):
        raise UsageError(
            "Give either `--spots FILE` or `--grid-um STEP`: where is to be predicted?"
        )
    if grid_um and not um_per_px:
        raise UsageError("`--grid-um` needs the image's scale: add `--um-per-px`.")
    from spared_bench.inference import new_slide
    from spared_bench.inference import tissue as tissues
    from spared_bench.inference import trained as applying
    from spared_bench.inference.figures import draw_genes, draw_taken
    from spared_bench.memory import keep_freed_memory
    from spared_bench.processing.pixel_size import other_size
    from spared_bench.registry import discover
    from spared_bench.scverse.images import spatial_of
    from spared_bench.workspace import Workspace

    keep_freed_memory()
    registry = discover(plugin).require_files(plugin)
    warn_of_quarantine(registry.quarantined)
    trained = applying.find_trained(Workspace.at(workspace).store, run)
    notes = [*trained.remarks_with(registry), *other_size(image, um_per_px)]
    columns = applying.choose_genes(trained.result, gene)
    width = diameter or applying.spot_diameter_px(trained, um_per_px)
    given = [file for file in (new_slide.require_image(image), spots) if file is not None]
    path = _place_for_all(out or Path(f"{image.stem}.predicted.h5ad"), given)
    finds_tissue = spots is None and tissue_share > 0
    picture, overview = path.with_suffix(".genes.png"), path.with_suffix(".tissue.png")
    for each in (picture, overview) if finds_tissue else (picture,):
        _make_place_for(each, given)
    wanted, told = _places(image, spots, grid_um, um_per_px, width)
    notes += told
    if finds_tissue:
        pixels, mask, factor = tissues.find_tissue(image)
        taken = tissues.share_of_tissue(mask, factor, wanted.centres, width) >= tissue_share
        draw_taken(pixels, mask, factor, wanted.centres, taken, overview)
        tissues.require_some(taken, image)
        wanted = wanted.subset(taken)
    slide = new_slide.make_slide(image, wanted, width, um_per_px)
    predicted = applying.apply(trained, registry, slide)
    predicted.layers["predicted"] = predicted.X.copy()
    predicted.uns["spatial"] = spatial_of({image.stem: slide}, [image.stem])
    applying.write_whole(predicted, path)
    draw_genes(predicted, columns, image, picture)
    facts = {"spots": predicted.n_obs, "genes": predicted.n_vars, "notes": notes}
    lines = [
        f"{counted(predicted.n_obs, 'spot')} x {counted(predicted.n_vars, 'gene')}: {path}",
        f"Picture: {picture}",
        *notes,
        *([f"What was taken for tissue: {overview}"] if finds_tissue else []),
    ]
    files = {"adata": path, "picture": picture, "tissue": overview if finds_tissue else None}
    show_result({"trial": trained.result.key, **facts, **files}, as_json, "\n".join(lines))


def _places(
    image: Path, spots: Path | None, grid_um: float, um_per_px: float, width: float
) -> tuple[Spots, list[str]]:
    """Return where is to be predicted, and what is to be told of it."""
    from spared_bench.inference import new_slide
    from spared_bench.inference.tissue import told_beside
    from spared_bench.processing.images import image_size
    from spared_bench.reports.turned import told_of

    size = image_size(image)
    if spots is None:
        wanted = new_slide.grid(*size, grid_um / um_per_px)
        new_slide.check_diameter(width, *size)
        return wanted, []
    wanted = new_slide.read_positions(spots, um_per_px)
    new_slide.check_diameter(width, *size)
    return wanted, [*wanted.notes, *told_of(image), *told_beside(image, wanted.centres, width)]


def _place_for_all(path: Path, given: Sequence[Path]) -> Path:
    """Return where the prediction is written, if that can be, and its name says what it is."""
    _make_place_for(path, given)
    table = "`anndata.read_h5ad(FILE).to_df().to_csv(TABLE)`"
    what = "what is written, which is AnnData"
    require_ending(path, ".h5ad", what, f"A table of it is made in Python: {table}.")
    return path


def _make_place_for(path: Path, given: Sequence[Path]) -> None:
    """Make the folder of a file, and tell before the work whether the file can be written.

    No file that was ``given`` is written over.
    """
    try:
        if path.exists() and any(file.exists() and path.samefile(file) for file in given):
            raise FileExistsError("it is what you give to the command")
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        way = way_out(error, "Name another file with `--out`.")
        raise UsageError(f"{path} cannot be written: {error}. {way}") from error
