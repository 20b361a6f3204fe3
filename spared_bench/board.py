"""From finished cells to MLflow and to the leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from spared_bench.cells import finished_cells, record_cells
from spared_bench.errors import TrackingError
from spared_bench.leaderboard import build
from spared_bench.plan import Plan
from spared_bench.results import TrialResult
from spared_bench.workspace import Workspace

Source = Literal["mlflow", "store"]


def track_and_build(
    plan: Plan,
    results: Mapping[str, TrialResult],
    *,
    command: str,
    log: Callable[[str], None],
) -> Path | None:
    """Record a run's cells, log them to MLflow, and build the leaderboard of its protocol.

    A tracking server that is away costs nothing but a line: the store has everything, and
    ``spared-bench track sync`` catches up.
    """
    record_cells(plan, results)
    workspace, protocol = plan.bench.workspace, plan.bench.protocol.id
    source: Source = "mlflow"
    try:
        sync(workspace, protocol)
    except TrackingError as error:
        log(f"{error} The results are in the store; `spared-bench track sync` logs them later.")
        source = "store"
    return build_leaderboard(workspace, protocol, source=source, command=command)


def sync(workspace: Workspace, protocol: str = "", uri: str | None = None) -> int:
    """Log every finished cell that MLflow lacks; return how many."""
    from spared_bench.tracking import Tracker

    cells = list(finished_cells(workspace.store, protocol))
    if not cells:
        return 0
    return Tracker(workspace.root, uri).sync(cells)


def collect(workspace: Workspace, protocol: str, source: Source) -> list[TrialResult]:
    """Return the results that count, from MLflow or from the store; both say the same."""
    if source == "store":
        return [cell.final for cell in finished_cells(workspace.store, protocol)]
    from spared_bench.tracking import Tracker

    return Tracker(workspace.root).results(protocol or None)


def build_leaderboard(
    workspace: Workspace,
    protocol: str = "",
    *,
    source: Source = "mlflow",
    out: Path | None = None,
    command: str = "spared-bench leaderboard build",
) -> Path | None:
    """Build the page and the tables; return the page, or ``None`` if there is nothing to show."""
    results = collect(workspace, protocol, source)
    if not results:
        return None
    return build(results, out or workspace.leaderboard, command=command, source=source)
