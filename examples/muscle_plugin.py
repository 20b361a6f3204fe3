"""Two Visium slides of one's own, straight from Space Ranger: a dataset in one file.

Mouse tibialis anterior two and five days after injury (McKellar et al., Commun. Biol. 4, 1280
(2021), doi:10.1038/s42003-021-02810-x). Put the two output folders into ``DIR/visium_muscle`` and::

    spared-bench data prepare visium_muscle --plugin examples/muscle_plugin.py --data-dir DIR
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench import DatasetSpec, SlideInfo, hookimpl

if TYPE_CHECKING:
    from anndata import AnnData


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Read the Space Ranger output of one slide."""
    from spared_bench.readers import read_space_ranger

    return read_space_ranger(folder / slide_id)


@hookimpl
def spared_bench_datasets() -> list[DatasetSpec]:
    slides = ("Vis5A_2dpi", "Vis7B_5dpi")
    return [
        DatasetSpec(
            "visium_muscle",
            f"{__name__}:read_slide",
            summary="mouse tibialis anterior, two and five days after injury",
            organism="mouse",
            tissue="muscle",
            technology="visium",
            slides=tuple(SlideInfo(slide, patient_id=slide.split("_")[0]) for slide in slides),
            donors_verified=True,  # one mouse each
            split={"train": slides[:1], "test": slides[1:]},
        )
    ]
