"""Jobs on a Dask cluster: an existing scheduler, this machine, or a batch system.

A Dask worker does nothing itself: it keeps slots like those of ``local``, so that a trial that
hangs, grows or dies means the same here. Files are shared through the workspace, which every worker
must see under the same path.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from spared_bench import sandbox
from spared_bench.bench import Limits, Settings
from spared_bench.errors import ExecutorError, UsageError
from spared_bench.executors.cluster_file import is_cluster_file, read_cluster_file
from spared_bench.executors.slot import Slot
from spared_bench.executors.strangers import choose, runs_apart, settings_of
from spared_bench.interfaces import Job, Outcome
from spared_bench.results import TrialResult

#: ``tcp://head:8786``, or without the protocol; what dask takes in one process has no port.
_ADDRESS = re.compile(r"\w+://\S+|[^\s/:]+:\d+|\[[\da-fA-F:.]+\]:\d+")
_LOOK_SECONDS = 0.2
_CONNECT_SECONDS = 10
_COUNT_SECONDS = 5.0


class DaskExecutor:
    """Gives jobs to a Dask scheduler.

    Parameters
    ----------
    settings : Settings
        Its ``cluster`` is the address of a scheduler, a YAML file (``cluster_file``), or empty for
        a cluster of this machine.
    workers : int
        Of a cluster of this machine; elsewhere as many jobs run as the workers have threads for.
    progress : callable
        ``progress(job, step, values)``.

    Raises
    ------
    UsageError
        If ``cluster`` is no address and no file that describes a cluster.
    ExecutorError
        If the scheduler cannot be reached.
    """

    @staticmethod
    def works_here(cluster: str) -> bool:
        """Return whether jobs run on this machine: without a cluster's address or file."""
        return not cluster

    @staticmethod
    def check(limits: Limits, cluster: str) -> None:
        """Refuse a file that describes no cluster, and what is neither a file nor an address.

        Of a cluster on this machine, a strict run as well, where it would not be one.
        """
        if not cluster:
            _refuse_open_tcp(limits)
        if is_cluster_file(cluster):
            read_cluster_file(Path(cluster))
        elif cluster and not _ADDRESS.fullmatch(cluster):
            raise UsageError(
                f"--cluster {cluster!r} is neither the address of a scheduler, such as"
                " tcp://head:8786, nor a YAML file (.yaml or .yml)."
            )

    def __init__(
        self, settings: Settings, workers: int, progress: Callable[[Job, int, dict], None]
    ) -> None:
        from distributed import Client

        self.check(settings.limits, settings.cluster)
        self._settings, self._progress = settings, progress
        self._ended: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._jobs: dict[str, Job] = {}
        self._number = 0
        self._counted, self._threads = 0.0, 0
        self._cluster, address = _start(settings, workers)
        try:
            self._client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ExecutorError(
                f"No Dask scheduler answers at {address}: {error}. `dask scheduler` starts one and"
                " prints its address; `--cluster ADDRESS` names it."
            ) from error
        self._topic = f"spared-bench-{self._client.id}"
        self._client.subscribe_topic(self._topic, self._heard)

    @property
    def capacity(self) -> int:
        """How many jobs run at a time: workers come and go."""
        if time.monotonic() - self._counted > _COUNT_SECONDS:
            with suppress(Exception):  # a scheduler that is away is noticed by ``wait``
                self._threads = sum(self._client.nthreads().values())
            self._counted = time.monotonic()
        return max(1, self._threads // self._settings.threads)

    @property
    def note(self) -> str:
        """What a person should know before the first job: that nobody is there to do it."""
        if self._client.nthreads():
            return ""
        address = self._client.scheduler_info()["address"]
        return (
            f"The Dask scheduler at {address} has no workers yet: jobs wait for one. Where none is"
            f" on its way, `dask worker {address}` starts it."
        )

    def submit(self, job: Job) -> None:
        """Give a job to the scheduler."""
        self._number += 1
        name = f"{job.name}-{self._number}-{self._client.id}"
        self._jobs[name] = job
        future = self._client.submit(
            do_on_worker,
            self._settings.as_dict(),
            job.as_dict(),
            self._topic,
            name,
            key=name,
            pure=False,
        )
        future.add_done_callback(lambda ended: self._ended.put((name, ended)))

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Block until a job has ended."""
        try:
            name, future = self._ended.get(timeout=timeout)
        except queue.Empty:
            return []
        return [_outcome(self._jobs.pop(name), future)]

    def _heard(self, event: tuple[float, Any]) -> None:
        """Pass on what a worker tells of a job."""
        _, told = event
        job = self._jobs.get(told["name"])
        if job is not None:
            self._progress(job, told["step"], told["values"])

    def close(self) -> None:
        """End all slots, and the cluster if it is ours."""
        with suppress(Exception):  # what has gone already needs no end
            self._client.run(end_slots, self._topic)
        with suppress(Exception):
            self._client.close(timeout=5)
        if self._cluster is not None:
            with suppress(Exception):
                self._cluster.close(timeout=10)


def _start(settings: Settings, workers: int) -> tuple[Any, Any]:
    """Return the cluster that we start, ``None`` for one that is there, and how to reach it."""
    if is_cluster_file(settings.cluster):
        batch = read_cluster_file(Path(settings.cluster)).start(settings.threads)
        return batch, batch
    if settings.cluster:
        return None, settings.cluster
    import logging

    import dask
    from distributed import LocalCluster

    # What a death of a worker means is the orchestrator's to decide, after the first one.
    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=settings.threads,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )
    return cluster, cluster


def _outcome(job: Job, future: Any) -> Outcome:
    """Turn what Dask says of a job into what the orchestrator understands."""
    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    if future.status == "finished":
        told = future.result()
        result = TrialResult.from_dict(told.pop("result")) if told["result"] else None
        return Outcome(job, **(told | {"result": result}))
    if future.status in ("cancelled", "lost"):
        raise ExecutorError(_GONE)
    try:
        error = future.exception()
    except CancelledError as gone:
        raise ExecutorError(_GONE) from gone
    if isinstance(error, KilledWorker):
        return Outcome(job, "killed", f"The Dask worker of this job has died: {error}")
    return Outcome(
        job,
        "refused",
        f"A Dask worker cannot do jobs: {type(error).__name__}: {error}. It needs spared-bench and"
        " the plan's plugins in its environment, and the workspace under the same path.",
    )


def _refuse_open_tcp(limits: Limits) -> None:
    """Refuse a strict run where a method that is shut in could reach the scheduler.

    Dask runs what anybody sends it, in workers that can read everything.

    Raises
    ------
    UsageError
    """
    if limits.strict and not sandbox.shuts_tcp():
        raise UsageError(
            "`--isolate strict` cannot go with Dask here: this kernel leaves TCP open to a method"
            " that is shut in (Linux 6.7 shuts it), and whoever reaches a Dask scheduler can run"
            " anything in its workers. Use `--executor local`, or workers on a newer kernel."
        )


_GONE = (
    "The Dask scheduler is gone. Finished trials are kept: start it again, and the same command"
    " goes on from here."
)

# In the Dask worker

_slots: dict[str, list[tuple[Slot, queue.Queue]]] = {}
_lock = threading.Lock()


def do_on_worker(
    settings: dict[str, Any], job: dict[str, Any], run: str, name: str
) -> dict[str, Any]:
    """Do one job in a slot of this worker.

    Parameters
    ----------
    settings, job : dict
        Of ``Settings.as_dict`` and ``Job.as_dict``.
    run, name : str
        Of the run, and of the job in it.

    Returns
    -------
    dict
        The fields of an ``Outcome`` without its job, JSON-ready.
    """
    from distributed import get_worker

    told = Settings.from_dict(settings)
    _refuse_open_tcp(told.limits)
    worker = get_worker()
    slot, inbox = _give(Job(**job), told, run)
    while True:
        slot.enforce()
        try:
            _, message = inbox.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            continue
        if message is not None and message["type"] == "progress":
            progress = {"name": name, "step": message["step"], "values": message["values"]}
            worker.log_event(run, progress)
        outcome = slot.outcome(message)
        if outcome is None:
            continue
        if message is None:
            _forget(run, slot)
        facts = {key: value for key, value in vars(outcome).items() if key not in ("job", "result")}
        return facts | {"result": outcome.result.as_dict() if outcome.result else None}


def _give(job: Job, settings: Settings, run: str) -> tuple[Slot, queue.Queue]:
    """Give a job to an idle slot of this worker, starting one if there is none."""
    with _lock:
        pool = _slots.setdefault(run, [])
        apart = runs_apart(settings, job)
        slot, number = choose((slot for slot, _ in pool), apart)
        if slot is None:
            inbox: queue.Queue = queue.Queue()
            slot = Slot(settings_of(settings, apart), number, inbox)
            pool.append((slot, inbox))
        slot.give(job)
        return next(each for each in pool if each[0] is slot)


def _forget(run: str, gone: Slot) -> None:
    with _lock:
        _slots[run] = [(slot, inbox) for slot, inbox in _slots.get(run, []) if slot is not gone]


def end_slots(run: str) -> None:
    """Kill the slots of a run on this worker."""
    with _lock:
        pool = _slots.pop(run, [])
    for slot, _ in pool:
        slot.close()
