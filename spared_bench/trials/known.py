"""What a method is given to know of partially measured samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spared_bench.data import KNOWN, SAMPLE, Slides
from spared_bench.trials.completed import completed_layer
from spared_bench.trials.products import Prepared


def with_known(
    prepared: Prepared, slides: Slides, completer: str, split: str, offset: np.ndarray
) -> Slides:
    """Return the slides of a split with the known spots of the same samples (``known``).

    Parameters
    ----------
    prepared : Prepared
        What the slides are of.
    slides : Slides
        Of the split, as a method is to see them.
    completer : str
        By which what is not measured of known spots is completed.
    split : str
        Whose spots are not among the known ones. Nothing is known to those of ``train``.
    offset : ndarray of shape (n_genes,)
        Subtracted from the target, as it is from that of training.

    Returns
    -------
    Slides
        The same ones under a protocol that gives nothing to know.
    """
    if prepared.bench.protocol.known is None or split == "train":
        return slides
    obs = prepared.adata.obs
    rows = np.flatnonzero(
        obs[KNOWN].to_numpy(dtype=bool)
        & obs["split"].isin({"train", "val"} - {split}).to_numpy()
        & obs[SAMPLE].isin(set(slides.sample_ids)).to_numpy()
    )
    target = completed_layer(prepared, completer)[rows] - offset
    return replace(slides, known=prepared.spots(rows).with_target(target))
