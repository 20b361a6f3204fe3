"""What every executor does with a job once it is in the right process."""

from __future__ import annotations

import time
import traceback
from functools import cache, partial

from spared_bench.bench import Bench
from spared_bench.data.views import View
from spared_bench.errors import CorruptEntryError, MismatchError, WorkspaceError, in_words
from spared_bench.executors.isolation import clean_slate
from spared_bench.interfaces import Job, Outcome, Report
from spared_bench.models.weights_folder import downloads
from spared_bench.reports.slide_checks import check_slides
from spared_bench.reports.slide_pictures import draw_slides
from spared_bench.reports.trial_figures import draw_figures
from spared_bench.results import TrialResult
from spared_bench.store.disk import is_lost, with_loss
from spared_bench.trials.completed import make_completed
from spared_bench.trials.own_folder import own_folder
from spared_bench.trials.products import make_dataset
from spared_bench.trials.raw_slides import read_raw_slides
from spared_bench.trials.runner import run_trial
from spared_bench.trials.scores import make_scores
from spared_bench.trials.stages import make_network


def do_job(bench: Bench, job: Job, report: Report | None = None) -> Outcome:
    """Do one job and tell what became of it; only an interrupt gets through."""
    started = time.perf_counter()
    try:
        with (
            clean_slate(bench.settings.threads),
            downloads(allowed=not bench.settings.offline),
            own_folder(bench, job),
        ):
            result = run_job(bench, job, report)
    except WorkspaceError as error:
        # What a trial left is its own matter; another damaged entry is many trials'.
        own = isinstance(error, CorruptEntryError) and job.kind in ("score", "draw")
        status = "damaged" if own else "unwritable"
        return Outcome(job, status, str(error), traceback.format_exc())
    except MismatchError as error:
        return Outcome(job, "mismatch", str(error), traceback.format_exc())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        message, story = in_words(error)
        if is_lost(error):
            return Outcome(job, "unwritable", with_loss(message), story)
        return Outcome(job, "error", message, story)
    took = time.perf_counter() - started
    worked = result.seconds.get("total", took) if result is not None else took
    return Outcome(job, result=result, overhead=max(took - worked, 0.0))


def run_job(bench: Bench, job: Job, report: Report | None = None) -> TrialResult | None:
    """Do one job; return the result if it is a trial.

    Raises
    ------
    SparedBenchError
        From a product; a trial's own failure is a result.
    """
    if job.kind == "prepare":
        _prepare(bench, job)
    elif job.kind == "complete":
        make_completed(bench, job.dataset, job.completer)
    elif job.kind == "network":
        make_network(bench, job, report)
    elif job.kind == "score":
        make_scores(bench, job)
    elif job.kind == "draw":
        draw_figures(bench, job)
    else:
        return run_trial(bench, job, report)
    return None


def _prepare(bench: Bench, job: Job) -> None:
    """Prepare a dataset, and look at its slides while they are at hand.

    Those of a stranger's dataset are looked at where no code of a method runs beside its reader's.
    """
    slides = cache(partial(read_raw_slides, bench, job.dataset))
    make_dataset(bench, job.dataset, [View(**values) for values in job.views], slides)
    if bench.registry.get("dataset", job.dataset).plugin.is_ours:
        check_slides(bench, job.dataset, slides)
        draw_slides(bench, job.dataset, slides)
