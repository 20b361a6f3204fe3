"""Sizes of files that are to be fetched and that no spec states, as the servers say them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spared_bench.bench import Bench
from spared_bench.sources.mirrors import Mirrors
from spared_bench.sources.sizes import Asking, told_sizes


@dataclass(frozen=True)
class AskedSize:
    """What servers say of the files of a dataset.

    Parameters
    ----------
    bytes : int
        Of the files whose size is stated or told.
    files : int
        How many files the dataset has.
    untold : dict of str to str
        By the address of a file of which no size is told, why.
    """

    bytes: int
    files: int
    untold: dict[str, str]


def asked_sizes(
    bench: Bench,
    downloads: Mapping[str, int | None],
    mirrors: Mirrors = (),
    asking: Asking | None = None,
) -> dict[str, AskedSize]:
    """Ask for the sizes that are unknown of what a plan would fetch; nothing is kept.

    Parameters
    ----------
    bench : Bench
    downloads : dict of dataset to int or None
        Of a forecast.
    mirrors : tuple of (str, str)
        From ``read_mirrors``.
    asking : Asking, optional

    Returns
    -------
    dict of str to AskedSize
        Of the datasets with files to fetch whose size is unknown.
    """
    files = {name: bench.dataset(name).files for name, size in downloads.items() if size is None}
    wanted = [file for each in files.values() for file in each if not file.size]
    told = told_sizes(wanted, mirrors, asking)
    found = {}
    for name, its in files.items():
        sizes = {file.url: file.size or told[file.url] for file in its}
        known = [size for size in sizes.values() if isinstance(size, int)]
        untold = {url: why for url, why in sizes.items() if isinstance(why, str)}
        if its:
            found[name] = AskedSize(sum(known), len(sizes), untold)
    return found
