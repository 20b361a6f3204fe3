"""Villacampa et al. 2021, two packed folders of Mendeley Data for three datasets.

::

data/<tissue>/<slide>/                        a Space Ranger output
images/<slide>.jpg                            the full-resolution image
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Read one slide; see ``read_space_ranger`` for the errors."""
    from spared_bench.readers import read_space_ranger
    from spared_bench_plugins.datasets.spared.lookup import only_folder, only_image

    own = only_folder(folder, f"data/*/{slide_id}", f"Space Ranger output of slide {slide_id}")
    image = only_image(folder, f"images/{slide_id}.*", f"image of slide {slide_id}")
    return read_space_ranger(own, image)
