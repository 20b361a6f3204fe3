"""How well hidden entries come back: their error and correlation, per slide."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spared_bench.completion.masking import hide
from spared_bench.contracts import completion_of
from spared_bench.data import Slides
from spared_bench.interfaces import Completer
from spared_bench.metrics.mse import mse
from spared_bench.metrics.pearson import pearson_gene

Scores = dict[str, float]


def complete_hidden(
    method: Completer, slides: Slides, hidden: np.ndarray, name: str = ""
) -> np.ndarray:
    """Return what a fitted completer makes of slides with these entries hidden.

    Raises
    ------
    PluginError
        If it breaks the contract of completers.
    """
    seen = hide(slides, hidden)
    return completion_of(method, seen, name)


def score_hidden(
    slides: Slides, completed: np.ndarray, hidden: np.ndarray, pooling: str = "slide"
) -> dict[str, Any]:
    """Compare hidden entries with what they were.

    Parameters
    ----------
    slides : Slides
        With everything measured.
    completed : ndarray of shape (n_spots, n_genes)
    hidden : ndarray of bool, of that shape
    pooling : {"slide", "split"}
        Mean over the slides' scores, or one score over all spots.

    Returns
    -------
    dict
        ``mse``; ``pcc``, the mean over genes of Pearson's correlation across the spots where the
        gene was hidden, over the genes for which it is defined; ``n_hidden``; and ``slides``: the
        same per slide. nan where nothing was hidden or no correlation is defined.
    """
    truth, slide_ids = slides.target.astype(np.float64), slides.slide_ids
    each = {
        str(slide_id): _score(
            *(array[slide_ids == slide_id] for array in (truth, completed, hidden))
        )
        for slide_id in dict.fromkeys(slide_ids)
    }
    whole = _score(truth, completed, hidden)
    if pooling == "slide":
        for name in ("mse", "pcc"):
            whole[name] = _mean([scores[name] for scores in each.values()])
    return {**whole, "slides": each}


def _score(truth: np.ndarray, completed: np.ndarray, hidden: np.ndarray) -> Scores:
    return {
        "mse": float(mse(truth, completed.astype(np.float64), hidden)),
        "pcc": _mean(pearson_gene(truth, completed.astype(np.float64), hidden).tolist()),
        "n_hidden": int(hidden.sum()),
    }


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
