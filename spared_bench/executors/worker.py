"""A worker process: jobs come as JSON lines on its input, what became of them goes to its output.

What a plugin prints goes to the standard error output, which its parent keeps as a log. When the
input ends, the parent is gone, however that came about, and the worker ends at once.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any, TextIO


def main() -> None:
    """Serve jobs until the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin, jobs), daemon=True).start()
    settings = jobs.get()
    _set_threads(settings["threads"])

    from spared_bench.bench import Bench, Settings
    from spared_bench.executors.work import do_job
    from spared_bench.plan import Job

    settings["plugin_files"] = tuple(settings["plugin_files"])
    bench = Bench(Settings(**settings))
    while True:
        job = Job(**jobs.get())
        outcome = do_job(bench, job, lambda step, values: _tell_progress(answers, step, values))
        _tell(
            answers,
            {
                "type": "done",
                "status": outcome.status,
                "message": outcome.message,
                "traceback": outcome.traceback,
                "result": outcome.result.as_dict() if outcome.result else None,
                "overhead": outcome.overhead,
            },
        )


def _read(stream: TextIO, jobs: queue.Queue[dict[str, Any]]) -> None:
    for line in stream:
        jobs.put(json.loads(line))
    os._exit(0)


def _set_threads(number: int) -> None:
    from spared_bench.threads import use_threads

    use_threads(number)
    import torch

    torch.set_num_threads(number)


def _tell_progress(answers: TextIO, step: int, values: dict[str, float]) -> None:
    _tell(answers, {"type": "progress", "step": step, "values": values})


def _tell(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
