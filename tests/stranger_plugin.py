"""A single-file plugin of methods that do to their process what no method should.

Loaded beside ``toy_plugin.py``, whose dataset they use.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from spared_bench import CompleterSpec, DatasetSpec, PredictorSpec, SlideInfo, hookimpl
from spared_bench.errors import MismatchError, WorkspaceError


class Mean:
    """The mean of the training target."""

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))


class Leaves(Mean):
    """Calls ``sys.exit``."""

    def fit(self, train, val, context):
        sys.exit(0)


class LeavesAtOnce(Mean):
    """Ends its process with status 0, as if all were done."""

    def fit(self, train, val, context):
        os._exit(0)


class Stops(BaseException):
    """Not even an ``Exception``."""


class StopsOddly(Mean):
    def fit(self, train, val, context):
        raise Stops("stopped")


class StopsTheClock(Mean):
    """Patches what the whole process measures time by, as libraries for tests do."""

    def fit(self, train, val, context):
        super().fit(train, val, context)
        time.perf_counter = lambda: float("nan")


class WritesAnywhere(Mean):
    """Writes to whatever pipe its process has: what is no text, no JSON, no message."""

    def fit(self, train, val, context):
        super().fit(train, val, context)
        for number in range(3, 40):
            with suppress(OSError):
                if stat.S_ISFIFO(os.fstat(number).st_mode):
                    os.write(number, b"\n\xff\n" + b"[" * 2000 + b"\n{}\n1\n")


def tell(**message):
    """Tell of this job as its worker would, by what a method finds in its process."""
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("answers"), "token"):
        frame = frame.f_back
    frame.f_locals["answers"].tell(**message)


class DiesOfARareSignal(Mean):
    """Ends by a signal that Python has no name for."""

    def fit(self, train, val, context):
        os.kill(os.getpid(), 40)


class SaysItDied(Mean):
    def fit(self, train, val, context):
        super().fit(train, val, context)
        tell(type="died", code=-1000)


class SaysItEnded(Mean):
    """Tells of its end, and does not end."""

    def fit(self, train, val, context):
        result = {"result": None, "overhead": 0.0}
        tell(type="done", status="error", message="forged", traceback="", **result)
        tell(type="ended", code=77)
        time.sleep(600)


class SaysManyThings(Mean):
    """Tells of progress in words, without end, and in a line that is longer than any."""

    def fit(self, train, val, context):
        super().fit(train, val, context)
        for values in ({"loss": "small"}, {"loss": None}, {"loss": 10**400}, {"loss": [1.0]}):
            tell(type="progress", step=1, values=values)
        for step in range(20_000):
            tell(type="progress", step=step, values={"loss": 1.0})
        tell(type="progress", step=1, values={"x" * 50_000_000: 1.0})


class SaysItIsAnother(Mean):
    """Tells of a failure in the name of another method."""

    def fit(self, train, val, context):
        frame = sys._getframe()
        while "blank" not in frame.f_locals:
            frame = frame.f_back
        result = frame.f_locals["blank"].as_dict() | {"predictor": "odd-mean"}
        tell(type="done", status="ok", message="", traceback="", result=result, overhead=0.0)
        os._exit(77)


class StopsItsWorker(Mean):
    """Stops the process that would tell of its end."""

    def fit(self, train, val, context):
        os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(600)


class FillsItsCache(Mean):
    """Writes to a place of its own, which takes no more."""

    def fit(self, train, val, context):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FindsItReadOnly(Mean):
    def save(self, folder):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/opt/cache")


class BlamesTheWorkspace(Mean):
    def fit(self, train, val, context):
        raise WorkspaceError("Cannot write to the workspace.")


class BlamesThePlan(Mean):
    def fit(self, train, val, context):
        raise MismatchError("Other plugins than planned.")


class LooksAtX(Mean):
    def predict(self, slides):
        return slides.adata.X[:, :6]


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError


class Mute(Mean):
    def fit(self, train, val, context):
        raise Speechless


class NamesFile(Mean):
    """Fails over a file whose name is not UTF-8, which Python has as halves of letters."""

    def fit(self, train, val, context):
        raise ValueError("no array in " + os.fsdecode(b"caf\xe9.npy"))


class Talks(Mean):
    def fit(self, train, val, context):
        raise ValueError("x" * 5_000_000)


class Asks(Mean):
    """Reads standard input, itself and in a process of its own."""

    def fit(self, train, val, context):
        assert sys.stdin.read() == ""
        assert subprocess.run(["cat"], capture_output=True, check=True).stdout == b""
        super().fit(train, val, context)


class Unsettles(Mean):
    """Changes what all of its process share."""

    def fit(self, train, val, context):
        import torch

        os.chdir("/")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        torch.set_num_threads(3)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        np.seterr(all="raise")
        super().fit(train, val, context)


class Looks(Mean):
    """Says what its process is like."""

    def fit(self, train, val, context):
        import torch
        from threadpoolctl import threadpool_info

        found = {
            "folder": Path.cwd() == Path("/"),
            "deaf": signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
            "threads": max(each["num_threads"] for each in threadpool_info()),
            "torch_threads": torch.get_num_threads(),
            "gradients": torch.is_grad_enabled(),
            "picky": torch.are_deterministic_algorithms_enabled(),
            "double": torch.get_default_dtype() == torch.float64,
            "strict": np.geterr()["over"] == "raise",
        }
        context.report(0, found)
        super().fit(train, val, context)


class ReportsTensors(Mean):
    def fit(self, train, val, context):
        import torch

        context.report(np.int64(1), {"train_mse": torch.tensor(0.5), "val_mse": np.float32(1)})
        super().fit(train, val, context)


def start_child() -> None:
    """Fork a child that outlives us, and write down which."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    Path(os.environ["STRANGER_CHILD"]).write_text(str(child))


