"""One plugin, what became of it, and what it registers."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from spared_bench.beside import beside
from spared_bench.errors import PluginError, in_words
from spared_bench.guard import ImportStopped, guarded, importing
from spared_bench.keys.code import code_hash, factory_hash
from spared_bench.keys.named_files import named_files
from spared_bench.registry.modules import module_name
from spared_bench.specs import Spec

#: The distribution of our own plugins, and the package that they are in.
OURS, _OUR_PACKAGE = "spared-bench", "spared_bench_plugins."
#: What a dataset that is described in YAML counts as; no code comes with it.
DESCRIBED, DESCRIPTION = "data", "dataset.yaml"


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
        return self.distribution == DESCRIBED and Path(self.target).name == DESCRIPTION


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
        name = getattr(self.spec, "variant_of", "") or self.spec.name
        return None if known is None else known.get(f"{self.spec.kind} {name}", {})

    @property
    def code(self) -> str:
        """The hash of its code (``keys.code``): as it is here, or as it was told.

        Raises
        ------
        PluginError
            If it cannot be read.
        """
        told = self.told
        if told is None:
            if self.plugin.is_ours:
                return code_hash(self.spec.factory.partition(":")[0])
            return factory_hash(self.spec.factory, module_name(self.plugin.target))
        if not told["code"]:
            raise PluginError(f"{self.spec.kind} {self.spec.name!r}: {told['problem']}")
        return str(told["code"])

    @property
    def named_files(self) -> dict[str, str]:
        """The files that a stranger's code brings and names (``keys.named_files``), with hashes.

        Raises
        ------
        PluginError
            If its code cannot be read.
        """
        if self.plugin.is_ours:
            return {}
        told = self.told
        if told is not None:
            return dict(told["named_files"])
        return named_files(self.spec.factory.partition(":")[0])

    def load(self) -> Any:
        """Import the object that the spec's factory names, once.

        Raises
        ------
        PluginError
            If it cannot be imported, or one of its extras is missing.
        """
        told = self.told
        if told is not None and "text" in told:
            return lambda: told["text"]
        if told is not None and "no_text" in told:
            raise PluginError(str(told["no_text"]))
        if self.plugin.told is not None:
            raise PluginError(
                f"{self.spec.kind} {self.spec.name!r} of {self.plugin.distribution} is not imported"
                " in this process, in which no code of others runs."
            )
        return self._loaded

    def text(self) -> str:
        """Return the YAML that the factory of a protocol or study makes, whatever else it does.

        Raises
        ------
        PluginError
            If it raises, or makes something else.
        """
        factory = self.load()
        label = f"{self.spec.kind} {self.spec.name!r} of {self.plugin.distribution}"
        try:
            with guarded():
                text = factory()
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # sys.exit, too
            told = " ".join(in_words(error)[0].split())
            raise PluginError(
                f"{label}: its factory {self.spec.factory!r} failed: {told}"
            ) from error
        if not isinstance(text, str):
            raise PluginError(
                f"{label}: its factory {self.spec.factory!r} returned a {type(text).__name__};"
                " expected the text of a YAML."
            )
        return text

    @cached_property
    def _loaded(self) -> Any:
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
                f" imported from {self.spec.factory!r}: {one_line(error)}"
            ) from error
        if self.plugin.target.endswith(".py"):
            self._require_own(module.partition(".")[0])
        if self.spec.kind == "metric" and not self.plugin.is_ours and callable(found):
            from spared_bench.registry.answers import in_order  # pandas: not for listing

            return in_order(self.spec.name, found)
        return found

    def _require_own(self, module: str) -> None:
        """Refuse a module of another place where one of its name lies beside the plugin file."""
        own = beside(Path(self.plugin.target), module)
        other = getattr(sys.modules[module], "__file__", None)
        if own is not None and not (other and Path(other).exists() and own.samefile(other)):
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


def one_line(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({' '.join(map(str, error.args))}) when it is imported"
    if isinstance(error, ImportStopped):
        return str(error)
    return " ".join(in_words(error)[0].split())
