"""Sources that are, once fetched, a folder for every slide (Vicari, Abalo, 10x Genomics).

::

    <slide>/filtered_feature_bc_matrix.h5
    <slide>/spatial/                              positions, scale factors, hires image
    <slide>/<one image>                           the full-resolution image

Vicari's files come one by one from figshare, those of 10x Genomics as a matrix, a packed
``spatial`` and an image; Abalo's are a zip from Mendeley Data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Read one slide; see ``read_space_ranger`` for the errors."""
    from spared_bench.readers import read_space_ranger
    from spared_bench_plugins.datasets.spared.lookup import only_image

    own = folder / slide_id
    return read_space_ranger(own, only_image(own, "*", f"image of slide {slide_id}"))
