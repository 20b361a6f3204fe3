"""Plugins of others, imported in a child before a command imports them itself.

What would end the command, or hold it up, without a word (a crash, a signal, closed files, an
import without end, a thread or process that stays) is found there, and the plugin is left out and
named like any other that fails. It is no protection: what a plugin does to a process that goes on,
it does to the command after it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures.thread import _threads_queues
from dataclasses import replace
from types import ModuleType
from typing import Any

from spared_bench.apart import DiedError, FailedError, descendants, do_apart
from spared_bench.guard import IMPORT_SECONDS
from spared_bench.registry.registered import Plugin
from spared_bench.specs.plain import spec_as_json, spec_of

#: A plugin, and what imports its module.
Job = tuple[Plugin, Callable[[], ModuleType]]
#: Why a plugin is left out, the whole story, and kinds and values of what it registers.
_Answer = tuple[str, str, list[tuple[str, dict[str, Any]]]]
#: Imports a plugin; the one returned says why it is left out, if it is.
Load = Callable[[Plugin, Callable[[], ModuleType]], Plugin]

_SECONDS = IMPORT_SECONDS + 30.0
_MOST_BYTES = 8 << 30
_trying_in = 0


def most_of_an_import() -> int:
    """Return how many bytes importing plugins may take: a machine without memory ends anything."""
    import psutil

    return int(min(_MOST_BYTES, psutil.virtual_memory().total // 2))


def try_first() -> None:
    """Let this process, not its children, try plugins of others in a child from now on."""
    global _trying_in  # noqa: PLW0603 - a process begins once
    _trying_in = os.getpid()


def tried(jobs: Sequence[Job], load: Load) -> list[Plugin]:
    """Return plugins of others as a child found them; none where no plugin is tried."""
    strangers = [job for job in jobs if not job[0].is_ours]
    if _trying_in != os.getpid() or not strangers or not hasattr(os, "fork"):
        return []
    return in_children(strangers, load)


def in_children(
    jobs: Sequence[Job], load: Load, before: Callable[[], None] | None = None
) -> list[Plugin]:
    """Import plugins in a child, and each in one of its own if that child ends.

    Parameters
    ----------
    jobs : sequence of (Plugin, callable)
    load : callable
    before : callable, optional
        Done in each child first.

    Returns
    -------
    list of Plugin
        With the reason of those that failed, and the specs of the others, whose ``told`` is empty.
    """
    try:
        return _imported(jobs, load, before)
    except (DiedError, FailedError):
        if len(jobs) > 1:
            print("A plugin ends the process that imports it: each is tried.", file=sys.stderr)
    found = []
    for job in jobs:
        try:
            found += _imported([job], load, before)
        except DiedError as error:
            reason = str(error).replace("Its process", "the process that imports it", 1)
            found.append(replace(job[0], reason=reason, traceback=reason))
        except FailedError as error:
            found.append(replace(job[0], reason=str(error), traceback=error.story))
    return found


def _imported(jobs: Sequence[Job], load: Load, before: Callable[[], None] | None) -> list[Plugin]:
    def work() -> list[_Answer]:
        if before is not None:
            before()
        return [_answer(job, load) for job in jobs]

    answers = do_apart(work, _SECONDS, most_of_an_import())
    return [_as_told(plugin, told) for (plugin, _), told in zip(jobs, answers, strict=True)]


def _as_told(plugin: Plugin, answer: _Answer) -> Plugin:
    try:
        reason, story, registered = answer
        specs = tuple(spec_of(kind, values) for kind, values in registered)
        return replace(plugin, reason=str(reason), traceback=str(story), specs=specs, told={})
    except Exception as error:  # whatever a stranger's code makes of it
        reason = f"what it registers cannot be read from another process: {error}"
        return replace(plugin, reason=" ".join(reason.split()), traceback=reason)


def _answer(job: Job, load: Load) -> _Answer:
    """Return why a plugin is left out, and the whole story; else what it registers."""
    there, running = set(threading.enumerate()), descendants()
    found = load(*job)
    if found.reason:
        return found.reason, found.traceback, []
    threads = [t.name for t in threading.enumerate() if t not in there and _stays(t)]
    if threads:
        reason = f"it leaves the thread {threads[0]!r} running, so that no command would end"
    elif left := descendants() - running:
        reason = f"it leaves process {min(left)} running, so that the command's output has no end"
    else:
        return "", "", [(spec.kind, spec_as_json(spec)) for spec in found.specs]
    return reason, reason, []


def _stays(thread: threading.Thread) -> bool:
    """Whether Python waits for a thread at its end; those of a pool it ends itself."""
    return not thread.daemon and thread not in _threads_queues
