"""From finished cells to MLflow and to the leaderboard."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

from spared_bench.cells import Seen, finished_cells, record_cells
from spared_bench.errors import SparedBenchError, TrackingError
from spared_bench.leaderboard import Extras, build
from spared_bench.leaderboard.entries import read_entries
from spared_bench.leaderboard.merging import (
    Facts,
    entry_trials,
    with_listing,
    without_foreign_facts,
)
from spared_bench.leases import Leases
from spared_bench.orchestrator import Summary
from spared_bench.plan import Plan
from spared_bench.protocol import parse_protocol
from spared_bench.registry import Registry
from spared_bench.results import TrialResult
from spared_bench.workspace import Workspace

Source = Literal["mlflow", "store"]
LEADERBOARDS = Path("leaderboards")  # entries of others, where the command is given
_SECONDS_BETWEEN_BATCHES = 10.0
_SECONDS_BETWEEN_TRIES = 30.0
_SECONDS_FOR_ANOTHER = 60.0
_WRITER = "tracking"


class NoRecorder:
    """Logs nothing: the records of cells alone are written, and ``track sync`` does the rest."""

    wanted = False

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._last = time.monotonic()

    def tick(self, summary: Summary) -> None:
        """Write the records of cells, at most every few seconds."""
        if time.monotonic() - self._last > _SECONDS_BETWEEN_BATCHES:
            record_cells(self._plan, summary.results, but=summary.undrawn)
            self._last = time.monotonic()

    def finish(self, summary: Summary) -> TrackingError | None:
        """Write the records of all finished cells."""
        record_cells(self._plan, summary.results)
        return None


class Recorder:
    """Logs a run's cells to MLflow while the trials go on, in a thread of its own.

    It is the one writer: of several runs on one workspace, the one that has the lease logs for all.
    A tracking server that is away is tried again until the run ends; what it has not got by then is
    in the store, from which the next run or ``spared-bench track sync`` logs it.

    Parameters
    ----------
    plan : Plan
    """

    wanted = True

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._wake = threading.Event()
        self._ending = False
        self._error: TrackingError | None = None
        self._last = time.monotonic()
        # A daemon: an interrupted run does not wait for it, and the next one repairs what it left.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def tick(self, summary: Summary) -> None:
        """Take note of the results so far, at most every few seconds."""
        if time.monotonic() - self._last > _SECONDS_BETWEEN_BATCHES:
            self._offer(summary)

    def finish(self, summary: Summary) -> TrackingError | None:
        """Log what is left; return what went wrong, if anything did."""
        self._offer(summary, ending=True)
        self._thread.join()
        return self._error

    def _offer(self, summary: Summary, *, ending: bool = False) -> None:
        """Write the records of finished cells; those that wait for a figure come later."""
        record_cells(self._plan, summary.results, but=set() if ending else summary.undrawn)
        self._last = time.monotonic()
        self._ending = ending
        self._wake.set()

    def _work(self) -> None:
        workspace = self._plan.bench.workspace
        leases = Leases(workspace.store.root / "leases")
        tracker, seen, ending = None, Seen(), False
        try:
            while not ending:
                self._wake.wait(_SECONDS_BETWEEN_TRIES if self._error else None)
                self._wake.clear()
                ending = self._ending
                if not self._is_ours(leases, ending):
                    continue
                try:
                    tracker = tracker or self._connected()
                    self._log(tracker, seen)
                    self._error = None
                except TrackingError as error:
                    self._error, tracker, seen = error, None, Seen()
        finally:
            leases.close()

    def _is_ours(self, leases: Leases, ending: bool) -> bool:
        """Take the right to log; at the end, wait for a while until another run gives it back."""
        until = time.monotonic() + (_SECONDS_FOR_ANOTHER if ending else 0)
        while not leases.take(_WRITER):
            if time.monotonic() >= until:
                if ending:
                    self._error = TrackingError("Another run is logging to MLflow just now.")
                return False
            time.sleep(0.2)
        return True

    def _connected(self) -> Any:
        from spared_bench.tracking.tracker import Tracker

        tracker = Tracker(self._plan.bench.workspace.root)
        tracker.connect()
        return tracker

    def _log(self, tracker: Any, seen: Seen) -> None:
        """Log the cells whose records are new since the last time."""
        bench = self._plan.bench
        fresh = seen.fresh(bench.workspace.store)
        tracker.sync(finished_cells(bench.workspace.store, bench.protocol.id, only=fresh))
        seen.note(fresh)


def publish(plan: Plan, *, tracked: bool, command: str) -> Path | None:
    """Build the leaderboard of a plan's protocol, from MLflow if the runs are in it."""
    source: Source = "mlflow" if tracked else "store"
    bench = plan.bench
    return build_leaderboard(
        bench.workspace,
        bench.protocol.id,
        source=source,
        command=command,
        leaderboards=LEADERBOARDS,
        registry=bench.registry,
        listed={bench.protocol.id: bench.protocol.datasets},
    )


def sync(workspace: Workspace, protocol: str = "", uri: str | None = None) -> int:
    """Log every finished cell that MLflow lacks; return how many."""
    from spared_bench.tracking.tracker import Tracker

    cells = list(finished_cells(workspace.store, protocol))
    if not cells:
        return 0
    tracker = Tracker(workspace.root, uri)
    if tracker.uri.startswith("sqlite:"):
        workspace.make_writable()  # MLflow would try for minutes
    return tracker.sync(cells)


