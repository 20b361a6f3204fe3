"""``fit`` one method on one dataset, and ``predict`` new slides with what was trained."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.api.benches import make_bench
from spared_bench.api.edits import refuse_edited
from spared_bench.api.execution import execute
from spared_bench.api.given import name_of
from spared_bench.api.plans import select
from spared_bench.api.readable import Readable
from spared_bench.data import SPATIAL
from spared_bench.errors import CoordinateError, DataError, ImageError, PluginError, UsageError
from spared_bench.planning.plan import Plan
from spared_bench.protocol import Protocol
from spared_bench.results import TrialResult
from spared_bench.store.processes import scratch_folder
from spared_bench.workspace import Workspace

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from spared_bench.inference.new_slide import Spots
    from spared_bench.inference.trained import Trained
    from spared_bench.readers.scale import ImageCopy
    from spared_bench.trials.products import Prepared

_ROUNDED = 0.01  # of a scale: what sizes of images in whole pixels can be off


class Fitted(Readable):
    """One trained method: its result, its predictions, and new slides.

    Parameters
    ----------
    report : Report
        Of a run of one cell.
    """

    def __init__(self, report: Any) -> None:
        self.plan = report.plan
        self.results = report.results[:1]
        self.trial: TrialResult = self.results[0]

    def predict(self, slide: Path | str | AnnData, **options: Any) -> AnnData:
        """Predict a new slide; see ``spared_bench.predict``."""
        workspace = Path(self.plan.bench.settings.workspace)
        files = list(map(Path, self.plan.bench.settings.plugin_files))
        return predict(self.trial, slide, workspace=workspace, plugin_files=files, **options)

    def __repr__(self) -> str:
        return f"Fitted({self.trial!r})"


def fit(
    predictor: str,
    dataset: str | Prepared,
    *,
    completer: str = "none",
    protocol: str | Path | Protocol = "",
    workspace: Path | None = None,
    data_dir: Path | None = None,
    plugin_files: Sequence[Path] = (),
    device: str = "auto",
    seed: int | None = None,
    **parameters: Any,
) -> Fitted:
    """Train one method on one dataset as a protocol says, unless the workspace has it.

    Parameters
    ----------
    predictor : str
        A registered name.
    dataset : str or Prepared
        A name, or what ``load_dataset`` returned, whose protocol and workspace are taken; of folds,
        one.
    completer, protocol : str
        As for ``run``.
    workspace, data_dir : Path, optional
    plugin_files : sequence of Path
    device : str
    seed : int, optional
        One of the protocol's, the first by default; no other is trained.
    **parameters
        Of the method: ``lr=1e-3``, ``encoder="color"``; what is not set is as the protocol says.

    Returns
    -------
    Fitted
        With ``.predictions()``, ``.scores()``, ``.show()`` and ``.predict(slide)``.

    Raises
    ------
    PluginError
        If the training failed, with its reason.
    UsageError
        If the code of the method was edited after this process had read it, the protocol has not
        that seed, or the dataset stands for several folds.
    KeyboardInterrupt
        If it was interrupted before it had ended.
    """
    common: dict[str, Any] = {
        "workspace": workspace,
        "data_dir": data_dir,
        "plugin_files": plugin_files,
    }
    predictor = name_of("predictors", predictor)
    if not hasattr(dataset, "bench"):
        dataset = name_of("datasets", dataset)
    if not isinstance(dataset, str):
        settings = dataset.bench.settings
        common = {
            "workspace": Path(settings.workspace),
            "data_dir": Path(settings.data_dir),
            "plugin_files": list(map(Path, settings.plugin_files)),
        }
        protocol, dataset = protocol or dataset.bench.protocol, dataset.name
    bench = make_bench(
        protocol,
        datasets=[dataset],
        device=device,
        parameters={predictor: parameters} if parameters else None,
        **common,
    )
    plan = _one_cell(select(bench, [dataset], [completer], [predictor]), dataset, seed)
    refuse_edited(plan)
    report = execute(plan, executor="inline", track=False, figures=False)
    if report.interrupted and report.undone:
        raise KeyboardInterrupt  # one method is a step of a notebook's loop, which is to end too
    if not report.results or not report.results[0].ok:
        failed = report.results[0] if report.results else None
        reason = failed.message if failed else "it was not run"
        raise PluginError(f"{predictor!r} could not be trained on {dataset!r}: {reason}")
    return Fitted(report)


def _one_cell(plan: Plan, dataset: str, seed: int | None) -> Plan:
    """Return the part of a plan of one method that is of one seed, the first by default."""
    folds = list(dict.fromkeys(cell.dataset for cell in plan.cells))
    if len(folds) > 1:
        raise UsageError(
            f"{dataset!r} stands for {len(folds)} folds, and `fit` trains on one. Name it:"
            f" {', '.join(folds)}. `run` trains on all."
        )
    seeds = plan.bench.protocol.seeds
    wanted = seeds[0] if seed is None else seed
    if wanted not in seeds:
        raise UsageError(
            f"Protocol {plan.bench.protocol.id} has no seed {wanted!r}; it has"
            f" {', '.join(map(str, seeds))}."
        )
    return replace(plan, cells=[cell for cell in plan.cells if cell.seed == wanted])


def predict(
    run: str | TrialResult | Readable,
    slide: Path | str | AnnData,
    *,
    spots: Path | str | ArrayLike | DataFrame | None = None,
    grid_um: float = 0.0,
    um_per_px: float = 0.0,
    spot_diameter_px: float = 0.0,
    workspace: Path | None = None,
    plugin_files: Sequence[Path] = (),
) -> AnnData:
    """Predict the expression of a slide with what a run has trained.

    Parameters
    ----------
    run : str, TrialResult or Report
        ``"dataset/completer/predictor"``, the start of a trial's key, a result, or a report with
        one result.
    slide : Path or AnnData
        An image; or an AnnData with ``obsm["spatial"]`` and ``uns["spatial"]`` of one library, as
        scanpy reads Visium, without spots that in_tissue leaves out; counts are not looked at.
    spots : Path or array-like of shape (n_spots, 2), optional
        Of an image: where to predict, in its pixels, as an array, a list of pairs, a DataFrame with
        columns x and y (or two that say so: imagecol and imagerow), or as a CSV with x and y. Of
        both, a column spot or barcode names them, else
        the names in a DataFrame's index, and a column in_tissue says which of them to take. Their
        places in the array are made from pixels, unless columns array_row and array_col tell them.
    grid_um : float
        Of an image: instead, a square grid of this step over the tissue.
    um_per_px : float
        Of the image; 0: unknown, or as the AnnData says.
    spot_diameter_px : float
        Width of a spot in pixels of the image; by default a training spot's, or as the AnnData
        says.
    workspace : Path, optional
    plugin_files : sequence of Path

    Returns
    -------
    AnnData
        ``X`` and ``layers["predicted"]``, ``layers["variance"]`` where the method predicts one, of
        shape (n_spots, n_genes); ``uns["spatial"]`` with the image.

    Raises
    ------
    UsageError
        If it is not clear where to predict, or which run is meant.
    CoordinateError, ImageError
        If the AnnData has no positions, or no image.
    """
    from spared_bench.inference.trained import find_trained

    if not isinstance(run, str | TrialResult | Readable):
        raise UsageError(
            f"A run is a report, a result, a key, or 'dataset/completer/predictor'; found"
            f" {type(run).__name__}."
        )
    if isinstance(run, Readable):
        workspace = workspace or Path(run.plan.bench.settings.workspace)
        plugin_files = plugin_files or [Path(p) for p in run.plan.bench.settings.plugin_files]
        run = run.result()
    grid_um = _size("grid_um", grid_um)
    um_per_px = _size("um_per_px", um_per_px)
    spot_diameter_px = _size("spot_diameter_px", spot_diameter_px)
    key = run.key if isinstance(run, TrialResult) else run
    trained = find_trained(Workspace.at(workspace).store, key)
    if not isinstance(slide, Path | str):
        _require_adata(slide)
        if spots is not None or grid_um:
            raise UsageError("An AnnData says where its spots are: leave out `spots` and grid.")
        return _of_adata(trained, slide, um_per_px, spot_diameter_px, plugin_files)
    wanted, diameter = _places(trained, Path(slide), spots, grid_um, um_per_px, spot_diameter_px)
    return _applied(trained, Path(slide), wanted, plugin_files, diameter, um_per_px)


def _size(argument: str, given: Any) -> float:
    """Return a size that is given; 0 where it is unknown, which some write as ``None``."""
    try:
        size = math.nan if isinstance(given, str) else float(0 if given is None else given)
    except (TypeError, ValueError):
        size = math.nan
    if not 0 <= size < math.inf:
        raise UsageError(f"`{argument}` must be a number, 0 where unknown; found {given!r}.")
    return size


def _require_adata(slide: Any) -> None:
    from anndata import AnnData

    if not isinstance(slide, AnnData):
        raise UsageError(
            f"A slide is the path of an image, or an AnnData; found a {type(slide).__name__}. Write"
            " pixels into a file, as with `tifffile.imwrite`; of a SpatialData, give the image's"
            " file with `spots`."
        )


def _places(
    trained: Trained,
    image: Path,
    spots: Path | str | ArrayLike | DataFrame | None,
    grid_um: float,
    um_per_px: float,
    spot_diameter_px: float,
) -> tuple[Spots, float]:
    from spared_bench.inference import new_slide
    from spared_bench.inference.tissue import find_tissue, require_some, share_of_tissue
    from spared_bench.inference.trained import spot_diameter_px as usual_diameter
    from spared_bench.processing.images import image_size
    from spared_bench.reports.turned import told_of

    new_slide.require_image(image)
    if (spots is None) == (grid_um == 0):
        raise UsageError("Give either `spots` or `grid_um`: where is to be predicted?")
    if grid_um and not um_per_px:
        raise UsageError("`grid_um` needs the image's scale: give `um_per_px`.")
    diameter = spot_diameter_px or usual_diameter(trained, um_per_px)
    new_slide.check_diameter(diameter, *image_size(image))
    if spots is not None and not isinstance(spots, Path | str):
        table: Any = _with_names(spots)
        centres = _centres_of(table)
        if {"x", "y"} <= set(getattr(table, "columns", ())):
            return new_slide.spots_of(table, Path("`spots`")), diameter
        return new_slide.Spots([f"spot_{i}" for i in range(len(centres))], centres), diameter
    if spots is not None:
        found = new_slide.read_positions(Path(spots), um_per_px)
        return replace(found, notes=[*found.notes, *told_of(image)]), diameter
    points = new_slide.grid(*image_size(image), grid_um / um_per_px)
    _, mask, factor = find_tissue(image)
    taken = share_of_tissue(mask, factor, points.centres, diameter) >= 0.5
    require_some(taken, image)
    return points.subset(taken), diameter


def _with_names(spots: Any) -> Any:
    """Return a DataFrame of two columns as one of x and y; all else as it is."""
    from spared_bench.readers.coordinates import x_first

    columns = getattr(spots, "columns", ())
    if len(columns) != 2 or {"x", "y"} <= set(columns):
        return spots
    return x_first(spots).set_axis(["x", "y"], axis=1)


def _centres_of(spots: Any) -> np.ndarray:
    """Return (x, y) of spots that are given as pairs, or as columns of a DataFrame."""
    from spared_bench.readers.coordinates import require_exact

    if {"x", "y"} <= set(getattr(spots, "columns", ())):
        spots = spots[["x", "y"]]
    try:
        require_exact(np.asarray(spots), "`spots`")
        centres = np.asarray(spots, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CoordinateError(f"`spots` holds what is no pair of numbers: {error}") from error
    if centres.ndim != 2 or centres.shape[1] != 2 or not np.isfinite(centres).all():
        raise CoordinateError(
            f"`spots` has shape {centres.shape}; expected finite numbers of shape (n_spots, 2):"
            " x and y in pixels of the image."
        )
    return centres


def _of_adata(
    trained: Trained,
    adata: AnnData,
    um_per_px: float,
    spot_diameter_px: float,
    plugin_files: Sequence[Path],
) -> AnnData:
    from spared_bench.inference.new_slide import spots_in_adata
    from spared_bench.readers.anndata_images import copies_of, facts_of, libraries_in
    from spared_bench.readers.coordinates import number
    from spared_bench.readers.images import keep_image
    from spared_bench.readers.lattice import nearest_px
    from spared_bench.readers.scale import check_overlap
    from spared_bench.scverse.images import IMAGE_SCALE

    libraries = libraries_in(adata.uns.get(SPATIAL, {}))
    if len(libraries) != 1:
        raise UsageError(
            f"The AnnData has {len(libraries)} slides in uns['spatial']; expected one. Predict"
            " slide by slide: leave the spots and the entry of one."
        )
    name, library = next(iter(libraries.items()))
    given, where = Path("the AnnData"), Path("uns['spatial'] of the AnnData")
    facts = facts_of(library, given)
    factors, metadata = facts["scalefactors"], library.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    path = Path(str(metadata.get("source_image_path", "")))
    if not um_per_px and (told := metadata.get("um_per_px")) is not None:
        um_per_px = _size("um_per_px", number(told))
    wanted = spots_in_adata(adata, given)
    diameter = spot_diameter_px or number(factors.get("spot_diameter_fullres", 0.0))
    if not diameter > 0:
        raise UsageError("The AnnData does not say how wide a spot is: give `spot_diameter_px`.")
    centres = wanted.centres
    if not spot_diameter_px and diameter > (pitch := nearest_px(centres)):  # else they are meant so
        check_overlap(diameter, pitch, where, "`spot_diameter_px`")
    copies, untold = copies_of(facts)
    with scratch_folder() as folder:
        if path.is_file():
            ratio = number(metadata.get(IMAGE_SCALE, 0.0))
            image, scale = path, _scale_of(path, list(copies.values()), where, ratio)
            called = str(path)
        elif copies:
            largest = max(copies.values(), key=lambda copy: copy.width * copy.height)
            pixels, scale = np.asarray(facts["images"][largest.name]), largest.factor
            image, _ = keep_image(pixels, folder, largest.name, where)
            called = f"{largest.name!r} in {where}"
        else:
            raise ImageError(
                "The AnnData has no image: neither one in uns['spatial'][...]['images'] with its"
                f" scale factor nor the file that its metadata names. {' '.join(untold)}".rstrip()
            )
        sizes = diameter, um_per_px, scale
        with _telling(image, called):
            made = _applied(trained, image, wanted, plugin_files, *sizes, name=str(name))
    if image != path:
        made.uns["spared_bench"]["image"] = called
    if image != path or scale != 1:
        made.uns[SPATIAL] = {str(name) or image.stem: library}
    return made


@contextmanager
def _telling(image: Path, called: str) -> Iterator[None]:
    """Call an image in errors as people know it: what it is kept in is gone when they read them."""
    try:
        yield
    except DataError as error:
        raise type(error)(str(error).replace(str(image), called)) from error


def _scale_of(image: Path, copies: Sequence[ImageCopy], where: Path, told: float) -> float:
    """Return the pixels of the image that an AnnData names per pixel of its coordinates.

    What it tells counts where it is what the sizes of its images say, which are rounded, and where
    it has no image of its own to tell otherwise.
    """
    from spared_bench.readers.scale import scale_by_copies

    if not copies and told > 0:
        return told
    try:
        found = scale_by_copies(image, copies, where)
    except ImageError:  # a slide that was read without its full-resolution image names another
        found = scale_by_copies(image, copies, where, rescaled=True)
    return told if abs(told / found - 1) < _ROUNDED else found


def _applied(
    trained: Trained,
    image: Path,
    spots: Spots,
    plugin_files: Sequence[Path],
    diameter: float,
    um_per_px: float,
    scale: float = 1.0,
    name: str = "",
) -> AnnData:
    from spared_bench.inference.new_slide import make_slide
    from spared_bench.inference.tissue import told_beside
    from spared_bench.inference.trained import apply
    from spared_bench.processing.pixel_size import other_size
    from spared_bench.registry import discover
    from spared_bench.scverse.images import spatial_of

    slide = make_slide(image, spots, diameter, um_per_px, scale, name)
    registry = discover([Path(file) for file in plugin_files]).require_files(plugin_files)
    told = [*spots.notes, *trained.remarks_with(registry), *other_size(image, um_per_px / scale)]
    for remark in told + told_beside(image, spots.centres * scale, diameter * scale):
        warnings.warn(remark, stacklevel=3)
    made = apply(trained, registry, slide)
    made.layers["predicted"] = np.array(made.X)
    slide_id = name or image.stem
    made.uns[SPATIAL] = spatial_of({slide_id: slide}, [slide_id])
    return made
