"""Spots that a reader left out since counts and positions do not name the same ones.

A few of them are usual. Many say that one of the two files is of another slide, or was cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData

_SHARE = 0.05
#: As the readers record them; what lies beside the tissue is meant to be left out.
_LEFT_OUT = {
    "Spots with counts but no position": "",
    # Tables of legacy ST may have the whole array, and not say what is under tissue.
    "Positions under tissue but without counts": "space_ranger",
}
_DROPPED = re.compile(r"(.*), dropped: (\d+)\.")


def spots_left_out(slide: AnnData, form: str) -> list[str]:
    """Return a sentence for each kind of spots of which many were left out.

    Parameters
    ----------
    slide : AnnData
        As it was read, with the repairs of its reader.
    form : str
        The format that it was read from.
    """
    told = []
    for note in map(str, slide.uns["slide"].get("repairs", ())):
        found = _DROPPED.fullmatch(note)
        if not found or _LEFT_OUT.get(found[1], "none") not in ("", form):
            continue
        if int(found[2]) > _SHARE * (int(found[2]) + slide.n_obs):
            told.append(
                f"{found[1]}: {found[2]}, which are left out; {slide.n_obs} spots are read. Do the"
                " counts and the positions belong together, and is each of them whole?"
            )
    return told
