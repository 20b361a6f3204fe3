"""Hiding measured entries: which, how many, and what a completer then sees.

Both rules are those of the SpaCKLE experiments (Mejia et al., MICCAI 2024). A gene that is measured
in few spots loses a larger part of what was measured, so that the share of *all* its entries that
is hidden is the same for every gene.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spared_bench.data import MASK, PREFILLED, TARGET, Slides
from spared_bench.errors import UsageError, did_you_mean

RULES = ("fraction", "prob_median")


def hiding_probabilities(
    expressed: np.ndarray, rule: str = "fraction", rate: float = 0.3
) -> np.ndarray:
    """Return the probability with which a measured entry of each gene is hidden, (n_genes,).

    Parameters
    ----------
    expressed : ndarray of shape (n_genes,)
        f: in which part of the spots each gene was measured.
    rule : {"fraction", "prob_median"}
        ``"fraction"``: min(1, rate / f), so that about ``rate`` of all entries are hidden.
        ``"prob_median"``: min(1, (1 - f) / f): as many are hidden as were missing before.
    rate : float
        Of ``"fraction"``; the other rule has none.

    Returns
    -------
    ndarray
        1 for a gene that was never measured, which has nothing to hide.
    """
    check_rule(rule)
    expressed = np.asarray(expressed, dtype=np.float64)
    wanted = np.full(expressed.shape, rate) if rule == "fraction" else 1 - expressed
    return np.divide(wanted, expressed, out=np.ones_like(expressed), where=expressed > 0).clip(0, 1)


def check_rule(rule: str) -> None:
    """Raise UsageError, with the nearest name, unless this is the name of a rule."""
    if rule not in RULES:
        hint = did_you_mean(rule, RULES)
        raise UsageError(f"No masking rule is named {rule!r}. {hint} Known: {', '.join(RULES)}.")


def draw_hidden(mask: np.ndarray, probabilities: np.ndarray, seed: int) -> np.ndarray:
    """Draw which measured entries are hidden, (n_spots, n_genes), bool."""
    drawn = np.random.default_rng(seed).random(mask.shape) < probabilities
    return drawn & np.asarray(mask)


def hide(slides: Slides, hidden: np.ndarray) -> Slides:
    """Return the same spots as if these entries had never been measured.

    ``target`` is 0 and ``mask`` False there; ``prefilled`` is filled anew, so that no value in it
    was made from a hidden one. Counts and expression are withheld.
    """
    from spared_bench.processing.median import fill_slides

    mask = slides.mask & ~hidden
    target = np.where(mask, slides.target, np.float32(0))
    adata = slides.adata.copy()
    for name in list(adata.layers):
        if name not in (TARGET, MASK):
            del adata.layers[name]
    adata.X = None
    adata.layers[MASK], adata.layers[TARGET] = mask, target
    bare = replace(slides, adata=adata)
    adata.layers[PREFILLED] = fill_slides(target, ~mask, bare.slide_ids, bare.coordinates)
    return bare
