"""Fan et al. 2023, one zip of Mendeley Data, of which the modified Visium slides are used.

::

    processed_data/spaceranger_output/<..modif.._HC1..>/    a Space Ranger output for each section
    raw_imgs/<..modif.._HC1_A1>.jpg                         the full-resolution images

Slide ``HC_A1`` is section HC1, which lay in area A1 of its capture slide.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData

_SECTIONS = {"HC_A1": "HC1", "HC_B1": "HC2", "MOB_C1": "MOB1", "MOB_D1": "MOB2"}


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Read one slide; see ``read_space_ranger`` for the errors."""
    from spared_bench.readers import read_space_ranger
    from spared_bench_plugins.datasets.spared.lookup import only_folder, only_image

    section, area = _SECTIONS[slide_id], slide_id.partition("_")[2]
    outputs = folder / "processed_data" / "spaceranger_output"
    own = only_folder(outputs, f"*modif*_{section}*", f"Space Ranger output of {section}")
    pattern = f"*modif*_{section}_{area}.*"
    return read_space_ranger(own, only_image(folder / "raw_imgs", pattern, f"image of {slide_id}"))
