"""YAML files that come with the package: nobody else writes them, so they are not checked."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml

#: libyaml's parser is ten times as quick, and not there on every machine.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@lru_cache(maxsize=64)
def shipped_yaml(text: str) -> Any:
    """Return what a text in YAML says, as plain values, which are read alone: they are kept.

    A process asks for its plugins several times, and each reads thirty such files.

    Parameters
    ----------
    text : str
        Of a file of the package itself; what a user or a stranger wrote is for
        ``spared_bench.strict``.

    Raises
    ------
    yaml.YAMLError
        If it is no YAML.
    """
    return yaml.load(text, Loader=_LOADER)
