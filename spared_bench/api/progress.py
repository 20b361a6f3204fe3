"""A progress bar where nobody says otherwise and a notebook is looking."""

from __future__ import annotations

import sys
from typing import Any

from spared_bench.api.watchers import Silent
from spared_bench.interfaces import Job


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    get = getattr(shell, "get_ipython", lambda: None)
    return type(get()).__name__ == "ZMQInteractiveShell"


def default_watcher() -> Any:
    """Return a bar in a notebook; elsewhere, what says nothing."""
    return BarWatcher() if in_notebook() else Silent()


class BarWatcher(Silent):
    """One bar of trials, with what is being done beside it; failures on lines of their own."""

    def __init__(self) -> None:
        self._bar = _bar_class()(total=0, unit="trial", dynamic_ncols=True, leave=True)
        self._running: dict[str, str] = {}

    def planned(self, open_trials: int) -> None:
        """Know how many trials are left."""
        self._bar.total = self._bar.n + open_trials
        self._bar.refresh()

    def started(self, job: Job) -> None:
        """Show what is being done."""
        self._running[job.key] = f"{job.kind} {job.label}"
        self._tell()

    def finished(self, outcome: Any) -> None:
        """Count a trial; tell of one that failed."""
        self._running.pop(outcome.job.key, None)
        result = outcome.result
        if outcome.job.kind == "trial":
            self._bar.update(1)
        if outcome.status != "ok" or (result is not None and not result.ok):
            told = result.message if result is not None else outcome.message
            self._bar.write(f"{outcome.job.label}: {told}")
        self._tell()

    def waiting(self, message: str) -> None:
        """Show for whom the run waits."""
        if message:
            self._bar.set_postfix_str(f"waiting for another run: {message}")

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.set_postfix_str("")
        self._bar.close()

    def _tell(self) -> None:
        first = next(iter(self._running.values()), "")
        more = f" and {len(self._running) - 1} more" if len(self._running) > 1 else ""
        self._bar.set_postfix_str(f"{first[:80]}{more}")


def _bar_class() -> Any:
    """Return the bar of widgets where they are installed, else the one of text."""
    from importlib.util import find_spec

    if find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm as widgets

        return widgets
    from tqdm.std import tqdm as text

    return text
