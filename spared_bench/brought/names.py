"""The names by which spots and genes of a dataset are found in a file of predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from spared_bench.errors import SubmissionError, did_you_mean
from spared_bench.words import counted


@dataclass(frozen=True)
class Names:
    """What one axis of a dataset is called.

    Parameters
    ----------
    what : str
        ``"spots"`` or ``"genes"``.
    names : tuple of str
        In the dataset's order: ``<slide>_<barcode>`` for spots, ids for genes.
    others : tuple of str
        A second name of each, which counts where no two share it: barcodes, symbols.
    elsewhere : frozenset of str
        Names that are known and not wanted: spots of other splits, and their barcodes.
    """

    what: str
    names: tuple[str, ...]
    others: tuple[str, ...]
    elsewhere: frozenset[str] = frozenset()

    @cached_property
    def place(self) -> dict[str, int]:
        """From every name that is clear to its place."""
        times = Counter(self.others)
        second = {name: i for i, name in enumerate(self.others) if times[name] == 1}
        return second | {name: i for i, name in enumerate(self.names)}

    @cached_property
    def shared(self) -> frozenset[str]:
        """Second names that several share, which therefore name nothing."""
        return frozenset(n for n, times in Counter(self.others).items() if times > 1)

    def hits(self, found: Iterable[str]) -> int:
        """Return how many of these names are known, here or elsewhere."""
        known = self.place
        return sum(name in known or name in self.elsewhere or name in self.shared for name in found)

    def unknown(self, name: str) -> bool:
        """Whether a name is of nothing in the dataset."""
        return name not in self.place and name not in self.elsewhere


def refuse_unknown(names: Names, found: Sequence[str], source: str) -> None:
    """Raise an error that names some of what the dataset does not have.

    Raises
    ------
    SubmissionError
    """
    if shared := [name for name in found if name in names.shared]:
        example = next(
            n for n, other in zip(names.names, names.others, strict=True) if other == shared[0]
        )
        raise SubmissionError(
            f"{source} names {shared[0]!r}, which several {names.what} of the dataset are called"
            f" ({len(shared)} such names). Write their full names, as in {example!r}."
        )
    hint = did_you_mean(found[0], names.names) or did_you_mean(found[0], names.others)
    raise SubmissionError(
        f"{source} names {counted(len(found), names.what[:-1])} that the dataset does not have"
        f" under this protocol: {', '.join(map(repr, found[:3]))}"
        f"{', ...' if len(found) > 3 else ''}.{f' {hint}' if hint else ''} Its {names.what} are"
        f" called like {', '.join(map(repr, names.names[:2]))}. Correct the names, or leave them"
        " out of the score with `--ignore-unknown`."
    )
