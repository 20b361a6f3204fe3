"""What a stranger's job builds on, made before any code of the stranger is imported.

A plan makes these before the job, each in a process of its own; but anything may have been damaged
or taken away since, and once the stranger's code is imported, what is made there may be something
else than it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from spared_bench.apart import DiedError, FailedError, do_apart
from spared_bench.bench import Bench
from spared_bench.errors import CorruptEntryError, SparedBenchError
from spared_bench.interfaces import Job
from spared_bench.keys.hashing import digest

_FOLDERS = {"complete": "completed", "network": "networks"}


def make_needs(own: Bench, job: Job, bench_for: Callable[[Bench, Job], Bench]) -> None:
    """Make the completed layer and the networks of a job that the store lacks, each in a child.

    What cannot be made is told by the job, which finds it missing.

    Parameters
    ----------
    own : Bench
        Of a process that has imported no code of strangers.
    job : Job
    bench_for : callable
        Returns the bench of a child, with the plugins of what it makes.
    """
    from spared_bench.executors.work import run_job

    def make(need: Job) -> None:  # what it returns stays in the child
        run_job(bench_for(own, need), need)

    with suppress(SparedBenchError):
        for need in _needs(own, job):
            if not _is_sound(own, need):
                with suppress(DiedError, FailedError):
                    do_apart(partial(make, need))


def _needs(bench: Bench, job: Job) -> Iterator[Job]:
    if job.kind in ("network", "trial"):
        key = bench.completed_key(job.dataset, job.completer)
        yield Job("complete", key, job.dataset, job.completer)
    if job.kind == "trial":
        for stage in bench.stages(job.predictor, job.parameters).values():
            key = digest(bench.network_inputs(job.dataset, job.completer, stage, job.seed))
            of = (stage.predictor, dict(stage.parameters), job.seed)
            yield Job("network", key, job.dataset, job.completer, *of)


def _is_sound(bench: Bench, job: Job) -> bool:
    try:
        return bench.workspace.store.open(_FOLDERS[job.kind], job.key) is not None
    except CorruptEntryError:
        return False
