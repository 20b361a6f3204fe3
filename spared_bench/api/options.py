"""How a plan is carried out: what a run may be told, none of which moves a score."""

from __future__ import annotations

from dataclasses import dataclass, field

from spared_bench.bench import Limits
from spared_bench.errors import UsageError
from spared_bench.threads import usable_cores

_MAX_DEFAULT_WORKERS = 16


@dataclass(frozen=True)
class RunOptions:
    """How a plan is carried out; none of it moves a score.

    Parameters
    ----------
    executor : str
        Name of a registered executor.
    workers : int, optional
        One per core by default, divided by the threads of a trial.
    limits : Limits
        Of time and memory.
    cluster : str
        For executors beyond this machine: an address, or a YAML file.
    retry_failed, retry_quarantined : bool
        Try trials again that failed before; also those that killed their process every time.
    fail_fast : bool
        Begin nothing new after the first failure.
    breaker : int
        Failures in a row after which a predictor's other trials are held back; 0: never.
    track : bool
        Log to MLflow and build the page; else ``track sync`` and ``leaderboard build`` do later.
    figures : bool
        Draw the figures of the trials that count.
    board : bool
        Whether the cells are those of the protocol that the plan names, and so come to its board.
        Variants of it, as a study runs them, do not.
    """

    executor: str = "local"
    workers: int | None = None
    limits: Limits = field(default_factory=Limits)
    cluster: str = ""
    retry_failed: bool = False
    retry_quarantined: bool = False
    fail_fast: bool = False
    breaker: int = 5
    track: bool = True
    figures: bool = True
    board: bool = True

    def __post_init__(self) -> None:
        workers = self.workers
        if workers is not None and (not isinstance(workers, int) or workers < 1):
            raise UsageError(
                f"`workers` is {workers!r}; expected a whole number of at least 1. Leave it out for"
                " one per core."
            )


def default_workers(threads: int) -> int:
    """Return one worker per usable core, divided by the threads of a trial."""
    return max(1, min(_MAX_DEFAULT_WORKERS, usable_cores() // threads))
