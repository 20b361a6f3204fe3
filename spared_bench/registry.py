"""Finds plugins through entry points, one at a time; looks a plugin up by name.

A plugin that fails is *quarantined*: it is left out, the reason is kept, and everything else works.
Two plugins of one name are both refused by that name; ``distribution:name`` picks one.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from spared_bench import hookspecs
from spared_bench.beside import beside, let_import
from spared_bench.errors import (
    AmbiguousNameError,
    PluginError,
    SparedBenchError,
    UnknownNameError,
    UsageError,
    did_you_mean,
    in_words,
)
from spared_bench.guard import ImportStopped, guarded, importing
from spared_bench.keys.code import code_hash
from spared_bench.specs import KINDS, DatasetSpec, Spec

GROUP = hookspecs.PROJECT
#: The distribution of our own plugins, and the package that they are in.
OURS, _OUR_PACKAGE = "spared-bench", "spared_bench_plugins."
#: What a dataset that is described in YAML counts as; no code comes with it.
_DESCRIBED, _DESCRIPTION = "data", "dataset.yaml"
_PREFIX = "spared_bench_"
_HOOK_OF = {kind: f"{_PREFIX}{kind}s" for kind in KINDS}
_HOOKS = [name for name in vars(hookspecs) if name.startswith(_PREFIX)]


@dataclass(frozen=True)
class Plugin:
    """One entry point or file, and what became of it.

    Parameters
    ----------
    distribution, version : str
        The package it comes from; for a file its name, and an empty version.
    name : str
        Of the entry point, or the stem of the file.
    target : str
        The module, or the path of the file.
    reason : str
        Why it is quarantined, one line; empty if it is not.
    traceback : str
        The whole story, where there is one.
    specs : tuple of Spec
        What it registers; empty if quarantined.
    told : mapping of str to mapping, optional
        Of a plugin whose code is not imported in this process: what another process has told of
        what it registers, by ``"kind name"`` (``spared_bench.told``).
    """

    distribution: str
    version: str
    name: str
    target: str
    reason: str = ""
    traceback: str = ""
    specs: tuple[Spec, ...] = ()
    told: Mapping[str, Mapping[str, Any]] | None = None

    @property
    def quarantined(self) -> bool:
        """Whether it was left out."""
        return bool(self.reason)

    @property
    def is_ours(self) -> bool:
        """Whether it comes with spared-bench, or brings no code: all others are strangers'."""
        if self.distribution == OURS:
            return self.target.startswith(_OUR_PACKAGE)
        return self.distribution == _DESCRIBED and Path(self.target).name == _DESCRIPTION


@dataclass(frozen=True)
class Registered:
    """A spec and the plugin that brought it."""

    spec: Spec
    plugin: Plugin

    @property
    def qualified_name(self) -> str:
        """``distribution:name``, which is never ambiguous."""
        return f"{self.plugin.distribution}:{self.spec.name}"

    @property
    def told(self) -> Mapping[str, Any] | None:
        """What another process has told of it, if its code is not imported here."""
        known = self.plugin.told
        return None if known is None else known.get(f"{self.spec.kind} {self.spec.name}", {})

    @property
    def code(self) -> str:
        """The hash of its code (``keys.code``): as it is here, or as it was told."""
        told = self.told
        return code_hash(self.spec.factory.partition(":")[0]) if told is None else str(told["code"])

    def load(self) -> Any:
        """Import the object that the spec's factory names.

        Raises
        ------
        PluginError
            If it cannot be imported, or one of its extras is missing.
        """
        if self.plugin.told is not None:
            raise PluginError(
                f"{self.spec.kind} {self.spec.name!r} of {self.plugin.distribution} is not imported"
                " in this process, in which no code of others runs."
            )
        module, _, attribute = self.spec.factory.partition(":")
        missing = [name for name in self.spec.extras if not _is_installed(name)]
        if missing:
            raise PluginError(
                f"{self.spec.kind} {self.spec.name!r} needs packages that are not installed:"
                f" {', '.join(missing)}. Install them into this environment."
            )
        try:
            with importing(self.spec.name, seconds=None):  # torch may take a minute
                found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:
            raise PluginError(
                f"{self.spec.kind} {self.spec.name!r} of {self.plugin.distribution} cannot be"
                f" imported from {self.spec.factory!r}: {_one_line(error)}"
            ) from error
        if self.plugin.target.endswith(".py"):
            self._require_own(module.partition(".")[0])
        return found

    def _require_own(self, module: str) -> None:
        """Refuse a module of another place where one of its name lies beside the plugin file."""
        own = beside(Path(self.plugin.target), module)
        other = getattr(sys.modules[module], "__file__", None)
        if own is not None and (other is None or not own.samefile(other)):
            raise PluginError(
                f"{self.spec.kind} {self.spec.name!r} of {self.plugin.distribution} names the"
                f" module {module!r}, which is {other or 'a part of Python'} and not {own}:"
                " another module has this name. Rename the one beside the plugin."
            )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # of a package that is not there itself
        return False


