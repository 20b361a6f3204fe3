"""Whether spots of two slides are one measurement: a copy, a part of it, or another export of it.

A slide of which a part stands under another name may be learned from and tested, and a dataset of
slides that another one has counts twice in means over datasets. Files do not tell it: the order of
spots, their names, the format, or a few genes may differ. So of every spot the counts of each of
some bands of genes are hashed: two spots agree in that only if they are one.

A choice of genes, such as those that vary most, leaves no band whole, and panels have few genes in
one. There single counts are hashed with gene and place: slides of one array have up to a tenth of
them in common by chance, two choices of one slide almost all. Of bins, whose size is a choice too,
the sums over squares are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

#: Kept beside the description of a dataset.
PRINTS = "spots.npz"
_DESCRIPTION = "dataset.yaml"  # as ``description`` has it, which imports much
_BANDS = 16  # one without a gene that the other file lacks is enough
_LEAST_GENES = 16  # with counts, in a band: fewer may have the same counts by chance
#: Of the hashes of a slide, all or a random part: each command compares those of all.
_KEPT = 1 << 12
_AT_ONCE = 1 << 22  # counts, of which there may be hundreds of millions
_LEAST_COUNT = 2  # of a gene at a place: most are 1
_LEAST_ITEMS = 16  # of these: fewer may be equal by chance
#: Of the smaller slide's hashes, by what is hashed. Unrelated slides share no spot; sections of
#: HER2+ in one array up to 0.11 of counts at places, in pixels or in the array. Of one slide either
#: half is the same, or both.
_SHARED = {"spots": 0.05, "places": 0.35, "squares16": 0.35, "squares48": 0.35}
#: Of bins of Visium HD, told by their names; and how wide squares are: bins of 2, 8 and 16 um fill
#: the first, which lack one less often where spots are filtered, those of 24 um the second.
_BIN = re.compile(r"s_(\d{3})um_(\d{5})_(\d{5})")
_SQUARES_UM = (16, 48)
_LARGEST = 0xFFFF_FFFF_FFFF_FFFF


Prints = dict[str, np.ndarray]


def prints_of(slide: AnnData, organism: str) -> Prints:
    """Return hashes of the counts of a slide, whatever the order of spots and genes.

    Parameters
    ----------
    slide : AnnData
        Raw counts, sparse.
    organism : str
        By whose table symbols and ids are one.

    Returns
    -------
    dict of str to ndarray of uint64
        ``spots``, ``places`` and, of bins, ``squares16`` and ``squares48``: sorted; of many, those
        that are smallest.
    """
    from scipy.sparse import csr_matrix

    counts = csr_matrix(slide.X)
    names = _names(list(map(str, slide.var_names)), organism)
    genes = np.array([_hash(name) for name in names], dtype=np.uint64)
    found = {"spots": _smallest(counts, lambda rows: _hashes(counts[rows], genes))}
    keys = [_pair(*axes.T) for axes in _places(slide)]
    some = [_smallest(counts, partial(_items_of, counts, key, genes)) for key in keys]
    found["places"] = np.unique(np.concatenate(some))[:_KEPT]
    for side, key, summed in _squares(list(map(str, slide.obs_names)), counts):
        found[f"squares{side}"] = _smallest(summed, partial(_items_of, summed, key, genes))
    return found


def _smallest(counts: csr_matrix, hashed: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Return the smallest hashes of all rows, made of some at once."""
    found = np.empty(0, dtype=np.uint64)
    at_once = max(1, _AT_ONCE * counts.shape[0] // max(1, counts.nnz))
    for start in range(0, counts.shape[0], at_once):
        new = hashed(slice(start, start + at_once))
        if len(found) == _KEPT:
            new = new[new < found[-1]]
        # Sorted, which takes a tenth of the time of `np.unique` where nearly all differ.
        both = np.sort(np.concatenate([found, new]))
        found = both[np.append(True, both[1:] != both[:-1])][:_KEPT] if len(both) else both
    return found


def _places(slide: AnnData) -> list[np.ndarray]:
    """Return where spots are, in whole pixels and in the array: most exports keep one of them."""
    from spared_bench.data import SPATIAL

    in_px = np.floor(np.asarray(slide.obsm[SPATIAL], np.float64))
    return [in_px.astype(np.int64), slide.obs[["array_row", "array_col"]].to_numpy(np.int64)]


def _squares(
    names: Sequence[str], counts: csr_matrix
) -> Iterator[tuple[int, np.ndarray, csr_matrix]]:
    """Yield a side, a hash of each square and its counts, where all names are those of bins."""
    from scipy.sparse import csr_matrix

    told = [one.groups() for name in names if (one := _BIN.search(name))]
    if len(told) != len(names):
        return
    size, row, column = np.array(told, dtype=np.int64).T
    for side in _SQUARES_UM:
        if not size.all() or (side % size).any():
            continue
        squares = _pair(row * size // side, column * size // side)
        key, which = np.unique(squares, return_inverse=True)
        members = csr_matrix((np.ones(len(which)), (which, np.arange(len(which)))))
        yield side, key, csr_matrix(members @ counts)


def _pair(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return one hash for each two whole numbers."""
    return _mixed(first.astype(np.uint64) + _mixed(second.astype(np.uint64)))


def _items_of(
    counts: csr_matrix, places: np.ndarray, genes: np.ndarray, which: slice
) -> np.ndarray:
    """Return a hash for each count of some spots, with its place and gene."""
    counts, places = counts[which], places[which]
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    seen = counts.data >= _LEAST_COUNT
    what = _mixed(places[rows[seen]] + genes[counts.indices[seen]])
    return _mixed(what + counts.data[seen].astype(np.uint64))


def _hashes(counts: csr_matrix, genes: np.ndarray) -> np.ndarray:
    """Return those of some spots."""
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    seen = counts.data > 0
    gene = genes[counts.indices[seen]]
    place = rows[seen] * _BANDS + (gene % np.uint64(_BANDS)).astype(np.int64)
    shape = counts.shape[0], _BANDS
    sums = np.zeros(shape, dtype=np.uint64)
    np.add.at(sums.reshape(-1), place, _mixed(gene + _mixed(counts.data[seen].astype(np.uint64))))
    numbers = np.bincount(place, minlength=sums.size).reshape(shape)
    # And all bands together, for panels of few genes.
    sums = np.column_stack([sums, sums.sum(axis=1)])
    numbers = np.column_stack([numbers, numbers.sum(axis=1)])
    return _mixed(sums[numbers >= _LEAST_GENES])


def shares_spots(first: Prints, second: Prints) -> bool:
    """Return whether a part of the spots of one slide are spots of the other."""
    return any(_agree(kind, first[kind], second[kind]) for kind in first.keys() & second.keys())


def _agree(kind: str, first: np.ndarray, second: np.ndarray) -> bool:
    if not len(first) or not len(second):
        return False
    # Above the largest hash that a full list kept, it says nothing.
    bound = min(each[-1] if len(each) == _KEPT else np.uint64(_LARGEST) for each in (first, second))
    first, second = (each[: np.searchsorted(each, bound, "right")] for each in (first, second))
    both = len(np.intersect1d(first, second, assume_unique=True))
    if kind != "spots" and both < _LEAST_ITEMS:
        return False
    return both > _SHARED[kind] * min(len(first), len(second))


def keep_prints(folder: Path, prints: Mapping[str, Prints]) -> None:
    """Keep the hashes of the slides of a dataset beside its description."""
    from spared_bench.files import replacing

    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        f"{kind}_{number}": hashes
        for number, slide in enumerate(prints.values())
        for kind, hashes in slide.items()
    }
    with replacing(folder / PRINTS) as beside, beside.open("wb") as file:
        np.savez(file, **arrays)


def not_compared(folders: Iterable[Path]) -> list[str]:
    """Return a sentence on datasets of which an earlier version kept no hashes, or not all.

    Parameters
    ----------
    folders : iterable of Path
        Of described datasets.
    """
    old = [each for each in folders if not all("places" in one for one in _read(each) or [{}])]
    if not old:
        return []
    files = [f"`spared-bench data add '{folder / _DESCRIPTION}'`" for folder in old]
    names = ", ".join(repr(folder.name) for folder in old)
    which = f"Dataset {names} was" if len(old) == 1 else f"Datasets {names} were"
    return [
        f"{which} added by an earlier version, so it was not asked whether slides of"
        f" {'it' if len(old) == 1 else 'them'}, under other names or in other forms, are those of"
        f" one another or of other datasets. {files[0]} asks it"
        f"{'.' if len(old) == 1 else ' of the first, and so on.'}"
    ]


def sharing(folders: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Return which datasets have spots of others, by the names of their folders.

    Parameters
    ----------
    folders : sequence of Path
        Of datasets; of those that were added before hashes were kept, nothing is known.
    """
    paths = [folder for folder in folders if (folder / PRINTS).is_file()]
    if len(paths) < 2:
        return {}
    known = {folder.name: _read(folder) for folder in paths}
    found: dict[str, list[str]] = {name: [] for name in known}
    for kind in _SHARED:
        of_kind = {
            name: [slide.get(kind, np.empty(0, np.uint64)) for slide in slides]
            for name, slides in known.items()
        }
        for (one, first), (other, second) in _meeting(of_kind):
            if other not in found[one] and _agree(
                kind, of_kind[one][first], of_kind[other][second]
            ):
                found[one].append(other)
                found[other].append(one)
    return {name: tuple(sorted(others)) for name, others in found.items() if others}


_Slide = tuple[str, int]  # of a dataset, by its number


def _meeting(known: Mapping[str, Sequence[np.ndarray]]) -> list[tuple[_Slide, _Slide]]:
    """Return the pairs of slides, of two datasets, that have a hash in common."""
    slides = [(name, number) for name in sorted(known) for number in range(len(known[name]))]
    if not slides:
        return []
    prints = [known[name][number] for name, number in slides]
    hashes = np.concatenate(prints)
    owners = np.repeat(np.arange(len(slides)), [len(each) for each in prints])
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    pairs: set[int] = set()
    for apart in range(1, len(slides)):
        same = hashes[apart:] == hashes[:-apart]
        if not same.any():
            break
        pairs |= set((owners[:-apart][same] * len(slides) + owners[apart:][same]).tolist())
    met = [(slides[a], slides[b]) for a, b in (divmod(pair, len(slides)) for pair in sorted(pairs))]
    return [(one, other) for one, other in met if one[0] != other[0]]


def _read(folder: Path) -> list[Prints]:
    """Return what is kept; nothing of a file that is damaged, which no number depends on."""
    found: dict[str, Prints] = {}
    try:
        with np.load(folder / PRINTS, allow_pickle=False) as kept:
            for name in kept.files:
                kind, _, number = name.partition("_")
                kind = {"arr": "spots"}.get(kind, kind)  # of an earlier version
                hashes = kept[name].astype(np.uint64, copy=False)
                if not (hashes[1:] > hashes[:-1]).all():
                    hashes = np.unique(hashes)  # which takes longer than all else
                found.setdefault(number, {})[kind] = hashes
    except Exception:  # of zip, of npy, or of the disk
        return []
    return [*found.values()]


def _names(names: list[str], organism: str) -> list[str]:
    from spared_bench.processing.annotation import TABLES, annotate

    return list(annotate(names, organism).genes["gene_id"]) if organism in TABLES else names


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spread whole numbers over all others (Steele et al. 2014, SplitMix)."""
    values = values + np.uint64(0x9E37_79B9_7F4A_7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return np.asarray(values ^ (values >> np.uint64(31)), dtype=np.uint64)
