"""Trials in MLflow: a parent run for each cell, with the trials of its search as children.

Logging is idempotent, and a run whose logging was interrupted is replaced, because the tag
``spared_bench.complete`` is set last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spared_bench.results import TrialResult
from spared_bench.store.entries import MANIFEST
from spared_bench.store.processes import scratch_folder
from spared_bench.store.records import CellFile
from spared_bench.store.trials import MADE_OF
from spared_bench.tracking.connection import WORKSPACE, Connection
from spared_bench.tracking.inputs import LOGGED_MODEL, log_dataset, log_model, source_tags
from spared_bench.tracking.logged import LoggedResults
from spared_bench.tracking.run_record import PREFIX, from_run, seal_of, to_run

if TYPE_CHECKING:
    from mlflow.entities import Run

ROLE = PREFIX + "role"  # "cell" for a parent run, "search" for a child
CELL = PREFIX + "cell"
CONTENT = PREFIX + "content"
COMPLETE = PREFIX + "complete"
CURRENT = PREFIX + "current"
FORMAT = PREFIX + "format"
RECORDED = PREFIX + "recorded"  # when the cell's record was written, in nanoseconds
#: Raised when runs of earlier versions are no longer what the board reads.
VERSION = "2"
#: Hash of what the run says of its trial: another one, where somebody has edited a tag or a metric.
SEAL = PREFIX + "seal"

# MLflow takes 100 parameters, 1,000 values and 1 MB at once.
_PARAMS_AT_ONCE = 50
_MADE_OF = {name: PREFIX + name for name in MADE_OF}
_METRICS_AT_ONCE = 800
_UNREADABLE = (ValueError, KeyError, TypeError)  # what reading an edited run raises


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

    @property
    def made_of(self) -> Mapping[str, str]:
        """What its record says for comparisons (``spared_bench.trials.outdated``)."""
        ...

    @property
    def written(self) -> int:
        """When the record was, in nanoseconds."""
        ...


@dataclass
class _Logged:
    """A parent run as far as it decides what is to be done."""

    run_id: str
    cell: str
    key: str
    content: str
    seal: str  # with which it was logged; empty of earlier versions
    says: str  # the seal of what it says now
    complete: bool
    current: bool
    said: dict[str, str]
    owner: str


@dataclass
class _Experiment:
    experiment_id: str
    parents: dict[str, list[_Logged]] = field(default_factory=dict)


class CellLog:
    """Cells in MLflow; it remembers which runs there are, so that each protocol is read once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._experiments: dict[str, _Experiment] = {}

    @cached_property
    def _owner(self) -> str:
        return self._connection.owner(make=True)

    def sync(self, cell: LoggedCell) -> bool:
        """Make MLflow show a cell as the current one of its name; return whether it lacked it."""
        experiment = self._experiment(cell.final.protocol)
        parents = experiment.parents.setdefault(_name(cell.final), [])
        content, said = _content(cell), to_run(cell.final)
        seal = seal_of(said.metrics, said.tags)
        # Nobody has edited them; those of earlier versions have no seal.
        whole = [p for p in parents if p.complete and p.says == (p.seal or seal)]
        match = next((p for p in whole if p.content == content), None)
        if match is None:
            mine = [p for p in parents if p.owner == self._owner]
            for parent in [p for p in mine if not p.complete or p.key == cell.final.key]:
                self._delete(experiment, parent.run_id)
                parents.remove(parent)
            parents.append(self._log_cell(experiment, cell, content, seal))
        else:
            self._say(match, _said(cell))
        current = match or parents[-1]
        for parent in parents:
            if parent is current or parent.owner == self._owner:
                self._mark(parent, parent is current)
        return match is None

    def results(self, protocol: str | None, unread: list[str] | None = None) -> LoggedResults:
        """Read the current trial of every cell, of one protocol or of all.

        ``unread`` takes a sentence for every run that cannot be read, which else is an error.
        """
        complete = f"tags.`{COMPLETE}` = 'true' and tags.`{CURRENT}` = 'true'"
        complete += f" and tags.`{FORMAT}` = '{VERSION}'"
        found = self._connection.experiment_ids(protocol or "")
        runs = [run for each in found for run in self._connection.runs(each, complete)]
        # Oldest first: if logging was interrupted between two versions, the newer one counts. Of
        # several workspaces that log to one server, this one's own before any other's.
        owner = self._connection.owner()
        runs.sort(
            key=lambda run: (
                run.data.tags.get(WORKSPACE, "") == owner,
                run.info.start_time,
                run.info.run_id,
            )
        )
        # By what they say themselves: experiments are renamed, and tags edited.
        cells = {(read.protocol, *read.cell): (read, run) for read, run in _all_read(runs, unread)}
        read = sorted(cells.values(), key=_order)
        results = [result for result, _ in read]
        return LoggedResults(results, [_said_of(result, run.data.tags) for result, run in read])

    def _mark(self, parent: _Logged, current: bool) -> None:
        if parent.current != current:
            self._connection.client.set_tag(parent.run_id, CURRENT, str(current).lower())
            parent.current = current

    def _say(self, parent: _Logged, said: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        names = sorted(said.keys() | parent.said.keys())
        new = [RunTag(n, said.get(n, "")) for n in names if said.get(n) != parent.said.get(n)]
        if new:
            self._connection.client.log_batch(parent.run_id, tags=new)
        parent.said = said

    def _log_cell(
        self, experiment: _Experiment, cell: LoggedCell, content: str, seal: str
    ) -> _Logged:
        trial = cell.final
        said = _said(cell)
        tags = {
            ROLE: "cell",
            CELL: _name(trial),
            CONTENT: content,
            CURRENT: "true",
            FORMAT: VERSION,
            SEAL: seal,
            **({WORKSPACE: self._owner} if self._owner else {}),
        }
        name = f"{trial.dataset} / {trial.completer} / {trial.predictor} / seed {trial.seed}"
        folders = [cell.folder, *filter(None, (cell.scores, cell.figures))]
        run_id = self._log_run(experiment, trial, folders, name, tags | said)
        for child, folder in cell.search:
            tags = {ROLE: "search", "mlflow.parentRunId": run_id}
            self._log_run(experiment, child, [folder], _varied(child, cell), tags)
        self._connection.client.set_tag(run_id, COMPLETE, "true")
        return _Logged(
            run_id, _name(trial), trial.key, content, seal, seal, True, True, said, self._owner
        )

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
                # What an earlier version logged says of no workspace, and may be of this one.
                if parent.owner in ("", self._owner):
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


def _name(trial: TrialResult) -> str:
    """Say what a cell is about; at most one of the runs of a name is current."""
    return json.dumps([trial.dataset, trial.completer, trial.predictor, trial.seed])


def _content(cell: LoggedCell) -> str:
    """Hash everything in the results of a cell, times included."""
    results = [cell.final, *(result for result, _ in cell.search)]
    text = json.dumps([vars(result) for result in results], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _said(cell: LoggedCell) -> dict[str, str]:
    """Return the tags that say what a cell was made of, and when that was recorded."""
    made_of = {_MADE_OF[name]: said for name, said in cell.made_of.items()}
    return made_of | {RECORDED: str(cell.written)}


def _said_of(result: TrialResult, tags: Mapping[str, str]) -> CellFile:
    """Return what a run says, as ``Records.cells`` gives what the record of a cell does."""
    made_of = {name: tags[tag] for name, tag in _MADE_OF.items() if tags.get(tag)}
    recorded = tags.get(RECORDED, "")
    record = {"cell": list(result.cell), "final": result.key}
    return CellFile("", record | made_of, False, int(recorded) if recorded.isdecimal() else 0)


def _logged(run: Run) -> _Logged:
    tags = run.data.tags
    try:
        cell = _name(from_run(run.data.metrics, tags))
        says = seal_of(run.data.metrics, tags)
    except _UNREADABLE:
        cell, says = tags.get(CELL, ""), "nothing"
    return _Logged(
        run_id=run.info.run_id,
        cell=cell,
        key=tags.get(PREFIX + "trial_key", ""),
        content=tags.get(CONTENT, ""),
        seal=tags.get(SEAL, ""),
        says=says,
        complete=tags.get(COMPLETE) == "true",
        current=tags.get(CURRENT) == "true",
        said={name: tags[name] for name in (*_MADE_OF.values(), RECORDED) if name in tags},
        owner=tags.get(WORKSPACE, ""),
    )


def _all_read(runs: Iterable[Run], unread: list[str] | None) -> Iterator[tuple[TrialResult, Run]]:
    for run in runs:
        try:
            yield _read(run), run
        except ValueError as error:
            if unread is None:
                raise
            unread.append(f"In MLflow, {error}")


def _read(run: Run) -> TrialResult:
    sealed = run.data.tags.get(SEAL)  # none in runs of earlier versions
    try:
        read = from_run(run.data.metrics, run.data.tags)
        if sealed is not None and sealed != seal_of(run.data.metrics, run.data.tags):
            raise ValueError("a metric or tag of it was changed by hand")
    except _UNREADABLE as error:
        raise ValueError(
            f"run {run.info.run_id} cannot be read ({error}). `spared-bench track sync` logs it"
            " anew where the store has its cell; else delete it."
        ) from error
    return read


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


def _order(read: tuple[TrialResult, Run]) -> tuple[Any, ...]:
    return (*read[0].cell, read[0].key)


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
