"""Results of the completion benchmark in MLflow.

One run per dataset and completer, in an experiment of their own beside the protocol's. Of the
errors under the rule that has rates, the step is the rate in percent, so that MLflow draws the
curve.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.completion.measures import MEASURES
from spared_bench.errors import TrackingError
from spared_bench.ordinary import read_json
from spared_bench.store.processes import scratch_folder
from spared_bench.tracking.connection import WORKSPACE, Connection, quoted
from spared_bench.tracking.run_record import PREFIX

if TYPE_CHECKING:
    from mlflow.entities import Run

    from spared_bench.completion.benchmark import CompletionResult

EXPERIMENT = "/completion"  # after the name of a protocol's experiment
OF = PREFIX + "completion_of"
CONTENT = PREFIX + "completion_content"
#: When a run was made, or found to be what is to be shown: milliseconds.
SHOWN = PREFIX + "completion_shown"
_FILE = "results.json"


def log_completion(connection: Connection, results: Iterable[CompletionResult]) -> int:
    """Make MLflow show these results; return how many runs are new.

    A run whose results have changed is replaced; one whose logging was interrupted too, because
    the tag that tells its content is set last.
    """
    groups: dict[tuple[str, str, str], list[CompletionResult]] = {}
    for result in results:
        groups.setdefault((result.protocol, result.dataset, result.completer), []).append(result)
    return sum(_log_group(connection, each) for each in groups.values())


def read_completion(
    connection: Connection, protocol: str, unread: list[str] | None = None
) -> list[CompletionResult]:
    """Read back what was logged, of one protocol, or of all where it is empty.

    Of other settings of the protocol, or other data of a dataset, than were logged last, none.

    ``unread`` takes a sentence for every run whose file cannot be read; without it, one is an
    error.
    """
    from spared_bench.completion.benchmark import comparable

    found: list[CompletionResult] = []
    owner = connection.owner()

    def place(run: Run) -> tuple[bool, int]:
        return run.data.tags.get(WORKSPACE, "") == owner, _shown(run)

    for experiment_id in connection.experiment_ids(protocol, EXPERIMENT):
        runs = connection.runs(experiment_id, f"tags.`{OF}` != ''")
        whole = sorted((run for run in runs if CONTENT in run.data.tags), key=place)
        # One run for each: another was deleted, and restored by hand, or is another workspace's.
        last = {run.data.tags[OF]: run for run in whole}
        for run in sorted(last.values(), key=_shown):
            try:
                found += _results_of(connection, run)
            except TrackingError as error:
                if unread is None:
                    raise
                unread.append(f"Completion, {run.data.tags[OF]}: {error}")
    return comparable(found)


def _now() -> str:
    return str(time.time_ns() // 10**6)


def _shown(run: Run) -> int:
    said = run.data.tags.get(SHOWN, "")
    return int(said) if said.isdecimal() else int(run.info.start_time)


def _results_of(connection: Connection, run: Run) -> list[CompletionResult]:
    from spared_bench.completion.benchmark import CompletionResult

    with connection.explained("read from"):
        values = _load_json(connection, run)
        if _content(values) != run.data.tags[CONTENT]:
            raise ValueError(
                f"{_FILE} of run {run.info.run_id} is not what was logged; `spared-bench complete`"
                " with the same selection logs it anew"
            )
        try:
            return [CompletionResult.from_dict(each) for each in values]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{_FILE} of run {run.info.run_id} holds no results") from error


def _log_group(connection: Connection, results: Sequence[CompletionResult]) -> bool:
    """Log what is known of one completer on one dataset, unless MLflow has it."""
    first, client = results[0], connection.client
    experiment_id = connection.experiment_id(first.protocol + EXPERIMENT)
    place = json.dumps([first.dataset, first.completer])
    values = [result.as_dict() for result in results]
    content = _content(values)
    owner = connection.owner(make=True)
    every = connection.runs(experiment_id, f"tags.`{OF}` = {quoted(place)}")
    # Other workspaces may have found something else, and log it to the same server.
    known = [run for run in every if run.data.tags.get(WORKSPACE, "") in ("", owner)]
    if same := [run for run in known if _says(connection, run, results, content)]:
        client.set_tag(same[0].info.run_id, SHOWN, _now())
        return False
    for run in known:
        if run.data.tags.get(WORKSPACE, "") == owner:
            client.delete_run(run.info.run_id)
    tags = {OF: place, "mlflow.runName": f"{first.dataset} / {first.completer}"}
    tags |= {WORKSPACE: owner} if owner else {}
    run_id = client.create_run(experiment_id, tags=tags).info.run_id
    _log_values(client, run_id, results)
    client.log_dict(run_id, values, _FILE)
    client.set_tag(run_id, SHOWN, _now())
    client.set_tag(run_id, CONTENT, content)  # last: the run is whole
    client.set_terminated(run_id)
    return True


def _content(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _says(
    connection: Connection, run: Run, results: Sequence[CompletionResult], content: str
) -> bool:
    """Whether a run still holds what was logged; it, and its file, can be edited."""
    if run.data.tags.get(CONTENT) != content:
        return False
    last = {name: value for name, _, value in sorted(_metrics(results))}  # of the highest step
    try:
        return run.data.metrics == last and _content(_load_json(connection, run)) == content
    except Exception:  # whatever MLflow says where the file is gone
        return False


def _log_values(client: Any, run_id: str, results: Sequence[CompletionResult]) -> None:
    first = results[0]
    params = {"dataset": first.dataset, "completer": first.completer, **first.facts}
    for key, value in params.items():
        client.log_param(run_id, key, value)
    for name, rate, value in _metrics(results):
        client.log_metric(run_id, name, value, step=rate)


def _metrics(results: Sequence[CompletionResult]) -> Iterator[tuple[str, int, float]]:
    """Yield the names of metrics with their steps, rates in percent, and finite values."""
    for result in results:
        label, rate = result.condition.rule, round(100 * result.condition.rate)
        for metric in MEASURES:
            for kind, value in (("", result.mean(metric)), ("_sd", result.sd(metric))):
                if math.isfinite(value):
                    yield f"{label}.{metric}{kind}", rate, value


def _load_json(connection: Connection, run: Run) -> list[dict[str, Any]]:
    with scratch_folder() as folder:
        path = connection.client.download_artifacts(run.info.run_id, _FILE, str(folder))
        values: list[dict[str, Any]] = read_json(Path(path))
    return values
