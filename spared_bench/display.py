"""How a run shows itself: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from spared_bench.interfaces import Outcome
from spared_bench.plan import Job

_VERBS = {"prepare": "preparing", "complete": "completing", "trial": ""}


class LineWatcher:
    """One line per finished job.

    Parameters
    ----------
    console : Console
        Where to write; standard error, so that ``--json`` owns standard output.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._open = 0
        self._done = 0

    def planned(self, open_trials: int) -> None:
        """Remember how many trials are left."""
        self._open = open_trials

    def started(self, job: Job) -> None:
        """Say nothing: the line comes when there is something to tell."""

    def progress(self, job: Job, step: int, values: dict[str, float]) -> None:
        """Say nothing."""

    def finished(self, outcome: Outcome) -> None:
        """Write a line."""
        if outcome.job.kind == "trial":
            self._done += 1
        self.console.print(self._line(outcome), highlight=False, markup=False, soft_wrap=True)

    def _line(self, outcome: Outcome) -> str:
        result = outcome.result
        if outcome.job.kind != "trial":
            verb = {"prepare": "prepared", "complete": "completed"}[outcome.job.kind]
            told = verb if outcome.status == "ok" else f"{outcome.status}: {outcome.message}"
            return f"          {outcome.job.label}  {told}"
        left = max(self._open - 1, 0)
        count = f"[{self._done:>3} done, {left} left]"
        if result is None or not result.ok:
            status = result.status if result else outcome.status
            message = result.message if result else outcome.message
            return f"{count} {outcome.job.label}  {status}: {message}"
        seconds = result.seconds.get("total", math.nan)
        error = f"validation MSE {result.validation_mse:.4f}"
        return f"{count} {outcome.job.label}  {error}  {seconds:.1f} s"

    def __enter__(self) -> LineWatcher:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class LiveWatcher(LineWatcher):
    """A bar with what is being done, and lines only for failures."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._running: dict[str, str] = {}
        self._begun = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f}/{task.total:.0f} trials"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[now]}"),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("running", total=1, left="", now="")

    def planned(self, open_trials: int) -> None:
        """Set the length of the bar."""
        super().planned(open_trials)
        self._refresh()

    def started(self, job: Job) -> None:
        """Show the job."""
        self._running[job.key] = f"{_VERBS[job.kind]} {job.label}".strip()
        self._refresh()

    def progress(self, job: Job, step: int, values: dict[str, float]) -> None:
        """Show its step and loss."""
        told = " ".join(f"{name} {value:.3f}" for name, value in values.items())
        self._running[job.key] = f"{job.label} step {step} {told}"
        self._refresh()

    def finished(self, outcome: Outcome) -> None:
        """Move the bar; write a line if it went wrong."""
        self._running.pop(outcome.job.key, None)
        result = outcome.result
        failed = outcome.status != "ok" or (result is not None and not result.ok)
        if failed:
            super().finished(outcome)
        elif outcome.job.kind == "trial":
            self._done += 1
        self._refresh()

    def _refresh(self) -> None:
        total = max(self._done + self._open, 1)
        left = ""
        if self._done >= 2 and self._open:
            pace = (time.monotonic() - self._begun) / self._done
            left = f"about {pace * self._open:.0f} s left"
        now = " | ".join(self._running.values())
        width = max(self.console.width - 85, 10)
        self._progress.update(
            self._task, completed=self._done, total=total, left=left, now=now[:width]
        )

    def __enter__(self) -> LiveWatcher:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def watcher_for(console: Console) -> LineWatcher:
    """Choose by whether a person is watching."""
    return LiveWatcher(console) if console.is_terminal else LineWatcher(console)
