"""How a run shows itself: a live table on a terminal, plain or JSON lines elsewhere."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spared_bench.cli.common import in_terminal
from spared_bench.harmless import harmless
from spared_bench.interfaces import Job, Outcome
from spared_bench.planning.plan import Plan
from spared_bench.results import nan_to_none
from spared_bench.running.run_file import RunFile

_VERBS = {
    "prepare": "prepared",
    "complete": "completed",
    "network": "trained",
    "score": "scored",
    "draw": "drawn",
    "trial": "",
}
#: Made of every trial that counts, whose line has told of it.
_QUIET = ("score", "draw")


class LineWatcher:
    """One line per finished job, and a file for other shells.

    Parameters
    ----------
    console : Console
        Where to write; standard error, so that ``--json`` owns standard output.
    run_file : RunFile, optional
        For ``spared-bench status``.
    """

    def __init__(self, console: Console, run_file: RunFile | None = None) -> None:
        self.console = console
        self._file = run_file
        self._open = 0
        self._done = 0
        self._failed = 0

    def planned(self, open_trials: int) -> None:
        """Remember how many trials are left."""
        self._open = open_trials
        if self._file is not None:
            self._file.planned(open_trials)

    def started(self, job: Job) -> None:
        """Say nothing: the line comes when there is something to tell."""
        if self._file is not None:
            self._file.started(job)

    def progress(self, job: Job, step: int, values: dict[str, float]) -> None:
        """Say nothing."""
        if self._file is not None:
            self._file.progress(job, step, values)

    def finished(self, outcome: Outcome) -> None:
        """Write a line."""
        self._count(outcome)
        if outcome.job.kind not in _QUIET or outcome.status != "ok":
            self.log(self._line(outcome))

    def waiting(self, message: str) -> None:
        """Say for whom the run waits."""
        if self._file is not None:
            self._file.waiting(message)
        if message:
            self.log(f"Waiting for another run: {message}.")

    def log(self, line: str) -> None:
        """Write a line."""
        self.console.print(harmless(line), highlight=False, markup=False, soft_wrap=True)

    def _count(self, outcome: Outcome) -> None:
        if outcome.job.kind == "trial":
            self._done += 1
            self._failed += went_wrong(outcome)
        if self._file is not None:
            self._file.finished(outcome)

    def _line(self, outcome: Outcome) -> str:
        result = outcome.result
        if outcome.job.kind != "trial":
            verb = _VERBS[outcome.job.kind]
            failed = f"{outcome.status}: {in_terminal(outcome.message)}"
            return f"          {outcome.job.label}  {verb if outcome.status == 'ok' else failed}"
        left = max(self._open - 1, 0)
        count = f"[{self._done:>3} done, {left} left]"
        if result is None or not result.ok:
            status = result.status if result else outcome.status
            message = result.message if result else outcome.message
            return f"{count} {outcome.job.label}  {status}: {in_terminal(message)}"
        seconds = result.seconds.get("total", math.nan)
        error = f"validation MSE {result.validation_mse:.4f}"
        return f"{count} {outcome.job.label}  {error}  {seconds:.1f} s"

    def __enter__(self) -> LineWatcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def went_wrong(outcome: Outcome) -> bool:
    """Whether a job has failed, by its outcome or by its result."""
    result = outcome.result
    return outcome.status != "ok" or (result is not None and not result.ok)


class JsonWatcher(LineWatcher):
    """One JSON object per line and event: ``planned``, ``started``, ``progress``, ``finished``."""

    def planned(self, open_trials: int) -> None:
        """Tell how many trials are left, where that has changed."""
        if open_trials != self._open:
            self._tell("planned", left=open_trials)
        super().planned(open_trials)

    def started(self, job: Job) -> None:
        """Tell which job."""
        super().started(job)
        self._tell("started", **_facts(job))

    def progress(self, job: Job, step: int, values: dict[str, float]) -> None:
        """Tell how far it is."""
        super().progress(job, step, values)
        self._tell("progress", **_facts(job), step=step, values=values)

    def finished(self, outcome: Outcome) -> None:
        """Tell how it ended."""
        self._count(outcome)
        result = outcome.result
        told: dict[str, Any] = {"status": outcome.status, "message": outcome.message}
        if result is not None:
            told = {
                "status": result.status,
                "message": result.message,
                "seconds": result.seconds,
                "validation_mse": result.validation_mse,
            }
        self._tell("finished", **_facts(outcome.job), **told)

    def log(self, line: str) -> None:
        """Tell what else there is to say."""
        self._tell("log", message=line)

    def _tell(self, event: str, **facts: Any) -> None:
        line = json.dumps(
            {"time": time.time(), "event": event, **nan_to_none(facts)}, default=float
        )
        self.console.file.write(line + "\n")
        self.console.file.flush()


def _facts(job: Job) -> dict[str, Any]:
    return {
        "key": job.key,
        "kind": job.kind,
        "dataset": job.dataset,
        "completer": job.completer,
        "predictor": job.predictor,
        "parameters": job.parameters,
        "seed": job.seed,
        "attempt": job.attempt,
    }


class LiveWatcher(LineWatcher):
    """A table of what every worker does, and lines only for failures."""

    def __init__(self, console: Console, run_file: RunFile | None = None) -> None:
        super().__init__(console, run_file)
        self._running: dict[str, tuple[Job, str, float]] = {}
        self._rows: list[str] = []
        self._begun = time.monotonic()
        self._live = Live(
            console=console, transient=True, get_renderable=self.table, refresh_per_second=4
        )

    def started(self, job: Job) -> None:
        """Show the job in the first free row."""
        super().started(job)
        self._running[job.key] = (job, "", time.monotonic())
        if "" in self._rows:
            self._rows[self._rows.index("")] = job.key
        else:
            self._rows.append(job.key)

    def progress(self, job: Job, step: int, values: dict[str, float]) -> None:
        """Show its step and loss."""
        super().progress(job, step, values)
        told = " ".join(f"{name} {value:.3f}" for name, value in values.items())
        if job.key in self._running:
            shown = harmless(f"step {step} {told}")
            self._running[job.key] = (job, shown, self._running[job.key][2])

    def finished(self, outcome: Outcome) -> None:
        """Free its row; write a line if it went wrong."""
        self._running.pop(outcome.job.key, None)
        self._rows = ["" if key == outcome.job.key else key for key in self._rows]
        self._count(outcome)
        if went_wrong(outcome):
            self.log(self._line(outcome))

    def table(self) -> Group:
        """Return what is shown now."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for row, key in enumerate(list(self._rows), start=1):
            job, told, since = self._running.get(key, (None, "", 0.0))
            took = f"{time.monotonic() - since:.0f} s" if job is not None else ""
            what = harmless(f"{job.kind} {job.label}") if job is not None else "idle"
            table.add_row(f"worker {row}", Text(what), Text(told, style="dim"), took)
        return Group(table, Text(self._totals(), style="bold"))

    def _totals(self) -> str:
        ended = f"{self._done} done, {self._failed} failed, {len(self._running)} running"
        left = ""
        if self._done >= 2 and self._open:
            pace = (time.monotonic() - self._begun) / self._done
            left = f", about {pace * self._open:.0f} s"
        return f"{ended}, {self._open} left{left}"

    def __enter__(self) -> LiveWatcher:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        super().__exit__()


def watcher_for(console: Console, plan: Plan, *, log_json: bool = False) -> LineWatcher:
    """Choose by whether a person is watching, unless lines of JSON are asked for."""
    file = RunFile(plan.bench.workspace.runs, plan.bench.protocol.id)
    if log_json:
        return JsonWatcher(console, file)
    return LiveWatcher(console, file) if console.is_terminal else LineWatcher(console, file)
