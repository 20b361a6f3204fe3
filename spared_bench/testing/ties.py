"""Whether ties explain that a prediction depends on the order of spots, or on the batch size.

Where two spots are equally far from a third, or two patches score the same, sorting takes the one
that is stored first: nothing that the data say. The slides of the kit lie on a lattice, so equal
distances are everywhere in them; without them, or with equal patches besides, a check that is run
again tells whether it was that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from spared_bench.data import SPATIAL, Slides
from spared_bench.errors import PluginError
from spared_bench.testing.slides import TinySlides

_OF_PLACES = (
    "Ties explain it: where no two spots are equally far from a third, it does not happen. Take all"
    " that are equally far, or none (`spared_bench.models.graphs.nearest` does), and let no sorting"
    " decide by what is stored first."
)
_OF_PATCHES = (
    "Ties explain it: it happens where two patches are the same, and not otherwise. Give what"
    " scores the same the same prediction, and let no sorting decide by what is stored first."
)


def agree(
    compare: Callable[[Any, Slides], None],
    predictor: Any,
    slides: TinySlides,
    fit: Callable[[TinySlides], Any],
) -> None:
    """Run a comparison of predictions; where it fails, say so if ties explain it.

    Parameters
    ----------
    compare : callable
        ``(predictor, slides)``; raises ``PluginError`` where predictions differ.
    predictor : Predictor
        Fitted on ``slides``.
    slides : TinySlides
    fit : callable
        Returns a predictor fitted on other slides; called where the comparison has failed.

    Raises
    ------
    PluginError
    """
    try:
        compare(predictor, slides.test.without_expression())
    except PluginError as error:
        if _passes(compare, fit, untied(slides)):
            raise PluginError(f"{error} {_OF_PLACES}") from error
        raise
    try:
        compare(predictor, with_twins(slides.test).without_expression())
    except PluginError as error:
        raise PluginError(f"{error} {_OF_PATCHES}") from error


def _passes(
    compare: Callable[[Any, Slides], None], fit: Callable[[TinySlides], Any], slides: TinySlides
) -> bool:
    try:
        compare(fit(slides), slides.test.without_expression())
    except KeyboardInterrupt:
        raise
    except BaseException:  # whatever happens, it is no explanation
        return False
    return True


def untied(slides: TinySlides) -> TinySlides:
    """Return the same spots, moved a little, so that no two distances are equal."""
    rng = np.random.default_rng(11)

    def moved(part: Slides) -> Slides:
        adata = part.adata.copy()
        steps = rng.uniform(-0.02, 0.02, (len(part), 2))  # of the distance of neighbours
        adata.obsm[SPATIAL] = np.asarray(adata.obsm[SPATIAL], dtype=float) + 100 * steps
        for column, step in zip(("array_col", "array_row"), steps.T, strict=True):
            adata.obs[column] = adata.obs[column].to_numpy(dtype=float) + step
        return replace(part, adata=adata)

    return TinySlides(*map(moved, slides))


def with_twins(slides: Slides) -> Slides:
    """Return the same spots, every second one with the patch of the spot before it."""
    rows = np.arange(len(slides)) // 2 * 2
    return replace(slides, patches=slides.patches.subset(rows))
