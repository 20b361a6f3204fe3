"""What the studies of a workspace say of methods: where they stand, and how they bear shifts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from spared_bench.leaderboard.model import Row, StudyLink
from spared_bench.store.studies import study_records
from spared_bench.workspace import Workspace

#: Protocol, predictor and completer.
_Method = tuple[str, str, str]


class _Drop(NamedTuple):
    value: float
    shift: str
    metric: str


@dataclass(frozen=True)
class Studied:
    """What is known of methods from studies.

    Parameters
    ----------
    links : mapping of predictor to tuple of StudyLink
    drops : mapping of (protocol, predictor, completer) to (float, str)
        The worst drop, and under which shift and by which metric.
    """

    links: Mapping[str, tuple[StudyLink, ...]] = field(default_factory=dict)
    drops: Mapping[_Method, tuple[float, str]] = field(default_factory=dict)

    def added(self, protocol: str, row: Row) -> Row:
        """Return a row with what is known of it; rows of others stay as they are."""
        if not row.origin.trained_here:
            return row
        drop, shift = self.drops.get((protocol, row.predictor, row.completer), (None, ""))
        links = self.links.get(row.predictor, ())
        return replace(row, studies=links, worst_drop=drop, worst_shift=shift)


def studied(workspace: Workspace, out: Path) -> Studied:
    """Read the records of a workspace's studies.

    Parameters
    ----------
    workspace : Workspace
    out : Path
        Folder of the page, from which reports are linked. A study without a report is not linked.
    """
    links: dict[str, tuple[StudyLink, ...]] = {}
    drops: dict[_Method, _Drop] = {}
    for about in study_records(workspace.store.root):
        for name, drop in _drops(about).items():
            known = drops.get(name, drop)  # by another study, of fewer shifts perhaps
            drops[name] = drop if drop.metric == known.metric and drop > known else known
        report = workspace.root / str(about.get("report", ""))
        if not report.is_file():
            continue
        href = Path(os.path.relpath(report, out)).as_posix()
        link = StudyLink(str(about.get("name", "")), str(about.get("summary", "")), href)
        for method in _texts(about.get("methods")):
            links[method] = (*links.get(method, ()), link)
    told = {name: (each.value, f"{each.shift}, in {each.metric}") for name, each in drops.items()}
    return Studied(links, told)


def _drops(about: Mapping[str, Any]) -> dict[_Method, _Drop]:
    found: dict[_Method, _Drop] = {}
    for each in about.get("worst_drops") or []:
        value = each.get("drop")
        if isinstance(value, int | float) and math.isfinite(value):
            name = (str(about.get("protocol")), str(each["predictor"]), str(each["completer"]))
            found[name] = _Drop(float(value), str(each["shift"]), str(each["metric"]))
    return found


def _texts(values: Any) -> Sequence[str]:
    return [each for each in values or [] if isinstance(each, str)]
