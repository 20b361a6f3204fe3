"""HER2-positive breast tumours of eight patients (Andersson et al. 2021), first-generation ST.

Reads the layout of github.com/almaan/her2st, wherever it lies::

    data/ST-cnts/<section>.tsv.gz
    data/ST-spotfiles/<section>_selection.tsv
    data/ST-imgs/<patient>/<section>/<one file, of any name>
    app/www/imgs/<section>_HE_image_dark.png      reduced; used where the image is not there
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench.errors import ImageError

if TYPE_CHECKING:
    from anndata import AnnData

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


def read_section(folder: Path, slide_id: str) -> AnnData:
    """Read one section, e.g. ``"C2"``; see ``read_legacy_st`` for the errors.

    Raises
    ------
    ImageError
        If the section has no image, or several.
    """
    from spared_bench.readers.legacy_st import read_legacy_st

    return read_legacy_st(
        folder / "data" / "ST-cnts" / f"{slide_id}.tsv.gz",
        folder / "data" / "ST-spotfiles" / f"{slide_id}_selection.tsv",
        find_image(folder, slide_id),
    )


def find_image(folder: Path, slide_id: str) -> Path:
    """Return the image of a section: the only file in its folder, else the viewer's copy."""
    own = folder / "data" / "ST-imgs" / slide_id[0] / slide_id
    found = sorted(
        path
        for path in (own.iterdir() if own.is_dir() else ())
        if path.suffix.lower() in _IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if len(found) > 1:
        raise ImageError(
            f"Section {slide_id} has {len(found)} images in {own}: {[path.name for path in found]}."
            " Expected one; move the others away."
        )
    if found:
        return found[0]
    viewer = folder / "app" / "www" / "imgs" / f"{slide_id}_HE_image_dark.png"
    if viewer.is_file():
        return viewer
    raise ImageError(
        f"Section {slide_id} has no image: looked for a file in {own} and for {viewer}. Put the"
        " image there, or fetch the dataset again."
    )
