"""What every kind of plugin says about itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

from spared_bench.errors import PluginError
from spared_bench.pretty import facts_html

NAME = re.compile(r"[a-z0-9][a-z0-9_+.-]{0,63}")
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_MAX_TEXT = 2_000


@dataclass(frozen=True)
class Spec:
    """What every kind of plugin says.

    Parameters
    ----------
    name : str
        Lower case letters, digits and ``_ + . -``; what a user types.
    factory : str
        ``"package.module:attribute"``.
    summary : str
        One line for the tables.
    version : str
        Of the plugin's algorithm; part of the key of everything that it makes.
    citation, licence : str
        Of the method or of the data.
    extras : tuple of str
        Packages that must be importable for the factory to work.
    """

    kind: ClassVar[str] = "plugin"
    plural: ClassVar[str] = ""  # where it is not the kind and an s

    name: str
    factory: str = ""
    summary: str = ""
    version: str = "1"
    citation: str = ""
    licence: str = ""
    extras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        label = f"{type(self).__name__}(name={self.name!r})"
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise PluginError(
                f"{label}: the name must be 1-64 characters of a-z, 0-9, '_', '+', '.', '-' and"
                f" begin with a letter or digit; found {self.name!r}. Rename the plugin."
            )
        if not isinstance(self.factory, str) or not _FACTORY.fullmatch(self.factory):
            raise PluginError(
                f"{label}: factory must read 'package.module:attribute', found {self.factory!r}."
            )
        for name in ("summary", "version", "citation", "licence"):
            if not isinstance(getattr(self, name), str):
                found = type(getattr(self, name)).__name__
                raise PluginError(f"{label}: {name} must be a text, found {found}.")
        if not _are_names(self.extras):
            raise PluginError(
                f"{label}: extras must be a tuple of the names of packages, found {self.extras!r}."
            )
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, str) and len(value) > _MAX_TEXT:
                raise PluginError(f"{label}: {item.name} is longer than {_MAX_TEXT} characters.")

    def _repr_html_(self) -> str:
        facts = [(item.name, getattr(self, item.name)) for item in fields(self)]
        return facts_html(f"{self.kind} {self.name}", facts)


def _are_names(values: object) -> bool:
    return isinstance(values, tuple | list) and all(
        isinstance(value, str) and value for value in values
    )


def spec_as_dict(spec: Spec) -> dict[str, Any]:
    """Return a spec as values that JSON can hold, nested dataclasses and mappings as dicts.

    What is in them is shared with the spec, of which ``dataclasses.asdict`` copies every text.
    """
    return {item.name: _as_plain(getattr(spec, item.name)) for item in fields(spec)}


def _as_plain(value: Any) -> Any:
    if type(value) in (tuple, list):
        return type(value)(map(_as_plain, value))
    if isinstance(value, Mapping):
        return {key: _as_plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _as_plain(getattr(value, item.name)) for item in fields(value)}
    return value
