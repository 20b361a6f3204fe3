"""The encoders that plugins register, by name, for methods that name one in a parameter.

A method is made from plain values and knows no registry. Each new registry writes its encoders here
and replaces what an earlier one wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from spared_bench.errors import AmbiguousNameError
from spared_bench.specs import EncoderSpec


@dataclass(frozen=True)
class KnownEncoder:
    """A registered encoder.

    Parameters
    ----------
    spec : EncoderSpec
    distribution : str
        That registers it.
    load : callable
        Imports what its ``factory`` names.
    code : callable
        Returns the hash of the factory's code.
    imported : bool
        Whether its plugin is imported in this process, which may only have been told of it.
    """

    spec: EncoderSpec
    distribution: str
    load: Callable[[], Any]
    code: Callable[[], str] = str
    imported: bool = True

    @property
    def qualified_name(self) -> str:
        """``distribution:name``, which is never ambiguous."""
        return f"{self.distribution}:{self.spec.name}"

    @property
    def runs_code(self) -> bool:
        """Whether its plugin brings code that makes the network, beside values that describe it."""
        return self.spec.loader == "factory"


_known: dict[str, list[KnownEncoder]] = {}


def declare(encoders: Iterable[KnownEncoder]) -> None:
    """Replace all that is known; a registry without encoders leaves it as it is."""
    found = list(encoders)
    if found:
        _known.clear()
    for each in found:
        for name in (each.spec.name, *each.spec.aliases):
            _known.setdefault(name.casefold(), []).append(each)


def known_encoder(name: str) -> KnownEncoder | None:
    """Return the encoder of a name or alias, whatever its case; ``None`` if none is registered.

    Raises
    ------
    AmbiguousNameError
        If two plugins register the name; ``distribution:name`` picks one.
    """
    distribution, colon, bare = name.rpartition(":")
    found = _known.get((bare if colon else name).casefold(), [])
    own = [each for each in found if each.spec.name == (bare if colon else name)]
    found = [each for each in own or found if not colon or each.distribution == distribution]
    if len(found) > 1:
        names = ", ".join(f"{each.distribution}:{each.spec.name}" for each in found)
        raise AmbiguousNameError(
            f"More than one plugin registers the encoder {name!r}, so neither is used by that name."
            f" Ask for one of: {names}."
        )
    return found[0] if found else None


def encoder_names() -> list[str]:
    """Return the names of all registered encoders, sorted."""
    return sorted({each.spec.name for entries in _known.values() for each in entries})


def is_colour(name: str) -> bool:
    """Return whether an encoder of this name is the features of colour, which have no weights."""
    known = None if name == "color" else known_encoder(name)
    return name == "color" or (known is not None and known.spec.loader == "colour")
