"""Studies in MLflow: a parent run for each, with its cells as children.

A study whose results have not changed is not logged again; one that was logged before, that was
edited since, or whose logging was broken off, is replaced, because the tag of its content is set
last. On a server, those of other workspaces stay.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spared_bench.tracking.connection import WORKSPACE, Connection, quoted
from spared_bench.tracking.run_record import MAX_NAME, PREFIX, metric_name

if TYPE_CHECKING:
    from mlflow.entities import Run

EXPERIMENT = "studies"
STUDY = PREFIX + "study"
CONTENT = PREFIX + "study_content"
_TEXT = 250  # characters of a parameter's value

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class LoggedStudyCell:
    """One cell, as MLflow gets it.

    Parameters
    ----------
    name : str
    params : mapping of str to str
        Levels, dataset, completer, method and seed.
    metrics : mapping of str to float
    gap : str
        Why it has no scores; empty where it has.
    """

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    gap: str = ""


def log_study(
    connection: Connection,
    study: str,
    about: Mapping[str, str],
    cells: Sequence[LoggedStudyCell],
    files: Sequence[Path] = (),
) -> bool:
    """Make MLflow show a study; return whether it lacked it.

    Parameters
    ----------
    connection : Connection
    study : str
        ``name@version``.
    about : mapping of str to str
        What the parent run says of it.
    cells : sequence of LoggedStudyCell
    files : sequence of Path
        Artifacts of the parent run.

    Raises
    ------
    TrackingError
        If MLflow cannot be reached, or refuses.
    """
    with connection.explained("log to"):
        return _log(connection, study, about, cells, files)


def _log(
    connection: Connection,
    study: str,
    about: Mapping[str, str],
    cells: Sequence[LoggedStudyCell],
    files: Sequence[Path],
) -> bool:
    client = connection.client
    experiment_id = connection.experiment_id(EXPERIMENT)
    text = json.dumps([dict(about), [vars(cell) for cell in cells]], sort_keys=True, default=dict)
    content = hashlib.sha256(text.encode()).hexdigest()
    owner = connection.owner(make=True)
    every = connection.runs(experiment_id, f"tags.`{STUDY}` = {quoted(study)}")
    # Others may have a study of that name on the same server.
    known = [run for run in every if run.data.tags.get(WORKSPACE, "") in ("", owner)]
    same = [run for run in known if run.data.tags.get(CONTENT) == content]
    if any(_is_whole(connection, experiment_id, run, cells) for run in same):
        return False
    for run in known:
        if run.data.tags.get(WORKSPACE, "") == owner:
            _delete(connection, experiment_id, run.info.run_id)
    tags = {STUDY: study} | ({WORKSPACE: owner} if owner else {})
    parent = client.create_run(experiment_id, tags=tags, run_name=study).info.run_id
    for key, value in about.items():
        client.log_param(parent, key, str(value)[:_TEXT])
    client.log_metric(parent, "cells", len(cells))
    client.log_metric(parent, "gaps", sum(bool(cell.gap) for cell in cells))
    for cell in cells:
        _log_cell(client, experiment_id, parent, cell)
    for path in files:
        client.log_artifact(parent, str(path))
    client.set_tag(parent, CONTENT, content)  # last: the study is whole
    client.set_terminated(parent)
    return True


def _log_cell(client: Any, experiment_id: str, parent: str, cell: LoggedStudyCell) -> None:
    tags = {"mlflow.parentRunId": parent}
    if cell.gap:
        tags[PREFIX + "message"] = cell.gap[:4_000]
    run_id = client.create_run(experiment_id, tags=tags, run_name=cell.name[:_TEXT]).info.run_id
    for key, value in _params(cell).items():
        client.log_param(run_id, key, value)
    for name, score in _metrics(cell).items():
        client.log_metric(run_id, name, score)
    client.set_terminated(run_id, "FAILED" if cell.gap else "FINISHED")


def _params(cell: LoggedStudyCell) -> dict[str, str]:
    return {key: str(value)[:_TEXT] for key, value in _named(cell.params)}


def _metrics(cell: LoggedStudyCell) -> dict[str, float]:
    return {key: float(value) for key, value in _named(cell.metrics) if math.isfinite(value)}


def _named(values: Mapping[str, _Value]) -> Iterator[tuple[str, _Value]]:
    """Yield values by names that MLflow takes; the name of the run has the levels of all."""
    for key, value in values.items():
        if len(name := metric_name(key)) <= MAX_NAME:
            yield name, value


def _is_whole(
    connection: Connection, experiment_id: str, run: Run, cells: Sequence[LoggedStudyCell]
) -> bool:
    """Whether the runs of the cells are as they were logged: MLflow lets people edit them."""
    found = [
        [each.info.run_name, each.data.params, each.data.metrics]
        for each in connection.runs(experiment_id, _children_of(run.info.run_id))
    ]
    wanted = [[cell.name[:_TEXT], _params(cell), _metrics(cell)] for cell in cells]
    return sorted(map(_sorted, found)) == sorted(map(_sorted, wanted))


def _sorted(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _children_of(run_id: str) -> str:
    return f"tags.`mlflow.parentRunId` = '{run_id}'"


def _delete(connection: Connection, experiment_id: str, run_id: str) -> None:
    for run in connection.runs(experiment_id, _children_of(run_id)):
        connection.client.delete_run(run.info.run_id)
    connection.client.delete_run(run_id)
