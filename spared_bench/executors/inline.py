"""Jobs in this process, one after the other: for debugging."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from spared_bench.bench import Bench, Limits, Settings
from spared_bench.errors import UsageError
from spared_bench.executors.callers_threads import remember_threads
from spared_bench.executors.cluster_file import refuse_cluster
from spared_bench.executors.work import do_job
from spared_bench.interfaces import Job, Outcome
from spared_bench.threads import use_threads


class InlineExecutor:
    """Runs a job when its outcome is asked for.

    Parameters
    ----------
    settings : Settings
    workers : int
        Ignored: there is one.
    progress : callable
        ``progress(job, step, values)``.
    """

    capacity = 1

    @staticmethod
    def works_here(cluster: str) -> bool:
        """Return whether jobs run on this machine."""
        return True

    @staticmethod
    def check(limits: Limits, cluster: str) -> None:
        """Refuse limits, which need another process, and a cluster."""
        refuse_cluster("inline", cluster)
        if limits != Limits():
            raise UsageError(
                "`--executor inline` does everything in one process, which cannot end a trial for"
                " its time or memory, nor isolate it, nor take several GPUs. Use `--executor"
                " local`."
            )

    def __init__(
        self, settings: Settings, workers: int, progress: Callable[[Job, int, dict], None]
    ) -> None:
        self.check(settings.limits, settings.cluster)
        self._bench = Bench(settings)
        self._progress = progress
        self._waiting: deque[Job] = deque()
        self._set_threads_back = remember_threads()  # the process is the caller's
        use_threads(settings.threads)

    def submit(self, job: Job) -> None:
        """Take a job."""
        self._waiting.append(job)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Do the next job, however long it takes."""
        job = self._waiting.popleft()
        return [do_job(self._bench, job, lambda step, values: self._progress(job, step, values))]

    def close(self) -> None:
        """Forget what was not begun, and give the process its threads back."""
        self._waiting.clear()
        self._set_threads_back()
