"""Tiles around spots, taken for spots of their own."""

from __future__ import annotations

import numpy as np

from spared_bench.data import SPATIAL, Slides


def tiles_as_spots(slides: Slides, view: str) -> Slides:
    """Return the tiles around some spots as spots without expression.

    Parameters
    ----------
    slides : Slides
    view : str
        Name of a declared view with tiles.

    Returns
    -------
    Slides
        One for every tile in the image, but for those in the middle, which are the spots
        themselves; each with the slide and the coordinates of its spot, for it has none of its own.
    """
    from anndata import AnnData

    inside = slides.tiles_inside(view).copy()
    per_spot = inside.shape[1]
    inside[:, per_spot // 2] = False
    chosen = np.flatnonzero(inside)
    of_spot = chosen // per_spot
    bare = slides.without_expression().adata
    obs = bare.obs.iloc[of_spot].copy()
    obs.index = [f"{spot}:{tile}" for spot, tile in zip(obs.index, chosen % per_spot, strict=True)]
    adata = AnnData(
        obs=obs, var=bare.var, obsm={SPATIAL: bare.obsm[SPATIAL][of_spot]}, uns=bare.uns
    )
    return Slides(adata, slides.tiles(view).flat.subset(chosen))
