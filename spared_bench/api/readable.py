"""What a notebook asks of a finished run: scores as frames, predictions, a figure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from spared_bench.errors import UsageError, did_you_mean
from spared_bench.planning.plan import Plan
from spared_bench.pretty import short, table_html
from spared_bench.results import TrialResult

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.figure import Figure

_CELL = ("dataset", "completer", "predictor", "seed")


class Readable:
    """Of a report: what came of its cells, for people."""

    plan: Plan
    results: list[TrialResult]

    def scores(self, per: Any = "split") -> pd.DataFrame:
        """Return the scores, a row each; see ``spared_bench.scverse.frames.scores_frame``.

        Parameters
        ----------
        per : {"split", "slide", "gene"}
        """
        from spared_bench.scverse.frames import scores_frame

        return scores_frame(self.results, per)

    def result(
        self,
        predictor: str = "",
        dataset: str = "",
        completer: str = "",
        seed: int | None = None,
    ) -> TrialResult:
        """Return the one result that is meant; what is not named must be the same of all.

        Raises
        ------
        UsageError
            If there is none, or more than one.
        """
        wanted = dict(zip(_CELL, (dataset, completer, predictor, seed), strict=True))
        named = {name: value for name, value in wanted.items() if value not in ("", None)}
        for name, value in named.items():
            known = {str(getattr(each, name)) for each in self.results}
            if str(value) not in known:
                hint = did_you_mean(str(value), known)
                raise UsageError(
                    f"The run has no result of {name} {value!r}.{f' {hint}' if hint else ''} It has"
                    f" {', '.join(sorted(known)) or 'none'}."
                )
        found = [
            each
            for each in self.results
            if all(getattr(each, name) == value for name, value in named.items())
        ]
        if len(found) == 1:
            return found[0]
        told = [" / ".join(str(getattr(each, name)) for name in _CELL) for each in found]
        open_names = [n for n in _CELL if len({getattr(each, n) for each in found}) > 1]
        raise UsageError(
            f"{len(found)} results are meant: {'; '.join(told[:4])}"
            f"{'; ...' if len(told) > 4 else ''}. Name {' and '.join(open_names) or 'another one'}."
        )

    def predictions(
        self,
        predictor: str = "",
        dataset: str = "",
        completer: str = "",
        seed: int | None = None,
        *,
        split: str = "",
        images: bool = True,
    ) -> AnnData:
        """Return what one method predicted; see ``spared_bench.scverse.predictions``.

        Parameters
        ----------
        predictor, dataset, completer : str
        seed : int, optional
            Which result is meant; what is the same of all need not be named.
        split : str
            The evaluated one by default.
        images : bool
            With ``uns["spatial"]``, for scanpy and squidpy.

        Returns
        -------
        AnnData
            ``layers``: ``predicted``, ``measured``, ``mask``, and ``variance`` where there is one.
        """
        from spared_bench.scverse.predictions import predictions_of

        result = self.result(predictor, dataset, completer, seed)
        return predictions_of(self.plan.bench, result, split, images=images)

    def show(
        self,
        gene: str = "",
        slide: str = "",
        predictor: str = "",
        dataset: str = "",
        completer: str = "",
        seed: int | None = None,
    ) -> Figure:
        """Draw a gene on a slide: tissue, measured, predicted; see ``scverse.figures``."""
        from spared_bench.scverse.figures import show_gene

        return show_gene(self.predictions(predictor, dataset, completer, seed), gene, slide)

    def __repr__(self) -> str:
        told = Counter(each.status for each in self.results)
        status = ", ".join(f"{number} {name}" for name, number in sorted(told.items()))
        return f"Report({self.plan.bench.protocol.id}: {status or 'no results'})"

    def _repr_html_(self) -> str:
        metrics = list(self.plan.bench.protocol.metrics)[:6]
        rows = []
        for each in self.results:
            scores = each.scores.get(str(each.facts.get("evaluation_split", "test")), {})
            cells = [getattr(each, name) for name in _CELL]
            told = [scores.get(name) for name in metrics] if each.ok else [each.message]
            rows.append([*cells, each.status, *map(short, told)])
        header = [*_CELL, "status", *metrics]
        return table_html(repr(self), header, rows)
