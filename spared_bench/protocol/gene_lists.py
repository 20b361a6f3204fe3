"""Named lists of genes, as papers print them."""

from __future__ import annotations

from functools import cache
from importlib import resources

from spared_bench.errors import did_you_mean
from spared_bench.shipped import shipped_yaml

#: As ``gene_list``: the genes that the files of a dataset list.
OF_THE_DATASET = "dataset"


@cache
def gene_lists() -> dict[str, tuple[str, ...]]:
    """Return every list by its name: ids or symbols, in the printed order."""
    text = (resources.files(__package__) / "gene_lists.yaml").read_text(encoding="utf-8")
    return {name: tuple(each["genes"]) for name, each in shipped_yaml(text).items()}


def require_list(name: str) -> None:
    """Refuse a name that is none of the lists.

    Raises
    ------
    ValueError
        With the nearest name.
    """
    known = [OF_THE_DATASET, *gene_lists()]
    if name and name not in known:
        raise ValueError(
            f"`gene_list` is {name!r}, and no list is named so. {did_you_mean(name, known)}"
            f" Known: {', '.join(known)}"
        )
