"""What a trained method looks at on a new slide: the patches and views of its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import spared_bench.data.pickling  # noqa: F401 - slides can be pickled then
from spared_bench.data import Patches, Slides
from spared_bench.data.viewed import SpotView
from spared_bench.data.views import TARGET, View
from spared_bench.errors import ImageError, ViewError
from spared_bench.processing.given import check_given, has_given
from spared_bench.processing.stains.colours import changed
from spared_bench.processing.view_products import cut_of
from spared_bench.processing.views import check_view, cut_slide, opened
from spared_bench.protocol import PatchCutting
from spared_bench.trials.stains import recoloured_slide

if TYPE_CHECKING:
    from anndata import AnnData

#: From windows to windows, (n, size, size, 3), uint8.
Change = Callable[[np.ndarray], np.ndarray]
#: Raised by hand when methods come to be shown something else: it stands in the keys of `shifts`.
SEEN_VERSION = 2


def seen(
    slide: AnnData,
    bare: AnnData,
    application: Mapping[str, Any],
    method: str,
    folder: Path,
    shift: Change | None = None,
    whole: AnnData | None = None,
) -> Slides:
    """Cut what a method looks at, in one pass over the image.

    Parameters
    ----------
    slide : AnnData
        Of ``new_slide.make_slide``.
    bare : AnnData
        The same spots with the genes of the training, without expression.
    application : mapping
        ``application.json`` of the trial.
    method : str
        Name of the predictor.
    folder : Path
        Where what was cut lies as long as it is used.
    shift : callable, optional
        What is done to windows before anything else, (n, size, size, 3), uint8.
    whole : AnnData, optional
        The slide with all its spots, where ``slide`` has some of them: its colours are told from
        all, as in a run.

    Raises
    ------
    ViewError
        If a view cannot be cut from this image, naming method and view.
    ImageError, CoordinateError
    """
    cutting = PatchCutting(**application["patches"])
    views = {name: View(**values) for name, values in application.get("views", {}).items()}
    image = cache(lambda: opened(slide)[0])
    _check(slide.uns["slide"], cutting, views, method, image)
    own = cutting.view  # a view that is the protocol's patches is cut as they are, as in a run
    patches = folder / "patches.npy" if TARGET not in views or own in views.values() else None
    files = {
        name: patches if patches is not None and view == own else folder / f"view{at}.npy"
        for at, (name, view) in enumerate(views.items())
    }
    others = [(view, files[name]) for name, view in views.items() if view != own]
    cut_slide(slide, cutting, patches=patches, views=others)
    whole = slide if whole is None else whole
    measured = patches if whole.n_obs == slide.n_obs else None
    change = _change(whole, cutting, application, measured, folder, shift)
    for file in dict.fromkeys([*files.values(), *([] if patches is None else [patches])]):
        if change is not None and file.is_file():
            np.save(file, change(np.load(file)))
    slide_id, rows = str(slide.obs["slide_id"].iloc[0]), np.arange(slide.n_obs)
    found = {}
    for name, view in views.items():
        cut = partial(
            cut_of,
            view,
            {} if view.per_spot else {slide_id: np.load(files[name].with_suffix(".npz"))},
            rows,
            patches=None if view.tiles > 1 else _mapped(files[name]),
            images=[image],
            antialias=cutting.antialias,
            change=[] if change is None else [change],
        )
        found[name] = SpotView(view, cache(cut), rows)
    shown = found[TARGET].patches if TARGET in views else _mapped(folder / "patches.npy")
    return Slides(bare, shown, views=found)


def _check(
    facts: Mapping[str, Any],
    cutting: PatchCutting,
    views: Mapping[str, View],
    method: str,
    image: Callable[[], Any],
) -> None:
    """Refuse a slide of which what the method looks at cannot be cut."""
    if cutting.um and not float(facts["um_per_px"]) > 0:
        raise ImageError(
            f"Predictor {method!r} was trained on patches {cutting.um:g} µm wide, and how many a"
            f" pixel of {facts['image_path']} has is not known. Give `--um-per-px` (in Python"
            " `um_per_px`)."
        )
    for name, view in views.items():
        try:
            if has_given(facts):
                check_given(view, facts)
            else:
                check_view(view, facts, (image().width, image().height))
        except ViewError as error:
            raise ViewError(
                f"Predictor {method!r}, view {name!r}, image {facts['image_path']}: {error}. On a"
                " new slide `--um-per-px` says how many micrometres a pixel has."
            ) from error


def _change(
    slide: AnnData,
    cutting: PatchCutting,
    application: Mapping[str, Any],
    patches: Path | None,
    folder: Path,
    shift: Change | None,
) -> Change | None:
    """Return what is done to windows: the shift, and then the colours of the training."""
    if not application.get("stain"):
        return shift
    if patches is None:  # a look is of patches of the protocol's size, whatever the method sees
        patches = folder / "measured.npy"
        cut_slide(slide, cutting, patches=patches)
    measured = np.load(patches, mmap_mode="r")
    recolour = recoloured_slide(
        application["stain"], measured if shift is None else shift(np.array(measured))
    )

    def change(windows: np.ndarray) -> np.ndarray:
        return changed(windows if shift is None else shift(windows), recolour)

    return change


def _mapped(file: Path) -> Patches:
    return Patches([np.load(file, mmap_mode="r")])
