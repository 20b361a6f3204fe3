"""An executor of somebody else: what it raises, or answers wrongly, is told in its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from spared_bench.errors import ExecutorError, SparedBenchError, told_with_place
from spared_bench.interfaces import Executor, Job, Outcome
from spared_bench.registry import Registered


class OfOthers:
    """Asks another executor, and says whose fault it is where that fails.

    Parameters
    ----------
    entry : Registered
    make : callable
        Starts it.

    Raises
    ------
    ExecutorError
        Here and in ``submit`` and ``wait``, of whatever it raises and does not mean for people.
    """

    def __init__(self, entry: Registered, make: Callable[[], Executor]) -> None:
        self._name = f"Executor {entry.spec.name!r} of {entry.plugin.distribution}"
        self._open: set[str] = set()
        with self._named("when it is started"):
            self._executor = make()
            self.note = str(getattr(self._executor, "note", ""))

    @property
    def capacity(self) -> int:
        """How many jobs it takes at once."""
        with self._named("when its `capacity` is asked for"):
            return int(self._executor.capacity)

    def submit(self, job: Job) -> None:
        """Hand on a job."""
        with self._named("in `submit`"):
            self._executor.submit(job)
        self._open.add(job.name)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Return what has ended, if these are outcomes of jobs that it has."""
        with self._named("in `wait`"):
            ended: Any = self._executor.wait(timeout)
        if not isinstance(ended, list | tuple):
            self._refuse(ended)
        for each in ended:
            if not isinstance(each, Outcome) or each.job.name not in self._open:
                self._refuse(each)
            self._open.remove(each.job.name)
        return list(ended)

    def close(self) -> None:
        """End it."""
        with self._named("in `close`"):
            self._executor.close()

    def _refuse(self, answer: Any) -> None:
        raise ExecutorError(
            f"{self._name} answered {answer!r:.200} in `wait`; expected a list with one `Outcome`"
            " for each submitted job that has ended."
        )

    @contextmanager
    def _named(self, when: str) -> Iterator[None]:
        try:
            yield
        except SparedBenchError:
            raise
        except Exception as error:
            raise ExecutorError(
                f"{self._name} failed {when}: {told_with_place(error)}. What has finished is in the"
                " store; the same command goes on from there, or another `--executor` does."
            ) from error
