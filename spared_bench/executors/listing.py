"""Plugins of others, listed in a child: the command imports none of their code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spared_bench import errors, sandbox
from spared_bench.apart import DiedError, FailedError, do_apart
from spared_bench.bench import Bench
from spared_bench.errors import SparedBenchError, UsageError
from spared_bench.executors.plugin_lock import strangers_of, told_of
from spared_bench.planning.plan import Plan
from spared_bench.registry import (
    Plugin,
    Registry,
    discover,
    module_name,
    observes,
    strangers_installed,
    tried_apart,
)
from spared_bench.registry.trying import most_of_an_import
from spared_bench.store.processes import scratch_folder
from spared_bench.told import with_imported, with_told
from spared_bench.trials.guests import require_closed, shut_in
from spared_bench.workspace import Workspace

_KINDS = ("dataset", "completer", "predictor", "metric", "protocol", "encoder")
#: What of these is shut in by a strict run.
_METHODS = ("completer", "predictor", "encoder")
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
    ours: Registry,
    files: list[Path],
    space: Workspace,
    make: Callable[[Registry], Bench] | None = None,
    *,
    strict: bool = False,
) -> Registry:
    """Return all plugins, of which those of others are told of and not imported.

    What this process makes afterwards (plans, records, boards, statistics) no code of others can
    have changed. Their executors are left out, and their observers, which would run in this
    process: those of a distribution that brings nothing but observers are imported.

    Parameters
    ----------
    ours : Registry
        Our own plugins and described datasets (``discover`` with ``only=()``).
    files : list of Path
        Single-file plugins.
    space : Workspace
    make : callable, optional
        Returns the bench of a registry: what parameters methods have in it is told, too.
    strict : bool
        Whether the child that imports them is shut in; no observer is imported then.

    Raises
    ------
    SparedBenchError
        What ``make`` raises; of a strict run also where the data cannot be shut off.
    """
    if strict:
        require_closed(ours, space)
    if not (files or strangers_installed()):
        return ours

    with scratch_folder() as spare:

        def begin() -> None:
            if strict:
                shut_in(spare, [], ours, space, files)

        data_dir = None if strict else space.data_dir
        child = _Child(files, data_dir, begin, make)
        try:
            found = child.tell()
        except (DiedError, FailedError):
            gone = child.failing()
            if not gone:
                raise
            found = child.tell(gone)
    if found["refused"]:
        raise _told_error(*found["refused"])
    known = with_told(ours, found["told"])
    failed = [Plugin(**facts) for facts in found["failed"]]
    known = replace(known, plugins=[*known.plugins, *failed])
    return known if strict else with_imported(known, map(str, files), found["observers"])


def failing_plugins(
    files: list[Path],
    space: Workspace,
    make: Callable[[Registry], Bench],
    targets: Collection[str] | None = None,
) -> list[Plugin]:
    """Return the plugins of others that a run leaves out, each with the reason and the whole story.

    Each is imported in a child, and its classes are asked there for what ``listed_apart`` tells;
    of those of some ``targets`` alone, if these are named.
    """
    return _Child(files, space.data_dir, lambda: None, make).failing(targets)


@dataclass(frozen=True)
class _Child:
    """Processes that import plugins of others and tell of them."""

    files: list[Path]
    data_dir: Path | None
    begin: Callable[[], None]
    make: Callable[[Registry], Bench] | None

    def tell(self, left_out: Sequence[Plugin] = (), only: Plugin | None = None) -> dict[str, Any]:
        """Return what there is to know of all plugins, or of one among them."""

        def work() -> dict[str, Any]:
            self.begin()
            everything = discover(self.files, data_dir=self.data_dir, left_out=left_out)
            return _tell(everything, self.make, only)

        return do_apart(work, _SECONDS, most_of_an_import())

    def failing(self, targets: Collection[str] | None = None) -> list[Plugin]:
        """Return the plugins that fail, or end their process, when imported or asked."""
        tried = tried_apart(self.files, self.begin)
        gone = [plugin for plugin in tried if plugin.quarantined]
        # The text of a protocol is asked for in every child that has a bench: those that bring one
        # are asked by themselves first.
        bring = [each for each in tried if any(spec.kind == "protocol" for spec in each.specs)]
        for child, plugins in ((replace(self, make=None), bring), (self, tried)):
            for plugin in plugins:
                known = {each.target for each in gone}
                wanted = targets is None or plugin.target in targets
                if wanted and plugin.target not in known and (why := child.why_not(gone, plugin)):
                    gone.append(why)
        return gone

    def why_not(self, gone: Sequence[Plugin], plugin: Plugin) -> Plugin | None:
        """Return a plugin with the reason why it cannot be asked; ``None`` where it can."""
        try:
            self.tell(gone, only=plugin)
        except DiedError as error:
            reason = str(error).replace("Its process", "the process that asks its classes", 1)
            story = reason
        except FailedError as error:
            reason, story = str(error), error.story
        else:
            return None
        return replace(plugin, reason=reason, traceback=story, specs=(), told=None)


def _tell(
    everything: Registry, make: Callable[[Registry], Bench] | None, only: Plugin | None
) -> dict[str, Any]:
    """Return, in the child, what there is to know of the plugins of others, as plain values."""
    failed = [each for each in everything.quarantined if not each.is_ours]
    told: dict[str, Any] = {"told": (), "refused": None}
    try:
        bench = None if make is None else make(everything)
        told["told"] = told_of(bench or everything, _strangers_in(everything, only))
    except SparedBenchError as error:
        told["refused"] = [type(error).__name__, str(error)]
    return {
        **told,
        "failed": [{name: getattr(each, name) for name in _FACTS} for each in failed],
        "observers": _observers_in(everything),
    }


def _told_error(name: str, message: str) -> SparedBenchError:
    """Return an error as a child told it; of a class that takes a message alone."""
    for kind in getattr(errors, name, UsageError).__mro__:
        with suppress(TypeError):
            made = kind(message)
            if isinstance(made, SparedBenchError):
                return made
    return UsageError(message)


def _strangers_in(registry: Registry, only: Plugin | None) -> list[str]:
    return [
        f"{kind} {entry.qualified_name}"
        for kind in _KINDS
        for entry in registry.all(kind)
        if not entry.plugin.is_ours and (only is None or entry.plugin.target == only.target)
    ]


def _observers_in(registry: Registry) -> list[str]:
    """Return the distributions of others that bring observers, and nothing that is run or told."""
    modules = {module.__name__ for module in registry.observers() if observes(module)}
    others = [plugin for plugin in registry.plugins if not plugin.is_ours]
    bringing = {plugin.distribution for plugin in others if plugin.specs}
    watching = {plugin.distribution for plugin in others if module_name(plugin.target) in modules}
    return sorted(watching - bringing)


def check_strict(plan: Plan) -> None:
    """Refuse a strict run in which a method could know the truth all the same.

    Raises
    ------
    UsageError
        If its code was imported in this process, or comes with that of a dataset or metric.
    """
    require_strict()
    require_closed(plan.bench.registry, plan.bench.workspace)
    methods: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, distribution in strangers_of(plan).items():
        kind, _, plain = name.partition(" ")
        if plan.bench.registry.get(kind, plain).told is None:
            raise UsageError(
                f"`--isolate strict`: the code of {name} was imported in this process already. In"
                " Python, `make_bench(..., strict=True)` does not import it."
            )
        (methods if kind in _METHODS else others)[distribution] = name
    for distribution in methods.keys() & others.keys():
        raise UsageError(
            f"`--isolate strict` keeps {methods[distribution]} from the truth, which"
            f" {others[distribution]} is given, and both are code of {distribution}. Put them into"
            " packages or files of their own."
        )
