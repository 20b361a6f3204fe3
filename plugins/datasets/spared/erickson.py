"""Erickson et al. 2022, one zip of Mendeley Data for both patients.

::

    Count_matrices/Patient 1/Visium_with_annotation/<...H1_5...>/     and  Count_matrices/Patient 2/
        filtered_feature_bc_matrix.h5, scalefactors_json.json, tissue_positions_list.csv
    10x_spaceranger_tissue_highres_images/Patient 1/<...H1_5...>.png  and  .../Patient 2/
    Histological_images/Patient_1/Visium/<...H1_5...>.jpg             and  .../Patient_2/

Slide ``P1_H1-5`` is section ``H1_5`` of patient 1. The images have another size than those that
Space Ranger was given; see ``mirzazadeh.py``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Read one slide; see ``read_space_ranger`` for the errors."""
    from spared_bench.errors import ImageError, MissingFileError
    from spared_bench.readers import read_space_ranger
    from spared_bench_plugins.datasets.spared.lookup import only

    patient = slide_id[1]
    matrices = folder / "Count_matrices" / f"Patient {patient}"
    matrices = matrices / "Visium_with_annotation" if patient == "1" else matrices
    thumbnails = folder / "10x_spaceranger_tissue_highres_images" / f"Patient {patient}"
    images = folder / "Histological_images" / f"Patient_{patient}"
    images = images / "Visium" if patient == "1" else images

    counts = only(_of(slide_id, matrices), f"folder of {slide_id}", matrices, MissingFileError)
    hires = only(_of(slide_id, thumbnails), f"image of {slide_id}", thumbnails, ImageError)
    image = only(_of(slide_id, images), f"image of {slide_id}", images, ImageError)
    return read_space_ranger(counts, image, spatial=counts, hires=hires, rescaled=True)


def _of(slide_id: str, folder: Path) -> list[Path]:
    """Return what in a folder is named after a section; H1_21 is not H1_2."""
    section = slide_id.partition("_")[2].replace("-", "_")
    name = re.compile(rf"{section}(?![0-9])")
    return [path for path in folder.glob("*") if name.search(path.name)]
