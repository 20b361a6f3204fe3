"""How fetching shows itself: a bar for every file on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from spared_bench.harmless import harmless

_LINE_EVERY_S = 30.0


def readable_size(size: float) -> str:
    """Return a number of bytes for people.

    >>> readable_size(999), readable_size(12_340_000)
    ('999 B', '12.3 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


class LineMeter:
    """Writes a line now and then while a large file comes."""

    def __init__(self, owner: FetchLines, name: str) -> None:
        self._owner, self._name = owner, name
        self._done = self._total = 0
        self._told = time.monotonic()

    def begin(self, done: int, total: int) -> None:
        """Remember where it begins; say so if it goes on."""
        self._done, self._total = done, total
        if done:
            self._owner.say(f"  {self._name}: going on from {readable_size(done)}")

    def advance(self, number: int) -> None:
        """Count, and write a line if the last one is long ago."""
        self._done += number
        if time.monotonic() - self._told > _LINE_EVERY_S:
            self._told = time.monotonic()
            of = f" of {readable_size(self._total)}" if self._total else ""
            self._owner.say(f"  {self._name}: {readable_size(self._done)}{of}")


class FetchLines:
    """One line for every file that is in its place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._planned = self._done = 0

    def planned(self, dataset: str, names: list[str]) -> None:
        """Say how many files are missing."""
        self._planned, self._done = len(names), 0
        if names:
            self.say(f"{dataset}: {len(names)} {'file' if len(names) == 1 else 'files'} to fetch")

    def meter(self, name: str) -> LineMeter:
        """Return who is told of the bytes of a file."""
        return LineMeter(self, name)

    def finished(self, name: str, size: int) -> None:
        """Write a line."""
        with self._lock:
            self._done += 1
            self.say(f"  [{self._done}/{self._planned}] {name}  {readable_size(size)}")

    def say(self, text: str) -> None:
        """Write a line."""
        self._console.print(harmless(text), highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> FetchLines:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class BarMeter:
    """Moves the bar of a file."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def begin(self, done: int, total: int) -> None:
        """Set the length of the bar, and where it begins."""
        self._progress.update(self._task, completed=done, total=total or None)

    def advance(self, number: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, number)


class BarWatcher(FetchLines):
    """A bar for every file on its way."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    def meter(self, name: str) -> BarMeter:  # type: ignore[override]
        """Add a bar."""
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(harmless(name), total=None)
            return BarMeter(self._progress, self._tasks[name])

    def finished(self, name: str, size: int) -> None:
        """Write a line, and take the bar away."""
        super().finished(name, size)
        task = self._tasks.pop(name, None)
        if task is not None:
            self._progress.remove_task(task)

    def __enter__(self) -> BarWatcher:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def watcher_for(console: Console) -> FetchLines:
    """Choose by whether a person is watching."""
    return BarWatcher(console) if console.is_terminal else FetchLines(console)
