"""Log trials to MLflow and read them back: the one file that imports mlflow.

One process writes, after the trials: many writers on SQLite fail. Logging is idempotent, and a run
whose logging was interrupted is replaced, because the tag ``spared_bench.complete`` is set last.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from spared_bench.errors import TrackingError
from spared_bench.results import TrialResult
from spared_bench.run_record import PREFIX, from_run, to_run

if TYPE_CHECKING:
    from mlflow.entities import Run

    from spared_bench.completion.benchmark import CompletionResult

EXPERIMENTS = "spared-bench/"
ROLE = PREFIX + "role"  # "cell" for a parent run, "search" for a child
CELL = PREFIX + "cell"
CONTENT = PREFIX + "content"
COMPLETE = PREFIX + "complete"
CURRENT = PREFIX + "current"
COMPLETION = "/completion"  # after the name of a protocol's experiment
COMPLETION_OF = PREFIX + "completion_of"
COMPLETION_CONTENT = PREFIX + "completion_content"
_COMPLETION_FILE = "results.json"

# MLflow takes 100 parameters, 1,000 values and 1 MB at once.
_PARAMS_AT_ONCE = 50
_METRICS_AT_ONCE = 800
_PAGE = 1_000

Progress = Callable[[int, int], None]


class Cell(Protocol):
    """One (dataset, completer, predictor, seed): a parent run and its children.

    Such as ``spared_bench.cells.FinishedCell``.
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
    def figures(self) -> Path | None:
        """More files of the trial that counts, if they were drawn."""
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


