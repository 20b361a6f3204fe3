"""Finds plugins through entry points, one at a time.

A plugin that fails is *quarantined*: it is left out, the reason is kept, and everything else works.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from spared_bench import hookspecs
from spared_bench.beside import let_import
from spared_bench.errors import DataError, SparedBenchError, UsageError
from spared_bench.guard import importing
from spared_bench.registry.hooks import collect
from spared_bench.registry.lookup import Registry
from spared_bench.registry.modules import from_file, from_module, module_name, refuse
from spared_bench.registry.registered import DESCRIBED, DESCRIPTION, Plugin, one_line
from spared_bench.registry.trying import Job, in_children, tried
from spared_bench.specs import DatasetSpec
from spared_bench.specs.base import NAME
from spared_bench.specs.plain import spec_as_json

GROUP = hookspecs.PROJECT
#: Shut folders that a file system keeps in its root, and that could be a dataset by their names.
_OF_A_DISK = ("lost+found",)


def discover(
    files: Iterable[Path] = (),
    points: Iterable[EntryPoint] | None = None,
    data_dir: Path | None = None,
    only: Collection[str] | None = None,
    ours: bool = True,
    left_out: Iterable[Plugin] | None = None,
    specs_only: bool = False,
) -> Registry:
    """Load all plugins of this environment, each guarded.

    Parameters
    ----------
    files : iterable of Path
        Plugins that are not installed (``--plugin``), for work in progress. Their specs may name
        modules that lie beside them.
    points : iterable of EntryPoint, optional
        Instead of those of the environment.
    data_dir : Path, optional
        Where to look for datasets that are described in YAML (``spared-bench data add``).
    only : collection of str, optional
        Strangers' distributions (of a file: its name) whose modules may be imported beside our
        own; all by default. The others are as if they were not installed.
    ours : bool
        Whether our own are loaded, too.
    left_out : iterable of Plugin, optional
        Known to fail (``tried_apart``); they are not imported, and the others are not tried in a
        child (``registry.trying``).
    specs_only : bool
        Whether nothing but specs is asked for. What others registered in the child that tries
        their plugins is then taken over, and no code of theirs is imported here.

    Returns
    -------
    Registry
        With the failed plugins in it, quarantined.

    Raises
    ------
    UsageError
        If one of ``files`` is not there: whoever names a file means it.
    DataError
        If ``data_dir`` may not be read.
    """
    jobs = _jobs(files, points, only, ours)
    found = tried(jobs, _load) if left_out is None else list(left_out)
    known = {_key(plugin): plugin for plugin in found if plugin.quarantined or specs_only}
    plugins = [known.get(_key(plugin)) or _load(plugin, load) for plugin, load in jobs]
    if data_dir is not None:
        plugins += _described(data_dir)
    return Registry(plugins, data_dir)


def tried_apart(files: Iterable[Path], before: Callable[[], None]) -> list[Plugin]:
    """Return the plugins of others, imported in children only: each that ends one is quarantined.

    Parameters
    ----------
    files : iterable of Path
    before : callable
        Done in each child first.
    """
    jobs = [job for job in _jobs(files, None, None, True) if not job[0].is_ours]
    return in_children(jobs, _load, before)


def _jobs(
    files: Iterable[Path],
    points: Iterable[EntryPoint] | None,
    only: Collection[str] | None,
    ours: bool,
) -> list[Job]:
    """Return every plugin, not imported yet, and what imports it."""
    paths = list(dict.fromkeys(Path(file).resolve() for file in files))
    for path in paths:
        if path.is_dir():
            raise UsageError(
                f"{path} is a folder, and `--plugin` takes a file. Name the one in it that has the"
                " hooks, or install the package (`pip install -e .`), which needs no `--plugin`."
            )
        if not path.is_file():
            from spared_bench.whereabouts import whereabouts

            raise UsageError(f"There is no plugin file {path} (`--plugin`). {whereabouts(path)}")
    found = list(entry_points(group=GROUP) if points is None else points)
    sources: dict[tuple[str, str, str], Plugin] = {}
    known: dict[int, tuple[str, str]] = {id(None): ("?", "")}
    for point in found:
        dist = point.dist
        if dist is not None and id(dist) not in known:
            known[id(dist)] = dist.name, dist.version  # each reads its metadata anew
        distribution, version = known[id(dist)]
        plugin = Plugin(distribution, version, point.name, point.value)
        if ours if plugin.is_ours else only is None or distribution in only:
            sources.setdefault((distribution, point.name, point.value), plugin)
    jobs: list[Job] = [(sources[key], from_module(sources[key].target)) for key in sorted(sources)]
    modules: dict[str, Path] = {}
    for path in (path for path in paths if only is None or path.name in only):
        plugin = Plugin(path.name, "", path.stem, str(path))
        other = modules.setdefault(module_name(str(path)), path)
        jobs.append((plugin, from_file(path) if other == path else refuse(path, other)))
    return jobs


def _key(plugin: Plugin) -> tuple[str, str, str]:
    return plugin.distribution, plugin.name, plugin.target


def strangers_installed() -> bool:
    """Return whether an entry point of another distribution is there; nothing is imported."""
    found = (
        Plugin(point.dist.name if point.dist else "?", "", point.name, point.value)
        for point in entry_points(group=GROUP)
    )
    return not all(plugin.is_ours for plugin in found)


def _described(data_dir: Path) -> list[Plugin]:
    """Register every dataset that is described in a folder of data.

    Raises
    ------
    DataError
        If the folder is there and may not be read: it is not taken for an empty one.
    """
    try:
        paths = sorted(folder / DESCRIPTION for folder in data_dir.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(
            f"The folder of data {data_dir} cannot be read: {error.strerror or error}. Change its"
            " permissions, or choose another with `--data-dir DIR`."
        ) from error
    found = []
    for path in paths:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):  # not described, or no folder
            continue
        except OSError as error:
            if path.parent.name in _OF_A_DISK or not NAME.fullmatch(path.parent.name):
                continue
            told = f"{path} cannot be read: {error.strerror or error}. Change its permissions."
            found.append(Plugin(DESCRIBED, "", path.parent.name, str(path), reason=told))
            continue
        found.append(_load_description(path))
    return _kept_apart(found)


def _kept_apart(plugins: list[Plugin]) -> list[Plugin]:
    """Let described datasets that have slides of one another not be ranked together."""
    if len(plugins) < 2:  # numpy is not imported where nothing is to be compared
        return plugins
    from spared_bench.sources.same_spots import sharing

    others = sharing([Path(plugin.target).parent for plugin in plugins if plugin.specs])
    return [
        replace(
            plugin,
            specs=tuple(
                replace(spec, conflicts_with=others[spec.name])
                if isinstance(spec, DatasetSpec) and spec.name in others
                else spec
                for spec in plugin.specs
            ),
        )
        for plugin in plugins
    ]


def _load_description(path: Path) -> Plugin:
    """Register one described dataset, as distribution ``data``; quarantine it if that fails."""
    from spared_bench.sources.adding import described_spec

    plugin = Plugin(DESCRIBED, "", path.parent.name, str(path))
    try:
        return replace(plugin, specs=(described_spec(path),))
    except SparedBenchError as error:
        story = "".join(traceback.format_exception(error))
        return replace(plugin, reason=" ".join(str(error).split()), traceback=story)


def _load(plugin: Plugin, load: Callable[[], ModuleType]) -> Plugin:
    """Import one plugin and collect its specs; quarantine it if anything goes wrong."""
    try:
        with importing(plugin.name):
            specs = collect(load())
        if not plugin.is_ours:
            for spec in specs:
                spec_as_json(spec)  # other processes are told of it
        if plugin.target.endswith(".py"):
            factories = (getattr(spec, "factory", "") for spec in specs)
            let_import(Path(plugin.target), filter(None, factories))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        story = "".join(traceback.format_exception(error))
        return replace(plugin, reason=one_line(error), traceback=story)
    return replace(plugin, specs=tuple(specs))
