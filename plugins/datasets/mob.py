"""Mouse olfactory bulb, two sections of two mice, on a staggered ST array.

From the R package STUtility (Bergenstrahle et al. 2020), which keeps 1,000 genes. The
size of a pixel is not stated there: the reader's assumption on staggered arrays makes it 4.5 um.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def read_section(folder: Path, slide_id: str) -> AnnData:
    """Read ``"MOB1"`` or ``"MOB3"``; see ``read_legacy_st`` for the errors."""
    from spared_bench.readers.legacy_st import read_legacy_st

    return read_legacy_st(
        folder / f"{slide_id}.tsv.gz",
        folder / f"alignment_table_{slide_id}.tsv",
        folder / f"{slide_id}.jpg",
    )
