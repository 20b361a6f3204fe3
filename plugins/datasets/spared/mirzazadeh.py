"""Mirzazadeh et al. 2023, two zips of Mendeley Data, the second of which holds images alone.

::

    spaceranger_output/<tissue>/<slide>/          unpacked from spaceranger_output/<tissue>.tar.gz
    images/<tissue>/<slide>*.jpg
    supplement_2/smallintestine/<slide>*.jpg      some with '_' for the first '-' of the slide

The images have another size than those that Space Ranger was given. The published library resizes
the whole image to that size, with the factor of the rows applied to x; here the patches are cut at
the image's own scale.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Read one slide; see ``read_space_ranger`` for the errors."""
    from spared_bench.readers import read_space_ranger
    from spared_bench_plugins.datasets.spared.lookup import only_folder

    what = f"Space Ranger output of slide {slide_id}"
    own = only_folder(folder, f"spaceranger_output/*/{slide_id}", what)
    return read_space_ranger(own, find_image(folder, slide_id), rescaled=True)


def find_image(folder: Path, slide_id: str) -> Path:
    """Return the full-resolution image of a slide, from either supplement."""
    from spared_bench.errors import ImageError
    from spared_bench_plugins.datasets.spared.lookup import IMAGES, only

    starts = (slide_id, slide_id.replace("-", "_", 1))
    found = (
        path
        for place in ("images", "supplement_2")
        for path in (folder / place).rglob("*")
        if path.name.startswith(starts) and path.suffix.lower() in IMAGES
    )
    return only(found, f"image of slide {slide_id}", folder, ImageError)
