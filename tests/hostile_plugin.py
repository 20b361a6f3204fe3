"""A plugin that tries to change the scores of other methods, each of its predictors in its own way.

It changes what it can reach when it is imported, too.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import resource
import signal
import sys
import threading
import time
import types
from contextlib import suppress
from pathlib import Path

import numpy as np

from spared_bench import PredictorSpec, hookimpl


def nothing(*_, **__):
    """Stand for any function of the package."""
    return 0.0


def spoil_scoring() -> None:
    """Replace what scores."""
    import spared_bench.metrics.mse
    import spared_bench.metrics.scoring
    import spared_bench.trials.runner
    import spared_bench.trials.scores

    spared_bench.metrics.mse.mse = nothing
    spared_bench.metrics.scoring.by_slide = lambda *_, **__: {"P4": 0.0}
    spared_bench.trials.runner.mse = nothing
    spared_bench.trials.scores._score_split = nothing


if "pytest" not in sys.modules:  # whose own process is not to be attacked
    spoil_scoring()


def tables():
    """Return every AnnData of this process."""
    return [each for each in gc.get_objects() if type(each).__name__ == "AnnData"]


def known_test_entries() -> int:
    """Count the measured test entries that are anywhere in this process."""
    return sum(
        int(np.asarray(table.layers["mask"])[(table.obs["split"] == "test").to_numpy()].sum())
        for table in tables()
        if "mask" in table.layers
    )


def spoil_tables() -> None:
    for table in tables():
        for layer in table.layers.values():
            if isinstance(layer, np.ndarray):
                with suppress(ValueError):
                    layer.flags.writeable = True
                    layer[:] = 0


class Mean:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)
        self.spoil(val, context)

    def spoil(self, val, context):
        raise NotImplementedError

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))


class Reaches(Mean):
    """Looks for the truth behind the slides, and says how much of it there is."""

    def spoil(self, val, context):
        self.context_ = context

    def predict(self, slides):
        loader = slides.features_of
        owners = [getattr(loader, "__self__", None)]
        owners += [cell.cell_contents for cell in loader.__closure__]
        behind = sum(hasattr(owner, "adata") for owner in owners)
        held = slides.adata.obsm["spatial"]
        views = [held, slides.adata.obs, slides.adata.uns, slides.adata.uns["spared_bench"]]
        behind += sum(getattr(each, "_view_args", None) is not None for each in views)
        behind += getattr(slides.adata, "_adata_ref", None) is not None
        frame, framed = sys._getframe(), 0
        while frame is not None:
            for value in frame.f_locals.values():
                table = getattr(value, "adata", None)
                if table is not None and "mask" in table.layers:
                    test = (table.obs["split"] == "test").to_numpy()
                    framed += int(np.asarray(table.layers["mask"])[test].sum())
            frame = frame.f_back
        found = {"known": known_test_entries(), "behind": behind, "framed": framed}
        self.context_.report(0, found)
        spoil_tables()
        return super().predict(slides)


class Replaces(Mean):
    def spoil(self, val, context):
        spoil_scoring()
        np.mean = np.asarray = np.load = nothing
        json.dumps = nothing
        for name in [name for name in sys.modules if name.startswith("spared_bench.metrics")]:
            sys.modules[name] = types.ModuleType(name)


class Limits(Mean):
    def spoil(self, val, context):
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))


class Retypes(Mean):
    """Gives arrays another type in place, without writing to any."""

    def spoil(self, val, context):
        for table in tables():
            for layer in table.layers.values():
                if isinstance(layer, np.ndarray) and layer.dtype == np.float32:
                    layer.dtype = np.int32


class Settles(Mean):
    """Sets what a process hands on to its children, and what comes later."""

    def spoil(self, val, context):
        os.environ.update({"OMP_NUM_THREADS": "7", "SPARED_BENCH_DATA": "/", "PYTHONPATH": "/"})
        os.umask(0o777)
        with suppress(OSError):  # by whose rights the folder above it would be made
            context.scratch.mkdir(parents=True)
        os.chdir("/")
        atexit.register(spoil_tables)
        signal.signal(signal.SIGALRM, lambda *_: spoil_tables())
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        np.seterr(all="raise")


class Threads(Mean):
    """Leaves a thread that does not end."""

    def spoil(self, val, context):
        def spoil():
            while True:
                spoil_tables()
                time.sleep(0.5)

        threading.Thread(target=spoil).start()


class Returns(Mean):
    """Forks, and goes on in both processes."""

    def spoil(self, val, context):
        if os.fork() == 0:
            self.mean_ = self.mean_ + 100


class Stays(Mean):
    """Leaves a process of another session that forges answers for whatever job comes next."""

    def spoil(self, val, context):
        if os.fork():
            return
        os.setsid()
        if os.fork():
            os._exit(0)
        with Path(os.environ["HOSTILE_SIGN"]).open("a") as file:
            file.write(f"{os.getpid()}\n")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        answer = {"type": "done", "status": "error", "message": "forged", "traceback": ""}
        lines = json.dumps(answer | {"result": None, "overhead": 0.0, "token": ""})
        until = time.monotonic() + 120
        while time.monotonic() < until:
            for number in range(3, 40):
                with suppress(OSError):
                    os.write(number, f"\n{lines}\n".encode())
            time.sleep(0.05)
        os._exit(0)


class Pretends(Mean):
    """Ends as if it had told its answer."""

    def spoil(self, val, context):
        os._exit(77)


class FalseColors:
    """Says that it is our encoder."""

    def identity(self):
        return {"encoder": "color", "version": 1}

    def encode(self, patches):
        return np.zeros((len(patches), 24), np.float32)


FalseColors.__module__ = "spared_bench.models.encoders"


class Poisons(Mean):
    """Leaves features for others."""

    def spoil(self, val, context):
        val.features(FalseColors())


ATTACKS = (
    Poisons, Reaches, Replaces, Limits, Retypes, Settles, Threads, Returns, Stays, Pretends,
)  # fmt: skip


@hookimpl
def spared_bench_predictors():
    return [
        PredictorSpec(f"bad-{attack.__name__.lower()}", f"{__name__}:{attack.__name__}")
        for attack in ATTACKS
    ]
