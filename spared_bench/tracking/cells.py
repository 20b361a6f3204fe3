"""Trials in MLflow: a parent run for each cell, with the trials of its search as children.

Logging is idempotent, and a run whose logging was interrupted is replaced, because the tag
``spared_bench.complete`` is set last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spared_bench.results import TrialResult
from spared_bench.store.entries import MANIFEST
from spared_bench.store.processes import scratch_folder
from spared_bench.tracking.connection import Connection
from spared_bench.tracking.inputs import LOGGED_MODEL, log_dataset, log_model, source_tags
from spared_bench.tracking.run_record import PREFIX, from_run, to_run

if TYPE_CHECKING:
    from mlflow.entities import Run

ROLE = PREFIX + "role"  # "cell" for a parent run, "search" for a child
CELL = PREFIX + "cell"
CONTENT = PREFIX + "content"
COMPLETE = PREFIX + "complete"
CURRENT = PREFIX + "current"
FORMAT = PREFIX + "format"
#: Raised when runs of earlier versions are no longer what the board reads.
VERSION = "2"

# MLflow takes 100 parameters, 1,000 values and 1 MB at once.
_PARAMS_AT_ONCE = 50
_METRICS_AT_ONCE = 800


class LoggedCell(Protocol):
    """One (dataset, completer, predictor, seed): a parent run and its children.

    Such as ``spared_bench.trials.cells.FinishedCell``.
    """

    @property
    def final(self) -> TrialResult:
        """The trial that counts."""
        ...

    @property
    def folder(self) -> Path:
        """Its files, which become artifacts; subfolders (weights) stay where they are."""
        ...

    @property
    def search(self) -> Sequence[tuple[TrialResult, Path]]:
        """The trials among which its parameters were chosen; their files stay where they are."""
        ...

    @property
    def scores(self) -> Path | None:
        """The files of its scores."""
        ...

    @property
    def figures(self) -> Path | None:
        """The files of its figures, if they were drawn."""
        ...


@dataclass
class _Logged:
    """A parent run as far as it decides what is to be done."""

    run_id: str
    cell: str
    key: str
    content: str
    complete: bool
    current: bool


@dataclass
class _Experiment:
    experiment_id: str
    parents: dict[str, list[_Logged]] = field(default_factory=dict)


class CellLog:
    """Cells in MLflow; it remembers which runs there are, so that each protocol is read once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._experiments: dict[str, _Experiment] = {}

    def sync(self, cell: LoggedCell) -> bool:
        """Make MLflow show a cell as the current one of its name; return whether it lacked it."""
        experiment = self._experiment(cell.final.protocol)
        parents = experiment.parents.setdefault(_name(cell), [])
        content = _content(cell)
        match = next((p for p in parents if p.complete and p.content == content), None)
        if match is None:
            for parent in [p for p in parents if not p.complete or p.key == cell.final.key]:
                self._delete(experiment, parent.run_id)
                parents.remove(parent)
            parents.append(self._log_cell(experiment, cell, content))
        current = match or parents[-1]
        for parent in parents:
            self._mark(parent, parent is current)
        return match is None

    def results(self, protocol: str | None) -> list[TrialResult]:
        """Read the current trial of every cell, of one protocol or of all."""
        complete = f"tags.`{COMPLETE}` = 'true' and tags.`{CURRENT}` = 'true'"
        complete += f" and tags.`{FORMAT}` = '{VERSION}'"
        found = self._connection.experiment_ids(protocol or "%")
        runs = [run for each in found for run in self._connection.runs(each, complete)]
        # Oldest first: if logging was interrupted between two versions, the newer one counts.
        runs.sort(key=lambda run: (run.info.start_time, run.info.run_id))
        cells = {(r.info.experiment_id, r.data.tags[CELL]): r for r in runs}
        return sorted((_read(run) for run in cells.values()), key=_order)

    def _mark(self, parent: _Logged, current: bool) -> None:
        if parent.current != current:
            self._connection.client.set_tag(parent.run_id, CURRENT, str(current).lower())
            parent.current = current

    def _log_cell(self, experiment: _Experiment, cell: LoggedCell, content: str) -> _Logged:
        trial = cell.final
        tags = {ROLE: "cell", CELL: _name(cell), CONTENT: content, CURRENT: "true", FORMAT: VERSION}
        name = f"{trial.dataset} / {trial.completer} / {trial.predictor} / seed {trial.seed}"
        folders = [cell.folder, *filter(None, (cell.scores, cell.figures))]
        run_id = self._log_run(experiment, trial, folders, name, tags)
        for child, folder in cell.search:
            tags = {ROLE: "search", "mlflow.parentRunId": run_id}
            self._log_run(experiment, child, [folder], _varied(child, cell), tags)
        self._connection.client.set_tag(run_id, COMPLETE, "true")
        return _Logged(run_id, _name(cell), trial.key, content, complete=True, current=True)

    def _log_run(
        self,
        experiment: _Experiment,
        trial: TrialResult,
        folders: Sequence[Path],
        name: str,
        tags: dict[str, str],
    ) -> str:
        client, now = self._connection.client, int(time.time() * 1000)
        start = now - int(1000 * trial.seconds.get("total", 0))  # so that MLflow shows the duration
        tags = tags | to_run(trial).tags | source_tags(trial)
        run = client.create_run(experiment.experiment_id, start, tags, run_name=name[:250])
        run_id = run.info.run_id
        self._log_values(run_id, trial, now)
        if tags[ROLE] == "cell":
            log_dataset(client, run_id, trial, folders[0])
            log_model(client, experiment.experiment_id, run_id, trial, folders[0])
            with _together(folders, trial.environment) as files:
                client.log_artifacts(run_id, str(files))
        client.set_terminated(run_id, _mlflow_status(trial), end_time=now)
        return run_id

    def _log_values(self, run_id: str, trial: TrialResult, now: int) -> None:
        from mlflow.entities import Metric, Param

        record = to_run(trial)
        metrics = [Metric(name, value, now, 0) for name, value in record.metrics.items()]
        metrics += [Metric(name, value, now, step) for name, step, value in record.points]
        params = [Param(*item) for item in record.params.items()]
        for part in zip_longest(
            _chunks(metrics, _METRICS_AT_ONCE), _chunks(params, _PARAMS_AT_ONCE), fillvalue=()
        ):
            self._connection.client.log_batch(run_id, *part)

    def _delete(self, experiment: _Experiment, run_id: str) -> None:
        children = f"tags.`mlflow.parentRunId` = '{run_id}'"
        for run in self._connection.runs(experiment.experiment_id, children):
            self._connection.client.delete_run(run.info.run_id)
        model = self._connection.client.get_run(run_id).data.tags.get(LOGGED_MODEL)
        if model:
            self._connection.client.delete_logged_model(model)
        self._connection.client.delete_run(run_id)

    def _experiment(self, protocol: str) -> _Experiment:
        """Find or make the experiment of a protocol, and remember which cells it has."""
        if protocol not in self._experiments:
            experiment = _Experiment(self._connection.experiment_id(protocol))
            for run in self._connection.runs(experiment.experiment_id, f"tags.`{ROLE}` = 'cell'"):
                parent = _logged(run)
                experiment.parents.setdefault(parent.cell, []).append(parent)
            self._experiments[protocol] = experiment
        return self._experiments[protocol]


