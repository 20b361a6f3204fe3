"""Mouse olfactory bulb, two sections of two mice, on a staggered ST array.

From the R package STUtility (Bergenstrahle et al. 2020), which keeps 1,000 genes. The
size of a pixel is not stated there: the reader's assumption on staggered arrays makes it 4.5 um.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench import DatasetSpec, SlideInfo

if TYPE_CHECKING:
    from anndata import AnnData

MOB_DEMO = DatasetSpec(
    name="mob_demo",
    factory=f"{__name__}:read_section",
    summary="mouse olfactory bulb: two sections of two mice, 1,000 genes",
    citation=(
        "Bergenstråhle et al., Seamless integration of image and molecular analysis for spatial"
        " transcriptomics workflows, BMC Genomics 21, 482 (2020), doi:10.1186/s12864-020-06832-3"
    ),
    licence="MIT",
    organism="mouse",
    tissue="olfactory bulb",
    technology="spatial transcriptomics (staggered array)",
    # Bulbs of different mice, which are alike enough to be registered: one sample for that purpose.
    slides=(
        SlideInfo("MOB1", patient_id="mouse1", order=1, sample_id="bulb"),
        SlideInfo("MOB3", patient_id="mouse2", order=3, sample_id="bulb"),
    ),
    donors_verified=True,
    split={"train": ("MOB1",), "test": ("MOB3",)},
    folder="spared_bench_plugins.datasets.embedded.mob",
)


def read_section(folder: Path, slide_id: str) -> AnnData:
    """Read ``"MOB1"`` or ``"MOB3"``; see ``read_legacy_st`` for the errors."""
    from spared_bench.readers.legacy_st import read_legacy_st

    return read_legacy_st(
        folder / f"{slide_id}.tsv.gz",
        folder / f"alignment_table_{slide_id}.tsv",
        folder / f"{slide_id}.jpg",
    )
