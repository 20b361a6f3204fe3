"""What a trained method looks at on a new slide: the patches and views of its training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import Patches, Slides
from spared_bench.data.viewed import SpotView
from spared_bench.data.views import TARGET, View
from spared_bench.errors import ViewError
from spared_bench.processing.view_products import cut_of
from spared_bench.processing.views import check_view, cut_slide, opened
from spared_bench.processing.stains import Recolour
from spared_bench.processing.stains.colours import recoloured
from spared_bench.protocol import PatchCutting
from spared_bench.trials.stains import recoloured_slide

if TYPE_CHECKING:
    from anndata import AnnData


def seen(
    slide: AnnData, bare: AnnData, application: Mapping[str, Any], method: str, folder: Path
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

    Raises
    ------
    ViewError
        If a view cannot be cut from this image, naming method and view.
    ImageError, CoordinateError
    """
    cutting = PatchCutting(**application["patches"])
    views = {name: View(**values) for name, values in application.get("views", {}).items()}
    image, _ = opened(slide)
    for name, view in views.items():
        try:
            check_view(view, slide.uns["slide"], (image.width, image.height))
        except ViewError as error:
            raise ViewError(
                f"Predictor {method!r}, view {name!r}, image"
                f" {slide.uns['slide']['image_path']}: {error}. On a new slide `--um-per-px` says"
                " how many micrometres a pixel has."
            ) from error
    files = {name: folder / f"view{at}.npy" for at, name in enumerate(views)}
    patches = None if TARGET in views else folder / "patches.npy"
    cut_slide(slide, cutting, patches=patches, views=[(views[name], files[name]) for name in views])
    recolour = _recolouring(slide, cutting, application, patches, folder)
    if recolour is not None:
        for file in [*files.values(), *([] if patches is None else [patches])]:
            _change(file, recolour)
    slide_id, rows = str(slide.obs["slide_id"].iloc[0]), np.arange(slide.n_obs)
    found = {}
    for name, view in views.items():
        cut = partial(
            cut_of,
            view,
            {slide_id: np.load(files[name].with_suffix(".npz"))},
            rows,
            patches=None if view.tiles > 1 else _mapped(files[name]),
            images=[lambda: image],
            antialias=cutting.antialias,
            recolour=[] if recolour is None else [recolour],
        )
        found[name] = SpotView(view, cache(cut), rows)
    shown = found[TARGET].patches if patches is None else _mapped(patches)
    return Slides(bare, shown, views=found)


def _recolouring(
    slide: AnnData,
    cutting: PatchCutting,
    application: Mapping[str, Any],
    patches: Path | None,
    folder: Path,
) -> Recolour | None:
    """Return what gives the slide the colours of the training, where these were changed."""
    if not application.get("stain"):
        return None
    if patches is None:  # a look is of patches of the protocol's size, whatever the method sees
        patches = folder / "measured.npy"
        cut_slide(slide, cutting, patches=patches)
    return recoloured_slide(application["stain"], np.load(patches, mmap_mode="r"))


def _change(file: Path, recolour: Recolour) -> None:
    """Change the colours of an array of windows, if there is one."""
    if file.is_file():
        np.save(file, np.concatenate([*recoloured(np.load(file), recolour)]))


def _mapped(file: Path) -> Patches:
    return Patches([np.load(file, mmap_mode="r")])
