"""The formats and organisms of a description, and which are meant by what people call theirs."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from spared_bench.errors import did_you_mean

Format = Literal["space_ranger", "h5ad", "legacy_st", "spatialdata", "hest"]

_OUTS = "Visium's output folder (`outs` of Space Ranger) is `format: space_ranger`"
_CONVERT = (
    "write an AnnData file with raw counts in `X` and the centres of the spots, in pixels of the"
    ' image, in `obsm["spatial"]`: `format: h5ad`'
)
#: What is meant by words, written without case, spaces and signs; the first that fits counts.
_MEANT = {
    "A SpatialData folder (.zarr) is `format: spatialdata`": "*spatialdata sdata *zarr",
    "An AnnData file (.h5ad) is `format: h5ad`": "*h5ad *anndata adata ad scanpy squidpy",
    "Files of HEST-1k and HEST-Bench are `format: hest`": "hest*",
    f"A matrix of counts alone has no positions. {_OUTS}; else {_CONVERT}": "*h5 hdf5 *mtx *matrix",
    f"{_OUTS}, of Visium HD with one folder of `binned_outputs` as `path`": "*visiumhd* hd binned*",
    _OUTS: "*visium* 10x* tenx* cytassist spaceranger* cellranger* loupe out outs ffpe",
    "A table of counts, between tabs, and one of positions (`spots`) are `format: legacy_st`": (
        "*legacy* st st1k st2k stv1 stv2 stdata *spatialtranscriptomics ?sv txt text table*"
    ),
    "Single cells and molecules are not read, spots are: pool them into squares of a spot's size,"
    f" and {_CONVERT}": "*xenium* cosmx* merfish vizgen seqfish* *cell* molecule*",
}


def check_format(given: Any) -> Any:
    """Return what names a format, or nearly; refuse another word with the format that it means.

    Raises
    ------
    ValueError
        Says what can be done where no format is meant.
    """
    known = get_args(Format)
    if not isinstance(given, str) or given in known:
        return given
    word = re.sub(r"[\W_]", "", given.casefold())
    fits = (
        said for said, words in _MEANT.items() if any(fnmatchcase(word, w) for w in words.split())
    )
    meant = next(fits, "")
    if not meant and did_you_mean(given, known):
        return given  # which is refused with it
    expected = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
    meant = meant or f"Of anything else, {_CONVERT}"
    raise ValueError(f"expected {expected} (found {given!r}). {meant}")


#: Organisms whose genes are known, and how else they are called.
_ORGANISMS = {
    "human": ("homo sapiens", "h. sapiens", "h sapiens", "hsapiens", "hs", "humans", "man"),
    "mouse": ("mus musculus", "m. musculus", "m musculus", "mmusculus", "mm", "mice", "murine"),
}
#: Genomes that are theirs, and numbers that they have at NCBI.
_GENOMES = {"human": r"(grch|hg)\d.*|(t2t-)?chm13.*|9606", "mouse": r"(grcm|mm)\d.*|10090"}
_NEAR = 0.8  # of difflib: a letter or two of five; a horse is at 0.6 of a mouse


def check_organism(given: str) -> str:
    """Refuse another name, or another spelling, of an organism whose genes are known.

    Raises
    ------
    ValueError
    """
    for organism, names in _ORGANISMS.items():
        if given == organism:
            return given
        near = SequenceMatcher(None, given, organism).ratio() >= _NEAR
        words = given.strip().replace("_", " ")
        if near or words in names or re.fullmatch(_GENOMES[organism], words):
            raise ValueError(f"{given!r} is called `{organism}` here: `organism: {organism}`")
    return given
