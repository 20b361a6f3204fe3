"""Results as tidy pandas frames: one row per score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from spared_bench.errors import UnknownNameError
from spared_bench.results import BROUGHT, IMPORTED, TrialResult
from spared_bench.statistics.intervals import mean_interval, share_interval

if TYPE_CHECKING:
    import pandas as pd

Per = Literal["split", "slide", "gene"]
CELL = ("protocol", "dataset", "completer", "predictor", "seed")
_SHARES = {"above-control"}
#: What a frame of cells holds beside their names and scores.
_BESIDE = (
    *("origin", "split", "status", "message"),
    *("n_parameters", "fit_seconds", "weights", "by_hand", "key"),
)


def scores_frame(results: Iterable[TrialResult], per: Per = "split") -> pd.DataFrame:
    """Return the scores of finished trials, a row each.

    Parameters
    ----------
    results : iterable of TrialResult
        Those without scores have no rows.
    per : {"split", "slide", "gene"}

    Returns
    -------
    DataFrame
        ``protocol``, ``dataset``, ``completer``, ``predictor``, ``seed``, ``origin``
        (``"reproduced"``, ``"imported"`` or ``"brought"``), ``split``, ``metric``, ``value``; nan
        where undefined. Per slide also ``slide``; per gene ``gene`` and ``symbol``, on the
        evaluated split alone. Per split also ``genes_mean``, ``genes_low`` and ``genes_high``: the
        mean over genes of a metric that has a value for each, and its 95 % interval over genes
        (Student's; Wilson's for the share of genes above the control).

    Raises
    ------
    UnknownNameError
        For another ``per``.
    """
    import pandas as pd

    if per not in get_args(Per):
        raise UnknownNameError("kind of rows", per, get_args(Per))
    added = {
        "split": ("split", "metric", "value", "genes_mean", "genes_low", "genes_high"),
        "slide": ("split", "slide", "metric", "value"),
        "gene": ("split", "gene", "symbol", "metric", "value"),
    }[per]
    rows: list[dict[str, Any]] = []
    for result in results:
        if result.ok:
            cell = {name: getattr(result, name) for name in CELL} | {"origin": _origin(result)}
            found = {"split": _splits, "slide": _slides, "gene": _genes}[per](result)
            rows += [cell | row for row in found]
    return pd.DataFrame(rows, columns=[*CELL, "origin", *added])


def results_frame(results: Iterable[TrialResult]) -> pd.DataFrame:
    """Return finished cells, a row each, with what is known of them beside their scores.

    Returns
    -------
    DataFrame
        The columns of a cell, ``origin``, ``split``, ``status``, ``message``, ``n_parameters``,
        ``fit_seconds``, ``weights``, ``by_hand`` (parameters set by hand), ``key``, and one column
        for every metric on the evaluated split.
    """
    import pandas as pd

    rows = []
    for result in results:
        split = str(result.facts.get("evaluation_split", "test"))
        rows.append(
            {name: getattr(result, name) for name in CELL}
            | {
                "origin": _origin(result),
                "split": split,
                "status": result.status,
                "message": result.message,
                **result.scores.get(split, {}),
                "n_parameters": result.n_parameters,
                "fit_seconds": result.seconds.get("fit"),
                "weights": result.facts.get("weights", ""),
                "by_hand": "; ".join(result.by_hand),
                "key": result.key,
            }
        )
    return pd.DataFrame(rows, columns=None if rows else [*CELL, *_BESIDE])


def _origin(result: TrialResult) -> str:
    if result.facts.get(IMPORTED):
        return "imported"
    return BROUGHT if BROUGHT in result.facts else "reproduced"


def _splits(result: TrialResult) -> Iterator[dict[str, Any]]:
    evaluated = str(result.facts.get("evaluation_split", "test"))
    for split, scores in result.scores.items():
        for metric, value in scores.items():
            genes = result.gene_scores.get(metric, []) if split == evaluated else []
            yield {"split": split, "metric": metric, "value": value} | _over_genes(metric, genes)


def _over_genes(metric: str, values: Sequence[float]) -> dict[str, float]:
    import numpy as np

    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return {}
    interval = share_interval if metric in _SHARES else mean_interval
    low, high = interval(finite)
    return {"genes_mean": float(np.mean(finite)), "genes_low": low, "genes_high": high}


def _slides(result: TrialResult) -> Iterator[dict[str, Any]]:
    for split, slides in result.slide_scores.items():
        for slide, scores in slides.items():
            for metric, value in scores.items():
                yield {"split": split, "slide": slide, "metric": metric, "value": value}


def _genes(result: TrialResult) -> Iterator[dict[str, Any]]:
    split = str(result.facts.get("evaluation_split", "test"))
    for metric, values in result.gene_scores.items():
        names = zip(result.genes, result.gene_symbols, values, strict=False)
        for gene, symbol, value in names:
            yield {
                "split": split,
                "gene": gene,
                "symbol": symbol,
                "metric": metric,
                "value": value,
            }
