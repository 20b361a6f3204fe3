"""Slides of one description against each other, before any of them is learned from."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.errors import CountsError

if TYPE_CHECKING:
    from anndata import AnnData


class Compared:
    """What was seen of the slides so far.

    Parameters
    ----------
    organism : str
        Declared for all of them.
    """

    def __init__(self, organism: str) -> None:
        self._organism = organism
        self._slide_of: dict[str, str] = {}
        self._genes: set[str] | None = None

    def add(self, slide_id: str, slide: AnnData) -> None:
        """Compare a further slide.

        Raises
        ------
        CountsError
            If it has the counts of an earlier one, whatever the order of its spots, or no gene that
            the earlier ones share.
        DataError
            If its genes look like those of another organism.
        """
        from spared_bench.processing.annotation import TABLES, annotate

        names = list(map(str, slide.var_names))
        known = self._organism in TABLES  # by symbol or id
        genes = set(annotate(names, self._organism).genes["gene_id"]) if known else set(names)
        same = self._slide_of.setdefault(_print_of(slide), slide_id)
        if same != slide_id:
            raise CountsError(
                f"it has the counts of slide {same!r}, all of them: one is a copy of the other, so"
                " that what is tested could be learned by heart. Name each slide once."
            )
        shared = genes if self._genes is None else genes & self._genes
        if not shared:
            raise CountsError(
                f"it has none of the genes that the slides before it share: {min(genes)!r}, for"
                f" example, and not {min(self._genes or ())!r}. A dataset is of genes that all its"
                " slides have."
            )
        self._genes = shared


def _print_of(slide: AnnData) -> str:
    """Return a fingerprint of counts that the order of spots and genes does not change."""
    by_gene = np.asarray(slide.X.sum(axis=0, dtype=np.float64)).ravel()
    by_spot = np.asarray(slide.X.sum(axis=1, dtype=np.float64)).ravel()
    found = hashlib.sha256(np.sort(by_spot).tobytes())
    for gene in np.argsort(slide.var_names.astype(str)):
        found.update(f"{slide.var_names[gene]}\t{by_gene[gene]}\n".encode())
    return found.hexdigest()
