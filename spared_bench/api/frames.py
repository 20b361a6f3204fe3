"""``results`` and ``stability``: what a workspace has finished, as pandas frames."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench.errors import UnknownNameError, UsageError, did_you_mean
from spared_bench.memory import uncollected
from spared_bench.registry import discover
from spared_bench.results import TrialResult
from spared_bench.store.records import Records
from spared_bench.trials.cells import cells_in
from spared_bench.trials.outdated import outdated_cells, without
from spared_bench.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from spared_bench.statistics.split_half import Stability


def results(workspace: Path | str | None = None, protocol: str = "", per: str = "") -> pd.DataFrame:
    """Return everything that a workspace has finished, as a tidy frame.

    Parameters
    ----------
    workspace : Path, optional
        By default the one that ``run`` uses.
    protocol : str
        Only this one, by its id (``"demo@1"``) or its name; all where empty.
    per : {"", "split", "slide", "gene"}
        By default one row per cell with a column for every metric
        (``scverse.frames.results_frame``); else one row per score (``scores_frame``).

    Raises
    ------
    UnknownNameError
        For another ``per``, or a protocol of which there are no results and that is not installed.

    Warns
    -----
    UserWarning
        Of results that were made under other settings than their protocol had in its last run.
        They are not among the rest.
    """
    from spared_bench.scverse.frames import results_frame, scores_frame

    found = _finished(workspace, protocol)
    return scores_frame(found, per) if per else results_frame(found)  # type: ignore[arg-type]


def stability(
    dataset: str,
    metric: str = "pcc-gene",
    per: str = "gene",
    *,
    completer: str = "none",
    workspace: Path | str | None = None,
    protocol: str = "",
    lower_is_better: bool | None = None,
) -> Stability | None:
    """Say whether other genes, or other slides, would rank the methods of a dataset alike.

    Parameters
    ----------
    dataset, metric : str
    per : {"gene", "slide"}
        Which units are dealt into halves (``spared_bench.statistics.split_half``).
    completer : str
    workspace : Path, optional
    protocol : str
        Its id (``"demo@1"``) or name; needed where the workspace has several.
    lower_is_better : bool, optional
        Of the metric; by default as it is registered, which one of a plugin file is not.

    Returns
    -------
    Stability or None
        ``None`` for fewer than four units or three methods.

    Raises
    ------
    UsageError
        If results of several protocols are there, or there are none of the dataset.
    UnknownNameError
        For another ``per``, or a metric that is not registered.
    """
    from spared_bench.scverse.frames import scores_frame
    from spared_bench.statistics.split_half import split_half

    if per not in ("gene", "slide"):
        raise UnknownNameError("kind of unit", per, ("gene", "slide"))
    if lower_is_better is None:
        spec = discover(specs_only=True).get("metric", metric).spec
        lower_is_better = getattr(spec, "better", "higher") == "lower"
    scored = [
        each for each in _finished(workspace, protocol) if each.ok and not each.facts.get("control")
    ]
    found = [each for each in scored if (each.dataset, each.completer) == (dataset, completer)]
    if not found:
        raise UsageError(_none_of(dataset, completer, scored))
    protocols = sorted({each.protocol for each in found})
    if len(protocols) > 1:
        raise UsageError(
            f"Results on {dataset!r} with completer {completer!r} are of protocols"
            f" {', '.join(protocols)}: name one."
        )
    table = scores_frame(found, per)  # type: ignore[arg-type]
    evaluated = {each.facts.get("evaluation_split", "test") for each in found}
    table = table[(table["metric"] == metric) & table["split"].isin(evaluated)]
    if table.empty:
        raise UsageError(f"No result on {dataset!r} has {metric!r} for every {per}.")
    matrix = table.pivot_table(index=per, columns="predictor", values="value", aggfunc="mean")
    return split_half(matrix, lower_is_better=lower_is_better)


def _none_of(dataset: str, completer: str, scored: Iterable[TrialResult]) -> str:
    """Say that there is no result of a dataset with a completer, and which there are."""
    there: dict[str, set[str]] = {}
    for each in scored:
        there.setdefault(each.dataset, set()).add(each.completer)
    parts = [
        f"This workspace has no score of a method on {dataset!r} with completer {completer!r}."
    ]
    if dataset in there:
        parts.append(did_you_mean(completer, sorted(there[dataset])))
    else:
        parts.append(did_you_mean(dataset, sorted(there)))
    known = "; ".join(f"{name} ({', '.join(sorted(there[name]))})" for name in sorted(there))
    parts.append(f"It has scores on: {known}." if known else "It has none at all: run some.")
    return " ".join(part for part in parts if part)


def _finished(workspace: Path | str | None, protocol: str) -> list[TrialResult]:
    store = Workspace.at(None if workspace is None else Path(workspace)).store
    name, _, version = protocol.partition("@")
    left_out: list[str] = []
    with uncollected(), Records(store) as records:
        finals = (cell.final for cell in cells_in(records, protocol if version else ""))
        named = [each for each in finals if name in ("", each.protocol.partition("@")[0])]
        found = without(named, outdated_cells(records, {}), left_out)
        if not found and name:
            there = (file.record["cell"][0] for file in records.cells() if file.record)
            if name not in {each.partition("@")[0] for each in there}:
                discover(specs_only=True).get("protocol", name)  # refused where it is misspelt
    for sentence in left_out:
        warnings.warn(sentence, stacklevel=3)
    return found
