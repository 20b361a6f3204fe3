"""Accepted submissions: into ``leaderboards/``, where an entry is never replaced, and withdrawing.

A folder of an entry holds ``entry.json`` (the scores), ``submission.yaml`` (what was said of the
method) and ``traces.json`` (by which copies are found). Predictions are not kept: the bundle is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spared_bench.errors import SubmissionError, UnknownNameError, UsageError
from spared_bench.leaderboard.entries import (
    MethodEntry,
    Scores,
    Trust,
    entry_path,
    read_entries,
    write_entry,
)
from spared_bench.leaderboard.text import visible
from spared_bench.registry import OURS
from spared_bench.removal import remove_folder
from spared_bench.results import BROUGHT, IMPORTED, TrialResult
from spared_bench.store.disk import way_out
from spared_bench.store.entries import Store
from spared_bench.store.processes import is_orphan, stamp
from spared_bench.submissions.bundle import DESCRIPTION
from spared_bench.submissions.names import NAME_BY_REPOSITORY
from spared_bench.submissions.report import Report
from spared_bench.submissions.sketches import TRACES, write_traces
from spared_bench.trials.cells import finished_cells

#: How far a repeated training may lie from the submitted one, times max(1, the score's size).
REPRODUCED = 0.01
_MAX_FLAGS = 500


def add(report: Report, leaderboards: Path, trust: Trust) -> Path:
    """Write a checked submission into ``leaderboards/``; return its ``entry.json``.

    Parameters
    ----------
    report : Report
        Of a check that found no problem.
    leaderboards : Path
    trust : {"reported", "re-scored", "reproduced"}
        At most what the check supports.

    Raises
    ------
    SubmissionError
        If the check found problems, or the place is taken.
    """
    entry = entry_of(report, trust)
    folder = entry_path(leaderboards, entry).parent
    for left in filter(is_orphan, leaderboards.glob(".*@*")):  # of one that was killed
        remove_folder(left)
    beside = leaderboards / f".{entry.folder_name}.{stamp()}"
    try:
        staged = write_entry(beside, entry).parent
        write_traces(staged / TRACES, report.evidence.traces)
        assert report.description is not None
        values = report.description.model_dump(mode="json", exclude_defaults=True)
        text = yaml.safe_dump({"format": 1, **values}, sort_keys=False, allow_unicode=True)
        (staged / DESCRIPTION).write_text(text, encoding="utf-8")
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.rename(folder)  # refused by the system where a folder with files is there
        except OSError as error:
            way = way_out(error, "Submit another `version`: an entry is never replaced.")
            raise SubmissionError(f"{folder} cannot be made: {error.strerror}. {way}") from error
    finally:
        remove_folder(beside)
    return entry_path(leaderboards, entry)


def entry_of(report: Report, trust: Trust) -> MethodEntry:
    """Return the entry of a checked submission."""
    if not report.ok or report.description is None:
        raise SubmissionError(
            f"{report.label} is {report.verdict}: {visible(' '.join(report.problems[:3]), 2_000)}"
            " `spared-bench submit check` tells all."
        )
    if trust != "reported" and not report.rescored:
        raise SubmissionError(
            f"{report.label} was not re-scored, so it can only be added as 'reported'."
        )
    unknown = [each.reason for each in report.flags if each.kind == NAME_BY_REPOSITORY]
    if unknown:
        raise SubmissionError(f"{report.label} is not added: {visible(unknown[0], 2_000)}")
    said = report.description
    source = "; ".join(part for part in (said.code, said.citation, ", ".join(said.authors)) if part)
    return MethodEntry(
        method=said.method,
        version=said.version,
        protocol=said.protocol,
        trust=trust,
        source=source[:2_000],
        flags=report.flags[:_MAX_FLAGS],
        results=report.results,
    )


def unreproduced(report: Report, store: Store) -> list[str]:
    """Say where trainings of one's own do not confirm a submission, a sentence each.

    Every result must have a finished run in the store with all its scores within ``REPRODUCED``;
    runs that were imported, and predictions made elsewhere, are not one's own.
    """
    runs, found = _own_runs(report, store), []
    for result in report.results:
        where = " / ".join(map(str, result.place))
        differences = _differences(result.split_scores, runs.get(result.place))
        found += [f"{where}: {reason}" for reason in differences]
    return found


def flag_open_runs(report: Report, store: Store) -> None:
    """Flag a submission that is confirmed by runs in which a method of others could read files."""
    runs = _own_runs(report, store)
    confirming = [runs[result.place] for result in report.results if result.place in runs]
    if not all(map(_was_shut_in, confirming)):
        report.evidence.add(
            "reproduced-openly",
            "The runs that confirm it were made without `--isolate strict`, so the method could"
            " read the workspace's files, the answers among them.",
        )


def _was_shut_in(run: TrialResult) -> bool:
    plugin = str(run.environment.get("plugins", {}).get("predictor", ""))
    ours = plugin.partition(" ")[0] == OURS
    return ours or run.environment.get("isolation") == "strict"


def _own_runs(report: Report, store: Store) -> dict[tuple[str, str, str, int], TrialResult]:
    """Return the trials that count and were trained here, by what they are about."""
    assert report.description is not None
    return {
        (
            cell.final.dataset,
            cell.final.completer,
            cell.final.predictor,
            cell.final.seed,
        ): cell.final
        for cell in finished_cells(store, report.description.protocol)
        if cell.final.ok and not {IMPORTED, BROUGHT} & set(cell.final.facts)
    }


def _differences(claimed: Mapping[Any, Scores], run: TrialResult | None) -> list[str]:
    if run is None:
        return ["there is no finished run of it."]
    found = []
    for split, scores in claimed.items():
        for name, value in scores.items():
            own = run.scores.get(split, {}).get(name, float("nan"))
            if value is None or not abs(own - value) <= REPRODUCED * max(1.0, abs(value)):
                found.append(f"{name} is {own:.4g} here, and {value} in the submission.")
    return found


def withdraw(leaderboards: Path, protocol: str, label: str, reason: str) -> Path:
    """Mark an entry as withdrawn; it stays on the board with the reason, and without a rank.

    Raises
    ------
    UnknownNameError
        If there is no such entry.
    UsageError
        If the reason is empty, or the entry is withdrawn already.
    """
    reason = visible(" ".join(reason.split()), 500)
    if not reason:
        raise UsageError("Withdrawing needs a reason that readers will see: `--reason TEXT`.")
    entries = {entry.folder_name: entry for entry in read_entries(leaderboards, protocol)[0]}
    if label not in entries:
        hint = f"They lie in {leaderboards / protocol}; `--protocol` names another one."
        raise UnknownNameError("accepted entry", label, entries, hint)
    entry = entries[label]
    if entry.withdrawn is not None:
        raise UsageError(f"{label} is withdrawn already: {entry.withdrawn}")
    return write_entry(leaderboards, entry.model_copy(update={"withdrawn": reason}))
