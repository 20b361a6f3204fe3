"""What the commands do with a study, whatever its kind: plan it, run it, report it, log it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.errors import TrackingError
from spared_bench.leaderboard.publish import publish
from spared_bench.store.leases import leases_of
from spared_bench.store.studies import WORST_DROPS
from spared_bench.studies.comparing import compare
from spared_bench.studies.factors_report import sections_of
from spared_bench.studies.loading import Opened, require_own_report
from spared_bench.studies.page import write_page
from spared_bench.studies.planning import StudyPlan, plan_study
from spared_bench.studies.results import Collected, StudyCell, collect
from spared_bench.studies.running import StudyRun, record_study, run_study
from spared_bench.studies.tables import write_table, write_tables
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.specs import MetricSpec
    from spared_bench.studies.blocks import Section
    from spared_bench.studies.robustness import Ranked, Shifted

    Made = tuple[list[Section], list[Path]]

Log = Callable[[str], None]
STUDIES = "studies"
_ATTEMPTS = 3  # at a report, of a process that is suspended again and again
_MOST_REASONS = 5  # that people are told; the report has all


@dataclass
class Done:
    """What a command came to.

    Parameters
    ----------
    study : str
    page : Path or None
        The report.
    files : list of Path
        Tables beside it.
    cells : int
        Cells with scores.
    missing : dict of str to str
        Cells without, and why.
    imported : str
        That results came with ``store import``; empty where none did.
    n_imported : int
        Of how many cells.
    run : StudyRun or None
        ``None`` where nothing was run.
    board : Path or None
        The leaderboard, where the cells are those of the protocol itself.
    """

    study: str
    page: Path | None = None
    files: list[Path] = field(default_factory=list)
    cells: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    imported: str = ""
    n_imported: int = 0
    run: StudyRun | None = None
    board: Path | None = None

    @property
    def gaps(self) -> int:
        """How many cells have no scores."""
        return len(self.missing)

    @property
    def exit_status(self) -> int:
        """0 where every cell has its scores, 130 after an interrupt."""
        if self.run is not None and self.run.interrupted:
            return 130
        return 1 if self.gaps else 0

    @property
    def told(self) -> str:
        """What people are told."""
        lines = []
        if self.run is not None:
            lines.append(
                f"{counted(self.run.new, 'training')} done, {self.run.cached} found in the store;"
                f" {counted(self.cells, 'cell')} with scores, {self.gaps} without."
            )
            lines += [f"  {label}: {why}" for label, why in self.run.failed.items()]
            lines += [f"  {label}: {why}" for label, why in self.run.stopped.items()]
            if self.run.interrupted:
                lines.append("Interrupted. The same command goes on from here.")
        else:
            lines.append(f"{counted(self.cells, 'cell')} with scores, {self.gaps} without.")
        lines += self._gaps_told()
        if self.imported:
            lines.append(f"  {self.imported}.")
        if self.page is not None:
            lines.append(f"Report: {self.page}")
        if self.board is not None:
            lines.append(f"Leaderboard: {self.board}")
        return "\n".join(lines)

    def _gaps_told(self) -> list[str]:
        """Return why cells have no scores, where the run has not said so, by the commonest."""
        known = {*self.run.failed.values(), *self.run.stopped.values()} if self.run else set()
        counts = Counter(why for why in self.missing.values() if why not in known)
        return [
            f"  {counted(number, 'cell')}: {why}"
            for why, number in counts.most_common(_MOST_REASONS)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        run = self.run
        return {
            "study": self.study,
            "cells": self.cells,
            "gaps": self.gaps,
            "missing": self.missing,
            "imported": self.n_imported,
            "new_trainings": run.new if run else 0,
            "found_trainings": run.cached if run else 0,
            "failed": run.failed if run else {},
            "not_begun": run.stopped if run else {},
            "interrupted": bool(run and run.interrupted),
            "report": self.page,
            "files": self.files,
            "leaderboard": self.board,
        }


def plan_of(opened: Opened) -> StudyPlan:
    """Plan a study of any kind; see ``plan_study`` and ``require_own_report``."""
    require_own_report(opened)
    return replace(plan_study(opened.study, opened.base), source=opened.source)


def run_and_report(
    opened: Opened,
    *,
    log: Log = print,
    watch: Any = None,
    report: bool = True,
    track: bool = True,
    command: str = "spared_bench.studies",
    **options: Any,
) -> Done:
    """Run what the store lacks of a study, and write its report.

    Parameters
    ----------
    opened : Opened
    log : callable
    watch : callable, optional
        See ``run_study``.
    report, track : bool
        Whether to write the report, and to log the study to MLflow.
    command : str
        For the page.
    **options
        Of ``RunOptions``.
    """
    plan = plan_of(opened)
    opened.base.workspace.make_writable()
    own = _is_the_protocol(plan)
    options = {"board": own, "track": own and track} | options
    run = run_study(plan, log=log, watch=watch, **options)
    if run.interrupted or not report:
        collected = collect(plan, run.stopped)
        return replace(_done(plan.study.id, collected), run=run)
    done = _report(plan, log, track, command, run.stopped)
    done.run = run
    if own and track and plan.groups:
        first = plan.groups[0].plan
        done.board = publish(first, tracked=False, command=command, tell=log)
    return done


def _is_the_protocol(plan: StudyPlan) -> bool:
    """Whether the cells of a study are those of its base protocol, and belong on its board."""
    study = plan.study
    seeds = set(study.seeds) <= set(plan.base.protocol.seeds)
    return not study.set and not study.factors and seeds


def report_only(
    opened: Opened, *, log: Log = print, track: bool = False, command: str = "spared_bench.studies"
) -> Done:
    """Write the report of what the store has of a study."""
    plan = plan_of(opened)
    opened.base.workspace.make_writable()
    record_study(plan)
    return _report(plan, log, track, command)


def _report(
    plan: StudyPlan,
    log: Log,
    track: bool,
    command: str,
    stopped: Mapping[str, str] | None = None,
) -> Done:
    """Write and log a report, one process at a time: two would mix their files and MLflow runs."""
    leases = leases_of(plan.base.workspace.store.root)
    name = f"study-{plan.study.name}"
    for _ in range(_ATTEMPTS):
        with leases.waiting(name, lambda: None):
            done = _written(plan, log, track, command, stopped)
            if leases.holds(name):
                break
            # Suspended meanwhile, it has written what it had read before over a newer report.
    return done


def _written(
    plan: StudyPlan, log: Log, track: bool, command: str, stopped: Mapping[str, str] | None
) -> Done:
    study, collected = plan.study, collect(plan, stopped)
    metric = plan.base.metric(study.metric)
    folder = plan.base.workspace.root / STUDIES / study.name
    make = {"factors": _of_factors, "robustness": _of_robustness, "difficulty": _of_difficulty}
    sections, files = make[study.kind](plan, collected, metric, folder, log)
    page = write_page(
        folder,
        title=study.name,
        summary=study.summary,
        question=study.question,
        facts=_facts(plan, collected),
        sections=sections,
        files=files,
        command=command,
    )
    if track:
        _track(plan, collected, [page, *files], log)
    return _done(study.id, collected, page, files)


def _done(
    study: str, collected: Collected, page: Path | None = None, files: list[Path] | None = None
) -> Done:
    imported = _imported_told(collected)
    number = len(collected.imported)
    cells = len(collected.done)
    return Done(study, page, files or [], cells, _missing(collected), imported, number)


def _missing(collected: Collected) -> dict[str, str]:
    return {cell.label: cell.gap for cell in collected.gaps}


def _of_factors(
    plan: StudyPlan, collected: Collected, metric: MetricSpec, folder: Path, log: Log
) -> Made:
    differences = compare(plan.study, collected, metric)
    files = write_tables(folder, plan.study, collected, differences)
    sections = sections_of(plan, collected, differences, metric)
    if plan.study.colours:
        from spared_bench.studies.laboratories import laboratories

        sections += laboratories(plan, log)
    return sections, files


def _of_robustness(
    plan: StudyPlan, collected: Collected, metric: MetricSpec, folder: Path, log: Log
) -> Made:
    from spared_bench.studies import robustness, robustness_report

    bench = plan.groups[0].plan.bench
    found = robustness.shift_all(bench, collected, plan.study.shifts, metric, log)
    rows = robustness.ranked(found, metric)
    record_study(plan, **{WORST_DROPS: _worst_drops(plan, found, rows)})
    files = write_tables(folder, plan.study, collected, [])
    files.append(write_table(folder / "drops.csv", _drops(found, metric)))
    files.append(write_table(folder / "ranking.csv", [asdict(row) for row in rows]))
    return robustness_report.sections_of(plan.study, collected, found, metric), files


def _worst_drops(
    plan: StudyPlan, found: Sequence[Shifted], rows: Sequence[Ranked]
) -> list[dict[str, Any]]:
    """Return what the board shows of each method; nothing where the study changes the protocol.

    And of which results it is, since a row of the board may come to be of others.
    """
    if plan.study.set:
        return []
    of: dict[tuple[str, str], list[Shifted]] = {}
    for each in found:
        of.setdefault((each.cell.method, each.cell.completer), []).append(each)
    return [
        {
            "predictor": row.method,
            "completer": row.completer,
            "drop": row.worst_drop,
            "shift": row.worst_shift,
            "metric": plan.study.metric,
            "n_shifts": len({each.shift for each in of[row.method, row.completer]}),
            "datasets": sorted({each.cell.dataset for each in of[row.method, row.completer]}),
            "trials": sorted(
                {each.cell.result.key for each in of[row.method, row.completer] if each.cell.result}
            ),
        }
        for row in rows
        if math.isfinite(row.worst_drop) and not row.n_lacking
    ]


def _drops(found: Sequence[Shifted], metric: MetricSpec) -> list[dict[str, Any]]:
    return [
        {
            "method": each.cell.method,
            "completer": each.cell.completer,
            "dataset": each.cell.dataset,
            "seed": each.cell.seed,
            "shift": each.shift,
            f"{metric.name}": each.clean,
            f"{metric.name} shifted": each.score,
            "drop": each.drop(metric),
            "gap": each.gap,
        }
        for each in found
    ]


def _of_difficulty(
    plan: StudyPlan, collected: Collected, metric: MetricSpec, folder: Path, log: Log
) -> Made:
    from spared_bench.studies.difficulty import difficulty

    return difficulty(plan, metric, folder, log)


def _facts(plan: StudyPlan, collected: Collected) -> dict[str, str]:
    study = plan.study
    names = {what: ", ".join(collected.names(what)) for what in ("method", "dataset", "completer")}
    metric = plan.base.metric(study.metric)
    facts = {
        "Study": study.id,
        "Base": plan.base.protocol.id,
        "Methods": names["method"],
        "Datasets": names["dataset"],
        "Trained on": names["completer"],
        "Compared by": f"{metric.title}: {metric.summary}",
        "Seeds": ", ".join(map(str, dict.fromkeys(cell.seed for cell in collected.cells))),
        "Cells": f"{len(collected.done)} with scores, {len(collected.gaps)} without"
        if collected.cells
        else "",
        "Imported": _imported_told(collected),
        "After": study.citation,
    }
    return {key: value for key, value in facts.items() if value}


def _imported_told(collected: Collected) -> str:
    """Say how many results were not made in this workspace; nothing where all were."""
    if not collected.imported:
        return ""
    return (
        f"{len(collected.imported)} of {counted(len(collected.done), 'result')} came with"
        " `store import`, or were made of what did: nothing here shows how they were computed"
    )


def _track(plan: StudyPlan, collected: Collected, files: list[Path], log: Log) -> None:
    """Log to MLflow; a server that is away costs a line."""
    from spared_bench.tracking.connection import Connection
    from spared_bench.tracking.studies import LoggedStudyCell, log_study

    cells = [
        LoggedStudyCell(cell.label, _params(cell), _metrics(cell), cell.gap)
        for cell in collected.cells
    ]
    about = {"base": plan.base.protocol.id, "metric": plan.study.metric}
    try:
        log_study(Connection(plan.base.workspace.root), plan.study.id, about, cells, files)
    except TrackingError as error:
        log(f"{error} The study's results are in the store and in its report.")


def _params(cell: StudyCell) -> dict[str, str]:
    place: Mapping[str, Any] = {
        "dataset": cell.dataset,
        "completer": cell.completer,
        "method": cell.method,
        "seed": cell.seed,
    }
    levels = {f"level.{factor}": label for factor, label in cell.levels.items()}
    origin = {"imported": "true"} if cell.is_imported else {}
    return {**levels, **{name: str(value) for name, value in place.items()}, **origin}


def _metrics(cell: StudyCell) -> dict[str, float]:
    if cell.result is None:
        return {}
    scores = {
        f"{split}.{name}": value
        for split, each in cell.result.scores.items()
        for name, value in each.items()
    }
    return scores | {f"seconds.{name}": value for name, value in cell.result.seconds.items()}