class DiesWithChild(Mean):
    def fit(self, train, val, context):
        start_child()
        os.kill(os.getpid(), signal.SIGKILL)


class HangsWithChild(Mean):
    def fit(self, train, val, context):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        start_child()
        time.sleep(60)


class Complex(Mean):
    def predict(self, slides):
        return super().predict(slides) * (1 + 1j)


class Texts(Mean):
    def predict(self, slides):
        return super().predict(slides).astype(str)


class SavesLink(Mean):
    def save(self, folder):
        (folder / "weights").symlink_to(__file__)


class Forbidden(Mean):
    def fit(self, train, val, context):
        raise PermissionError(13, "Permission denied", "/somewhere/else")


class SloppyFill:
    """A completer that draws from the global generator, which no method should."""

    def fit(self, train, val, context):
        self.value_ = np.random.normal()

    def complete(self, slides):
        return np.where(slides.mask, slides.target, self.value_)


class ForbiddenFill(SloppyFill):
    def fit(self, train, val, context):
        raise PermissionError(13, "Permission denied", "/somewhere/else")


class BlamesThePlanFill(SloppyFill):
    def fit(self, train, val, context):
        raise MismatchError("Other plugins than planned.")


def blame_the_plan(folder, slide_id):
    raise MismatchError("Other plugins than planned.")


@hookimpl
def spared_bench_datasets():
    slides = tuple(SlideInfo(name, name) for name in "abc")
    split = {"train": ("a",), "val": ("b",), "test": ("c",)}
    facts = {"organism": "human", "tissue": "none", "technology": "visium", "synthetic": True}
    reader = f"{__name__}:blame_the_plan"
    return [DatasetSpec("odd-blames", reader, slides=slides, split=split, **facts)]


@hookimpl
def spared_bench_predictors():
    found = {name: each for name, each in globals().items() if isinstance(each, type)}
    return [
        PredictorSpec(f"odd-{name.lower()}", f"{__name__}:{name}")
        for name, each in found.items()
        if issubclass(each, Mean)
    ]


@hookimpl
def spared_bench_completers():
    return [
        CompleterSpec("odd-sloppy", f"{__name__}:SloppyFill"),
        CompleterSpec("odd-blames-the-plan", f"{__name__}:BlamesThePlanFill"),
        CompleterSpec("odd-forbidden", f"{__name__}:ForbiddenFill"),
    ]
