"""Fitted completers as the benchmark asks them: ours here, a stranger's in a process of its own.

A stranger's completer is imported by a fresh interpreter, which gets slides without what is hidden
and hands back what it made of them. Nothing of it runs where masks are drawn and scores are made.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from spared_bench.bench import Bench, Settings
from spared_bench.completion.masking import hide
from spared_bench.completion.scoring import complete_hidden
from spared_bench.contracts import checked_completion, completion_of
from spared_bench.data import MASK, TARGET, Slides
from spared_bench.errors import MismatchError, PluginError, SparedBenchError, told_with_place
from spared_bench.executors.plugin_lock import strangers_among, told_of
from spared_bench.executors.strangers import bench_for, own_bench
from spared_bench.fresh import do_fresh
from spared_bench.interfaces import Completer, Job
from spared_bench.memory import keep_freed_memory
from spared_bench.removal import remove_folder
from spared_bench.store.processes import stamp
from spared_bench.threads import use_threads
from spared_bench.trials.completed import fitted_completer, seen_by_completer
from spared_bench.trials.products import Prepared, prepare
from spared_bench.trials.record import count_parameters

_COMPLETED = "completed"
_HEADER_BYTES = 4096  # of a .npy file, at most
#: On disk at once; of the largest slides, several interpreters are asked one after the other.
MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class Asked:
    """A fitted completer that says what it makes of hidden entries.

    Parameters
    ----------
    complete : callable
        Of the name of a mask: what it makes of the slides, (n_spots, n_genes), float32, and the
        seconds that it took.
    fit_seconds : float
    n_parameters : int or None
    """

    complete: Callable[[Any], tuple[np.ndarray, float]]
    fit_seconds: float
    n_parameters: int | None


def asked_here(
    fitted: tuple[Completer, Mapping[str, Any]],
    slides: Slides,
    hidden: Callable[[Any], np.ndarray],
    completer: str,
) -> Asked:
    """Return a completer of which this process has the code.

    Parameters
    ----------
    fitted : tuple
        The completer, and how its fit went (``fitted_completer``).
    slides : Slides
        With what it asks for.
    hidden : callable
        Which entries a mask hides, by its name.
    completer : str
    """
    method, told = fitted

    def complete(draw: Any) -> tuple[np.ndarray, float]:
        gone = hidden(draw)
        started = time.perf_counter()
        completed = complete_hidden(method, slides, gone, completer)
        return completed, time.perf_counter() - started

    return Asked(complete, told["seconds"], count_parameters(method))


@contextmanager
def asked_apart(
    bench: Bench,
    dataset: str,
    completer: str,
    measured: Callable[[], Slides],
    hidden: Callable[[Any], np.ndarray],
    draws: Sequence[Hashable],
) -> Iterator[Callable[[], Asked]]:
    """Give what asks a completer of which this process is only told, for many masks at once.

    Parameters
    ----------
    bench : Bench
    dataset, completer : str
    measured : callable
        Returns the slides, with everything measured.
    hidden : callable
        Which entries a mask hides, by its name.
    draws : sequence
        The names of the masks, in the order in which they will be asked for.

    Yields
    ------
    callable
        Asks when it is called first. Raises ``FailedError`` if the completer raised, or its code
        has changed since this process was told of it; ``DiedError`` if its process ended, or took
        longer than a trial may.
    """
    folder = bench.workspace.store.root / "tmp" / f"hidden.{stamp()}"
    slides = cache(measured)

    @lru_cache(maxsize=1)
    def answer(first: int, number: int) -> dict[str, Any]:
        """Hand masks over, those from the first on, and ask about all of them."""
        remove_folder(folder)
        folder.mkdir(parents=True)
        for at, draw in enumerate(draws[first : first + number]):
            left = _left(slides(), hidden(draw))
            for name in (TARGET, MASK):
                np.save(_place(folder, at, name), left.adata.layers[name])
        asked = {
            "settings": _settings_for(bench, dataset, completer).as_dict(),
            "dataset": dataset,
            "completer": completer,
            "split": str(slides().adata.obs["split"].iloc[0]),
            "n_draws": len(draws[first : first + number]),
            "folder": str(folder),
        }
        seconds = bench.settings.limits.timeout
        found: dict[str, Any] = do_fresh(f"{__name__}:serve", asked, seconds)
        return found

    @cache
    def ask() -> Asked:
        # What is handed over and comes back, of one mask.
        n_bytes = 2 * slides().target.nbytes + slides().mask.nbytes
        number = max(1, MOST_BYTES // n_bytes)

        def complete(draw: Any) -> tuple[np.ndarray, float]:
            first, at = divmod(list(draws).index(draw), number)
            told = answer(first * number, number)
            values = _read(_place(folder, at, _COMPLETED), slides().target.nbytes, completer)
            left = _left(slides(), hidden(draw))
            return checked_completion(values, left, completer), _seconds(told["complete"][at])

        told = answer(0, number)
        n_parameters = told["n_parameters"]
        known = isinstance(n_parameters, int) and not isinstance(n_parameters, bool)
        return Asked(complete, _seconds(told["fit"]), n_parameters if known else None)

    try:
        yield ask
    finally:
        remove_folder(folder)


def _left(slides: Slides, hidden: np.ndarray) -> Slides:
    """Return what ``hide`` leaves of the measurements, and no more: medians take a while."""
    mask = slides.mask & ~hidden
    target = np.where(mask, slides.target, np.float32(0))
    adata = AnnData(
        obs=pd.DataFrame(index=slides.adata.obs_names.copy()),
        var=pd.DataFrame(index=slides.adata.var_names.copy()),
        layers={TARGET: target, MASK: mask},
    )
    return replace(slides, adata=adata)


def serve(
    settings: Mapping[str, Any],
    dataset: str,
    completer: str,
    split: str,
    n_draws: int,
    folder: str,
) -> dict[str, Any]:
    """Fit a stranger's completer and ask it; called in an interpreter that is there for this alone.

    Returns
    -------
    dict
        ``n_parameters``; the seconds of its ``fit``, and of each ``complete``.
    """
    own = own_bench(Settings.from_dict(settings))
    use_threads(own.settings.threads)
    keep_freed_memory()
    planned = own.registry.get("completer", completer).code
    job = Job("complete", own.completed_key(dataset, completer), dataset, completer)
    bench = bench_for(own, job)
    if bench.registry.get("completer", completer).code != planned:
        raise MismatchError(
            f"The code of completer {completer!r} has changed since the command was begun. Run it"
            " again."
        )
    prepared = prepare(bench, dataset)
    try:
        return _asked(bench, completer, prepared, split, n_draws, Path(folder))
    except (SparedBenchError, MemoryError):
        raise
    except Exception as error:
        raise PluginError(told_with_place(error)) from error


def _asked(
    bench: Bench, completer: str, prepared: Prepared, split: str, n_draws: int, folder: Path
) -> dict[str, Any]:
    """Do what ``serve`` does, with the slides at hand."""
    method, told = fitted_completer(bench, prepared.name, completer, prepared)
    slides = seen_by_completer(prepared, completer).slides(split)
    seconds = []
    for number in range(n_draws):
        adata = slides.adata.copy()
        for name in (TARGET, MASK):
            adata.layers[name] = np.load(_place(folder, number, name))
        seen = hide(replace(slides, adata=adata), np.zeros_like(adata.layers[MASK]))
        started = time.perf_counter()
        completed = completion_of(method, seen, completer)
        seconds.append(time.perf_counter() - started)
        np.save(_place(folder, number, _COMPLETED), completed)
    return {
        "n_parameters": count_parameters(method),
        "fit": told["seconds"],
        "complete": seconds,
    }


def _settings_for(bench: Bench, dataset: str, completer: str) -> Settings:
    names = [("dataset", dataset), ("completer", completer)]
    strangers = strangers_among(bench, names)
    return replace(bench.settings, strangers=strangers, told=told_of(bench, strangers))


def _place(folder: Path, number: int, name: str) -> Path:
    return folder / f"{number}.{name}.npy"


def _read(path: Path, n_bytes: int, completer: str) -> np.ndarray:
    """Read what a stranger's process wrote, whose head may promise more than there is."""
    try:
        if not path.is_file():  # to open a pipe waits for ever
            raise ValueError("there is no file")
        if path.stat().st_size > n_bytes + _HEADER_BYTES:
            raise ValueError("it is larger than the slides")
        values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PluginError(
            f"Completer {completer!r} left no completed values that can be read: {error}."
        ) from error
    return np.array(values)


def _seconds(told: Any) -> float:
    number = isinstance(told, int | float) and math.isfinite(told)
    return float(told) if number else math.nan
