"""What is to be run: protocol x dataset x completer x predictor x seed, as jobs that need others.

A *cell* is one (dataset, completer, predictor, seed): one number on the leaderboard. Where a
predictor has a searched parameter, the candidates are trained once per dataset, on the completer
that the protocol names, and the one with the lowest validation error is used in every cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spared_bench.bench import Bench
from spared_bench.data.views import View
from spared_bench.errors import UsageError
from spared_bench.interfaces import Job, JobKind
from spared_bench.keys.hashing import digest
from spared_bench.planning.checks import notes_on_methods, used_methods
from spared_bench.planning.views import declared_views, methods_of
from spared_bench.protocol import SMALL
from spared_bench.results import TrialResult
from spared_bench.sources.description import FACTORY as OWN
from spared_bench.sources.same_spots import not_compared
from spared_bench.specs import conflicts

#: The kind of entry that each kind of job makes.
MAKES: dict[str, str] = {
    "prepare": "prepared",
    "complete": "completed",
    "network": "networks",
    "trial": "trials",
    "score": "scores",
    "draw": "figures",
}


@dataclass(frozen=True)
class Cell:
    """One number on the board, and the trials that it takes.

    Parameters
    ----------
    dataset, completer, predictor : str
    seed : int
    search : tuple of Job
        The candidates' trials; empty where nothing is searched.
    finals : tuple of Job
        One per candidate: the trial whose result counts if that candidate is chosen.
    rungs : tuple of tuple of Job
        Shorter trials of the candidates, the shortest first: only the better third of each rung
        goes on to the next, and of the last to ``search``.
    """

    dataset: str
    completer: str
    predictor: str
    seed: int
    search: tuple[Job, ...]
    finals: tuple[Job, ...]
    rungs: tuple[tuple[Job, ...], ...] = ()

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.dataset} · {self.completer} · {self.predictor} · seed {self.seed}"

    @property
    def candidates(self) -> tuple[Job, ...]:
        """Every trial that its search may take."""
        return tuple(job for rung in self.rungs for job in rung) + self.search

    @property
    def n_candidates(self) -> int:
        """How many candidates its search has; 0 where nothing is searched."""
        return len(self.search)

    def expected(self, results: Mapping[str, TrialResult]) -> list[Job]:
        """Return the trials that are still to come, one standing for a choice that is open."""
        chosen = self.chosen(results)
        if chosen is not None:
            return [] if chosen.key in results else [chosen]
        if self.finals[0] in self.search:
            return self.wanted(results)
        return [job for job in self.search if job.key not in results] + [self.finals[0]]

    def chosen(self, results: Mapping[str, TrialResult]) -> Job | None:
        """Return the trial that counts, ``None`` while candidates are missing.

        The lowest validation error wins, the first on a tie; also where every candidate failed, so
        that the cell shows why.
        """
        if not self.search:
            return self.finals[0]
        alive = self._alive(results)
        if any(self.search[i].key not in results for i in alive):
            return None
        return self.finals[_best(self.search, alive, results, 1)[0]]

    def searched(self, results: Mapping[str, TrialResult]) -> list[str]:
        """Return the keys of all trials that its search took, short ones too."""
        return [job.key for job in self.candidates if job.key in results]

    def wanted(self, results: Mapping[str, TrialResult]) -> list[Job]:
        """Return the trials that are known to be needed and have no result, in order."""
        for rung in (*self.rungs, self.search):
            left = [i for i in self._alive(results, before=rung) if rung[i].key not in results]
            if left:
                return [rung[i] for i in left]
        chosen = self.chosen(results)
        assert chosen is not None
        return [] if chosen.key in results else [chosen]

    def _alive(
        self, results: Mapping[str, TrialResult], before: tuple[Job, ...] | None = None
    ) -> list[int]:
        """Return which candidates go into a rung; into the last one by default."""
        alive = list(range(len(self.search)))
        for rung in self.rungs:
            if rung is before:
                break
            if any(rung[i].key not in results for i in alive):
                return alive
            alive = sorted(_best(rung, alive, results, math.ceil(len(alive) / REDUCTION)))
        return alive


#: Successive halving keeps one candidate in so many, and trains those so much longer.
REDUCTION = 3


def _best(
    rung: Sequence[Job], alive: Sequence[int], results: Mapping[str, TrialResult], number: int
) -> list[int]:
    """Return the candidates of lowest validation error, the first on a tie."""
    return sorted(alive, key=lambda i: (validation_error(results[rung[i].key]), i))[:number]


def validation_error(result: TrialResult) -> float:
    """Return what a search chooses by: infinite for a failure."""
    usable = result.ok and math.isfinite(result.validation_mse)
    return result.validation_mse if usable else math.inf


@dataclass
class Plan:
    """All cells of a run.

    Parameters
    ----------
    bench : Bench
    cells : list of Cell
    unavailable : dict of str to str
        Datasets that cannot be used, and why.
    unfit : list of str
        Those of them that no download makes usable.
    left_out : list of str
        Why predictors were left out whose views the protocol refuses or no slide has, a sentence
        each.
    completers, predictors : list of str
        Those that the protocol admits, also where no dataset is there to run them on.
    """

    bench: Bench
    cells: list[Cell]
    unavailable: dict[str, str] = field(default_factory=dict)
    unfit: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    completers: list[str] = field(default_factory=list)
    predictors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._needs: dict[str, list[Job]] = {}
        self._views: dict[str, list[View]] = {}

    @property
    def warnings(self) -> list[str]:
        """What one should know of this selection before believing its averages."""
        # Those that are still to be fetched, too: it is better known before than after.
        names = dict.fromkeys([*(cell.dataset for cell in self.cells), *self.unavailable])
        return [
            *conflicts(self.bench.dataset(name) for name in names),
            *self._not_compared(names),
            *(notes_on_methods(self.bench, *self._methods) if self.cells else []),
            *self._without_gpu(),
            *(f"Left out: {reason}" for reason in self.left_out),
        ]

    def _not_compared(self, names: Iterable[str]) -> list[str]:
        """Say which datasets of one's own were added before slides were compared as they are."""
        specs = (self.bench.dataset(name) for name in names)
        own = dict.fromkeys(each.fold_of or each.name for each in specs if each.factory == OWN)
        return not_compared(self.bench.workspace.data_dir / name for name in own)

    @property
    def configurations(self) -> dict[str, str]:
        """In which configuration each method of the plan runs."""
        used = used_methods(self.bench, *self._methods)
        return {name: self.bench.chosen(kind, name).configuration for kind, name in used}

    @property
    def _methods(self) -> tuple[list[str], list[str]]:
        """The completers and the predictors of the cells."""
        return (
            list(dict.fromkeys(cell.completer for cell in self.cells)),
            list(dict.fromkeys(cell.predictor for cell in self.cells)),
        )

    @property
    def hopeless(self) -> list[str]:
        """The methods that declare a GPU (``gpu``), where the plan is for a machine without.

        A method whose small configuration is used, or whose parameters are replaced, is of another
        size than its spec speaks of.
        """
        bench = self.bench
        if not self.cells or bench.settings.device.partition(":")[0] == "cuda":
            return []
        return [
            name
            for kind, name in used_methods(bench, *self._methods)
            if getattr(bench.registry.get(kind, name).spec, "gpu", False)
            and bench.chosen(kind, name).configuration != SMALL
            and not bench.protocol.overrides.get(name)
            and not bench.settings.parameters.get(name)
        ]

    def _without_gpu(self) -> list[str]:
        slow = self.hopeless
        if not slow:
            return []
        return [
            f"{', '.join(slow)}: training without a GPU is hopeless in the published size, and"
            f" this plan is for {self.bench.settings.device!r}. Run it where there is a GPU"
            " (`--device cuda`), or leave them out with `-p` and `-c`; `--dry-run` forecasts"
            " the hours from past trials."
        ]

    def prepare_job(self, dataset: str) -> Job:
        """Return the job that makes the prepared dataset, its patches and all views of the plan."""
        views = tuple(view.as_dict() for view in self.views(dataset))
        return Job("prepare", digest(self.bench.prepared_inputs(dataset)), dataset, views=views)

    def views(self, dataset: str) -> list[View]:
        """Return what the plan's methods look at in a dataset beside the protocol's patches."""
        if dataset not in self._views:
            cells = [cell for cell in self.cells if cell.dataset == dataset]
            methods = methods_of(
                self.bench,
                dict.fromkeys(cell.completer for cell in cells),
                dict.fromkeys(cell.predictor for cell in cells),
            )
            declared = declared_views(self.bench, methods)
            self._views[dataset] = [view for view in declared if view != self.bench.patch_view]
        return self._views[dataset]

    def is_made(self, job: Job) -> bool:
        """Return whether the store has what a job makes."""
        return self.bench.workspace.store.has(MAKES[job.kind], job.key) and (
            job.kind != "prepare"
            or all(self.bench.has_view(job.dataset, view) for view in self.views(job.dataset))
        )

    def complete_job(self, dataset: str, completer: str) -> Job:
        """Return the job that makes a completed layer."""
        key = self.bench.completed_key(dataset, completer)
        return Job("complete", key, dataset, completer)

    def network_jobs(self, job: Job) -> list[Job]:
        """Return the jobs that make the networks on which a trial's predictor builds."""
        return [
            Job(
                "network",
                digest(self.bench.network_inputs(job.dataset, job.completer, stage, job.seed)),
                job.dataset,
                job.completer,
                stage.predictor,
                dict(stage.parameters),
                job.seed,
            )
            for stage in self.bench.stages(job.predictor, job.parameters).values()
        ]

    def score_job(self, job: Job) -> Job:
        """Return the job that scores the predictions of a trial."""
        return _after(job, "score", digest(self.bench.score_inputs(job.key)))

    def draw_job(self, job: Job) -> Job:
        """Return the job that draws the figures of a trial."""
        return _after(job, "draw", digest(self.bench.figure_inputs(job.key)))

    def needs(self, job: Job) -> list[Job]:
        """Return the jobs whose products this one consumes."""
        if job.key not in self._needs:
            self._needs[job.key] = self._find_needs(job)
        return self._needs[job.key]

    def _find_needs(self, job: Job) -> list[Job]:
        if job.kind in ("trial", "network"):
            networks = self.network_jobs(job) if job.kind == "trial" else []
            needs = [self.complete_job(job.dataset, job.completer), *networks]
            views = self.bench.views_of("predictor", job.predictor, job.parameters)
            return [*needs, self.prepare_job(job.dataset)] if views else needs
        return [self.prepare_job(job.dataset)] if job.kind == "complete" else []

    def shard(self, number: int, of: int) -> Plan:
        """Return one of ``of`` parts of the plan, counted from 1.

        A dataset and a predictor stay together, because their cells share a search.

        Raises
        ------
        UsageError
            If there is no such part.
        """
        if not 1 <= number <= of:
            raise UsageError(
                f"There is no shard {number} of {of}: shards are counted from 1, as in"
                f" `--shard 1/{max(of, 1)}`."
            )
        pairs = dict.fromkeys((cell.dataset, cell.predictor) for cell in self.cells)
        mine = {pair for at, pair in enumerate(pairs) if at % of == number - 1}
        cells = [cell for cell in self.cells if (cell.dataset, cell.predictor) in mine]
        return replace(self, cells=cells)


def _after(job: Job, kind: JobKind, key: str) -> Job:
    """Return a job that makes something of a trial once it is known to count."""
    return replace(job, kind=kind, key=key, trial=job.key, parameters={}, attempt=0, micro_batch=0)
