"""What the studies of a workspace say of methods: where they stand, and how they bear shifts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from spared_bench.leaderboard.model import Row, StudyLink
from spared_bench.store.studies import WORST_DROPS, study_records
from spared_bench.words import counted
from spared_bench.workspace import Workspace

#: Protocol, predictor and completer.
_Method = tuple[str, str, str]


class Drop(NamedTuple):
    """The worst drop of a method.

    Parameters
    ----------
    value : float
    told : str
        Under which shift, by which metric, of how many shifts, and on which datasets.
    metric : str
    trials : frozenset of str
        Keys of the results that it is of; empty where the study was made by an earlier version.
    """

    value: float
    told: str
    metric: str
    trials: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Studied:
    """What is known of methods from studies.

    Parameters
    ----------
    links : mapping of predictor to tuple of StudyLink
    drops : mapping of (protocol, predictor, completer) to list of Drop
        Of every study, by their names.
    """

    links: Mapping[str, tuple[StudyLink, ...]] = field(default_factory=dict)
    drops: Mapping[_Method, Sequence[Drop]] = field(default_factory=dict)

    def added(self, protocol: str, row: Row, shown: AbstractSet[str]) -> Row:
        """Return a row with what is known of it; rows of others stay as they are.

        Parameters
        ----------
        protocol : str
        row : Row
        shown : set of str
            Keys of the results on the board. The drop of others (of data that were replaced, or of
            code that was edited since) is none of the row.
        """
        if not row.origin.trained_here:
            return row
        links = self.links.get(row.predictor, ())
        drops = self.drops.get((protocol, row.predictor, row.completer), ())
        drops = [drop for drop in drops if drop.trials <= shown]
        if not drops:
            return replace(row, studies=links)
        # One of fewer shifts, perhaps, says nothing against another that found a larger drop.
        worst = max((drop for drop in drops if drop.metric == drops[0].metric), key=_value)
        return replace(row, studies=links, worst_drop=worst.value, worst_shift=worst.told)


def studied(workspace: Workspace, out: Path) -> Studied:
    """Read the records of a workspace's studies.

    Parameters
    ----------
    workspace : Workspace
    out : Path
        Folder of the page, from which reports are linked. A study without a report is not linked.
    """
    links: dict[str, tuple[StudyLink, ...]] = {}
    drops: dict[_Method, list[Drop]] = {}
    for about in study_records(workspace.store.root):
        for name, drop in _drops(about).items():
            drops.setdefault(name, []).append(drop)
        report = workspace.root / str(about.get("report", ""))
        if not report.is_file():
            continue
        href = Path(os.path.relpath(report, out)).as_posix()
        link = StudyLink(str(about.get("name", "")), str(about.get("summary", "")), href)
        for method in _texts(about.get("methods")):
            links[method] = (*links.get(method, ()), link)
    return Studied(links, drops)


def _value(drop: Drop) -> float:
    return drop.value


def _drops(about: Mapping[str, Any]) -> dict[_Method, Drop]:
    found: dict[_Method, Drop] = {}
    for each in about.get(WORST_DROPS) or []:
        value = each.get("drop")
        if isinstance(value, int | float) and math.isfinite(value):
            name = (str(about.get("protocol")), str(each["predictor"]), str(each["completer"]))
            metric, trials = str(each["metric"]), frozenset(_texts(each.get("trials")))
            told = f"{each['shift']}, in {metric}{_extent(each)}"
            found[name] = Drop(float(value), told, metric, trials)
    return found


def _extent(drop: Mapping[str, Any]) -> str:
    """Say how many shifts a drop is the worst of, and where; nothing for an earlier version."""
    number, datasets = drop.get("n_shifts"), _texts(drop.get("datasets"))
    if not isinstance(number, int):
        return ""
    place = " and ".join(datasets) if len(datasets) < 3 else counted(len(datasets), "dataset")
    return f"; of {counted(number, 'shift')}, on {place}"


def _texts(values: Any) -> Sequence[str]:
    return [each for each in values or [] if isinstance(each, str)]