@contextmanager
def _together(folders: Sequence[Path], environment: dict[str, Any]) -> Iterator[Path]:
    """Bring a trial's files into one folder, so that they are logged in one step."""
    with scratch_folder() as beside:
        for path in (path for folder in folders for path in folder.iterdir()):
            if path.is_file() and path.name != MANIFEST:
                shutil.copy(path, beside)
        text = json.dumps(environment, indent=2)
        (beside / "environment.json").write_text(text, encoding="utf-8")
        yield beside


def _name(cell: LoggedCell) -> str:
    """Say what a cell is about; at most one of the runs of a name is current."""
    trial = cell.final
    return json.dumps([trial.dataset, trial.completer, trial.predictor, trial.seed])


def _content(cell: LoggedCell) -> str:
    """Hash everything in the results of a cell, times included."""
    results = [cell.final, *(result for result, _ in cell.search)]
    text = json.dumps([vars(result) for result in results], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _logged(run: Run) -> _Logged:
    tags = run.data.tags
    return _Logged(
        run_id=run.info.run_id,
        cell=tags.get(CELL, ""),
        key=tags.get(PREFIX + "trial_key", ""),
        content=tags.get(CONTENT, ""),
        complete=tags.get(COMPLETE) == "true",
        current=tags.get(CURRENT) == "true",
    )


def _read(run: Run) -> TrialResult:
    try:
        return from_run(run.data.metrics, run.data.tags)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"run {run.info.run_id} cannot be read ({error}); delete it.") from error


def _varied(child: TrialResult, cell: LoggedCell) -> str:
    """Name a trial of the search by what it does not share with the others: ``lr=0.001``."""
    trials = [result.parameters for result, _ in cell.search]
    varied = [
        f"{name}={value}"
        for name, value in child.parameters.items()
        if any(other.get(name) != value for other in trials)
    ]
    return ", ".join(varied) or "search"


def _mlflow_status(trial: TrialResult) -> str:
    if trial.status in ("ok", "skipped"):
        return "FINISHED"
    return "KILLED" if trial.status == "killed" else "FAILED"


def _order(trial: TrialResult) -> tuple[Any, ...]:
    return (*trial.cell, trial.key)


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
