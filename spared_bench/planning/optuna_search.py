"""A search that asks Optuna what to try next, one candidate after the other.

The orchestrator alone asks. What is proposed depends on the results before and on a seed made of
names, so that a run that is resumed, or done by other workers, asks for the same. As many
candidates are tried as the method's grid has, so that the budget is that of a grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from spared_bench.bench import Bench
from spared_bench.errors import UsageError
from spared_bench.files import replacing
from spared_bench.interfaces import Job
from spared_bench.keys.hashing import digest
from spared_bench.planning.plan import Cell, validation_error
from spared_bench.results import TrialResult

if TYPE_CHECKING:
    import optuna


@dataclass
class Asked:
    """The candidates of one dataset and predictor, as far as they have been asked for.

    Parameters
    ----------
    bench : Bench
    dataset, predictor, completer : str
    fixed : dict
        Parameters that are not searched.
    spaces : dict of str to (float, float)
        The lowest and the highest value of each searched parameter; above 0 it is searched by its
        logarithm.
    n_candidates : int
    """

    bench: Bench
    dataset: str
    predictor: str
    completer: str
    fixed: dict[str, Any]
    spaces: dict[str, tuple[float, float]]
    n_candidates: int
    jobs: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._study: optuna.Study | None = None
        self._told = 0

    def known(self, results: Mapping[str, TrialResult]) -> list[Job]:
        """Return all candidates that can be asked for by now, the last one maybe without result."""
        while len(self.jobs) < self.n_candidates and all(job.key in results for job in self.jobs):
            self._tell(results)
            parameters = self._ask()
            self.jobs.append(self.job(self.completer, parameters, self.bench.protocol.seeds[0]))
        if self._told < self.n_candidates and all(job.key in results for job in self.jobs):
            self._tell(results)
            self._write_journal()
        return self.jobs

    def job(self, completer: str, parameters: dict[str, Any], seed: int) -> Job:
        """Return the trial of these parameters."""
        names = (self.dataset, completer, self.predictor)
        key = digest(self.bench.trial_inputs(*names, parameters, seed))
        return Job("trial", key, *names, parameters, seed)

    def _tell(self, results: Mapping[str, TrialResult]) -> None:
        import optuna

        study = self._opened()
        for job in self.jobs[self._told :]:
            error = validation_error(results[job.key])
            failed = not math.isfinite(error)
            study.add_trial(
                optuna.trial.create_trial(
                    params={name: job.parameters[name] for name in self.spaces},
                    distributions=self._distributions(),
                    value=None if failed else error,
                    state=optuna.trial.TrialState.FAIL
                    if failed
                    else optuna.trial.TrialState.COMPLETE,
                    user_attrs={"trial": job.key},
                )
            )
        self._told = len(self.jobs)

    def _ask(self) -> dict[str, Any]:
        """Return the next candidate: by a sampler made anew, whose seed is that of its number."""
        import optuna

        number = len(self.jobs)
        startup = max(2, self.n_candidates // 2)
        seed = self.bench.seed_of("search", self.dataset, self.predictor, number)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
        study = optuna.create_study(sampler=sampler)
        study.add_trials(self._opened().get_trials(deepcopy=False))
        return {**self.fixed, **study.ask(self._distributions()).params}

    def _distributions(self) -> dict[str, Any]:
        import optuna

        return {
            name: optuna.distributions.FloatDistribution(low, high, log=low > 0)
            for name, (low, high) in self.spaces.items()
        }

    def _opened(self) -> optuna.Study:
        if self._study is None:
            optuna = _import_optuna()
            names = [self.bench.protocol.id, self.dataset, self.predictor]
            self._study = optuna.create_study(study_name=" / ".join(names))
        return self._study

    def _write_journal(self) -> None:
        """Write the whole search where Optuna's own tools can read it, replacing an older one."""
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        study = self._opened()
        path = self.bench.workspace.root / "searches" / f"{digest(study.study_name)[:16]}.log"
        # For looking at; the results are in the store.
        with suppress(OSError), replacing(path) as beside:
            lock = JournalFileOpenLock(str(beside))
            backend = JournalFileBackend(str(beside), lock_obj=lock)
            storage = optuna.storages.JournalStorage(backend)
            optuna.create_study(storage=storage, study_name=study.study_name).add_trials(
                study.get_trials(deepcopy=False)
            )


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            "This protocol searches with Optuna, which is not installed: `pip install optuna`."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@dataclass(frozen=True)
class AskedCell(Cell):
    """A cell whose candidates are not known before they are asked for.

    ``search`` and ``finals`` are empty; ``asked`` stands for them.
    """

    asked: Asked | None = None

    def _asked(self) -> Asked:
        assert self.asked is not None
        return self.asked

    @property
    def candidates(self) -> tuple[Job, ...]:
        """The trials that were asked for so far."""
        return tuple(self._asked().jobs)

    @property
    def n_candidates(self) -> int:
        """How many will be asked for."""
        return self._asked().n_candidates

    def expected(self, results: Mapping[str, TrialResult]) -> list[Job]:
        """Return the trials that are still to come; what is not yet asked for has a stand-in."""
        chosen = self.chosen(results)
        if chosen is not None:
            return [] if chosen.key in results else [chosen]
        asked = self._asked()
        ours = (self.completer, self.seed) == (asked.completer, asked.bench.protocol.seeds[0])
        done = sum(job.key in results for job in asked.jobs)
        last = asked.jobs[-1]
        names = [f"{last.key}-{number}" for number in range(done, asked.n_candidates)]
        final = [] if ours else [f"{last.key}-{self.completer}-{self.seed}"]
        return [replace(last, key=name) for name in names + final]

    def chosen(self, results: Mapping[str, TrialResult]) -> Job | None:
        """Return the trial that counts, ``None`` while candidates are missing."""
        asked = self._asked()
        jobs = asked.known(results)
        if len(jobs) < asked.n_candidates or any(job.key not in results for job in jobs):
            return None
        errors = [validation_error(results[job.key]) for job in jobs]
        best = jobs[errors.index(min(errors))]
        return asked.job(self.completer, best.parameters, self.seed)

    def wanted(self, results: Mapping[str, TrialResult]) -> list[Job]:
        """Return the candidate to be tried next, or the trial that counts."""
        jobs = [job for job in self._asked().known(results) if job.key not in results]
        chosen = None if jobs else self.chosen(results)
        return jobs if chosen is None or chosen.key in results else [chosen]
