"""Mouse olfactory bulb, two sections of two mice, on a staggered ST array.

From the R package STUtility (Bergenstrahle et al. 2020), which keeps 1,000 genes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData

# Upstream does not state the size of a pixel. In a staggered array every other position is empty,
# so nearest neighbours, assumed to be 150 um apart, are one step away along both axes.
_STEP_UM = 150 / 2**0.5


def read_section(folder: Path, slide_id: str) -> AnnData:
    """Read ``"MOB1"`` or ``"MOB3"``; see ``read_legacy_st`` for the errors."""
    from spared_bench.readers.legacy_st import read_legacy_st

    return read_legacy_st(
        folder / f"{slide_id}.tsv.gz",
        folder / f"alignment_table_{slide_id}.tsv",
        folder / f"{slide_id}.jpg",
        step_um=_STEP_UM,
    )
