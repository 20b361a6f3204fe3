"""Slides of a stranger's dataset, read in a fresh interpreter by a process that is only told of it.

A fork would not do: this process may have run libvips, whose threads are not forked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from spared_bench.bench import Bench, Settings
from spared_bench.fresh import do_fresh
from spared_bench.registry import discover


def with_reader(
    bench: Bench, dataset: str, function: str, seconds: float, **arguments: object
) -> Any:
    """Call a function of ours where the reader of a dataset is imported, and return its answer.

    Parameters
    ----------
    bench : Bench
        That is told of the dataset.
    dataset : str
    function : str
        ``"module:name"``; is given a bench like this one, the dataset's name, and ``arguments``.
    seconds : float
        After which it is ended.
    **arguments
        What JSON can hold.

    Raises
    ------
    FailedError
        If it raised.
    DiedError
        If its process ended, or took longer.
    """
    settings = replace(bench.settings, plugins={}, strangers=None, told=())
    asked = {
        "settings": settings.as_dict(),
        "distribution": bench.registry.get("dataset", dataset).plugin.distribution,
        "function": function,
        "arguments": {"dataset": dataset, **arguments},
    }
    return do_fresh(f"{__name__}:serve", asked, seconds)


def serve(
    settings: Mapping[str, Any], distribution: str, function: str, arguments: Mapping[str, Any]
) -> Any:
    """Do what ``with_reader`` asks for, with our plugins and those of one distribution."""
    told = Settings.from_dict(settings)
    files = [Path(file) for file in told.plugin_files]
    registry = discover(files, data_dir=Path(told.data_dir), only=[distribution])
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)(Bench(told, registry), **arguments)
