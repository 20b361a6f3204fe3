"""Which protocol is meant: by a name, a file, or the datasets that are selected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spared_bench.errors import PluginError, UsageError
from spared_bench.protocol import Protocol, parse_protocol, read_protocol
from spared_bench.registry import Registry
from spared_bench.sources.description import FACTORY as DESCRIBED
from spared_bench.strict import is_yaml

DEFAULT_PROTOCOL = "demo"
#: Taken instead where all datasets are people's own (``spared-bench data add``).
OWN_PROTOCOL = "own"


def load_protocol(name: str | Protocol, registry: Registry) -> Protocol:
    """Return a protocol by name, or from a YAML file.

    Parameters
    ----------
    name : str or Protocol
        Of a registered protocol (``"demo"`` or ``"demo@1"``), or a path that ends in ``.yaml``; or
        a protocol, which is returned as it is.
    registry : Registry
    """
    if isinstance(name, Protocol):
        return name
    if is_yaml(name):
        return read_protocol(Path(name))
    bare, _, version = name.partition("@")
    entry = registry.get("protocol", bare)
    protocol = parse_protocol(entry.text(), f"protocol {bare!r}")
    if protocol.name != entry.spec.name:
        raise PluginError(
            f"Protocol {entry.spec.name!r} of {entry.plugin.distribution} calls itself"
            f" {protocol.name!r} in its YAML, under which its results would be kept. Give both the"
            " same name."
        )
    if version and version != str(protocol.version):
        raise UsageError(
            f"Protocol {bare!r} is installed in version {protocol.version}, not {version!r}."
        )
    return protocol


def default_protocol(registry: Registry, datasets: Sequence[str]) -> str:
    """Return the protocol that is meant where none is named.

    Raises
    ------
    UsageError
        If some of the datasets are people's own and others are not.
    """
    entries = [registry.get("dataset", fold) for name in datasets for fold in registry.expand(name)]
    own = {entry.spec.name for entry in entries if entry.spec.factory == DESCRIBED}
    others = {entry.spec.name for entry in entries} - own
    if own and others:
        raise UsageError(
            f"No protocol is named, and it is not clear which one is meant: {min(own)!r} is a"
            f" dataset of your own, which protocol {OWN_PROTOCOL!r} is for, and {min(others)!r} is"
            f" not. Name one with `--suite`: {', '.join(registry.names('protocol'))}."
        )
    return OWN_PROTOCOL if own else DEFAULT_PROTOCOL
