"""A worker process: jobs come as JSON lines on its input, what became of them goes to its output.

It does them itself, one after the other, and imports our own plugins only; or (``limits.isolate``)
it forks a child for each, which starts with our imports done and a state that no other job has
touched, and which imports the strangers' plugins that its job needs. What a plugin prints goes to
the standard error output, which its parent keeps as a log. When the input ends, the parent is gone,
however that came about, and the worker ends at once.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import queue
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from spared_bench.apart import adopt_orphans, end_what_is_left, end_with, hear_of_children

if TYPE_CHECKING:
    from spared_bench.bench import Bench

_REAP_SECONDS = 0.02
#: How a forked child ends that has told its answer; any other end, status 0 too, is a death.
_TOLD = 77
#: Modules of ours whose code the keys of every trial name, of its scores and of its figures.
OF_KEYS = (
    *("spared_bench.processing.pipeline", "spared_bench.processing.patches"),
    *("spared_bench.metrics.scoring", "spared_bench.metrics.mse", "spared_bench.reports.quality"),
    *("spared_bench.reports.calibration", "spared_bench.reports.expression_map"),
)
#: What fits something, for which torch is there and seeded; a method may import it on its way.
_FITS = ("complete", "network", "trial")


class Answers:
    """The way back to the parent: one JSON line per message."""

    def __init__(self) -> None:
        self.token = ""  # of the job that messages are about
        self._stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(self, **message: Any) -> None:
        """Send a message, on a line of its own even after half of another."""
        self._stream.write("\n" + json.dumps(message | {"token": self.token}) + "\n")
        self._stream.flush()


class Jobs:
    """The lines of the input, read without a thread, so that this process can fork.

    They are read from a file of our own: what a method reads from standard input is empty.
    """

    def __init__(self) -> None:
        self.file = os.dup(sys.stdin.fileno())
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, sys.stdin.fileno())
        os.close(nothing)
        self._rest = b""
        self.ended = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while not self.ended:
            line, found, rest = self._rest.partition(b"\n")
            if found:
                self._rest = rest
                yield json.loads(line)
            else:
                self.read()

    def read(self) -> None:
        """Wait for more of the input, or its end."""
        part = os.read(self.file, 1 << 16)
        self._rest += part
        self.ended = not part


def main() -> None:
    """Serve jobs until the input ends."""
    faulthandler.enable()
    hear_of_children()
    answers, jobs = Answers(), Jobs()
    settings = next(iter(jobs), None)
    if settings is None:
        return
    from spared_bench.threads import use_threads

    use_threads(settings["threads"])
    with no_garbage():
        from spared_bench.bench import Settings
        from spared_bench.executors.strangers import own_bench
        from spared_bench.trials.environment import remember

        told = Settings.from_dict(settings)
        bench = own_bench(told)
    if not _has_plugins(bench, answers):
        return
    with no_garbage():
        import_what_jobs_need()
        remember()
        if told.limits.isolate:
            read_own_code()
    answers.tell(type="ready")
    if told.limits.isolate:
        _serve_forked(bench, jobs, answers)
    else:
        _serve(bench, jobs, answers)


def import_what_jobs_need() -> None:
    """Import what every job needs, before the time of the first begins."""
    import anndata  # noqa: F401

    import spared_bench.executors.strangers
    import spared_bench.executors.work
    import spared_bench.trials.environment  # noqa: F401


def read_own_code() -> None:
    """Read what keys say of our own code, once for all that is forked from this process."""
    from spared_bench.keys.code import code_hash

    for module in OF_KEYS:
        code_hash(module)


def _has_plugins(bench: Bench, answers: Answers) -> bool:
    """Refuse to work with other plugins than the plan's; strangers' are looked at in a child."""
    from spared_bench import sandbox
    from spared_bench.bench import Bench
    from spared_bench.executors.plugin_lock import differences

    def refuses(bench: Bench, wanted: dict[str, str]) -> bool:
        problem = differences(bench, wanted)
        if problem:
            answers.tell(type="refused", message=problem)
        return bool(problem)

    settings = bench.settings
    strangers = settings.strangers or {}
    strict = settings.limits.strict and strangers
    if strict and (reason := sandbox.why_unavailable()):
        answers.tell(type="refused", message=f"`--isolate strict` is not available: {reason}.")
        return False
    if strict or not settings.limits.isolate:  # of a strict run the code is looked at shut in
        ours = {name: each for name, each in settings.plugins.items() if name not in strangers}
        return not refuses(bench, ours)
    if not settings.plugins:
        return True
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        end_with(parent)
        os._exit(1 if refuses(Bench(settings), settings.plugins) else 0)
    return os.waitpid(child, 0)[1] == 0


def _serve(bench: Bench, jobs: Jobs, answers: Answers) -> None:
    """Do every job in this process; a thread notices when the input ends."""
    waiting: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        for job in jobs:
            waiting.put(job)
        _end_all()

    threading.Thread(target=read, daemon=True).start()
    while True:
        given = waiting.get()
        answers.token = given["token"]
        if given["job"]["kind"] in _FITS:
            _import_torch(bench)
        _do(bench, given["job"], answers)


def _do(bench: Bench, values: dict[str, Any], answers: Answers) -> None:
    """Do a job and tell what became of it; a process that a method forked does not tell."""
    from spared_bench.executors.work import do_job
    from spared_bench.interfaces import Job

    def report(step: int, values: dict[str, float]) -> None:
        told = {str(name): float(value) for name, value in values.items()}
        answers.tell(type="progress", step=int(step), values=told)

    process = os.getpid()
    outcome = do_job(bench, Job(**values), report)
    if os.getpid() != process:
        os._exit(0)
    answers.tell(
        type="done",
        status=outcome.status,
        message=outcome.message,
        traceback=outcome.traceback,
        result=outcome.result.as_dict() if outcome.result else None,
        overhead=outcome.overhead,
    )


def _serve_forked(bench: Bench, jobs: Jobs, answers: Answers) -> None:
    """Do every job in a child process; of the parent's state it sees only imports."""
    adopt_orphans()
    for given in jobs:
        answers.token = given["token"]
        _import_factories(bench, given["job"])
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            end_with(parent)
            os.close(jobs.file)  # the jobs of others
            answers.tell(type="forked", pid=os.getpid())
            _do_apart(bench, given["job"], answers)
            os._exit(_TOLD)
        code = _reap(child, jobs)
        end_what_is_left()
        if code == _TOLD:
            answers.tell(type="ended", code=code)
        else:
            answers.tell(type="died", code=code)