@dataclass
class Registry:
    """All plugins of an environment.

    Parameters
    ----------
    plugins : list of Plugin
        In the order of (distribution, name); files last.
    """

    plugins: list[Plugin] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._by_kind: dict[str, dict[str, list[Registered]]] = {kind: {} for kind in KINDS}
        for plugin in self.plugins:
            for spec in plugin.specs:
                found = self._by_kind[spec.kind].setdefault(spec.name, [])
                found.append(Registered(spec, plugin))

    @cached_property
    def _folds(self) -> dict[str, list[Registered]]:
        """The folds of each ``dataset.scheme``, which are found by name and left out of lists."""
        return {
            f"{entry.spec.name}.{scheme}": [
                Registered(fold, entry.plugin) for fold in entry.spec.fold_specs(scheme)
            ]
            for entry in self.all("dataset")
            if isinstance(entry.spec, DatasetSpec)
            for scheme in entry.spec.folds
        }

    @property
    def quarantined(self) -> list[Plugin]:
        """The plugins that were left out."""
        return [plugin for plugin in self.plugins if plugin.quarantined]

    def all(self, kind: str) -> list[Registered]:
        """Return everything of a kind, clashing names included, sorted by name."""
        names = self._by_kind[kind]
        return [entry for name in sorted(names) for entry in names[name]]

    def names(self, kind: str) -> list[str]:
        """Return the names by which plugins of a kind can be asked for, sorted.

        A name that two distributions register is listed once for each, as ``distribution:name``.
        """
        return [
            entry.spec.name if len(entries) == 1 else entry.qualified_name
            for _, entries in sorted(self._by_kind[kind].items())
            for entry in entries
        ]

    def expand(self, name: str) -> list[str]:
        """Return the names of the datasets that a name stands for: folds, or itself."""
        return [entry.spec.name for entry in self._folds.get(name, [])] or [name]

    def get(self, kind: str, name: str) -> Registered:
        """Look a plugin up by name or by ``distribution:name``; a dataset also by its fold.

        Raises
        ------
        UsageError
            For a scheme of folds, which stands for several datasets.
        UnknownNameError
            With the nearest name, and with the quarantined plugins, one of which may have had it.
        AmbiguousNameError
            If two plugins register the name.
        """
        distribution, colon, bare = name.rpartition(":")
        entries = self._by_kind[kind].get(bare if colon else name, [])
        entries = entries or self._also_called(kind, bare if colon else name)
        if not entries and kind == "dataset":
            entries = self._find_fold(bare if colon else name)
        if colon:
            entries = [entry for entry in entries if entry.plugin.distribution == distribution]
        if len(entries) > 1:
            choices = ", ".join(entry.qualified_name for entry in entries)
            raise AmbiguousNameError(
                f"More than one plugin registers the {kind} {name!r}, so neither is used by that"
                f" name. Ask for one of: {choices}. Uninstall the other if you do not need it."
            )
        if not entries:
            hint = f"`spared-bench list {kind}s` describes them."
            if self.quarantined:
                names = ", ".join(plugin.name for plugin in self.quarantined)
                hint += f" Plugins that could not be loaded: {names}; `spared-bench plugins why`."
            raise UnknownNameError(kind, name, self.names(kind), hint)
        return entries[0]

    def canonical(self, kind: str, name: str) -> str:
        """Return the name under which a plugin is registered, for one of its other names.

        ``distribution:name`` stays qualified; see ``get`` for the errors.
        """
        entry = self.get(kind, name)
        return entry.qualified_name if ":" in name else entry.spec.name

    def _also_called(self, kind: str, name: str) -> list[Registered]:
        """Return what has this name in other letters' case, or as an alias."""
        wanted = name.casefold()
        return [
            entry
            for entry in self.all(kind)
            if wanted
            in (
                known.casefold() for known in (entry.spec.name, *getattr(entry.spec, "aliases", ()))
            )
        ]

    def _find_fold(self, name: str) -> list[Registered]:
        if name in self._folds:
            folds = ", ".join(entry.spec.name for entry in self._folds[name])
            raise UsageError(
                f"{name!r} stands for {len(self._folds[name])} folds, where one dataset is"
                f" expected. Name one of: {folds}."
            )
        every = (entry for entries in self._folds.values() for entry in entries)
        return [entry for entry in every if entry.spec.name == name.lower()]

    def observers(self) -> list[ModuleType]:
        """Return the loaded modules, for the observer hooks."""
        return [
            sys.modules[module]
            for plugin in self.plugins
            if plugin.told is None
            and not plugin.quarantined
            and (module := _module_name(plugin.target)) in sys.modules
        ]


