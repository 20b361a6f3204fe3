"""Whether spots of two slides are one measurement: a copy, a part of it, or another export of it.

A slide of which a part stands under another name may be learned from and tested, and a dataset of
slides that another one has counts twice in means over datasets. Files do not tell it: the order of
spots, their names, the format, or a few genes may differ. So of every spot the counts of each of
some bands of genes are hashed: two spots agree in that only if they are one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

#: Kept beside the description of a dataset.
PRINTS = "spots.npz"
_BANDS = 16  # one without a gene that the other file lacks is enough
_LEAST_GENES = 16  # with counts, in a band: fewer may have the same counts by chance
_KEPT = 1 << 12  # of the hashes of a slide, all or a random part: HEST-1k has a thousand of them
_SHARED = 0.05  # of the smaller slide's hashes, of which unrelated slides share none
_LARGEST = 0xFFFF_FFFF_FFFF_FFFF


def prints_of(slide: AnnData, organism: str) -> np.ndarray:
    """Return hashes of the counts of spots, whatever the order of spots and genes.

    Parameters
    ----------
    slide : AnnData
        Raw counts, sparse.
    organism : str
        By whose table symbols and ids are one.

    Returns
    -------
    ndarray of uint64
        Sorted. Of many, those that are smallest.
    """
    from scipy.sparse import csr_matrix

    counts = csr_matrix(slide.X)
    names = _names(list(map(str, slide.var_names)), organism)
    genes = np.array([_hash(name) for name in names], dtype=np.uint64)
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    seen = counts.data > 0
    gene = genes[counts.indices[seen]]
    place = rows[seen] * _BANDS + (gene % np.uint64(_BANDS)).astype(np.int64)
    size = counts.shape[0] * _BANDS
    sums = np.zeros(size, dtype=np.uint64)
    np.add.at(sums, place, _mixed(gene + _mixed(counts.data[seen].astype(np.uint64))))
    numbers = np.bincount(place, minlength=size)
    # And all bands together, for panels of few genes.
    sums = np.column_stack([sums.reshape(-1, _BANDS), sums.reshape(-1, _BANDS).sum(axis=1)])
    numbers = np.column_stack(
        [numbers.reshape(-1, _BANDS), numbers.reshape(-1, _BANDS).sum(axis=1)]
    )
    return np.unique(_mixed(sums[numbers >= _LEAST_GENES]))[:_KEPT]


def shares_spots(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether a part of the spots of one slide are spots of the other."""
    if not len(first) or not len(second):
        return False
    # Above the largest hash that a full list kept, it says nothing.
    bound = min(each[-1] if len(each) == _KEPT else np.uint64(_LARGEST) for each in (first, second))
    first, second = (each[: np.searchsorted(each, bound, "right")] for each in (first, second))
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both > _SHARED * min(len(first), len(second))


def keep_prints(folder: Path, prints: Mapping[str, np.ndarray]) -> None:
    """Keep the hashes of the slides of a dataset beside its description."""
    from spared_bench.files import replacing

    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / PRINTS) as beside, beside.open("wb") as file:
        np.savez(file, *prints.values())


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
    known = {folder.name: _read(folder / PRINTS) for folder in paths}
    none = np.empty(0, np.uint64)
    together = {name: np.unique(np.concatenate([none, *each])) for name, each in known.items()}
    found: dict[str, list[str]] = {name: [] for name in known}
    names = list(known)
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            # Most have nothing in common, which is known at once.
            if len(np.intersect1d(together[one], together[other], assume_unique=True)) and any(
                shares_spots(a, b) for a in known[one] for b in known[other]
            ):
                found[one].append(other)
                found[other].append(one)
    return {name: tuple(others) for name, others in found.items() if others}


def _read(path: Path) -> list[np.ndarray]:
    """Return what is kept; nothing of a file that is damaged, which no number depends on."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            return [np.unique(kept[name].astype(np.uint64)) for name in kept.files]
    except Exception:  # of zip, of npy, or of the disk
        return []


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