def _do_apart(own: Bench, values: dict[str, Any], answers: Answers) -> None:
    from spared_bench.errors import in_words
    from spared_bench.executors.strangers import bench_for
    from spared_bench.interfaces import Job

    process = os.getpid()
    try:
        bench = bench_for(own, Job(**values))
    except BaseException as error:  # from a stranger's module, which is imported here
        message, where = in_words(error)
        failed = {"status": "error", "message": message, "traceback": where}
        answers.tell(type="done", result=None, overhead=0.0, **failed)
        return
    finally:
        if os.getpid() != process:
            os._exit(0)
    _do(bench, values, answers)


def _import_factories(bench: Bench, values: dict[str, Any]) -> None:
    """Import what the job will need of our own; what goes wrong here is told by the child."""
    # A stranger's metric is shown what it was shown in every release: a torch with its threads set.
    if values["kind"] in (*_FITS, "score"):
        _import_torch(bench)
    with no_garbage():
        for kind in ("dataset", "completer", "predictor"):
            if values[kind]:
                with suppress(Exception):
                    bench.registry.get(kind, values[kind]).load()


def _reap(child: int, jobs: Jobs) -> int:
    """Wait for a child, and end it if our own parent goes; return how it ended."""
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        with _ending_of(child) as watched:
            readable, _, _ = select.select([jobs.file, *watched], [], [], _patience(watched))
        if jobs.file in readable:
            jobs.read()
        if jobs.ended:
            _end_all()


def _end_all() -> None:
    """End this process and all that methods have started in its group, which is its own."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


class _ending_of:
    """A file that becomes readable when a child ends, where the system has such files."""

    def __init__(self, child: int) -> None:
        opened: Callable[[int], int] | None = getattr(os, "pidfd_open", None)
        try:
            self._files = [opened(child)] if opened else []
        except OSError:
            self._files = []

    def __enter__(self) -> list[int]:
        return self._files

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            os.close(file)


def _patience(watched: list[int]) -> float | None:
    return None if watched else _REAP_SECONDS


def _import_torch(bench: Bench) -> None:
    """Import torch, a second's work that preparing, scores and figures do without."""
    if "torch" not in sys.modules:
        with no_garbage():
            import torch
        torch.set_num_threads(bench.settings.threads)


@contextmanager
def no_garbage() -> Iterator[None]:
    """Look for no garbage while modules are imported, which stay: a quarter of the time.

    Nor is it looked for among them later, which would copy their pages into every child.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


if __name__ == "__main__":
    main()
