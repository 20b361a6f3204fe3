"""All plugins of an environment, looked up by name.

A name that spared-bench registers means its own, whoever else registers it. Two plugins of others
of one name are both refused by that name. ``distribution:name`` picks one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from shlex import quote
from types import ModuleType

from spared_bench.errors import AmbiguousNameError, PluginError, UnknownNameError, UsageError
from spared_bench.registry.encoders import declare_encoders, on_encoder
from spared_bench.registry.modules import module_name
from spared_bench.registry.registered import DESCRIBED, OURS, Plugin, Registered
from spared_bench.specs import KINDS, PLURALS, DatasetSpec
from spared_bench.words import counted


@dataclass
class Registry:
    """All plugins of an environment.

    Parameters
    ----------
    plugins : list of Plugin
        In the order of (distribution, name); files last.
    data_dir : Path, optional
        Where datasets were looked for that are described in YAML.
    """

    plugins: list[Plugin] = field(default_factory=list)
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        self._by_kind: dict[str, dict[str, list[Registered]]] = {kind: {} for kind in KINDS}
        for plugin in self.plugins:
            for spec in plugin.specs:
                found = self._by_kind[spec.kind].setdefault(spec.name, [])
                found.append(Registered(spec, plugin))
        self.declare()

    @cached_property
    def _folds(self) -> dict[str, list[Registered]]:
        """The folds of each ``dataset.scheme``, which are found by name and left out of lists."""
        return {
            f"{entry.spec.name}.{scheme}": [
                Registered(fold, entry.plugin) for fold in entry.spec.fold_specs(scheme)
            ]
            for entry in self.all("dataset")
            if isinstance(entry.spec, DatasetSpec) and self.goes_by_its_name(entry)
            for scheme in entry.spec.folds
        }

    @property
    def quarantined(self) -> list[Plugin]:
        """The plugins that were left out."""
        return [plugin for plugin in self.plugins if plugin.quarantined]

    def require_files(self, files: Iterable[Path | str]) -> Registry:
        """Return this registry, unless a plugin file that was named could not be used.

        Raises
        ------
        PluginError
            With the reason: whoever names a file means it.
        """
        named = {str(Path(file).resolve()) for file in files}
        for plugin in self.quarantined:
            if plugin.target in named:
                why = f"plugins why {quote(plugin.name)} --plugin {quote(plugin.target)}"
                raise PluginError(
                    f"The plugin file {plugin.target} cannot be used: {plugin.reason.rstrip('.')}."
                    f" Mend it, or leave it out; `spared-bench {why}` shows more."
                )
        return self

    def all(self, kind: str) -> list[Registered]:
        """Return everything of a kind, clashing names included, sorted by name."""
        names = self._by_kind[kind]
        return [entry for name in sorted(names) for entry in names[name]]

    def names(self, kind: str) -> list[str]:
        """Return the names by which plugins of a kind can be asked for, sorted.

        A name that two distributions register is listed once for each, as ``distribution:name``;
        ours by the name alone.
        """
        return list(self.named(kind))

    def named(self, kind: str) -> dict[str, Registered]:
        """Return everything of a kind by the name by which it can be asked for; see ``names``."""
        return {
            entry.spec.name if self.goes_by_its_name(entry) else entry.qualified_name: entry
            for entry in self.all(kind)
        }

    def goes_by_its_name(self, entry: Registered) -> bool:
        """Return whether its name alone, without its distribution, means this plugin."""
        distributions = [each.plugin.distribution for each in _meant(self._of_its_name(entry))]
        return not distributions or distributions == [entry.plugin.distribution]

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
            If two plugins of others register it, or one of ours and a dataset of people's own.
        """
        distribution, colon, bare = name.rpartition(":")
        entries = self._by_kind[kind].get(bare if colon else name, [])
        entries = entries or self._also_called(kind, bare if colon else name)
        if not entries and kind == "dataset":
            entries = self._find_fold(bare if colon else name)
        if colon:
            entries = [entry for entry in entries if entry.plugin.distribution == distribution]
        entries = _meant(entries)
        if not entries and kind == "predictor" and "+" in name:
            base, _, encoder = name.partition("+")
            return on_encoder(self.get("predictor", base), self._encoder(encoder))
        if len(entries) > 1:
            choices = ", ".join(entry.qualified_name for entry in entries)
            raise AmbiguousNameError(
                f"More than one plugin registers the {kind} {name!r}, so neither is used by that"
                f" name. Ask for one of: {choices}. Uninstall the other if you do not need it."
            )
        if not entries:
            hint = f"`spared-bench list {PLURALS[kind]}` describes them."
            parts = name.replace(",", " ").split()
            if len(parts) > 1 and not set(parts) - set(self.names(kind)):
                each = " ".join(f"-{kind[0]} {part}" for part in parts)
                hint = f"These are {len(parts)} names: name each by itself, `{each}`."
            if self.quarantined:
                names = ", ".join(plugin.name for plugin in self.quarantined)
                hint += f" Plugins that could not be loaded: {names}; `spared-bench plugins why`."
            told = self.where_added() if kind == "dataset" else ""
            hint = " ".join(filter(None, [told, hint]))
            raise UnknownNameError(kind, name, self.names(kind), hint)
        return entries[0]

    def where_added(self) -> str:
        """Say where datasets were looked for that people add; empty where nowhere."""
        if self.data_dir is None:
            return ""
        added = [entry for entry in self.all("dataset") if entry.plugin.distribution == DESCRIBED]
        found = f"{counted(len(added), 'dataset')} there" if added else "none there"
        return (
            f"Those that `data add` made are looked for in {self.data_dir} ({found}): if it was"
            " added elsewhere, name that workspace with `-w`, or its folder of data with"
            " `--data-dir`."
        )

    def canonical(self, kind: str, name: str) -> str:
        """Return the name under which a plugin is registered, for one of its other names.

        ``distribution:name`` stays qualified, unless it is ours; see ``get`` for the errors.
        """
        entry = self.get(kind, name)
        if getattr(entry.spec, "variant_of", ""):
            base, _, encoder = name.partition("+")
            return f"{self.canonical('predictor', base)}+{self._encoder(encoder)}"
        alone = ":" not in name or (_is_shipped(entry) and self.goes_by_its_name(entry))
        return entry.spec.name if alone else entry.qualified_name

    def _encoder(self, name: str) -> str:
        """Return the name of an encoder: as it is registered, or as timm or torchvision has it."""
        try:
            entry = self.get("encoder", name)
            if self.is_shadowed(entry):
                raise UsageError(
                    f"The encoder {entry.spec.name!r} of {entry.plugin.distribution} is called as"
                    " one that spared-bench registers, so no method can use it. Give it another"
                    " name."
                )
            return self.canonical("encoder", name)
        except UnknownNameError:
            from spared_bench.models.backbones import is_network

            if is_network(name):
                return name
            raise

    def declare(self) -> None:
        """Make its encoders those that methods know, after another registry has told its own."""
        declare_encoders([each for each in self.all("encoder") if not self.is_shadowed(each)])

    def is_shadowed(self, entry: Registered) -> bool:
        """Return whether a stranger's plugin is called as one of ours, which is meant by it."""
        return not entry.plugin.is_ours and any(map(_is_shipped, self._of_its_name(entry)))

    def _of_its_name(self, entry: Registered) -> list[Registered]:
        spec = entry.spec
        return self._by_kind[spec.kind].get(getattr(spec, "variant_of", "") or spec.name, [])

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
            and (module := module_name(plugin.target)) in sys.modules
        ]


def _is_shipped(entry: Registered) -> bool:
    return entry.plugin.is_ours and entry.plugin.distribution == OURS


def _meant(entries: list[Registered]) -> list[Registered]:
    """Return which of the plugins of one name are meant by it: no stranger's, where ours has it.

    A dataset that people described themselves and that is called as one of ours is meant, too.
    """
    if not any(map(_is_shipped, entries)):
        return entries
    return [entry for entry in entries if entry.plugin.is_ours]