class Tracker:
    """The runs of a workspace in MLflow.

    Parameters
    ----------
    workspace : Path
        Where ``mlflow.db`` and ``mlartifacts`` are made, unless a server is named.
    uri : str, optional
        MLflow's tracking URI; by default ``MLFLOW_TRACKING_URI``, then SQLite in the workspace.
    """

    def __init__(self, workspace: Path, uri: str | None = None) -> None:
        self.workspace = workspace.absolute()
        local = f"sqlite:///{(self.workspace / 'mlflow.db').as_posix()}"
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or local
        self._client: Any = None
        self._experiments: dict[str, _Experiment] = {}

    @property
    def where(self) -> str:
        """The tracking URI without its password, for people."""
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", self.uri)

    def connect(self) -> None:
        """Import MLflow and open the database, making it where it is missing: seconds, once.

        Raises
        ------
        TrackingError
            If MLflow cannot be reached.
        """
        with self._explained("connect to"):
            self._connected().search_experiments(max_results=1)

    def sync(self, cells: Iterable[Cell], progress: Progress | None = None) -> int:
        """Make MLflow show these cells, logging those that it lacks; return how many it lacked.

        A cell that was logged before with another trial (an older version of a method, say) keeps
        its run, which is no longer the current one.

        Parameters
        ----------
        cells : iterable of Cell
        progress : callable, optional
            Told ``(done, total)`` after each cell.

        Raises
        ------
        TrackingError
            If MLflow cannot be reached or refuses. What was half logged is replaced next time.
        """
        todo = list(cells)
        added = 0
        with self._explained("log to"):
            for done, cell in enumerate(todo, start=1):
                added += self._sync_cell(cell)
                if progress is not None:
                    progress(done, len(todo))
        return added

    def results(self, protocol: str | None = None) -> list[TrialResult]:
        """Read the current trial of every cell, without curves, genes and traceback.

        Parameters
        ----------
        protocol : str, optional
            Only this one (``"demo@1"``); all by default.

        Raises
        ------
        TrackingError
            If MLflow cannot be reached, or a run has been changed by hand beyond recognition.
        """
        complete = f"tags.`{COMPLETE}` = 'true' and tags.`{CURRENT}` = 'true'"
        name = EXPERIMENTS + (protocol or "%")
        with self._explained("read from"):
            found = self._connected().search_experiments(filter_string=f"name LIKE {_quoted(name)}")
            runs = [run for e in found for run in self._runs([e.experiment_id], complete)]
            # Oldest first: if logging was interrupted between two versions, the newer one counts.
            runs.sort(key=lambda run: (run.info.start_time, run.info.run_id))
            cells = {(r.info.experiment_id, r.data.tags[CELL]): r for r in runs}
            results = [_read(run) for run in cells.values()]
        return sorted(results, key=_order)

    def log_completion(self, results: Iterable[CompletionResult]) -> int:
        """Make MLflow show results of the completion benchmark; return how many runs are new.

        One run per dataset and completer, in an experiment of their own beside the protocol's. Of
        the errors under the rule that has rates, the step is the rate in percent, so that MLflow
        draws the curve. A run whose results have changed is replaced.

        Raises
        ------
        TrackingError
            As for ``log``.
        """
        groups: dict[tuple[str, str, str], list[CompletionResult]] = {}
        for result in results:
            groups.setdefault((result.protocol, result.dataset, result.completer), []).append(
                result
            )
        with self._explained("log to"):
            return sum(self._log_completion(*names, each) for names, each in groups.items())

    def completion_results(self, protocol: str = "") -> list[CompletionResult]:
        """Read back what ``log_completion`` logged, of one protocol or of all.

        Raises
        ------
        TrackingError
            If MLflow cannot be reached, or lacks the file of a run.
        """
        from spared_bench.completion.benchmark import CompletionResult

        name = EXPERIMENTS + (protocol or "%") + COMPLETION
        found: list[CompletionResult] = []
        with self._explained("read from"):
            client = self._connected()
            experiments = client.search_experiments(filter_string=f"name LIKE {_quoted(name)}")
            for experiment in experiments:
                for run in self._runs([experiment.experiment_id], f"tags.`{COMPLETION_OF}` != ''"):
                    if COMPLETION_CONTENT in run.data.tags:
                        found += map(CompletionResult.from_dict, _load_json(client, run))
        return found

    # Writing

    def _log_completion(
        self, protocol: str, dataset: str, completer: str, results: list[CompletionResult]
    ) -> bool:
        client, name = self._connected(), f"{EXPERIMENTS}{protocol}{COMPLETION}"
        found = client.get_experiment_by_name(name)
        experiment_id = (
            found.experiment_id
            if found is not None
            else client.create_experiment(name, self._artifacts(protocol + COMPLETION))
        )
        place = json.dumps([dataset, completer])
        content = hashlib.sha256(
            json.dumps([result.as_dict() for result in results], sort_keys=True).encode()
        ).hexdigest()
        known = list(self._runs([experiment_id], f"tags.`{COMPLETION_OF}` = {_quoted(place)}"))
        if any(run.data.tags.get(COMPLETION_CONTENT) == content for run in known):
            return False
        for run in known:
            client.delete_run(run.info.run_id)
        tags = {COMPLETION_OF: place, "mlflow.runName": f"{dataset} / {completer}"}
        run_id = client.create_run(experiment_id, tags=tags).info.run_id
        for key, value in {"dataset": dataset, "completer": completer, **results[0].facts}.items():
            client.log_param(run_id, key, value)
        for result in results:
            label, rate = result.condition.rule, round(100 * result.condition.rate)
            for metric in ("mse", "pcc"):
                for kind, value in (("", result.mean(metric)), ("_sd", result.sd(metric))):
                    if math.isfinite(value):
                        client.log_metric(run_id, f"{label}.{metric}{kind}", value, step=rate)
        client.log_dict(run_id, [result.as_dict() for result in results], _COMPLETION_FILE)
        client.set_tag(run_id, COMPLETION_CONTENT, content)  # last: the run is whole
        client.set_terminated(run_id)
        return True

    def _sync_cell(self, cell: Cell) -> bool:
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

    def _mark(self, parent: _Logged, current: bool) -> None:
        if parent.current != current:
            self._connected().set_tag(parent.run_id, CURRENT, str(current).lower())
            parent.current = current

    def _log_cell(self, experiment: _Experiment, cell: Cell, content: str) -> _Logged:
        trial = cell.final
        tags = {ROLE: "cell", CELL: _name(cell), CONTENT: content, CURRENT: "true"}
        name = f"{trial.dataset} / {trial.completer} / {trial.predictor} / seed {trial.seed}"
        run_id = self._log_run(experiment, trial, cell.folder, name, tags, cell.figures)
        for child, folder in cell.search:
            tags = {ROLE: "search", "mlflow.parentRunId": run_id}
            self._log_run(experiment, child, folder, _varied(child, cell), tags)
        self._connected().set_tag(run_id, COMPLETE, "true")
        return _Logged(run_id, _name(cell), trial.key, content, complete=True, current=True)

    def _log_run(
        self,
        experiment: _Experiment,
        trial: TrialResult,
        folder: Path,
        name: str,
        tags: dict[str, str],
        figures: Path | None = None,
    ) -> str:
        client, now = self._connected(), int(time.time() * 1000)
        start = now - int(1000 * trial.seconds.get("total", 0))  # so that MLflow shows the duration
        tags = tags | to_run(trial).tags
        run = client.create_run(experiment.experiment_id, start, tags, run_name=name[:250])
        run_id = run.info.run_id
        self._log_values(run_id, trial, now)
        if tags[ROLE] == "cell":
            with _together(folder, figures, trial.environment) as files:
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
            self._connected().log_batch(run_id, *part)

    def _delete(self, experiment: _Experiment, run_id: str) -> None:
        children = f"tags.`mlflow.parentRunId` = '{run_id}'"
        for run in self._runs([experiment.experiment_id], children):
            self._connected().delete_run(run.info.run_id)
        self._connected().delete_run(run_id)

    # Finding

    def _experiment(self, protocol: str) -> _Experiment:
        """Find or make the experiment of a protocol, and remember which cells it has."""
        if protocol not in self._experiments:
            client, name = self._connected(), EXPERIMENTS + protocol
            found = client.get_experiment_by_name(name)
            if found is None:
                experiment_id = client.create_experiment(name, self._artifacts(protocol))
            else:
                experiment_id = found.experiment_id
                if found.lifecycle_stage == "deleted":
                    client.restore_experiment(experiment_id)
            experiment = _Experiment(experiment_id)
            for run in self._runs([experiment_id], f"tags.`{ROLE}` = 'cell'"):
                parent = _logged(run)
                experiment.parents.setdefault(parent.cell, []).append(parent)
            self._experiments[protocol] = experiment
        return self._experiments[protocol]

    def _artifacts(self, protocol: str) -> str | None:
        """Return where artifacts go; ``None`` leaves the choice to a server."""
        if not self.uri.startswith("sqlite:"):
            return None
        return (self.workspace / "mlartifacts" / protocol.replace("/", "_")).as_uri()

    def _runs(self, experiment_ids: list[str], condition: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._connected().search_runs(
                experiment_ids, condition, max_results=_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _connected(self) -> Any:
        if self._client is None:
            client_class = _import_quietly()
            if self.uri.startswith("sqlite:"):
                self.workspace.mkdir(parents=True, exist_ok=True)
            client = client_class(tracking_uri=self.uri)
            client.search_experiments(max_results=1)  # makes the database; finds a dead server
            self._client = client
        return self._client

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except _mlflow_errors() as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise TrackingError(
                f"Cannot {doing} MLflow at {self.where}: {reason.replace(self.uri, self.where)}"
                " Check that this place exists and can be written, and what MLFLOW_TRACKING_URI"
                " says (where it is not set, runs go to SQLite in the workspace)."
            ) from error


@contextmanager
def _together(folder: Path, figures: Path | None, environment: dict[str, Any]) -> Iterator[Path]:
    """Bring a trial's files into one folder, so that they are logged in one step."""
    with TemporaryDirectory(prefix="spared-bench-") as beside:
        files = [path for path in folder.iterdir() if path.is_file()]
        files += figures.glob("*.png") if figures is not None else ()
        for path in files:
            shutil.copy(path, beside)
        text = json.dumps(environment, indent=2)
        Path(beside, "environment.json").write_text(text, encoding="utf-8")
        yield Path(beside)


def _load_json(client: Any, run: Run) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        path = client.download_artifacts(run.info.run_id, _COMPLETION_FILE, folder)
        values: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))
    return values


def _name(cell: Cell) -> str:
    """Say what a cell is about; at most one of the runs of a name is current."""
    trial = cell.final
    return json.dumps([trial.dataset, trial.completer, trial.predictor, trial.seed])


def _content(cell: Cell) -> str:
    """Hash everything in the results of a cell, times included."""
    results = [cell.final, *(result for result, _ in cell.search)]
    text = json.dumps([vars(result) for result in results], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _import_quietly() -> Any:
    """Import MLflow's client with its telemetry, its table of migrations and its adverts off."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # Seven tries with doubling pauses take minutes to say that a server is not there.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow.tracking import MlflowClient

    for noisy in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return MlflowClient


def _mlflow_errors() -> tuple[type[Exception], ...]:
    """Return what MLflow raises when it cannot do what it is asked."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    # ImportError: the driver of a database is not installed. ValueError: an unreadable record.
    return (MlflowException, RequestException, SQLAlchemyError, OSError, ImportError, ValueError)


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


def _varied(child: TrialResult, cell: Cell) -> str:
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
    name = (trial.protocol, trial.dataset, trial.completer, trial.predictor, trial.seed)
    return (*name, trial.key)


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
