"""The hooks: the plugin API on one screen.

A plugin is a module, named by an entry point of the group ``spared_bench``, whose functions carry
``@spared_bench.hookimpl`` and one of the names below. All return a list of specs, which are cheap;
the objects behind them are imported when they are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from spared_bench.specs import (
    CompleterSpec,
    DatasetSpec,
    EncoderSpec,
    ExecutorSpec,
    MetricSpec,
    PredictorSpec,
    ProtocolSpec,
    StudySpec,
)

if TYPE_CHECKING:
    from spared_bench.results import TrialResult

PROJECT = "spared_bench"

#: Version of this page. A plugin may set ``requires_api = 1`` in its module; another number than
#: ours quarantines it with a message instead of failing later.
API_VERSION = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def spared_bench_datasets() -> Sequence[DatasetSpec]:  # type: ignore[empty-body]
    """Return the datasets of this plugin."""


@hookspec
def spared_bench_completers() -> Sequence[CompleterSpec]:  # type: ignore[empty-body]
    """Return the completers of this plugin."""


@hookspec
def spared_bench_predictors() -> Sequence[PredictorSpec]:  # type: ignore[empty-body]
    """Return the predictors of this plugin."""


@hookspec
def spared_bench_metrics() -> Sequence[MetricSpec]:  # type: ignore[empty-body]
    """Return the metrics of this plugin."""


@hookspec
def spared_bench_protocols() -> Sequence[ProtocolSpec]:  # type: ignore[empty-body]
    """Return the protocols of this plugin."""


@hookspec
def spared_bench_executors() -> Sequence[ExecutorSpec]:  # type: ignore[empty-body]
    """Return the executors of this plugin."""


@hookspec
def spared_bench_encoders() -> Sequence[EncoderSpec]:  # type: ignore[empty-body]
    """Return the frozen encoders of this plugin."""


@hookspec
def spared_bench_studies() -> Sequence[StudySpec]:  # type: ignore[empty-body]
    """Return the studies of this plugin."""


@hookspec
def spared_bench_run_started(plan: Any) -> None:
    """Observe that a run begins; ``plan`` is a ``spared_bench.planning.plan.Plan``.

    Observers are called in the process of the command, so ``spared-bench run`` calls those of
    distributions (or of files) that bring nothing else.
    """


@hookspec
def spared_bench_trial_finished(result: TrialResult) -> None:
    """Observe that a trial has a result, good or bad, new or found in the store."""


@hookspec
def spared_bench_run_finished(plan: Any, results: Sequence[TrialResult]) -> None:
    """Observe that a run has ended, with all its results."""