def discover(
    files: Iterable[Path] = (),
    points: Iterable[EntryPoint] | None = None,
    data_dir: Path | None = None,
    only: Collection[str] | None = None,
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

    Returns
    -------
    Registry
        With the failed plugins in it, quarantined.

    Raises
    ------
    UsageError
        If one of ``files`` is not there: whoever names a file means it.
    """
    paths = list(dict.fromkeys(Path(file).resolve() for file in files))
    for path in paths:
        if not path.is_file():
            raise UsageError(f"There is no plugin file {path}. Check the path after `--plugin`.")
    found = entry_points(group=GROUP) if points is None else points
    sources: dict[tuple[str, str, str], Plugin] = {}
    for point in found:
        distribution = point.dist.name if point.dist else "?"
        version = point.dist.version if point.dist else ""
        plugin = Plugin(distribution, version, point.name, point.value)
        if only is None or plugin.is_ours or distribution in only:
            sources.setdefault((distribution, point.name, point.value), plugin)
    plugins = [_load(sources[key], _from_module(sources[key].target)) for key in sorted(sources)]
    modules: dict[str, Path] = {}
    for path in (path for path in paths if only is None or path.name in only):
        plugin = Plugin(path.name, "", path.stem, str(path))
        other = modules.setdefault(_module_name(str(path)), path)
        plugins.append(_load(plugin, _from_file(path) if other == path else _refuse(path, other)))
    if data_dir is not None:
        plugins += [_load_description(path) for path in sorted(data_dir.glob(f"*/{_DESCRIPTION}"))]
    return Registry(plugins)


def _load_description(path: Path) -> Plugin:
    """Register one described dataset, as distribution ``data``; quarantine it if that fails."""
    from spared_bench.sources.described import described_spec

    plugin = Plugin(_DESCRIBED, "", path.parent.name, str(path))
    try:
        return replace(plugin, specs=(described_spec(path),))
    except SparedBenchError as error:
        story = "".join(traceback.format_exception(error))
        return replace(plugin, reason=" ".join(str(error).split()), traceback=story)


def _from_module(name: str) -> Callable[[], ModuleType]:
    return lambda: importlib.import_module(name)


def _module_name(target: str) -> str:
    """Return the module under which a plugin is found in ``sys.modules``."""
    if not target.endswith(".py"):
        return target
    return f"{_PREFIX}file_{re.sub(r'[^A-Za-z0-9_]', '_', Path(target).stem)}"


def _refuse(path: Path, other: Path) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        raise PluginError(
            f"{path} and {other} would be one module, because their names are the same. Rename one."
        )

    return load


def _from_file(path: Path) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        name = _module_name(str(path))
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"{path} is not a Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return load


def _load(plugin: Plugin, load: Callable[[], ModuleType]) -> Plugin:
    """Import one plugin and collect its specs; quarantine it if anything goes wrong."""
    try:
        with importing(plugin.name):
            specs = _collect(load())
        if plugin.target.endswith(".py"):
            factories = (getattr(spec, "factory", "") for spec in specs)
            let_import(Path(plugin.target), filter(None, factories))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        story = "".join(traceback.format_exception(error))
        return Plugin(
            plugin.distribution,
            plugin.version,
            plugin.name,
            plugin.target,
            reason=_one_line(error),
            traceback=story,
        )
    return Plugin(
        plugin.distribution, plugin.version, plugin.name, plugin.target, specs=tuple(specs)
    )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({text}) when it is imported"
    if isinstance(error, PluginError | ImportStopped):
        return text
    return f"{type(error).__name__}: {text}"


def _collect(module: ModuleType) -> list[Spec]:
    """Return the specs of a plugin module after checking its hooks."""
    wanted = getattr(module, "requires_api", hookspecs.API_VERSION)
    if wanted != hookspecs.API_VERSION:
        raise PluginError(
            f"it asks for plugin API {wanted!r}; this spared-bench has API"
            f" {hookspecs.API_VERSION}. Install a matching version of either."
        )
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    _check_hook_names(module)
    try:
        manager.register(module)
    except pluggy.PluginValidationError as error:
        raise PluginError(f"a hook has a wrong signature: {error}") from error
    specs: list[Spec] = []
    for kind, hook in _HOOK_OF.items():
        for answer in getattr(manager.hook, hook)():
            specs += _checked(answer, hook, KINDS[kind])
    names = [(spec.kind, spec.name) for spec in specs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise PluginError(f"it registers {sorted(twice)} more than once.")
    return specs


def _check_hook_names(module: ModuleType) -> None:
    """Refuse hooks that no one will call: misspelt, or without the decorator."""
    marked = 0
    for name, value in vars(module).items():
        is_marked = hasattr(value, f"{hookspecs.PROJECT}_impl")
        marked += is_marked
        if is_marked and name not in _HOOKS:
            raise PluginError(
                f"there is no hook {name!r}. {did_you_mean(name, _HOOKS)} The hooks are:"
                f" {', '.join(_HOOKS)}."
            )
        if not is_marked and name in _HOOKS and getattr(value, "__module__", "") == module.__name__:
            raise PluginError(f"{name} lacks the decorator @spared_bench.hookimpl.")
    if not marked:
        raise PluginError(
            "it has no hook: no function carries @spared_bench.hookimpl. Point the entry point at"
            f" the module with the hooks ({', '.join(_HOOKS[:3])}, ...)."
        )


def _checked(answer: Any, hook: str, wanted: type[Spec]) -> Sequence[Spec]:
    if not isinstance(answer, list | tuple):
        raise PluginError(
            f"{hook} must return a list of {wanted.__name__}, found {type(answer).__name__}."
        )
    for item in answer:
        if type(item) is not wanted:
            raise PluginError(
                f"{hook} must return {wanted.__name__} objects, found {type(item).__name__}."
            )
    return answer


def notify(registry: Registry, hook: str, log: Callable[[str], None], **arguments: Any) -> None:
    """Call an observer hook of every plugin; an error is logged and changes nothing."""
    for module in registry.observers():
        function = getattr(module, hook, None)
        if function is None or not hasattr(function, f"{hookspecs.PROJECT}_impl"):
            continue
        try:
            names = function.__code__.co_varnames[: function.__code__.co_argcount]
            with guarded():
                function(**{name: value for name, value in arguments.items() if name in names})
        except (Exception, SystemExit) as error:
            log(f"Observer {module.__name__}.{hook} failed: {in_words(error)[0]}")
