"""Names of spots and genes without letters that nobody sees, and what to record of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from spared_bench.errors import CountsError
from spared_bench.readers.features import NO_ID
from spared_bench.unseen import clear, is_unseen
from spared_bench.words import counted

_NO_NAME = {"", *NO_ID}


def clear_spots(names: Sequence[str], path: Path) -> tuple[list[str], list[str]]:
    """Return names of spots as one sees them, and what to record.

    Raises
    ------
    CountsError
        If two spots have one name, or it becomes one, or nothing can be seen of a name.
    """
    if again := [name for name, number in Counter(names).items() if number > 1]:
        raise CountsError(
            f"{path} names {counted(len(again), 'spot')} more than once, {again[0]!r} first. Where"
            " an AnnData file holds several slides, write `slide_column: ...` in the description,"
            " the column of obs that says which; else give each spot its own name"
            " (`adata.obs_names_make_unique()`)."
        )
    cleared, notes = _cleared(names, "spot", path)
    written: dict[str, str] = {}
    for name, seen in zip(names, cleared, strict=True):
        other = written.setdefault(seen, name)
        if other != name:
            raise CountsError(
                f"{path} names two spots {seen!r}, but for letters that cannot be seen:"
                f" {other!a} and {name!a}. Give each spot its own name."
            )
    return cleared, notes


def clear_genes(
    ids: Sequence[str], symbols: Sequence[str], path: Path
) -> tuple[list[str], list[str], list[str]]:
    """Return ids and symbols of genes as one sees them, and what to record.

    Raises
    ------
    CountsError
        If nothing can be seen of one, or it has neither: two such columns would be one gene.
    """
    seen_ids, notes = _cleared(ids, "gene", path)
    seen_symbols, more = _cleared(symbols, "gene", path)
    for at, both in enumerate(zip(seen_ids, seen_symbols, strict=True)):
        if _NO_NAME.issuperset(both):
            raise CountsError(
                f"Gene {at + 1} of {path} has no name, but {both[0]!r}. Name it, or remove it."
            )
    return seen_ids, seen_symbols, notes + [note for note in more if note not in notes]


def unseen_in(texts: Iterable[str], what: str) -> list[str]:
    """Say of how many texts letters are left out that nobody sees.

    Parameters
    ----------
    texts : iterable of str
        Names as they are written, or lines that begin with them.
    what : str
        Of what they are the names: ``"gene"``.
    """
    odd = (text for text in texts if not (text.isascii() and text.isprintable()))
    spoilt = [text for text in odd if any(map(is_unseen, text))]
    if not spoilt:
        return []
    return [
        f"Letters that cannot be seen, left out of the name of {counted(len(spoilt), what)}"
        f" ({clear(spoilt[0]).partition(' ')[0]!r}, for example)."
    ]


def _cleared(names: Sequence[str], what: str, path: Path) -> tuple[list[str], list[str]]:
    cleared = [clear(name) for name in names]
    changed = [at for at, name in enumerate(names) if name != cleared[at]]
    for at in changed:
        if not cleared[at]:
            raise CountsError(
                f"Nothing can be seen of the name of {what} {at + 1} of {path}: it is"
                f" {names[at][:40]!a}. Name it, or remove it."
            )
    if not changed:
        return cleared, []
    told = (
        f"Letters that cannot be seen, or blanks around it, left out of the name of"
        f" {counted(len(changed), what)} ({cleared[changed[0]]!r}, for example)."
    )
    return cleared, [told]
