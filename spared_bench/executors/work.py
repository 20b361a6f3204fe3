"""What every executor does with a job once it is in the right process."""

from __future__ import annotations

import time
import traceback

from spared_bench.bench import Bench
from spared_bench.errors import MismatchError, WorkspaceError, in_words
from spared_bench.interfaces import Outcome, Report
from spared_bench.plan import Job
from spared_bench.runner import run_job
from spared_bench.slate import clean_slate


def do_job(bench: Bench, job: Job, report: Report | None = None) -> Outcome:
    """Do one job and tell what became of it; only an interrupt gets through."""
    started = time.perf_counter()
    try:
        with clean_slate(bench.settings.threads):
            result = run_job(bench, job, report)
    except WorkspaceError as error:
        return Outcome(job, "unwritable", str(error), traceback.format_exc())
    except MismatchError as error:
        return Outcome(job, "refused", str(error), traceback.format_exc())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Outcome(job, "error", *in_words(error))
    took = time.perf_counter() - started
    worked = result.seconds.get("total", took) if result is not None else took
    return Outcome(job, result=result, overhead=max(took - worked, 0.0))
