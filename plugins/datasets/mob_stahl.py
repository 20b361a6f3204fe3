"""Mouse olfactory bulb, replicate 11 of Ståhl et al. 2016, first-generation ST.

Counts come from the repository of sepal, the image, reduced fourfold, from that of Splotch. The
positions are in the names of the rows::

    count_tables/Rep11_MOB_count_matrix-1.tsv.gz
    images/11.jpg

One section only, so there is no test: a strip of it is held out for validation.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench import DatasetSpec, RemoteFile, SlideInfo

if TYPE_CHECKING:
    from anndata import AnnData

_GITHUB = "https://raw.githubusercontent.com"
_SEPAL = f"{_GITHUB}/almaan/sepal/9befea4b8960cb3cb6f09634886f3b57e8c56bcb"
_SPLOTCH = f"{_GITHUB}/tare/Splotch/5792958513c67742a7bbe60f80959bf8ddd23dc1"
_COUNTS = "Rep{}_MOB_count_matrix-1.tsv.gz"

MOB_STAHL = DatasetSpec(
    name="mob_stahl",
    factory=f"{__name__}:read_section",
    summary="mouse olfactory bulb: one section",
    citation=(
        "Ståhl et al., Visualization and analysis of gene expression in tissue sections by spatial"
        " transcriptomics, Science 353, 78-82 (2016), doi:10.1126/science.aaf2403"
    ),
    organism="mouse",
    tissue="olfactory bulb",
    technology="spatial transcriptomics (200 um)",
    slides=(SlideInfo("11", section="Rep11", order=11, sample_id="bulb"),),
    donors_verified=True,
    split={"train": ("11",)},
    files=(
        RemoteFile(
            f"{_SEPAL}/compare/spark-raw_data/{_COUNTS.format(11)}",
            path=f"count_tables/{_COUNTS.format(11)}",
            sha256="0175746640070e759d352997a70720390d71f2a8a74bcc2d6865b80112ff48f2",
            size=1_626_587,
        ),
        RemoteFile(
            f"{_SPLOTCH}/tutorials/olfactory_bulb_st/images/11.jpg",
            path="images/11.jpg",
            sha256="91a9bcd71eea3008363705c44448f499400c92b1b16ab44dba0fc584e2ddef8e",
            size=998_745,
        ),
    ),
)


def read_section(folder: Path, slide_id: str) -> AnnData:
    """Read replicate ``"11"``; see ``read_legacy_st`` for the errors."""
    from spared_bench.readers.legacy_st import read_legacy_st

    counts = folder / "count_tables" / _COUNTS.format(slide_id)
    return read_legacy_st(counts, None, folder / "images" / f"{slide_id}.jpg")
