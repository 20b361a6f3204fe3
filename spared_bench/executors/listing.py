"""Plugins of others, listed in a child that is shut in: the command imports none of their code."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spared_bench import sandbox
from spared_bench.apart import do_apart
from spared_bench.bench import Bench
from spared_bench.errors import UsageError
from spared_bench.executors.plugin_lock import strangers_of, told_of
from spared_bench.planning.plan import Plan
from spared_bench.registry import Plugin, Registry, discover
from spared_bench.told import with_told
from spared_bench.trials.guests import shut_in
from spared_bench.workspace import Workspace

_KINDS = ("dataset", "completer", "predictor", "metric")
_SECONDS = 900.0
_FACTS = ("distribution", "version", "name", "target", "reason", "traceback")


def require_strict() -> None:
    """Refuse a strict run where the system cannot shut a process in.

    Raises
    ------
    UsageError
    """
    if reason := sandbox.why_unavailable():
        raise UsageError(
            f"`--isolate strict` is not available here: {reason}. Run without it only methods that"
            " you trust, or in a container or as another user, on a copy of the data without test"
            " slides (docs/reliability.md)."
        )


def listed_apart(
    files: list[Path], space: Workspace, make: Callable[[Registry], Bench]
) -> Registry:
    """Return all plugins, of which those of others are told of and not imported.

    Their executors, protocols and observers are left out: these would run in this process.

    Parameters
    ----------
    files : list of Path
        Single-file plugins.
    space : Workspace
    make : callable
        Returns the bench of a registry: what parameters methods have in it is told, too.
    """
    ours = discover(files, data_dir=space.data_dir, only=())

    with tempfile.TemporaryDirectory() as spare:

        def work() -> dict[str, Any]:
            shut_in(Path(spare), [], ours, space, files)
            everything = discover(files)
            failed = [each for each in everything.quarantined if not each.is_ours]
            return {
                "told": told_of(make(everything), _strangers_in(everything)),
                "failed": [{name: getattr(each, name) for name in _FACTS} for each in failed],
            }

        found = do_apart(work, _SECONDS)
    known = with_told(ours, found["told"])
    return Registry([*known.plugins, *(Plugin(**facts) for facts in found["failed"])])


def _strangers_in(registry: Registry) -> list[str]:
    return [
        f"{kind} {entry.qualified_name}"
        for kind in _KINDS
        for entry in registry.all(kind)
        if not entry.plugin.is_ours
    ]


def check_strict(plan: Plan) -> None:
    """Refuse a strict run in which a method could know the truth all the same.

    Raises
    ------
    UsageError
        If its code was imported in this process, or comes with that of a dataset or metric.
    """
    require_strict()
    methods: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, distribution in strangers_of(plan).items():
        kind, _, plain = name.partition(" ")
        if plan.bench.registry.get(kind, plain).told is None:
            raise UsageError(
                f"`--isolate strict`: the code of {name} was imported in this process already. In"
                " Python, `make_bench(..., strict=True)` does not import it."
            )
        (methods if kind in ("completer", "predictor") else others)[distribution] = name
    for distribution in methods.keys() & others.keys():
        raise UsageError(
            f"`--isolate strict` keeps {methods[distribution]} from the truth, which"
            f" {others[distribution]} is given, and both are code of {distribution}. Put them into"
            " packages or files of their own."
        )