def collect(
    workspace: Workspace, protocol: str, source: Source, unread: list[str] | None = None
) -> list[TrialResult]:
    """Return the results that count, from MLflow or from the store; both say the same.

    ``unread`` takes a sentence for every result of the store that cannot be read.
    """
    if source == "store":
        cells = finished_cells(workspace.store, protocol, unread=unread)
        return [cell.final for cell in cells]
    from spared_bench.tracking.tracker import Tracker

    return Tracker(workspace.root).results(protocol or None)


def completions(
    workspace: Workspace, protocol: str, source: Source
) -> dict[str, list[dict[str, Any]]]:
    """Return what the completion benchmark found, by protocol, from its tables or from MLflow."""
    from spared_bench.completion.tables import RESULTS, board_records

    if source == "mlflow":
        from spared_bench.tracking.tracker import Tracker

        found = Tracker(workspace.root).completion_results(protocol)
    else:
        paths = sorted((workspace.root / "completion").glob(f"{protocol or '*'}/{RESULTS}"))
        found = [each for path in paths for each in _stored_completion(path)]
    return board_records(found)


def _stored_completion(path: Path) -> list[Any]:
    """Read the results of one protocol; a file that cannot be read holds none."""
    from spared_bench.completion.benchmark import CompletionResult

    try:
        values = json.loads(path.read_text(encoding="utf-8"))["results"]
        return [CompletionResult.from_dict(each) for each in values]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def known_facts(registry: Registry) -> tuple[Facts, Facts]:
    """Return what the plugins say of datasets and predictors, for the board, by name."""
    from spared_bench.specs import DatasetSpec, PredictorSpec, spec_as_dict

    datasets, predictors = {}, {}
    for name in registry.names("dataset"):
        spec = registry.get("dataset", name).spec
        assert isinstance(spec, DatasetSpec)
        derived = {
            "tier": spec.tier,
            "evaluation_split": spec.evaluation_split,
            "shared_donors": spec.shared_donors,
        }
        datasets[name] = {**spec_as_dict(spec), **derived}
    for name in registry.names("predictor"):
        method = registry.get("predictor", name).spec
        assert isinstance(method, PredictorSpec)
        predictors[name] = {"scope": method.scope, "summary": method.summary}
    return datasets, predictors


def listed_datasets(registry: Registry) -> dict[str, tuple[str, ...]]:
    """Return the datasets of every installed protocol, by its id, but of broken ones."""
    found = {}
    for name in registry.names("protocol"):
        with suppress(SparedBenchError):
            text = registry.get("protocol", name).load()()
            protocol = parse_protocol(text, f"protocol {name!r}")
            found[protocol.id] = protocol.datasets
    return found


def build_leaderboard(
    workspace: Workspace,
    protocol: str = "",
    *,
    source: Source = "mlflow",
    out: Path | None = None,
    command: str = "spared-bench leaderboard build",
    leaderboards: Path | None = None,
    registry: Registry | None = None,
    listed: Mapping[str, Sequence[str]] | None = None,
    maps: bool = True,
) -> Path | None:
    """Build the site and the tables; return the page, or ``None`` if there is nothing to show.

    Parameters
    ----------
    workspace : Workspace
    protocol : str
        Only this one; all where empty.
    source : {"mlflow", "store"}
    out : Path, optional
    command : str
    leaderboards : Path, optional
        Folder with entries of others (``leaderboard.entries``), merged with the runs.
    registry : Registry, optional
        Discovered when not given; says what is known of the datasets.
    listed : mapping of protocol id to sequence of str, optional
        The datasets of protocols that are not installed, as those of a file are not.
    maps : bool
        Whether predictions are drawn, as far as the store has them.
    """
    from spared_bench.registry import discover

    registry = registry or discover([], data_dir=workspace.data_dir)
    datasets, predictors = known_facts(registry)
    entries, refused = read_entries(leaderboards, protocol) if leaderboards else ([], [])
    left_out: list[str] = []
    results = collect(workspace, protocol, source, left_out)
    own = without_foreign_facts(results, _entry_facts(datasets), predictors)
    found = [*own, *entry_trials(entries, _entry_facts(datasets), predictors)]
    trials = list(with_listing(found, {**listed_datasets(registry), **(listed or {})}))
    completion = completions(workspace, protocol, source)
    if not trials and not completion:
        return None
    extras = Extras(
        datasets=datasets,
        completion=completion,
        maps=partial(_maps, workspace, left_out) if maps else None,
        refused=tuple(each.reason for each in refused),
        left_out=left_out,
    )
    return build(
        trials, out or workspace.leaderboard, command=command, source=source, extras=extras
    )


def _entry_facts(datasets: Facts) -> Facts:
    """Keep what a trial of the same dataset would say of it."""
    kept = (
        *("tier", "evaluation_split", "shared_donors"),
        *("synthetic", "conflicts_with", "fold_of"),
    )
    return {
        name: {fact: facts[fact] for fact in kept if fact in facts}
        for name, facts in datasets.items()
    }


def _maps(
    workspace: Workspace, left_out: list[str], rows: Mapping[str, Sequence[TrialResult]]
) -> Iterator[tuple[str, Any]]:
    from spared_bench.drilldown import draw, find_maps

    for drawn in draw(find_maps(workspace.store, rows), left_out):
        yield drawn.name, drawn.values
