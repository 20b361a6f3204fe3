"""What a stranger's job shares with others, made before any code of the stranger is imported.

Once it is, whatever is made in that process may be something else than it is called. A plan makes
what its jobs need before them, but patches may be missing where a dataset was only completed, and
anything may have been damaged or taken away since.
"""

from __future__ import annotations

from contextlib import suppress

from spared_bench.apart import DiedError, FailedError
from spared_bench.bench import Bench
from spared_bench.errors import CorruptEntryError, SparedBenchError
from spared_bench.interfaces import Job
from spared_bench.keys.hashing import digest
from spared_bench.planning.images import slides_without_image
from spared_bench.trials.completed import make_completed
from spared_bench.trials.fresh_reader import with_reader
from spared_bench.trials.products import make_dataset

_SECONDS = 6 * 3600.0  # the largest datasets take minutes


def make_shared(bench: Bench, job: Job) -> None:
    """Make what of a job's products others use, too, and the store lacks, in a fresh interpreter.

    What cannot be made is told by the job, which finds it missing.

    Parameters
    ----------
    bench : Bench
        Of a process that has imported no code of strangers.
    job : Job
        With a stranger's method.
    """
    completer = job.completer if _is_ours(bench, job) and job.kind != "complete" else ""
    with suppress(SparedBenchError):
        if _lacks(bench, job.dataset, completer):
            with suppress(DiedError, FailedError):
                with_reader(
                    bench, job.dataset, f"{__name__}:make_here", _SECONDS, completer=completer
                )


def read_by_others(bench: Bench, dataset: str) -> None:
    """Make what the store lacks of a dataset whose reader this process is only told of.

    Raises
    ------
    FailedError, DiedError
        If its reader raised, or ended its process.
    """
    if bench.registry.get("dataset", dataset).told is not None and _lacks(bench, dataset, ""):
        with_reader(bench, dataset, f"{__name__}:make_here", _SECONDS, completer="")


def make_here(bench: Bench, dataset: str, completer: str) -> None:
    """Make a prepared dataset, its patches, and a completed layer where one is named."""
    make_dataset(bench, dataset)
    if completer:
        make_completed(bench, dataset, completer)


def _is_ours(bench: Bench, job: Job) -> bool:
    return bench.registry.get("completer", job.completer).plugin.is_ours


def _lacks(bench: Bench, dataset: str, completer: str) -> bool:
    wanted = [("prepared", digest(bench.prepared_inputs(dataset)))]
    if completer:
        wanted.append(("completed", bench.completed_key(dataset, completer)))
    if not slides_without_image(bench, dataset):
        view = bench.patch_view
        wanted.append((bench.view_kind(view), digest(bench.view_inputs(dataset, view))))
    return not all(_is_sound(bench, *each) for each in wanted)


def _is_sound(bench: Bench, kind: str, key: str) -> bool:
    try:
        return bench.workspace.store.open(kind, key) is not None
    except CorruptEntryError:
        return False
